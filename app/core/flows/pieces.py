"""The pieces of flows, built once per distinct content and shared by every flow that has them.

Two readers use this: the JSON codec and the gRPC adapter. Both hold the pieces undecoded, use
their bytes as the key of a cache, and only on a miss have them decoded. So a pod's labels are
decoded and cleaned once, not once per flow, and a ring of flows stays small.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, Generic

from app.core.flows.names import EnumTable
from app.core.flows.parts import (
    KEEP_DISTINCT,
    Addresses,
    Built,
    Fields,
    Texts,
    build_addresses,
    build_detail,
    build_endpoint,
    build_l7,
    enum_name,
)
from app.core.model.flow import NO_ENDPOINT, FlowDetail, FlowEndpoint, L7Info

LAST_PORT = 0xFFFF

EMPTY_ENDPOINT = FlowEndpoint()
"""Stands for an endpoint that was present without any field; equal to `NO_ENDPOINT`, not it."""

Decode = Callable[[str, bytes], Any]
"""Decode the bytes of a message, given its full proto name, into Hubble's JSON form."""


class Shared(dict[bytes, Built], Generic[Built]):
    """Built values by their undecoded bytes: `shared[raw]` decodes only what is new."""

    def __init__(self, build: Callable[[bytes], Built], known: Mapping[bytes, Built]) -> None:
        super().__init__(known)
        self._build = build
        self._known = known

    def __missing__(self, raw: bytes) -> Built:
        if len(self) >= KEEP_DISTINCT:
            self.clear()
            self.update(self._known)
        self[raw] = built = self._build(raw)
        return built


class Ports(dict[int, int]):
    """One integer object per port number, which saves 50 bytes a flow."""

    def __missing__(self, port: int) -> int:
        if port <= LAST_PORT:  # whatever else the wire holds is not worth sharing
            self[port] = port
        return port


class Pieces:
    """Every cache of one reader. `unknown` counts what the schema does not know, per flow.

    Not for use from two threads at once.
    """

    def __init__(self, decode: Decode, *, empty_message: bytes) -> None:
        self.unknown: Counter[str] = Counter()
        self.texts = Texts()
        self.ports = Ports()
        self.flawed: dict[Hashable, tuple[str, ...]] = {}
        self._decode = decode
        self.details: dict[Hashable, FlowDetail] = {}
        self.endpoints = self._shared(
            "flow.Endpoint",
            build_endpoint,
            {empty_message: EMPTY_ENDPOINT, b"": NO_ENDPOINT},
        )
        self.addresses = self._shared("flow.IP", build_addresses, {b"": Addresses()})
        self.l7: Shared[L7Info | None] = self._shared(
            "flow.Layer7", lambda fields: build_l7(fields, self.texts), {b"": None}
        )

    def enum(self, value: int | str, table: EnumTable, field: str) -> str:
        """The name of an enum value, its zero value included."""
        return table.get(value) or enum_name(value, table, self.texts, self.unknown, field)

    def named(self, value: int | str, table: EnumTable, field: str) -> str:
        """The name of an enum value; empty for its zero value."""
        if value == 0 or value == table[0]:
            return ""
        return self.enum(value, table, field)

    def detail(
        self,
        key: Hashable,
        fields: Callable[[], Mapping[str, Any]],
        *,
        addresses: Addresses,
        l4_code: int,
        set_empty: tuple[str, ...],
    ) -> FlowDetail:
        """The detail for `key`, which must hold all that `fields` and the arguments depend on."""
        known = self.details.get(key)
        if known is not None:
            return known
        if len(self.details) >= KEEP_DISTINCT:
            self.details.clear()
        unknown: Counter[str] = Counter()
        taken = Fields(fields(), self.texts, unknown, "flow")
        detail = build_detail(
            taken, self.texts, addresses=addresses, l4_code=l4_code, set_empty=set_empty
        )
        taken.finish()
        self._note_flaws(key, unknown)
        self.details[key] = detail
        return detail

    def fields(self, body: Mapping[str, Any], where: str) -> Fields:
        """The fields of a message that is not shared; unknown ones are counted at once."""
        return Fields(body, self.texts, self.unknown, where)

    def build_many(
        self,
        key: Hashable,
        bodies: Iterable[Mapping[str, Any]],
        where: str,
        build: Callable[[Fields], Built],
    ) -> tuple[Built, ...]:
        """Build every message of a repeated field; what is unknown belongs to `key`."""
        unknown: Counter[str] = Counter()
        built = []
        for body in bodies:
            fields = Fields(body, self.texts, unknown, where)
            built.append(build(fields))
            fields.finish()
        self._note_flaws(key, unknown)
        return tuple(built)

    def count_flaws(self, keys: Iterable[Hashable]) -> None:
        """Count again what was unknown in the pieces that `keys` lead to."""
        for key in keys:
            self.unknown.update(self.flawed.get(key, ()))

    def _shared(
        self, name: str, build: Callable[[Fields], Built], known: Mapping[bytes, Built]
    ) -> Shared[Built]:
        def read(raw: bytes) -> Built:
            unknown: Counter[str] = Counter()
            fields = Fields(self._decode(name, raw), self.texts, unknown, name)
            built = build(fields)
            fields.finish()
            self._note_flaws(raw, unknown)
            return built

        return Shared(read, known)

    def _note_flaws(self, key: Hashable, unknown: Counter[str]) -> None:
        if not unknown:
            return
        if len(self.flawed) >= KEEP_DISTINCT:
            self.flawed.clear()
        self.flawed[key] = tuple(unknown.elements())
