"""From one decoded JSON object in Hubble's form to one part of a flow: plain builders.

`Fields` hands out cleaned values by proto name and counts what the schema does not know; nothing
unknown is fatal. `pieces` calls these once per distinct content.

Source of the field names: Cilium `api/v1/flow/flow.proto` (v1.19).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec

from app.core.flows import names
from app.core.flows.names import EnumTable
from app.core.model.flow import (
    DnsInfo,
    FlowDetail,
    FlowEndpoint,
    HttpInfo,
    L7Info,
    PolicyEvidence,
)
from app.core.text import clean

KEEP_DISTINCT = 50_000
"""Entries of one cache before it starts afresh: content that never repeats must not pile up."""

Built = TypeVar("Built")


class Texts(dict[str, str]):
    """Every distinct string once, cleaned: `texts[raw]`."""

    def __missing__(self, raw: str) -> str:
        if len(self) >= KEEP_DISTINCT:
            self.clear()
        self[raw] = text = clean(raw)
        return text


def camel(name: str) -> str:
    """Give the key that default protobuf JSON printers write for a proto field name."""
    head, *rest = name.split("_")
    return head + "".join(word[:1].upper() + word[1:] for word in rest)


class Fields:
    """One JSON object, taken apart key by key; `finish` counts what nobody took.

    Proto names are read first, then the camel case of other printers. `null` is absent.
    Raises `ValueError` or `TypeError` where a value has not the type of its field.
    """

    __slots__ = ("_left", "_texts", "_unknown", "_where")

    def __init__(
        self, fields: Mapping[str, Any], texts: Texts, unknown: Counter[str], where: str
    ) -> None:
        if not isinstance(fields, Mapping):
            raise TypeError(where)
        self._left = {key: value for key, value in fields.items() if value is not None}
        self._texts = texts
        self._unknown = unknown
        self._where = where

    def take(self, name: str) -> Any:
        """The value of a field; None when absent."""
        found = self._left.pop(name, None)
        if found is None and self._left:
            return self._left.pop(camel(name), None)
        return found

    def text(self, name: str) -> str:
        """A cleaned, shared string."""
        value = self.take(name)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise TypeError(name)
        return self._texts[value]

    def number(self, name: str) -> int:
        """An integer, also in the quotes that JSON puts around 64 bits."""
        value = self.take(name)
        return 0 if value is None else int(value)

    def optional_number(self, name: str) -> int | None:
        """An integer that may be absent."""
        value = self.take(name)
        return None if value is None else int(value)

    def flag(self, name: str) -> bool:
        """A boolean."""
        return bool(self.take(name))

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of strings."""
        return tuple(self._texts[str(item)] for item in self.take(name) or ())

    def enum(self, name: str, table: EnumTable) -> str:
        """An enum's name; empty when absent, as found when the schema does not know it."""
        value = self.take(name)
        if value is None:
            return ""
        return enum_name(value, table, self._texts, self._unknown, name)

    def message(self, name: str) -> Fields | None:
        """A message within this one."""
        value = self.take(name)
        if value is None:
            return None
        return Fields(value, self._texts, self._unknown, f"{self._where}.{name}")

    def pairs(self, name: str, first: str, second: str) -> tuple[tuple[str, str], ...]:
        """A repeated message of two strings."""
        where = f"{self._where}.{name}"
        pairs = []
        for item in self.take(name) or ():
            fields = Fields(item, self._texts, self._unknown, where)
            pairs.append((fields.text(first), fields.text(second)))
            fields.finish()
        return tuple(pairs)

    def finish(self) -> None:
        """Count what is left over."""
        for key in self._left:
            self._unknown[f"{self._where}.{self._texts[key]}"] += 1


def enum_name(
    value: object, table: EnumTable, texts: Texts, unknown: Counter[str], field: str
) -> str:
    """Give the name for a name or number from the wire, counting one that is not in the schema."""
    if not isinstance(value, int | str):
        raise TypeError(field)
    known = table.get(value)
    if known is not None:
        return known
    name = texts[str(value)]
    unknown[f"{field}={name}"] += 1
    return name


def compact(value: object, texts: Texts) -> bytes:
    """Give a JSON tree as cleaned, compact JSON."""
    return msgspec.json.encode(_cleaned(value, texts))


def _cleaned(value: object, texts: Texts) -> object:
    if isinstance(value, str):
        return texts[value]
    if isinstance(value, Mapping):
        return {texts[str(key)]: _cleaned(item, texts) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned(item, texts) for item in value]
    return value


def build_endpoint(fields: Fields) -> FlowEndpoint:
    """`flow.Endpoint`."""
    workloads = fields.pairs("workloads", "kind", "name")
    kind, workload = workloads[0] if workloads else ("", "")
    return FlowEndpoint(
        identity=fields.number("identity"),
        namespace=fields.text("namespace"),
        pod=fields.text("pod_name"),
        labels=fields.texts("labels"),
        workload_kind=kind,
        workload=workload,
        cluster=fields.text("cluster_name"),
        id=fields.number("ID"),
        more_workloads=workloads[1:],
    )


def build_policy(fields: Fields) -> PolicyEvidence:
    """`flow.Policy`."""
    return PolicyEvidence(
        kind=fields.text("kind"),
        namespace=fields.text("namespace"),
        name=fields.text("name"),
        labels=fields.texts("labels"),
        revision=fields.number("revision"),
    )


def build_l7(fields: Fields, texts: Texts) -> L7Info:
    """`flow.Layer7`."""
    kafka = fields.take("kafka")
    return L7Info(
        type=fields.enum("type", names.L7_TYPES),
        latency_ns=fields.number("latency_ns"),
        http=_inner(fields, "http", _build_http),
        dns=_inner(fields, "dns", _build_dns),
        kafka=b"" if kafka is None else compact(kafka, texts),
    )


def _build_http(fields: Fields) -> HttpInfo:
    return HttpInfo(
        method=fields.text("method"),
        url=fields.text("url"),
        protocol=fields.text("protocol"),
        code=fields.number("code"),
        headers=fields.pairs("headers", "key", "value"),
    )


def _build_dns(fields: Fields) -> DnsInfo:
    query = fields.text("query")
    return DnsInfo(
        query=query.removesuffix("."),
        ips=fields.texts("ips"),
        cnames=fields.texts("cnames"),
        qtypes=fields.texts("qtypes"),
        rrtypes=fields.texts("rrtypes"),
        rcode=fields.number("rcode"),
        ttl=fields.number("ttl"),
        source=fields.text("observation_source"),
        rooted=not query or query.endswith("."),
    )


class Addresses(msgspec.Struct, frozen=True, gc=False):
    """`flow.IP`."""

    source: str = ""
    destination: str = ""
    version: str = ""
    encrypted: bool = False
    translated: str = ""


def build_addresses(fields: Fields) -> Addresses:
    """`flow.IP`."""
    return Addresses(
        source=fields.text("source"),
        destination=fields.text("destination"),
        version=fields.enum("ipVersion", names.IP_VERSIONS),
        encrypted=fields.flag("encrypted"),
        translated=fields.text("source_xlated"),
    )


RARE_SCALARS = (
    "drop_reason",
    "reply",
    "auth_type",
    "trace_reason",
    "debug_capture_point",
    "sock_xlate_point",
    "proxy_port",
    "socket_cookie",
    "cgroup_id",
)
"""Fields of `flow.Flow` that most flows lack: they lead to the shared detail."""

ONLY_OUTPUT = ("tunnel", "aggregate", "extensions", "VRRP", "IGMP")
"""Messages kept as JSON in `FlowDetail.other`; the last two belong under `l4`."""


def build_detail(
    fields: Fields, texts: Texts, *, addresses: Addresses, l4_code: int, set_empty: tuple[str, ...]
) -> FlowDetail:
    """The rarer fields of `flow.Flow`, by their proto names."""
    other = {name: body for name in ONLY_OUTPUT if (body := fields.take(name)) is not None}
    return FlowDetail(
        kind=fields.enum("Type", names.KINDS),
        ip_version=addresses.version,
        encrypted=addresses.encrypted,
        source_ip_translated=addresses.translated,
        l4_code=l4_code,
        drop_reason=fields.number("drop_reason"),
        reply=fields.flag("reply"),
        ethernet=_inner(fields, "ethernet", _two("source", "destination")),
        source_service=_inner(fields, "source_service", _two("namespace", "name")),
        destination_service=_inner(fields, "destination_service", _two("namespace", "name")),
        interface=_inner(fields, "interface", lambda x: (x.number("index"), x.text("name"))),
        file=_inner(fields, "file", lambda x: (x.text("name"), x.number("line"))),
        emitter=_inner(fields, "emitter", _two("name", "version")),
        node_labels=fields.texts("node_labels"),
        policy_log=fields.texts("policy_log"),
        auth_type=fields.enum("auth_type", names.AUTH_TYPES),
        trace_reason=fields.enum("trace_reason", names.TRACE_REASONS),
        capture_point=fields.enum("debug_capture_point", names.CAPTURE_POINTS),
        socket_translation=fields.enum("sock_xlate_point", names.SOCKET_TRANSLATIONS),
        proxy_port=fields.number("proxy_port"),
        socket_cookie=fields.number("socket_cookie"),
        cgroup_id=fields.number("cgroup_id"),
        trace_id=_inner(fields, "trace_context", _trace_id) or "",
        ip_trace_id=_inner(
            fields, "ip_trace_id", lambda x: (x.number("trace_id"), x.number("ip_option_type"))
        ),
        other=compact(other, texts) if other else b"",
        set_empty=set_empty,
    )


def _inner(fields: Fields, name: str, read: Callable[[Fields], Built]) -> Built | None:
    """Read a message within `fields`, counting what `read` leaves over; None when absent."""
    message = fields.message(name)
    if message is None:
        return None
    built = read(message)
    message.finish()
    return built


def _two(first: str, second: str) -> Callable[[Fields], tuple[str, str]]:
    return lambda message: (message.text(first), message.text(second))


def _trace_id(context: Fields) -> str:
    return _inner(context, "parent", lambda parent: parent.text("trace_id")) or ""
