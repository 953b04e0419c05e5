"""What the proxies say to one request on a connection that layer 3/4 sends to them.

Envoy and the DNS proxy are each given the policy in their own form; what they make of it is a
plain union for HTTP and server names, and a look-up of the exact port for DNS. Source: cilium/proxy
`cilium/network_policy.cc`, `cilium/filter_state_cilium_policy.cc`; Cilium
`pkg/envoy/xds_server.go`, `pkg/envoy/envoy_l7_rules_translator.go`,
`pkg/fqdn/dnsproxy/proxy.go`, `pkg/endpoint/bpf.go` `addNewRedirects`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from app.core.model.provenance import ObjectRef, RuleRef
from app.core.model.verdict import (
    DnsRequest,
    Effect,
    HttpRequest,
    Request,
    RequestMatch,
    SniRequest,
)
from app.core.policy.expressions import matches_whole
from app.core.policy.filters import DirectionPolicy, Filter
from app.core.policy.judge import DirectedConnection, Hit, Judgement, first_port
from app.core.policy.named import NamedPorts
from app.core.policy.names import dns_rules_allow
from app.core.policy.rules import HeaderMatch, HttpRule

HTTP_PARSERS = frozenset({"http"})
ENVOY_PARSERS = frozenset({"http", "tls"})

AUTOMATIC = RuleRef(ObjectRef("Automatic", "", "allow"), "")
"""Stands for an allow that no policy writes: the own node, or everything while nothing denies."""

Headers = dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class RequestVerdict:
    """Whether the request passes. `unsure` says why the answer is not established, if it is not."""

    allowed: bool
    matches: tuple[RequestMatch, ...] = ()
    unsure: str = ""


def judge_request(
    judgement: Judgement,
    request: Request,
    protocol: str,
    headers: Headers,
    misfiled: tuple[Hit, ...] = (),
) -> RequestVerdict:
    """Answer a request on a redirected connection.

    `headers` are the request's as the proxy receives them; matching may change them, and the next
    proxy on the way sees them changed. `misfiled` are hits of other ports that Envoy takes for
    rules of every port.
    """
    if judgement.parser == "dns":
        return _judge_dns(judgement, request)
    if judgement.parser not in ENVOY_PARSERS:
        return RequestVerdict(allowed=True, unsure=f"{judgement.parser} rules are not evaluated")
    if protocol != "TCP":
        return RequestVerdict(allowed=False, unsure="the proxy has no listener for this protocol")
    return _judge_envoy(judgement, request, headers, misfiled)


PROXY_TYPES = {"http": "http", "dns": "dns", "crd": "crd"}
"""Parsers by listener; every other one, TLS too, shares Envoy's plain TCP listener.

Source: Cilium `pkg/proxy/proxyports/proxyports.go`.
"""


def undefined_proxy(
    policy: DirectionPolicy, connection: DirectedConnection, names: NamedPorts
) -> str:
    """Say why it is not defined which proxy reads the connection's port; empty when it is.

    There is one redirect per direction, protocol and first port; where rules of two kinds share it,
    the order of a Go map decides. So it does between DNS rules on a port name and on its number.
    Source: Cilium `pkg/endpoint/bpf.go` `addNewRedirects`.
    """
    proxies: dict[int, list[tuple[str, Filter]]] = {}
    last = 0
    for item in policy.filters:
        if item.protocol != connection.protocol:
            continue
        first = first_port(item, policy.direction, connection, names)
        for found in item.policies.values():
            if first is not None and found.parser:
                kind = PROXY_TYPES.get(found.parser, "tcp")
                proxies.setdefault(first, []).append((kind, item))
    for first, redirects in proxies.items():
        last = max(first, *(item.end for _, item in redirects))
        if first <= connection.port <= last and _is_undefined(redirects):
            return "rules of two kinds share this port, and which proxy reads it is not defined"
    return ""


def _is_undefined(redirects: list[tuple[str, Filter]]) -> bool:
    kinds = {kind for kind, _ in redirects}
    readers = {id(item) for kind, item in redirects if kind == "dns"}
    return len(kinds) > 1 or len(readers) > 1


def request_headers(request: Request) -> Headers:
    """Give an HTTP request's headers by lower-case name, as Envoy keeps them."""
    if not isinstance(request, HttpRequest):
        return {}
    headers: Headers = {
        ":method": [request.method or "GET"],
        ":path": [normalise_path(request.path or "/")],
    }
    if request.host:
        headers[":authority"] = [request.host]
    for name, value in request.headers.items():
        headers[_header_key(name)] = [value.strip(" \t")]
    return headers


def normalise_path(path: str) -> str:
    """Give the path as Envoy judges it: dot segments resolved, slashes merged, query kept.

    Source: Cilium `pkg/envoy/xds_server.go` `getHttpFilterChainProto` (`http-normalize-path`).
    """
    if not path.startswith("/"):
        return path
    plain, mark, query = path.partition("?")
    segments: list[str] = []
    parts = re.sub(r"/{2,}", "/", plain).split("/")[1:]
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        if part == "..":
            segments = segments[:-1]
        elif part != ".":
            segments.append(part)
            continue
        if last:
            segments.append("")
    return "/" + "/".join(segments) + mark + query


def _header_key(name: str) -> str:
    lower = name.lower()
    return ":authority" if lower == "host" else lower


def _judge_dns(judgement: Judgement, request: Request) -> RequestVerdict:
    """Ask only the filter of the exact port: broader allows do not lift its name check."""
    if not isinstance(request, DnsRequest):
        return RequestVerdict(allowed=False, unsure="this port is read by the DNS proxy")
    filters = [hit.filter for hit in judgement.hits if hit.policy.parser == "dns"]
    unsure = ""
    if any(item is not filters[0] for item in filters):
        unsure = "a port name and its number both carry DNS rules, and only one of them counts"
    chosen = [hit for hit in judgement.hits if hit.filter is filters[0]]
    matches = tuple(match for hit in chosen for match in _dns_matches(hit, request.name))
    return RequestVerdict(any(match.allowed for match in matches), matches, unsure)


def _dns_matches(hit: Hit, name: str) -> Iterator[RequestMatch]:
    if not hit.policy.dns:
        yield _match(hit, "every name", allowed=True)
    for rule in hit.policy.dns:
        allowed = dns_rules_allow([(rule.name, rule.pattern)], name)
        yield _match(hit, str(rule), allowed=allowed)


def _judge_envoy(
    judgement: Judgement, request: Request, headers: Headers, misfiled: tuple[Hit, ...]
) -> RequestVerdict:
    """Let the connection pass its check, then the request its own; each is a union of rules."""
    if isinstance(request, DnsRequest):
        return RequestVerdict(allowed=False, unsure="this port is read by Envoy, not as DNS")
    if denies := [hit for hit in misfiled if hit.policy.effect is Effect.DENY]:
        found = tuple(_match(hit, "every request", allowed=False) for hit in denies)
        return RequestVerdict(allowed=False, matches=found)
    allows = [
        hit
        for hit in (*judgement.hits, *misfiled)
        if hit.policy.effect is Effect.ALLOW
        and not hit.policy.map_only
        and not _is_range_from_zero(hit)
    ]
    name = request.name if isinstance(request, SniRequest) else ""
    connecting = [hit for hit in allows if _admits_connection(hit, name)]
    if not connecting:
        return RequestVerdict(allowed=False, matches=tuple(_refused_names(allows)))
    if judgement.parser not in HTTP_PARSERS:
        found = tuple(_match(hit, "TLS name", allowed=True) for hit in connecting)
        return RequestVerdict(allowed=True, matches=found)
    if isinstance(request, SniRequest):
        return RequestVerdict(allowed=False, unsure="TLS on a port with HTTP rules breaks there")
    matches = tuple(match for hit in connecting for match in _http_matches(hit, headers))
    return RequestVerdict(any(match.allowed for match in matches), matches)


def _match(hit: Hit, text: str, *, allowed: bool) -> RequestMatch:
    contributions = hit.policy.contributions
    rule = contributions[0].entry.rule if contributions else AUTOMATIC
    return RequestMatch(rule, text, allowed)


def _refused_names(allows: Iterable[Hit]) -> Iterator[RequestMatch]:
    for hit in allows:
        yield _match(hit, f"server names {', '.join(hit.policy.server_names)}", allowed=False)


def _is_every_port(hit: Hit) -> bool:
    return hit.filter.is_every_port_to_envoy


def _is_range_from_zero(hit: Hit) -> bool:
    """Say whether a filter is `port: "0"` up to an `endPort`, which Envoy never gets.

    Source: Cilium `pkg/envoy/xds_server.go` `getDirectionNetworkPolicy`: port 0 is skipped as done
    with the wildcard, and only the filter of all ports is looked up there.
    """
    found = hit.filter
    return bool(found.end) and not found.number and not found.name


def _admits_connection(hit: Hit, name: str) -> bool:
    """Say whether a rule lets the connection in; on port 0 server names are not sent to Envoy.

    Source: Cilium `pkg/envoy/xds_server.go` `getWildcardNetworkPolicyRules`.
    """
    if _is_every_port(hit) or not hit.policy.server_names:
        return True
    return any(server_name_matches(pattern, name) for pattern in hit.policy.server_names)


@lru_cache(maxsize=4096)
def _server_name_expression(pattern: str) -> re.Pattern[str]:
    if pattern == "*":
        return re.compile(r"[-a-z0-9_]+(?:[.][-a-z0-9_]+)*\Z")
    words = re.split(r"(\*\*|\*|\.)", pattern.lower())
    translated = {"**": "[-a-z0-9_]+(?:[.][-a-z0-9_]+)*", "*": "[-a-z0-9_]*", ".": "[.]"}
    return re.compile("".join(translated.get(word, re.escape(word)) for word in words) + r"\Z")


def server_name_matches(pattern: str, name: str) -> bool:
    """Say whether a TLS server name fits; no name fits nothing, case does not matter.

    `*.x` is one label more, `**.x` one or more. Source: cilium/proxy `cilium/network_policy.cc`
    `SniPattern`.
    """
    return bool(name) and _server_name_expression(pattern).match(name.lower()) is not None


def _http_matches(hit: Hit, headers: Headers) -> Iterator[RequestMatch]:
    if _is_every_port(hit) or not hit.policy.http:
        yield _match(hit, "every request", allowed=True)
        return
    for rule in hit.policy.http:
        yield _match(hit, str(rule), allowed=http_rule_matches(rule, headers))


def http_rule_matches(rule: HttpRule, headers: Headers) -> bool:
    """Say whether a request has everything one HTTP rule asks for.

    A header match with a mismatch action never refuses, but it changes the headers, once all else
    of its rule fits. Source: Cilium `pkg/envoy/policy/envoy_l7_rules_translator.go` `getHTTPRule`.
    """
    parts = ((":path", rule.path), (":method", rule.method), (":authority", rule.host))
    for name, expression in parts:
        value = _header(headers, name)
        if expression and (value is None or not matches_whole(expression, value)):
            return False
    if not all(_header_fits(headers, written) for written in rule.headers):
        return False
    if not all(_header_match_fits(headers, match) for match in rule.header_matches):
        return False
    for match in rule.header_matches:
        _apply_mismatch(headers, match)
    return True


def _header(headers: Headers, name: str) -> str | None:
    values = headers.get(_header_key(name))
    return ",".join(values) if values else None


def _header_fits(headers: Headers, written: str) -> bool:
    """Compare one item of `headers`: `Name: value`, `Name value`, or `Name` alone for presence.

    It is cut at the first space, and colons at the end of the name are dropped; so `X-A:1` asks for
    a header of that odd name. Source: Cilium `pkg/envoy/envoy_l7_rules_translator.go`.
    """
    name, space, wanted = written.partition(" ")
    if not space:
        return _header(headers, name) is not None
    return _header(headers, name.rstrip(":")) == wanted


def _header_match_fits(headers: Headers, match: HeaderMatch) -> bool:
    """Compare one header match. A secret's value is not known here, as if it were missing."""
    if match.has_secret and not match.value:
        return False
    if match.mismatch:
        return True
    value = _header(headers, match.name)
    return value is not None and match.value in ("", value)


def _apply_mismatch(headers: Headers, match: HeaderMatch) -> None:
    """Change the headers as a mismatch action asks; the proxy of the next direction sees it."""
    value = _header(headers, match.name)
    if value is not None and match.value in ("", value):
        return
    key = _header_key(match.name)
    if match.mismatch == "ADD":
        headers.setdefault(key, []).append(match.value)
    elif match.mismatch == "REPLACE":
        headers[key] = [match.value]
    elif match.mismatch == "DELETE" and match.value:
        headers.pop(key, None)
