"""Layer 7 and TLS: what the proxy makes of rules for requests and server names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from app.core.drafts.edits import AddKey, SetScalar, parse_path
from app.core.lint.cover import is_plain
from app.core.lint.finding import Hit, Knowledge, Severity
from app.core.lint.rule import Book
from app.core.lint.scope import Scope
from app.core.lint.view import View, mapping, nodes, told
from app.core.model.cluster import ContainerPort, Endpoint
from app.core.model.labels import LabelSet
from app.core.model.verdict import Direction, Effect, Protocol
from app.core.policy import expressions
from app.core.policy.filters import DirectionPolicy, compile_direction
from app.core.policy.rules import Entry

BOOK = Book()

_TLS_PORTS = {"443": True, "6443": True, "8443": True, "9443": True, "10250": True, "https": True}
_PLAIN_PORTS = frozenset({22, 25, 53, 80, 587, 3306, 5432, 6379, 8080, 11211})
_PROXY_PORTS = frozenset({3128, 8118})
_META = re.compile(r"[][\\*+?(){}|^$]")
_OWN_PATHS = re.compile(r"/(healthz?|livez?|readyz?|ready|live|metrics|ping|version)\Z")
_LOOSE_DOT = re.compile(r"(?<=[A-Za-z0-9])\.(?=[A-Za-z])")
_FIRST_WITHOUT_KAFKA = (1, 20, 0)


def _ports_of(rule: Any) -> Iterator[str]:
    for port, _ in nodes(rule, "ports", ""):
        yield str(mapping(port).get("port", "")).lower()


@BOOK.check(
    "NP027",
    "http-rule-on-tls-port",
    Severity.ERROR,
    why="""Envoy expects plain HTTP where HTTP rules are. TLS that nothing terminates is no HTTP, and
    the connection is refused (Cilium docs, security/policy/language, Layer 7).""",
    bad="""
    egress:
    - toEntities: [world]
      toPorts:
      - ports: [{port: "443", protocol: TCP}]
        rules: {http: [{method: GET}]}
    """,
    good="""
    egress:
    - toEntities: [world]
      toPorts:
      - ports: [{port: "443", protocol: TCP}]
        serverNames: [pypi.org]
    """,
)
def http_on_tls(view: View, _scope: Scope) -> Iterator[Hit]:
    """HTTP rules on a port of TLS, without termination."""
    for item in view.items:
        for rule, path in item.port_rules():
            http = mapping(mapping(rule).get("rules")).get("http")
            tls = [port for port in _ports_of(rule) if port in _TLS_PORTS]
            if http and tls and mapping(rule).get("terminatingTLS") is None:
                yield Hit(
                    f"{path}.rules.http",
                    f"HTTP rules on port {tls[0]}: the proxy cannot read TLS, requests fail",
                    "restrict the name with `serverNames`, or set terminatingTLS and originatingTLS",
                )


@BOOK.check(
    "NP028",
    "http-rule-without-tcp",
    Severity.ERROR,
    refusal=True,
    why="""HTTP and Kafka rules need `protocol: TCP` on every port of their element; ANY, or nothing,
    voids the object (Cilium pkg/policy/api/rule_validation.go).""",
    bad="""
    ingress:
    - toPorts:
      - ports: [{port: "80"}]
        rules: {http: [{method: GET}]}
    """,
    good="""
    ingress:
    - fromEntities: [cluster]
      toPorts:
      - ports: [{port: "80", protocol: TCP}]
        rules: {http: [{method: GET}]}
    """,
)
def http_without_tcp(view: View, _scope: Scope) -> Iterator[Hit]:
    """Another protocol beside HTTP rules."""
    for item in view.items if not view.is_kubernetes else ():
        for rule, path in item.port_rules():
            rules = mapping(mapping(rule).get("rules"))
            if not any(rules.get(kind) for kind in ("http", "kafka", "l7")):
                continue
            for port, where in nodes(rule, "ports", path):
                protocol = str(mapping(port).get("protocol") or "")
                if protocol.upper() != "TCP":
                    edits = _with_tcp(mapping(port), where)
                    yield Hit(
                        where,
                        f"{protocol or 'no protocol'} beside HTTP rules voids the whole policy",
                        "write `protocol: TCP`",
                        edits=edits,
                        certain=bool(edits),
                    )


def _with_tcp(port: Mapping[str, Any], where: str) -> tuple[AddKey | SetScalar, ...]:
    """The edit that asks for TCP; none where another protocol was asked for."""
    path = parse_path(where)
    if "protocol" not in port:
        return (AddKey(path, "protocol", "TCP"),)
    return (SetScalar((*path, "protocol"), "TCP"),) if port["protocol"] == "ANY" else ()


@BOOK.check(
    "NP029",
    "path-is-whole",
    Severity.WARNING,
    why="""A `path` is an expression that must match the whole path, the query string included:
    `/simple/` is that one page, and neither `/simple/numpy/` nor `/simple/?v=2`.""",
    bad="""
    ingress:
    - fromEntities: [cluster]
      toPorts:
      - ports: [{port: "80", protocol: TCP}]
        rules: {http: [{method: GET, path: /simple/}]}
    """,
    good="""
    ingress:
    - fromEntities: [cluster]
      toPorts:
      - ports: [{port: "80", protocol: TCP}]
        rules: {http: [{method: GET, path: "/simple/.*"}]}
    """,
)
def path_is_whole(view: View, _scope: Scope) -> Iterator[Hit]:
    """A path without anything that could hold more than itself."""
    for item in view.items:
        for rule, path in item.http():
            written = mapping(rule).get("path")
            if not isinstance(written, str) or len(written) <= 1 or "${" in written:
                continue
            bare = written.removeprefix("^").removesuffix("$")
            if _META.search(bare) or _OWN_PATHS.search(bare):
                continue
            prefix = bare.endswith("/")
            yield Hit(
                f"{path}.path",
                f"`{written}` is that one path only: "
                + (
                    "nothing below it is allowed" if prefix else "a request with a query is refused"
                ),
                f"write `{bare}.*`" if prefix else f"write `{bare}(\\?.*)?`",
                severity=None if prefix else Severity.INFO,
            )


@BOOK.check(
    "NP030",
    "dot-matches-anything",
    Severity.INFO,
    why="""`host` and `path` are regular expressions: an unescaped dot is any character.""",
    bad="""
    ingress:
    - fromEntities: [cluster]
      toPorts:
      - ports: [{port: "80", protocol: TCP}]
        rules: {http: [{host: api.example.org}]}
    """,
    good="""
    ingress:
    - fromEntities: [cluster]
      toPorts:
      - ports: [{port: "80", protocol: TCP}]
        rules: {http: [{host: 'api\\.example\\.org'}]}
    """,
)
def loose_dot(view: View, _scope: Scope) -> Iterator[Hit]:
    """A dot between letters that is not escaped."""
    for item in view.items:
        for rule, path in item.http():
            for name in ("host", "path"):
                written = mapping(rule).get(name)
                if not isinstance(written, str) or "${" in written:
                    continue
                if not _LOOSE_DOT.search(written):
                    continue
                mended = _LOOSE_DOT.sub(r"\\.", written)
                where = f"{path}.{name}"
                yield Hit(
                    where,
                    f"the dots of `{written}` stand for any character",
                    f"write `{mended}`",
                    edits=(SetScalar(parse_path(where), mended),),
                    certain=expressions.compiles(mended),
                )


@BOOK.check(
    "NP031",
    "http-rule-closes-other-ports",
    Severity.INFO,
    needs=Knowledge.REPOSITORY,
    why="""A rule for requests is an allow like any other: it turns default deny on, and the ports
    beside it are closed to everybody.""",
    bad="""
    # with pods app=web that declare 8080 and 9090
    endpointSelector: {matchLabels: {app: web}}
    ingress:
    - fromEntities: [cluster]
      toPorts:
      - ports: [{port: "8080", protocol: TCP}]
        rules: {http: [{method: GET, path: "/.*"}]}
    """,
    good="""
    # with pods app=web that declare 8080 and 9090
    endpointSelector: {matchLabels: {app: web}}
    ingress:
    - fromEntities: [cluster]
      toPorts:
      - ports: [{port: "8080", protocol: TCP}]
        rules: {http: [{method: GET, path: "/.*"}]}
    - fromEntities: [cluster]
      toPorts: [{ports: [{port: "9090", protocol: TCP}]}]
    """,
)
def http_closes_ports(view: View, scope: Scope) -> Iterator[Hit]:
    """The subject has other ports that no rule of any policy opens."""
    for entry in view.entries:
        has_http = any(rule.layer7.http for rule in entry.ports)
        if entry.direction is Direction.EGRESS or not has_http or not entry.default_deny:
            continue
        others = scope.sharing(entry, Direction.INGRESS)
        for endpoint in scope.endpoints_of(entry):
            shut = [
                f"{one.port}/{one.protocol}"
                for one in endpoint.ports
                if not any(_opens(rule, endpoint, one, scope) for rule in (entry, *others))
            ]
            if shut:
                yield Hit(
                    entry.rule.path,
                    f"{', '.join(shut)} of {endpoint.key} is closed to everybody by this rule",
                )
                return


def _opens(entry: Entry, endpoint: Endpoint, port: ContainerPort, scope: Scope) -> bool:
    if entry.peers is None or not (entry.peers or entry.ports):
        return False
    return scope.engine.fits_port(entry, endpoint, port.port, Protocol(port.protocol))


@BOOK.check(
    "NP032",
    "http-rule-void",
    Severity.WARNING,
    why="""All rules that hold a connection are united: as soon as one allows the same peer and port
    without HTTP rules, every request is allowed (Cilium docs, security/policy; network_policy.cc of
    cilium/proxy).""",
    bad="""
    ingress:
    - fromEndpoints: [{matchLabels: {app: web}}]
      toPorts:
      - ports: [{port: "80", protocol: TCP}]
        rules: {http: [{method: GET}]}
    - fromEndpoints: [{}]
    """,
    good="""
    ingress:
    - fromEndpoints: [{matchLabels: {app: web}}]
      toPorts:
      - ports: [{port: "80", protocol: TCP}]
        rules: {http: [{method: GET}]}
    - fromEndpoints: [{matchLabels: {app: admin}}]
    """,
)
def http_rule_void(view: View, scope: Scope) -> Iterator[Hit]:
    """The same peers and ports are allowed without HTTP rules."""
    for entry in view.entries:
        rules = [one for rule in entry.ports for one in rule.layer7.http]
        if entry.effect is Effect.DENY or not rules or not any(map(str, rules)):
            continue
        if any(str(one) == "any request" for one in rules):
            continue
        for other in scope.sharing(entry, entry.direction, kind="plain", wanted=is_plain):
            if other.peers is not None and scope.covers(other, entry):
                yield Hit(
                    entry.rule.path,
                    f"its HTTP rules restrict nothing: {told(other.rule)} allows the same without them",
                    "take the plain rule away, or narrow it",
                )
                break


@BOOK.check(
    "NP033",
    "rules-that-cannot-be-merged",
    Severity.ERROR,
    why="""Two rules for one peer and port ask for different parsers, TLS contexts, listeners or
    authentication. The agent cannot compute the pod's policy, keeps the one before, and takes no
    further change of any policy for this pod (Cilium pkg/policy/rule.go, mergePortProto).""",
    bad="""
    egress:
    - toEntities: [world]
      toPorts:
      - ports: [{port: "53", protocol: TCP}]
        rules: {dns: [{matchPattern: "*"}]}
    - toEntities: [world]
      toPorts:
      - ports: [{port: "53", protocol: TCP}]
        rules: {http: [{method: GET}]}
    """,
    good="""
    egress:
    - toEntities: [world]
      toPorts:
      - ports: [{port: "53", protocol: TCP}]
        rules: {dns: [{matchPattern: "*"}]}
    - toEntities: [world]
      toPorts:
      - ports: [{port: "80", protocol: TCP}]
        rules: {http: [{method: GET}]}
    """,
)
def cannot_be_merged(view: View, scope: Scope) -> Iterator[Hit]:
    """The agent's own computation fails, for this policy's subjects."""
    for entry, policy in _compiled(view, scope):
        if policy.conflict and view.ref == entry.rule.policy:
            place, _, reason = policy.conflict.rpartition(": ")
            if place.startswith(str(entry.rule)):
                yield Hit(entry.rule.path, f"the agent cannot compute the pod's policy: {reason}")


def _compiled(view: View, scope: Scope) -> Iterator[tuple[Entry, DirectionPolicy]]:
    """Each entry with layer 7 rules, and the policy of its subject as all policies make it."""
    for entry in view.entries:
        if entry.effect is Effect.DENY or is_plain(entry):
            continue
        subjects = scope.endpoints_of(entry)
        if subjects:
            yield entry, scope.engine.direction_policy(subjects[0], entry.direction)
            continue
        together = [
            other
            for other in scope.nearby(entry.namespace, entry.direction, Effect.ALLOW)
            if other is entry or scope.subject_covers(other, entry)
        ]
        subject = Endpoint(entry.namespace, "any", LabelSet())
        yield (
            entry,
            compile_direction(together, entry.direction, subject, scope.cluster.config),
        )


@BOOK.check(
    "NP122",
    "two-parsers-on-one-port",
    Severity.ERROR,
    why="""There is one redirect for each port of a pod. With two parsers on it, through different
    peers, the order of a Go map decides which proxy gets the connections of both (Cilium
    pkg/endpoint/bpf.go, addNewRedirects).""",
    bad="""
    egress:
    - toEntities: [cluster]
      toPorts:
      - ports: [{port: "8080", protocol: TCP}]
        rules: {http: [{method: GET}]}
    - toEntities: [world]
      toPorts:
      - ports: [{port: "8080", protocol: TCP}]
        serverNames: [pypi.org]
    """,
    good="""
    egress:
    - toEntities: [cluster]
      toPorts:
      - ports: [{port: "8080", protocol: TCP}]
        rules: {http: [{method: GET}]}
    - toEntities: [world]
      toPorts:
      - ports: [{port: "8443", protocol: TCP}]
        serverNames: [pypi.org]
    """,
)
def two_parsers(view: View, scope: Scope) -> Iterator[Hit]:
    """One filter of the subject is sent to two kinds of proxy."""
    for entry, policy in _compiled(view, scope):
        for item in policy.filters:
            parsers = sorted({one.parser for one in item.policies.values() if one.parser})
            mine = [
                one.parser
                for one in item.policies.values()
                if one.parser and any(part.entry is entry for part in one.contributions)
            ]
            if len(parsers) > 1 and mine and mine[0] == parsers[0]:
                port = item.name or item.number
                yield Hit(
                    entry.rule.path,
                    f"{' and '.join(parsers)} rules share port {port}/{item.protocol}: "
                    "which proxy gets the connection is not defined",
                    "use another port for one of them",
                )


@BOOK.check(
    "NP035",
    "http-rule-before-forward-proxy",
    Severity.WARNING,
    why="""Clients tunnel TLS through a forward proxy with CONNECT, which Envoy does not pass on under
    HTTP rules (issues 24276, 36039).""",
    bad="""
    egress:
    - toEndpoints: [{matchLabels: {app: squid}}]
      toPorts:
      - ports: [{port: "3128", protocol: TCP}]
        rules: {http: [{method: CONNECT}]}
    """,
    good="""
    egress:
    - toEndpoints: [{matchLabels: {app: squid}}]
      toPorts: [{ports: [{port: "3128", protocol: TCP}]}]
    """,
)
def http_before_proxy(view: View, _scope: Scope) -> Iterator[Hit]:
    """HTTP rules on a forward proxy's port, or for CONNECT."""
    for entry in view.entries:
        for rule in entry.ports:
            proxied = any(one.number in _PROXY_PORTS for one in rule.ports)
            connects = any(one.method == "CONNECT" for one in rule.layer7.http)
            if rule.layer7.http and (proxied or connects):
                yield Hit(
                    f"{rule.path}.rules.http",
                    "CONNECT does not pass HTTP rules: what goes through the proxy fails",
                    "allow the proxy's port without HTTP rules",
                )


@BOOK.check(
    "NP078",
    "kafka-rule-gone",
    Severity.ERROR,
    why="""Cilium 1.20 has no Kafka rules and no `l7proto` any more: a stored object is read without
    them, and what is left is a plain allow of the port.""",
    bad="""
    # read by Cilium 1.20
    ingress:
    - fromEntities: [cluster]
      toPorts:
      - ports: [{port: "9092", protocol: TCP}]
        rules: {kafka: [{role: produce, topic: a}]}
    """,
    good="""
    # read by Cilium 1.20
    ingress:
    - fromEndpoints: [{matchLabels: {app: producer}}]
      toPorts: [{ports: [{port: "9092", protocol: TCP}]}]
    """,
)
def kafka_gone(view: View, scope: Scope) -> Iterator[Hit]:
    """Rules that this version does not know."""
    if scope.version < _FIRST_WITHOUT_KAFKA:
        return
    for item in view.items:
        for rule, path in item.port_rules():
            rules = mapping(mapping(rule).get("rules"))
            for kind in ("kafka", "l7proto"):
                if rules.get(kind):
                    yield Hit(f"{path}.rules.{kind}", f"`{kind}` is gone: the port is open plainly")


@BOOK.check(
    "NP123",
    "header-entry-never-matches",
    Severity.ERROR,
    why="""An item of `headers` is cut at its first space: what stands before it, without final colons,
    is the name, and the rest is compared as it is. `X-A:1` asks for a header called `x-a:1` (Cilium
    pkg/envoy/policy/envoy_l7_rules_translator.go).""",
    bad="""
    ingress:
    - fromEntities: [cluster]
      toPorts:
      - ports: [{port: "80", protocol: TCP}]
        rules: {http: [{headers: ["X-Token:42"]}]}
    """,
    good="""
    ingress:
    - fromEntities: [cluster]
      toPorts:
      - ports: [{port: "80", protocol: TCP}]
        rules: {http: [{headers: ["X-Token: 42"]}]}
    """,
)
def header_never_matches(view: View, _scope: Scope) -> Iterator[Hit]:
    """A header that no request can carry."""
    for item in view.items:
        for rule, path in item.http():
            for header, where in nodes(rule, "headers", path):
                if not isinstance(header, str):
                    continue
                name, space, value = header.partition(" ")
                inner = ":" in name.rstrip(":").strip()
                late = bool(space) and (value.startswith((" ", ":")))
                if not inner and not late:
                    continue
                mended = re.sub(r"\A([^:\s]+)\s*:\s*", r"\1: ", header)
                yield Hit(
                    where,
                    f"`{header}` is no header that a request has",
                    f"write `{mended}`",
                    edits=(SetScalar(parse_path(where), mended),),
                    certain=mended != header,
                )
