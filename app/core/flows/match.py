"""Hubble's `FlowFilter`, applied here: for files, the demo and recordings.

Within one filter all fields must match, within one field any value; several filters are
alternatives; what a deny filter matches is left out. Filters are plain JSON objects with proto
field names, as `hubble observe --allowlist` takes them. A live Relay applies the same filters
itself.

Source: Cilium `pkg/hubble/filters/*.go` (v1.19), `pkg/hubble/k8s`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Any
from urllib.parse import unquote, urlsplit

from app.core.errors import UsageError
from app.core.flows import names
from app.core.flows.patterns import compile_expression, compile_names, compile_nodes
from app.core.flows.selectors import KEEP_ANSWERS, compile_selectors
from app.core.model.flow import Flow, FlowEndpoint

Test = Callable[[Flow], bool]
FlowFilter = Mapping[str, Any]
Values = Sequence[Any]

LAYER_7_EVENT = 129
"""`event_type` of a message that a proxy logged; `http_*` fields fit no other."""

LONGEST_CHAIN = 8
"""Tests joined by nested calls; more are looped over."""

PROTOCOLS = ("tcp", "udp", "sctp", "icmp", "icmpv4", "icmpv6", "vrrp", "igmp")
L7_PROTOCOLS = ("dns", "http", "kafka")

_PORT_PROTOCOLS = frozenset({"TCP", "UDP", "SCTP"})
_STATUS = re.compile(r"[1-5][0-9]{2}|[1-5][0-9]?\+")
_BAD_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2})")


def compile_filters(allow: Iterable[FlowFilter], deny: Iterable[FlowFilter]) -> Test | None:
    """Give the test for an allow and a deny list; None when everything passes."""
    allowed = [compile_filter(each) for each in allow]
    denied = [compile_filter(each) for each in deny]
    if not denied:
        return any_of(allowed) if allowed else None
    is_denied = any_of(denied)
    if not allowed:
        return lambda flow: not is_denied(flow)
    is_allowed = any_of(allowed)
    return lambda flow: is_allowed(flow) and not is_denied(flow)


def compile_filter(flow_filter: FlowFilter) -> Test:
    """Give the test for one filter. Raises `UsageError` for what Hubble would refuse."""
    if http := http_conflict(flow_filter):
        raise UsageError(f"`{http}` needs events of type l7", hint="add l7 to --type or leave it")
    return all_of([_compile_field(field, _listed(values)) for field, values in flow_filter.items()])


def all_of(tests: Sequence[Test]) -> Test:
    """Join tests by AND; the common short joins cost no loop."""
    if not tests:
        return lambda _flow: True
    if len(tests) > LONGEST_CHAIN:
        return lambda flow: all(test(flow) for test in tests)
    first, *rest = tests
    if not rest:
        return first
    then = all_of(rest)
    return lambda flow: first(flow) and then(flow)


def any_of(tests: Sequence[Test]) -> Test:
    """Join tests by OR."""
    if not tests:
        return lambda _flow: False
    if len(tests) > LONGEST_CHAIN:
        return lambda flow: any(test(flow) for test in tests)
    first, *rest = tests
    if not rest:
        return first
    otherwise = any_of(rest)
    return lambda flow: first(flow) or otherwise(flow)


def _listed(values: Any) -> Values:
    return values if isinstance(values, list | tuple) else (values,)


def _compile_field(field: str, values: Values) -> Test:
    make = _FIELDS.get(field)
    if make is None:
        near = get_close_matches(field, _FIELDS, 1)
        hint = f"did you mean `{near[0]}`" if near else ""
        raise UsageError(f"a flow filter has no field `{field}`", hint=hint)
    try:
        return make(values)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise UsageError(f"`{values}` does not fit the filter field `{field}`") from error


def http_conflict(flow_filter: FlowFilter) -> str:
    """The `http_*` field that asks for what the filter's event types rule out; usually none."""
    http = next((field for field in flow_filter if field.startswith("http_")), "")
    events = _listed(flow_filter.get("event_type", ()))
    fits = not events or any(event.get("type") == LAYER_7_EVENT for event in events)
    return "" if fits else http


# Fields: from the values of one field to a test


def _exact(read: Callable[[Flow], Any]) -> Callable[[Values], Test]:
    def make(values: Values) -> Test:
        wanted = frozenset(values)
        return lambda flow: read(flow) in wanted

    return make


def _numbers(read: Callable[[Flow], int]) -> Callable[[Values], Test]:
    def make(values: Values) -> Test:
        wanted = frozenset(int(value) for value in values)
        return lambda flow: read(flow) in wanted

    return make


def _enums(read: Callable[[Flow], str], table: names.EnumTable) -> Callable[[Values], Test]:
    def make(values: Values) -> Test:
        wanted = frozenset(table[value] for value in values)
        return lambda flow: read(flow) in wanted

    return make


def _clusters(read: Callable[[Flow], str]) -> Callable[[Values], Test]:
    def make(values: Values) -> Test:
        if "" in values:
            raise UsageError("a cluster name must not be empty")
        return _exact(read)(values)

    return make


def _addresses(read: Callable[[Flow], str]) -> Callable[[Values], Test]:
    """Plain addresses are compared as text, prefixes by value, as Hubble does."""

    def make(values: Values) -> Test:
        prefixes = [ip_network(value, strict=False) for value in values if "/" in value]
        texts = {str(value) for value in values if "/" not in value}
        for text in texts:
            ip_address(text)
        is_wanted = lru_cache(KEEP_ANSWERS)(
            lambda text: text in texts or _is_within(text, prefixes)
        )
        return lambda flow: is_wanted(read(flow))

    return make


def _is_within(text: str, prefixes: Iterable[Any]) -> bool:
    try:
        address = ip_address(text)
    except ValueError:
        return False
    return any(address in prefix for prefix in prefixes)


def _namespaced(read: Callable[[Flow], tuple[str, str]]) -> Callable[[Values], Test]:
    """`ns/prefix`, `ns/`, `/prefix`; a prefix alone is in the namespace `default`."""

    def make(values: Values) -> Test:
        wanted = [_split_name(value) for value in values]

        def matches(flow: Flow) -> bool:
            namespace, name = read(flow)
            if not namespace and not name:
                return False
            return any(
                name.startswith(prefix) and (not within or within == namespace)
                for within, prefix in wanted
            )

        return matches

    return make


def _split_name(value: str) -> tuple[str, str]:
    if not value:
        raise UsageError("a pod or service filter must not be empty", hint="`/` means any")
    parts = value.split("/")
    return (parts[0], parts[1]) if len(parts) > 1 else ("default", value)


def _ports(read: Callable[[Flow], int]) -> Callable[[Values], Test]:
    def make(values: Values) -> Test:
        wanted = frozenset(_port(value) for value in values)
        return lambda flow: read(flow) in wanted and flow.protocol in _PORT_PROTOCOLS

    return make


def _port(value: str | int) -> int:
    port = int(value)
    if not 0 <= port <= 0xFFFF:  # noqa: PLR2004  # the largest port
        raise ValueError(value)
    return port


def _names(read: Callable[[Flow], tuple[str, ...]]) -> Callable[[Values], Test]:
    def make(values: Values) -> Test:
        is_wanted = compile_names(values)
        any_wanted = lru_cache(KEEP_ANSWERS)(lambda found: any(map(is_wanted, found)))
        return lambda flow: any_wanted(read(flow))

    return make


def _labels(read: Callable[[Flow], tuple[str, ...]]) -> Callable[[Values], Test]:
    def make(values: Values) -> Test:
        selects = compile_selectors(values)
        return lambda flow: selects(read(flow))

    return make


def _workloads(read: Callable[[Flow], FlowEndpoint]) -> Callable[[Values], Test]:
    def make(values: Values) -> Test:
        wanted = [(value.get("kind", ""), value.get("name", "")) for value in values]

        def matches(flow: Flow) -> bool:
            endpoint = read(flow)
            first = (endpoint.workload_kind, endpoint.workload)
            return any(
                kind in ("", has_kind) and name in ("", has_name)
                for has_kind, has_name in (first, *endpoint.more_workloads)
                if has_kind or has_name
                for kind, name in wanted
            )

        return matches

    return make


def _events(values: Values) -> Test:
    wanted = [
        (
            int(each.get("type", 0)),
            int(each.get("sub_type", 0)) if each.get("match_sub_type") else None,
        )
        for each in values
    ]
    return lambda flow: any(
        kind in (0, flow.event) and sub_kind in (None, flow.sub_event) for kind, sub_kind in wanted
    )


def _protocols(values: Values) -> Test:
    wanted = {value.lower() for value in values}
    if odd := wanted.difference(PROTOCOLS, L7_PROTOCOLS):
        raise UsageError(f"`{min(odd)}` is not a protocol that Hubble filters by")
    if "icmp" in wanted:
        wanted |= {"icmpv4", "icmpv6"}

    def matches(flow: Flow) -> bool:
        if flow.protocol.lower() in wanted:
            return True
        l7 = flow.l7
        if l7 is None:
            return False
        records = {"dns": l7.dns, "http": l7.http, "kafka": l7.kafka or None}
        return any(record is not None and name in wanted for name, record in records.items())

    return matches


def _tcp_flags(values: Values) -> Test:
    wanted = [frozenset(name for name, is_set in each.items() if is_set) for each in values]

    def matches(flow: Flow) -> bool:
        if not flow.tcp_flags and "flags" not in flow.detail.set_empty:
            return False
        present = frozenset(flow.tcp_flags.split(","))
        return any(flags <= present for flags in wanted)

    return matches


def _drop_reasons(values: Values) -> Test:
    wanted = frozenset(names.DROP_REASON_NAMES[value] for value in values)
    unknown = names.DROP_REASON_NAMES[0]
    return lambda flow: flow.verdict == "DROPPED" and (flow.drop_reason or unknown) in wanted


def _reply(values: Values) -> Test:
    """An unknown reply state matches nothing, except that a drop counts as no reply."""
    wanted = frozenset(values)

    def matches(flow: Flow) -> bool:
        if flow.is_reply is None:
            return flow.verdict == "DROPPED" and False in wanted
        return flow.is_reply in wanted

    return matches


def _statuses(values: Values) -> Test:
    if odd := next((value for value in values if not _STATUS.fullmatch(value)), None):
        raise UsageError(f"`{odd}` is not an HTTP status", hint="write 404, 4+ or 50+")
    prefixes = tuple(value.removesuffix("+") for value in values)

    def matches(flow: Flow) -> bool:
        http = flow.l7.http if flow.l7 else None
        return http is not None and http.code > 0 and f"{http.code:03d}".startswith(prefixes)

    return matches


def _methods(values: Values) -> Test:
    wanted = {value.casefold() for value in values}

    def matches(flow: Flow) -> bool:
        http = flow.l7.http if flow.l7 else None
        return http is not None and bool(http.method) and http.method.casefold() in wanted

    return matches


def _urls(read: Callable[[str], str | None]) -> Callable[[Values], Test]:
    def make(values: Values) -> Test:
        tests = [compile_expression(value) for value in values]

        def matches(flow: Flow) -> bool:
            http = flow.l7.http if flow.l7 else None
            text = read(http.url) if http is not None and http.url else None
            return text is not None and any(test(text) for test in tests)

        return matches

    return make


def _path(url: str) -> str | None:
    """The decoded path as Go's `url.ParseRequestURI` gives it; None when that refuses."""
    if _BAD_ESCAPE.search(url):
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return unquote(parts.path) if parts.scheme or url.startswith("/") else None


def _headers(values: Values) -> Test:
    wanted = {(value.get("key", ""), value.get("value", "")) for value in values}

    def matches(flow: Flow) -> bool:
        http = flow.l7.http if flow.l7 else None
        return http is not None and not wanted.isdisjoint(http.headers)

    return matches


def _queries(values: Values) -> Test:
    tests = [compile_expression(value) for value in values]

    def matches(flow: Flow) -> bool:
        dns = flow.l7.dns if flow.l7 else None
        if dns is None:
            return False
        query = f"{dns.query}." if dns.rooted and dns.query else dns.query
        return any(test(query) for test in tests)

    return matches


def _nodes(values: Values) -> Test:
    is_wanted = compile_nodes(values)
    return lambda flow: (
        bool(flow.node) and is_wanted(flow.node if "/" in flow.node else f"default/{flow.node}")
    )


def _interfaces(values: Values) -> Test:
    wanted = [(int(value.get("index", 0)), value.get("name", "")) for value in values]

    def matches(flow: Flow) -> bool:
        interface = flow.detail.interface
        return interface is not None and any(
            index in (0, interface[0]) and name in ("", interface[1]) for index, name in wanted
        )

    return matches


def _cel(_values: Values) -> Test:
    raise UsageError(
        "CEL expressions are evaluated by Hubble's agents, not here",
        hint="use them with a live Relay, or another filter for recorded flows",
    )


def ip_version(flow: Flow) -> str:
    """`IPv4`, `IPv6` or `IP_NOT_USED`; read from the address where the source did not say."""
    if flow.detail.ip_version or not flow.source_ip:
        return flow.detail.ip_version or "IP_NOT_USED"
    return "IPv6" if ":" in flow.source_ip else "IPv4"


_FIELDS: dict[str, Callable[[Values], Test]] = {
    "uuid": _exact(lambda flow: flow.uuid),
    "source_ip": _addresses(lambda flow: flow.source_ip),
    "destination_ip": _addresses(lambda flow: flow.destination_ip),
    "source_ip_xlated": _addresses(lambda flow: flow.detail.source_ip_translated),
    "source_pod": _namespaced(lambda flow: (flow.source.namespace, flow.source.pod)),
    "destination_pod": _namespaced(lambda flow: (flow.destination.namespace, flow.destination.pod)),
    "source_service": _namespaced(lambda flow: flow.detail.source_service or ("", "")),
    "destination_service": _namespaced(lambda flow: flow.detail.destination_service or ("", "")),
    "source_fqdn": _names(lambda flow: flow.source_names),
    "destination_fqdn": _names(lambda flow: flow.destination_names),
    "dns_query": _queries,
    "source_label": _labels(lambda flow: flow.source.labels),
    "destination_label": _labels(lambda flow: flow.destination.labels),
    "node_labels": _labels(lambda flow: flow.detail.node_labels),
    "source_workload": _workloads(lambda flow: flow.source),
    "destination_workload": _workloads(lambda flow: flow.destination),
    "source_identity": _numbers(lambda flow: flow.source.identity),
    "destination_identity": _numbers(lambda flow: flow.destination.identity),
    "source_cluster_name": _clusters(lambda flow: flow.source.cluster),
    "destination_cluster_name": _clusters(lambda flow: flow.destination.cluster),
    "traffic_direction": _enums(lambda flow: flow.direction, names.DIRECTIONS),
    "verdict": _enums(lambda flow: flow.verdict, names.VERDICTS),
    "drop_reason_desc": _drop_reasons,
    "event_type": _events,
    "protocol": _protocols,
    "source_port": _ports(lambda flow: flow.source_port),
    "destination_port": _ports(lambda flow: flow.destination_port),
    "tcp_flags": _tcp_flags,
    "ip_version": _enums(ip_version, names.IP_VERSIONS),
    "reply": _reply,
    "http_status_code": _statuses,
    "http_method": _methods,
    "http_path": _urls(_path),
    "http_url": _urls(lambda url: url),
    "http_header": _headers,
    "node_name": _nodes,
    "interface": _interfaces,
    "trace_id": _exact(lambda flow: flow.detail.trace_id),
    "ip_trace_id": _numbers(lambda flow: (flow.detail.ip_trace_id or (0, 0))[0]),
    "encrypted": _exact(lambda flow: flow.detail.encrypted),
    "experimental": _cel,
}
