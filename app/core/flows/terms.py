"""The terms of the filter language: what each key means, here and for Hubble."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_network
from typing import Any

from app.core.errors import UsageError
from app.core.flows.flag_values import (
    RESERVED_IDENTITIES,
    choose,
    parse_direction,
    parse_drop_reason,
    parse_event_type,
    parse_identity,
    parse_verdict,
    parse_workload,
)
from app.core.flows.match import FlowFilter, Test, any_of, compile_filter
from app.core.flows.patterns import compile_globs, compile_names
from app.core.flows.selectors import KEEP_ANSWERS
from app.core.model.flow import Flow, FlowEndpoint, L7Info

_SPAN = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?")
_UNITS_S = (86_400, 3_600, 60, 1)
_LONGEST_FUZZY = 64


@dataclass(frozen=True, slots=True)
class Term:
    """One term. `alternatives` are FlowFilters of which one holds for every flow that passes.

    Empty alternatives: Hubble cannot say it. `is_exact`: they let through nothing else.
    """

    test: Test
    alternatives: tuple[FlowFilter, ...] = ()
    is_exact: bool = False
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Key:
    """One key of the language, with its help."""

    parse: Callable[[Sequence[str]], Term]
    help: str


def parse_span(text: str) -> float:
    """Seconds of `90s`, `15m`, `1h43m`, `2d`."""
    match = _SPAN.fullmatch(text.strip())
    if not text.strip() or match is None:
        raise UsageError(f"`{text}` is not a span of time", hint="write 90s, 15m, 1h43m or 2d")
    return sum(
        float(number) * unit
        for number, unit in zip(match.groups(), _UNITS_S, strict=True)
        if number
    )


def text_term(text: str) -> Term:
    """A substring of whatever the flow table shows, without regard to case."""
    wanted = text.casefold()
    port = int(text) if text.isascii() and text.isdecimal() else None

    def has(*shown: str) -> bool:
        return any(wanted in each.casefold() for each in shown)

    # Flows share endpoints, words and addresses, so each of these is nearly always remembered.
    at_end = _remember_end(lambda end: has(f"{end.namespace}/{end.pod}", end.workload))
    in_words, in_addresses = lru_cache(KEEP_ANSWERS)(has), lru_cache(KEEP_ANSWERS)(has)

    def test(flow: Flow) -> bool:
        return (
            at_end(flow.source)
            or at_end(flow.destination)
            or in_words(flow.summary, flow.verdict, flow.drop_reason, flow.node)
            or in_addresses(flow.source_ip, flow.destination_ip)
            or (port is not None and port in (flow.source_port, flow.destination_port))
            or (bool(flow.source_names) and has(*flow.source_names))
            or (bool(flow.destination_names) and has(*flow.destination_names))
            or (flow.l7 is not None and has(*_l7_texts(flow.l7)))
        )

    return Term(test)


def fuzzy_term(letters: str) -> Term:
    """Letters that occur in this order in `source destination`."""
    if len(letters) > _LONGEST_FUZZY:
        raise UsageError(f"a fuzzy term has at most {_LONGEST_FUZZY} letters")
    in_order = compile_globs([f"*{'*'.join(letters.replace('*', ''))}*"])
    fits = lru_cache(KEEP_ANSWERS)(in_order)
    return Term(lambda flow: fits(f"{_shown(flow.source)} {_shown(flow.destination)}"))


def label_term(selector: str) -> Term:
    """A label selector that either end satisfies."""
    return _hubble({"source_label": [selector]}, {"destination_label": [selector]})


def _shown(end: FlowEndpoint) -> str:
    return f"{end.namespace}/{end.pod}"


def _l7_texts(l7: L7Info) -> tuple[str, ...]:
    http = (l7.http.url, l7.http.method) if l7.http else ()
    return (*http, l7.dns.query) if l7.dns else http


def _remember_end(test: Callable[[FlowEndpoint], bool]) -> Callable[[FlowEndpoint], bool]:
    """Answer once per endpoint object; flows share them. The object is kept, so its id stays."""
    known: dict[int, tuple[FlowEndpoint, bool]] = {}

    def ask(end: FlowEndpoint) -> bool:
        answer = known.get(id(end))
        if answer is not None:
            return answer[1]
        if len(known) >= KEEP_ANSWERS:
            known.clear()
        known[id(end)] = (end, holds := test(end))
        return holds

    return ask


def _hubble(*alternatives: FlowFilter) -> Term:
    """A term that Hubble can say exactly."""
    return Term(
        any_of([compile_filter(each) for each in alternatives]), alternatives, is_exact=True
    )


def _field(field: str, convert: Callable[[str], Any] = str) -> Callable[[Sequence[str]], Term]:
    return lambda values: _hubble({field: [convert(value) for value in values]})


def _either(field: str, convert: Callable[[str], Any] = str) -> Callable[[Sequence[str]], Term]:
    def parse(values: Sequence[str]) -> Term:
        wanted = [convert(value) for value in values]
        return _hubble({f"source_{field}": wanted}, {f"destination_{field}": wanted})

    return parse


# Ends


@dataclass(frozen=True, slots=True)
class _End:
    """What one value means at one end: `test` is exact, `filters` a superset in Hubble's words."""

    test: Test
    filters: tuple[FlowFilter, ...]
    is_exact: bool = False


def _ends(
    sides: Sequence[str], read: Callable[[str, str], _End]
) -> Callable[[Sequence[str]], Term]:
    def parse(values: Sequence[str]) -> Term:
        ends = [read(value, side) for side in sides for value in values]
        filters = tuple(each for end in ends for each in end.filters)
        pushable = all(end.filters for end in ends)
        return Term(
            any_of([end.test for end in ends]),
            filters if pushable else (),
            is_exact=pushable and all(end.is_exact for end in ends),
        )

    return parse


def _end(value: str, side: str) -> _End:
    """A pod, namespace, address, block, DNS name or reserved identity at one end."""
    try:
        network = ip_network(value, strict=False)
    except ValueError:
        return _named_end(value.lower(), side)
    text = value if "/" in value else str(network.network_address)
    return _exact_end({f"{side}_ip": [text]})


def _named_end(value: str, side: str) -> _End:
    if "/" in value:
        return _pod_end(value, side)
    if "." in value and "*" in value:
        return _exact_end({f"{side}_fqdn": [value]})
    bare = _bare_end(value, side)
    if value in RESERVED_IDENTITIES:
        versions = ("", "-ipv4", "-ipv6") if value == "world" else ("",)
        labels = [f"reserved:{value}{version}" for version in versions]
        return _or_end(bare, _exact_end({f"{side}_label": labels}))
    return _or_end(bare, _exact_end({f"{side}_fqdn": [value]})) if "." in value else bare


def _exact_end(flow_filter: FlowFilter) -> _End:
    return _End(compile_filter(flow_filter), (flow_filter,), is_exact=True)


def _or_end(one: _End, other: _End) -> _End:
    return _End(
        any_of((one.test, other.test)),
        one.filters + other.filters,
        is_exact=one.is_exact and other.is_exact,
    )


def _pod_end(value: str, side: str) -> _End:
    """`NS/POD`, either with `*`: Hubble is asked for what comes before the first one."""
    namespace, _, pod = value.partition("/")
    in_namespace, is_pod = _glob(namespace), _pod_name(pod)
    test = _at(
        side,
        lambda end: (
            bool(end.namespace or end.pod) and in_namespace(end.namespace) and is_pod(end.pod)
        ),
    )
    prefix = f"{'' if '*' in namespace else namespace}/{pod.partition('*')[0]}"
    return _End(test, ({f"{side}_pod": [prefix]},), is_exact=not pod and "*" not in namespace)


def _bare_end(value: str, side: str) -> _End:
    """A namespace or a pod of any namespace."""
    in_namespace, is_pod = _glob(value), _pod_name(value)
    test = _at(side, lambda end: in_namespace(end.namespace) or is_pod(end.pod))
    if "*" in value:
        return _End(test, ())
    return _End(test, ({f"{side}_pod": [f"{value}/", f"/{value}"]},))


def _at(side: str, test: Callable[[FlowEndpoint], bool]) -> Test:
    ask = _remember_end(test)
    if side == "source":
        return lambda flow: ask(flow.source)
    return lambda flow: ask(flow.destination)


def _glob(pattern: str) -> Callable[[str], bool]:
    return compile_globs([pattern]) if "*" in pattern else pattern.__eq__


def _pod_name(pattern: str) -> Callable[[str], bool]:
    """A pod by name, by the name of its workload, or by a pattern; an empty one is any pod."""
    if not pattern or "*" in pattern:
        return compile_globs([pattern or "*"])
    return lambda pod: pod == pattern or pod.startswith(f"{pattern}-")


def _namespace_end(value: str, side: str) -> _End:
    in_namespace = _glob(value.lower())
    test = _at(side, lambda end: in_namespace(end.namespace))
    if "*" in value:
        return _End(test, ())
    return _End(test, ({f"{side}_pod": [f"{value.lower()}/"]},), is_exact=True)


# Other terms


def _policy(values: Sequence[str]) -> Term:
    """Policies that Hubble names for the verdict, as `NAME` or `NS/NAME`; `none` for no name."""
    wants_none = "none" in values
    is_wanted = compile_globs(values)

    def test(flow: Flow) -> bool:
        allowed = flow.egress_allowed_by or flow.ingress_allowed_by
        denied = flow.egress_denied_by or flow.ingress_denied_by
        if not allowed and not denied:
            return wants_none
        return any(
            is_wanted(policy.name) or is_wanted(f"{policy.namespace}/{policy.name}")
            for named in (
                *(flow.egress_allowed_by, flow.ingress_allowed_by),
                *(flow.egress_denied_by, flow.ingress_denied_by),
            )
            for policy in named
        )

    return Term(test)


def _fqdn(values: Sequence[str]) -> Term:
    """A learned name at either end, or the name a DNS message asks for."""
    compile_names(values)
    asked = "|".join(re.escape(each.lower().removesuffix(".")) for each in values)
    query = rf"(?i)\A(?:{asked})\.?\z".replace(r"\*", "[-.0-9a-z]*").replace(r"\-", "-")
    return _hubble(
        {"source_fqdn": list(values)}, {"destination_fqdn": list(values)}, {"dns_query": [query]}
    )


def _truth(value: str) -> bool:
    return choose("truth value", value.lower(), ("yes", "no")) == "yes"


def _dir(value: str) -> str:
    if value.lower() == "unknown":
        return "TRAFFIC_DIRECTION_UNKNOWN"
    return parse_direction(value)


_BOTH = ("source", "destination")

KEYS: Mapping[str, Key] = {
    "from": Key(_ends(("source",), _end), "source: pod, NS/POD, namespace, address, name, world"),
    "to": Key(_ends(("destination",), _end), "destination, in the same forms"),
    "pod": Key(_ends(_BOTH, _end), "either end, in the same forms"),
    "ns": Key(_ends(_BOTH, _namespace_end), "namespace of either end"),
    "ip": Key(_ends(_BOTH, _end), "address or block of either end"),
    "port": Key(_either("port"), "port of either end"),
    "proto": Key(_field("protocol"), "tcp, udp, sctp, icmp, dns, http"),
    "verdict": Key(_field("verdict", lambda v: parse_verdict(v.upper())), "dropped, forwarded …"),
    "reason": Key(
        _field("drop_reason_desc", lambda v: parse_drop_reason(v.upper())), "why dropped"
    ),
    "dir": Key(_field("traffic_direction", _dir), "ingress, egress or unknown"),
    "policy": Key(_policy, "policy named by Hubble, or none"),
    "fqdn": Key(_fqdn, "DNS name of either end, or asked for"),
    "status": Key(_field("http_status_code"), "HTTP status: 404, 5+"),
    "method": Key(_field("http_method"), "HTTP method"),
    "path": Key(_field("http_path"), "HTTP path, a regular expression"),
    "node": Key(_field("node_name"), "node that saw it: [CLUSTER/]NODE"),
    "type": Key(_field("event_type", parse_event_type), "drop, trace, policy-verdict, l7 …"),
    "reply": Key(_field("reply", _truth), "yes or no"),
    "id": Key(_either("identity", parse_identity), "security identity of either end"),
    "workload": Key(_either("workload", parse_workload), "[KIND/]NAME of either end"),
    "uuid": Key(_field("uuid"), "one flow"),
}
"""The keys besides `since:`, with their help."""
