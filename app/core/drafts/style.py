"""How a file is written: indents, line ends and quotes, taken from what is already there."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from app.core.drafts.layout import Kind, Place

_FIRST_KEY = re.compile(r"\s*[{\[]\r?\n([ \t]+)")
_SPACED = re.compile(r'"\s*: ')
DOUBLE, SINGLE, PLAIN = '"', "'", ""


@dataclass(frozen=True, slots=True)
class JsonStyle:
    """How JSON is written: what a level is indented by (nothing: all on one line), and a colon."""

    indent: str = "  "
    colon: str = ": "
    comma: str = ", "


@dataclass(frozen=True, slots=True)
class Style:
    """`dash_offset` is how far a list's dashes stand right of the key above; `step` of mappings.

    `quotes` maps a key to the quotes its values wear; `quote` is what the file uses where quotes
    are needed. `json` is None for what is no JSON.
    """

    eol: str = "\n"
    dash_offset: int = 2
    step: int = 2
    quote: str = DOUBLE
    quotes: dict[str, str] = field(default_factory=dict)
    key_quotes: dict[str, str] = field(default_factory=dict)
    json: JsonStyle | None = None


def style_of(text: str, root: Place | None) -> Style:
    """Read the style of one document; what it does not show is as the Kubernetes docs write it."""
    survey = _Survey(text)
    if root is not None:
        survey.look_at(root, "")
    return Style(
        eol="\r\n" if text.count("\r\n") * 2 > text.count("\n") else "\n",
        dash_offset=_most(survey.dash_offsets, 2),
        step=_most(survey.steps, 2),
        quote=_most(survey.quoted, DOUBLE),
        quotes={key: counter.most_common(1)[0][0] for key, counter in survey.quotes.items()},
        key_quotes=survey.key_quotes,
        json=_json_style(text),
    )


def _json_style(text: str) -> JsonStyle | None:
    if not is_json(text):
        return None
    first = _FIRST_KEY.match(text)
    spaced = _SPACED.search(text)
    return JsonStyle(
        indent=first[1] if first else "",
        colon=": " if spaced else ":",
        comma=", " if spaced else ",",
    )


def is_json(text: str) -> bool:
    """Whether a document is JSON, which YAML reads too and nobody wants to find YAML in."""
    if text.lstrip()[:1] not in ("{", "["):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


class _Survey:
    def __init__(self, text: str) -> None:
        self._text = text
        self.dash_offsets: Counter[int] = Counter()
        self.steps: Counter[int] = Counter()
        self.quoted: Counter[str] = Counter()
        self.quotes: dict[str, Counter[str]] = {}
        self.key_quotes: dict[str, str] = {}

    def look_at(self, place: Place, key: str) -> None:
        if place.kind is Kind.SCALAR:
            self._scalar(place, key)
        elif place.kind is Kind.SEQUENCE:
            for item in place.children:
                self.look_at(item, key)
        elif place.kind is Kind.MAPPING:
            self._mapping(place)

    def _scalar(self, place: Place, key: str) -> None:
        if place.style not in (DOUBLE, SINGLE, PLAIN):
            return
        self.quotes.setdefault(key, Counter())[place.style] += 1
        if place.style:
            self.quoted[place.style] += 1

    def _mapping(self, place: Place) -> None:
        for key, value in place.pairs():
            if key.style in (DOUBLE, SINGLE):
                self.key_quotes[key.value] = key.style
            self._indents(key, value)
            self.look_at(value, key.value)

    def _indents(self, key: Place, value: Place) -> None:
        if value.flow or not value.children or self._same_line(key, value):
            return
        offset = column(self._text, value.inner) - column(self._text, key.start)
        if value.kind is Kind.SEQUENCE and offset >= 0:
            self.dash_offsets[offset] += 1
        elif value.kind is Kind.MAPPING and offset > 0:
            self.steps[offset] += 1

    def _same_line(self, key: Place, value: Place) -> bool:
        return "\n" not in self._text[key.end : value.inner]


_T = TypeVar("_T")


def _most(counter: Counter[_T], default: _T) -> _T:
    return counter.most_common(1)[0][0] if counter else default


def column(text: str, at: int) -> int:
    """The 0-based column of an offset."""
    return at - (text.rfind("\n", 0, at) + 1)


def line_start(text: str, at: int) -> int:
    """The offset of the first character of the line that holds `at`."""
    return text.rfind("\n", 0, at) + 1


def line_end(text: str, at: int) -> int:
    """The offset after the line break that ends the line of `at`, or the end of the text."""
    newline = text.find("\n", at)
    return len(text) if newline < 0 else newline + 1


def lines_above(text: str, at: int) -> Iterator[tuple[int, str]]:
    """The lines before the one that starts at `at`, nearest first, with their offsets."""
    while at > 0:
        start = line_start(text, at - 1)
        yield start, text[start:at]
        at = start
