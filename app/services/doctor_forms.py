"""Forms of what is said of the program itself: `doctor`, its rights and report, the settings."""

from __future__ import annotations

from typing import Literal

import msgspec

from app.services.doctor import Health
from app.services.form_parts import Document, Listing


class Looked(msgspec.Struct, kw_only=True):
    """One thing that `doctor` looked at."""

    area: str
    health: Health
    text: str
    fix: str | None


class Doctor(Listing, kw_only=True):
    """`doctor`."""

    items: list[Looked]


class Right(msgspec.Struct, kw_only=True):
    """Whether a kind may be read; null where the cluster has no such kind."""

    kind: str
    verb: str
    allowed: bool | None
    scope: str
    cost: str
    reason: str | None


class Rights(Listing, kw_only=True):
    """`doctor --can-i`."""

    items: list[Right]


class Setting(msgspec.Struct, kw_only=True):
    """One setting, and where its value comes from."""

    key: str
    value: str | int | bool | list[str]
    origin: str


class Settings(Document, kw_only=True):
    """`config show`."""

    items: list[Setting]


class Program(msgspec.Struct, kw_only=True):
    """What runs."""

    version: str
    python: str
    platform: str
    packages: dict[str, str]


class SourceHealth(msgspec.Struct, kw_only=True):
    """A source, without its name."""

    phase: str
    cause: str | None
    for_s: int


class ReportedRight(msgspec.Struct, kw_only=True):
    """A right, without the names of namespaces."""

    kind: str
    verb: str
    allowed: bool | None
    scope: Literal["cluster", "namespaces"]


class Report(Document, kw_only=True):
    """`doctor --report`: names nothing of the cluster."""

    program: Program
    given: list[str]
    settings: list[str]
    cilium: str
    sources: list[SourceHealth]
    rights: list[ReportedRight]
    objects: dict[str, int]
    counts: dict[str, int]
    notices: dict[str, int]
    unread: int
    flows: dict[str, int]
