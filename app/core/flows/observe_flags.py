"""The filter flags of `hubble observe`, as a table, and what they mean as `FlowFilter`s.

`FLAGS` is what a command line declares; `build_filters` takes the flags in the order they were
typed. A repeated flag is an alternative, different flags must all hold, `--not` moves the next
flag, and only that, to the deny list. A two-sided flag (`--pod`) makes a source-side and a
destination-side filter: with two of them both belong to the same side, as Hubble's own CLI does.
Combinations which that CLI refuses are refused in the same words.

Source: Cilium `hubble/cmd/observe/{flows_filter,flows,workload,identity}.go` (v1.19.3).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import msgspec

from app.core.errors import UsageError
from app.core.flows.flag_values import (
    choose,
    parse_direction,
    parse_drop_reason,
    parse_event_type,
    parse_header,
    parse_identity,
    parse_ip_trace_id,
    parse_ip_version,
    parse_tcp_flags,
    parse_verdict,
    parse_workload,
)
from app.core.flows.match import compile_filter


class Side(StrEnum):
    """Which ends of a flow a flag speaks of."""

    FLOW = "flow"
    SOURCE = "source"
    DESTINATION = "destination"
    EITHER = "either"


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag. `metavar` is empty for a switch, which takes no value.

    `target` is the FlowFilter field, without `source_` or `destination_` where `side` names an
    end; `convert` turns the typed value into one of the field's values.
    """

    name: str
    help: str
    target: str
    side: Side = Side.FLOW
    metavar: str = ""
    short: str = ""
    convert: Callable[[str], Any] = str
    constant: Any = None


@dataclass(frozen=True, slots=True)
class Given:
    """A flag as typed: its name without dashes, its value, whether `--not` came before it."""

    name: str
    value: str = ""
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Filters:
    """Allow and deny lists of FlowFilters, as plain JSON objects."""

    allow: tuple[dict[str, Any], ...] = ()
    deny: tuple[dict[str, Any], ...] = ()


# The table

Convert = Callable[[str], Any]


def _of_flow(name: str, target: str, metavar: str, what: str, convert: Convert = str) -> Flag:
    return Flag(name, f"only flows {what}", target, metavar=metavar, convert=convert)


def _switch(name: str, target: str, constant: Any, what: str, short: str = "") -> Flag:
    return Flag(name, f"only flows {what}", target, short=short, constant=constant)


def _sided(
    name: str, target: str, metavar: str, what: str, convert: Convert = str, *, short: str = ""
) -> tuple[Flag, Flag, Flag]:
    """The three flags `--from-NAME`, `--NAME` and `--to-NAME`."""
    return (
        Flag(f"from-{name}", f"only flows from {what}", target, Side.SOURCE, metavar, "", convert),
        Flag(name, f"only flows from or to {what}", target, Side.EITHER, metavar, short, convert),
        Flag(f"to-{name}", f"only flows to {what}", target, Side.DESTINATION, metavar, "", convert),
    )


def _any_namespace(name: str, side: Side, short: str = "") -> Flag:
    what = "only flows between pods of any namespace"
    return Flag(name, what, NAMESPACES, side, short=short, constant="")


NAMESPACES = "namespaces"
"""The target of the namespace flags, which qualify pod and service names at the end."""

FLAGS: tuple[Flag, ...] = (
    _of_flow("uuid", "uuid", "UUID", "with this unique identifier"),
    _of_flow("node-name", "node_name", "PATTERN", "of a node: [CLUSTER/]NODE, * allowed"),
    _of_flow("node-label", "node_labels", "SELECTOR", "of nodes with these labels"),
    *_sided("cluster", "cluster_name", "NAME", "a cluster"),
    _of_flow("protocol", "protocol", "NAME", "of a protocol: tcp, udp, icmp, dns, http …"),
    _of_flow(
        "tcp-flags", "tcp_flags", "FLAGS", "with all of these flags: syn,ack", parse_tcp_flags
    ),
    Flag(
        "type",
        "only events TYPE[:SUBTYPE], as drop or trace:to-endpoint",
        "event_type",
        metavar="TYPE",
        short="t",
        convert=parse_event_type,
    ),
    _of_flow(
        "verdict", "verdict", "VERDICT", "with this verdict: DROPPED, FORWARDED …", parse_verdict
    ),
    _of_flow("drop-reason-desc", "drop_reason_desc", "REASON", "dropped so", parse_drop_reason),
    _of_flow("http-status", "http_status_code", "CODE", "with this status: 404, 5+"),
    _of_flow("http-method", "http_method", "METHOD", "with this HTTP method"),
    _of_flow("http-path", "http_path", "REGEX", "whose HTTP path matches"),
    _of_flow("http-url", "http_url", "REGEX", "whose HTTP URL matches"),
    _of_flow("http-header", "http_header", "NAME:VALUE", "with this HTTP header", parse_header),
    _of_flow("trace-id", "trace_id", "ID", "of this trace"),
    _of_flow("ip-trace-id", "ip_trace_id", "ID", "with this IP trace id", parse_ip_trace_id),
    *_sided("fqdn", "fqdn", "PATTERN", "a DNS name: *.pypi.org"),
    *_sided("ip", "ip", "IP|CIDR", "an address or block"),
    _of_flow("snat-ip", "source_ip_xlated", "IP|CIDR", "whose source was translated to it"),
    _switch("ipv4", "ip_version", "IPv4", "over IPv4", "4"),
    _switch("ipv6", "ip_version", "IPv6", "over IPv6", "6"),
    _of_flow("ip-version", "ip_version", "VERSION", "of none, v4 or v6", parse_ip_version),
    *_sided("pod", "pod", "[NS/]PREFIX", "pods whose name begins so"),
    *_sided("namespace", NAMESPACES, "NS", "a namespace", short="n"),
    _any_namespace("from-all-namespaces", Side.SOURCE),
    _any_namespace("all-namespaces", Side.EITHER, "A"),
    _any_namespace("to-all-namespaces", Side.DESTINATION),
    *_sided("label", "label", "SELECTOR", "endpoints with these labels", short="l"),
    *_sided("service", "service", "[NS/]PREFIX", "services whose name begins so"),
    *_sided("port", "port", "PORT", "a port"),
    *_sided("workload", "workload", "[KIND/]NAME", "a workload", parse_workload),
    *_sided("identity", "identity", "ID", "a security identity: number or name", parse_identity),
    _of_flow(
        "traffic-direction", "traffic_direction", "WAY", "of ingress or egress", parse_direction
    ),
    _of_flow("cel-expression", "cel_expression", "CEL", "that satisfy it (live Relay only)"),
    _of_flow("interface", "interface", "NAME", "seen at an interface", lambda it: {"name": it}),
    _switch("encrypted", "encrypted", constant=True, what="that are encrypted"),
    _switch("unencrypted", "encrypted", constant=False, what="that are not encrypted"),
    _switch("reply", "reply", constant=True, what="that are replies"),
    _switch("not-reply", "reply", constant=False, what="that are not replies"),
)
"""In the order of `hubble observe --help`; `--not` is the command line's own."""

_BY_NAME = {flag.name: flag for flag in FLAGS}

_CONFLICTS = (
    "from-fqdn from-ip ip fqdn from-namespace namespace from-all-namespaces all-namespaces",
    "from-fqdn from-ip ip fqdn from-pod pod",
    "to-fqdn to-ip ip fqdn to-namespace namespace to-all-namespaces all-namespaces",
    "to-fqdn to-ip ip fqdn to-pod pod",
    "to-pod namespace all-namespaces",
    "from-pod namespace all-namespaces",
    "to-service namespace all-namespaces",
    "from-service namespace all-namespaces",
    "label from-label",
    "label to-label",
    "service from-service",
    "service to-service",
    "port to-port",
    "port from-port",
    "identity to-identity",
    "identity from-identity",
    "workload to-workload",
    "workload from-workload",
    "encrypted unencrypted",
)
"""Flags of one line cannot stand on the same list together. Source: `newFlowFilter`."""


# Building


def build_filters(given: Sequence[Given]) -> Filters:
    """Give the allow and deny lists. Raises `UsageError` for what Hubble's agents would refuse."""
    allow, deny = _List(), _List()
    for each in given:
        (deny if each.negated else allow).set(each)
    filters = Filters(tuple(allow.filters()), tuple(deny.filters()))
    for flow_filter in (*filters.allow, *filters.deny):
        check_filter(flow_filter)
    return filters


def check_filter(flow_filter: dict[str, Any]) -> None:
    """Raise `UsageError` for a filter that an agent would refuse: Relay says so late, or never."""
    compile_filter({name: v for name, v in flow_filter.items() if name != "experimental"})


def parse_raw_filters(texts: Iterable[str]) -> tuple[dict[str, Any], ...]:
    """Read FlowFilters in JSON, as `hubble observe --allowlist` and `--denylist` take them."""
    filters = []
    for text in texts:
        try:
            flow_filter = msgspec.json.decode(text)
        except msgspec.MsgspecError as error:
            raise UsageError(f"a raw filter is not JSON: {error}") from error
        if not isinstance(flow_filter, dict):
            raise UsageError("a raw filter must be a JSON object")
        check_filter(flow_filter)
        filters.append(flow_filter)
    return tuple(filters)


@dataclass(slots=True)
class _List:
    """One list being built: its result is `left` or `right`."""

    left: dict[str, Any] = field(default_factory=dict)
    right: dict[str, Any] = field(default_factory=dict)
    used: list[str] = field(default_factory=list)
    namespaces: dict[Side, list[str]] = field(default_factory=dict)

    def set(self, given: Given) -> None:
        """Take one flag."""
        flag = _BY_NAME[choose("flag", given.name, _BY_NAME)]
        self.used.append(flag.name)
        self._check_conflicts(flag.name)
        value = flag.convert(given.value) if flag.metavar else flag.constant
        if flag.target == NAMESPACES:
            self.namespaces.setdefault(flag.side, []).append(value)
        else:
            self._add(flag, value)
        for half in (self.left, self.right):
            self._check_namespaces(half)

    def filters(self) -> list[dict[str, Any]]:
        """The filters of this list; none when no flag was given."""
        if not self.used:
            return []
        for half in (self.left, self.right):
            _qualify(half, "destination", self.namespaces.get(Side.DESTINATION, ()))
            _qualify(half, "source", self.namespaces.get(Side.SOURCE, ()))
        _qualify(self.left, "source", self.namespaces.get(Side.EITHER, ()))
        _qualify(self.right, "destination", self.namespaces.get(Side.EITHER, ()))
        return [self.left] if self.left == self.right else [self.left, self.right]

    def _add(self, flag: Flag, value: Any) -> None:
        if flag.target == "cel_expression":
            for half in (self.left, self.right):
                half.setdefault("experimental", {}).setdefault(flag.target, []).append(value)
            return
        source, destination = f"source_{flag.target}", f"destination_{flag.target}"
        left, right = {
            Side.FLOW: (flag.target, flag.target),
            Side.SOURCE: (source, source),
            Side.DESTINATION: (destination, destination),
            Side.EITHER: (source, destination),
        }[flag.side]
        self.left.setdefault(left, []).append(value)
        self.right.setdefault(right, []).append(value)

    def _check_conflicts(self, name: str) -> None:
        for group in _CONFLICTS:
            flags = group.split()
            other = next((each for each in self.used if each in flags and each != name), None)
            if name in flags and other:
                raise UsageError(f"filters --{other} and --{name} cannot be combined")

    def _check_namespaces(self, half: dict[str, Any]) -> None:
        for end in ("source", "destination"):
            pods, services = half.get(f"{end}_pod", ()), half.get(f"{end}_service", ())
            for namespace in (each for group in self.namespaces.values() for each in group):
                for name in (*pods, *services):
                    if _namespace_of(name) not in ("", namespace):
                        raise UsageError(f"namespace `{namespace}` does not contain `{name}`")
            for pod in pods:
                for service in services:
                    if _namespace_of(pod) not in ("", _namespace_of(service)):
                        raise UsageError(f"service `{service}` is not in the namespace of `{pod}`")


def _namespace_of(name: str) -> str:
    return name.partition("/")[0] if "/" in name else ""


def _qualify(half: dict[str, Any], end: str, namespaces: Sequence[str]) -> None:
    """Put the namespaces before the pod and service names of one end that have none."""
    if not namespaces:
        return
    pods, services = f"{end}_pod", f"{end}_service"
    if pods not in half and services not in half:
        half[pods] = [""]
    for target in (pods, services):
        if target in half:
            half[target] = [
                full
                for name in half[target]
                for full in ([name] if "/" in name else [f"{ns}/{name}" for ns in namespaces])
            ]
