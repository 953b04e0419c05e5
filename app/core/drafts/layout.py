"""Where everything of a YAML document stands in its text: a tree of character offsets.

Built from parser events rather than nodes, because events show aliases where they are written,
not where their anchors are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

import yaml
from yaml._yaml import CParser
from yaml._yaml import Mark as CMark
from yaml.error import Mark
from yaml.events import (
    AliasEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from app.core.drafts.edits import Path
from app.core.errors import BadInput


class Kind(Enum):
    """What stands at a place."""

    MAPPING = "mapping"
    SEQUENCE = "sequence"
    SCALAR = "scalar"
    ALIAS = "alias"


@dataclass(slots=True)
class Place:
    """One node: `start` and `end` are offsets into the document's text, anchor and tag included.

    `inner` is where the node's own text starts, after anchor and tag: of a block sequence its
    first dash. `style` is the quote or block indicator of a scalar, empty when it is plain.
    Children of a mapping are its keys and values in turn.
    """

    kind: Kind
    start: int
    end: int
    inner: int
    flow: bool = False
    style: str = ""
    value: str = ""
    marked: bool = False
    children: list[Place] = field(default_factory=list)

    def pairs(self) -> list[tuple[Place, Place]]:
        """The keys of a mapping with their values."""
        return list(zip(self.children[::2], self.children[1::2], strict=True))

    def child(self, step: str | int) -> Place | None:
        """The value under a key, or the item at an index, as written here (no merge keys)."""
        if self.kind is Kind.SEQUENCE and isinstance(step, int):
            return self.children[step] if step < len(self.children) else None
        if self.kind is Kind.MAPPING:
            return next((value for key, value in self.pairs() if key.value == str(step)), None)
        return None

    def find(self, path: Path) -> Place | None:
        """The place at a path; None when it is absent or lies behind an alias."""
        place: Place | None = self
        for step in path:
            place = place.child(step) if place else None
        return place

    @property
    def content_end(self) -> int:
        """The offset after the last character that belongs to the node, comments left out."""
        if self.kind in (Kind.MAPPING, Kind.SEQUENCE) and not self.flow and self.children:
            return self.children[-1].content_end
        return self.end


def lay_out(text: str) -> Place | None:
    """Give the places of the only document of `text`; None when it is empty."""
    try:
        return _read(CParser(text), text)
    except yaml.YAMLError as error:
        raise BadInput(f"not YAML: {str(error).splitlines()[0]}") from error


def _read(parser: CParser, text: str) -> Place | None:
    root: Place | None = None
    open_places: list[Place] = []
    event: Event | None
    while (event := parser.get_event()) is not None:
        if isinstance(event, MappingEndEvent | SequenceEndEvent):
            open_places.pop().end = _offset(event.end_mark)
            continue
        place = _place(event, text)
        if place is None:
            continue
        if open_places:
            open_places[-1].children.append(place)
        else:
            root = place
        if isinstance(event, MappingStartEvent | SequenceStartEvent):
            open_places.append(place)
    return root


def _offset(mark: Mark | CMark | None) -> int:
    return mark.index if mark else 0


def _place(event: Event, text: str) -> Place | None:
    start, end = _offset(event.start_mark), _offset(event.end_mark)
    marked = getattr(event, "anchor", None) is not None or getattr(event, "tag", None) is not None
    match event:
        case ScalarEvent():
            style = event.style or ""
            end = _scalar_end(text, start, end, style)
            inner = _after_properties(text, start, end) if marked else start
            return Place(
                Kind.SCALAR, start, end, inner, style=style, value=event.value, marked=marked
            )
        case AliasEvent():
            return Place(Kind.ALIAS, start, end, start, value=event.anchor or "", marked=True)
        case MappingStartEvent() | SequenceStartEvent():
            kind = Kind.MAPPING if isinstance(event, MappingStartEvent) else Kind.SEQUENCE
            inner = _after_properties(text, start, end) if marked else start
            flow = bool(event.flow_style)
            return Place(kind, start, end, inner, flow=flow, marked=marked)
    return None


def _after_properties(text: str, start: int, end: int) -> int:
    """Skip `&anchor` and `!tag`, each followed by white space, and comments."""
    at = start
    while at < end and text[at] in "&! \t\r\n#":
        if text[at] == "#":
            at = _line_end(text, at)
        elif text[at] in "&!":
            while at < end and not text[at].isspace():
                at += 1
        else:
            at += 1
    return at


def _scalar_end(text: str, start: int, end: int, style: str) -> int:
    """A block scalar's end mark is on the line after it; blank lines count only with `+`."""
    if style not in ("|", ">"):
        return end
    header = text[start : _line_end(text, start)].partition("#")[0]
    if "+" in header:
        return start + len(text[start:end].removesuffix("\n").removesuffix("\r"))
    return start + len(text[start:end].rstrip())


def _line_end(text: str, at: int) -> int:
    newline = text.find("\n", at)
    return len(text) if newline < 0 else newline
