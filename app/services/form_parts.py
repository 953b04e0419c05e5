"""What the JSON forms have in common: objects, places, notices, and the frame of a document."""

from __future__ import annotations

from typing import Literal

import msgspec

Schema = Literal["k8tre-tui/v1"]
Severity = Literal["error", "warning", "info"]


class Ref(msgspec.Struct, kw_only=True):
    """An object of the cluster; `namespace` is empty where its kind has none."""

    kind: str
    namespace: str
    name: str


class Place(msgspec.Struct, kw_only=True):
    """A line of a file that was read; null where the object came from a live cluster."""

    file: str | None
    line: int | None


class Notice(Place, kw_only=True):
    """What must be known about what was read."""

    severity: Severity
    text: str
    object: Ref | None


class Document(msgspec.Struct, kw_only=True):
    """Any document."""

    schema: Schema


class Listing(Document, kw_only=True):
    """Any list; `items` is empty where there is nothing."""

    notices: list[Notice]


class PlacedRef(Ref, kw_only=True):
    """An object, and where it was read."""

    file: str | None
    line: int | None


class Workload(msgspec.Struct, kw_only=True):
    """What made a pod."""

    kind: str
    name: str


class Port(msgspec.Struct, kw_only=True):
    """A port that a pod declares."""

    name: str | None
    port: int
    protocol: str
