"""The stretch of text that goes with a list item or a key: its lines, and the comments on it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from app.core.drafts.edits import Path, show_path
from app.core.drafts.layout import Kind, Place
from app.core.drafts.style import line_end, line_start, lines_above
from app.core.errors import DraftRejected

_COMMA = re.compile(r"\s*,")


@dataclass(frozen=True, slots=True)
class Patch:
    """A stretch of text and what takes its place."""

    start: int
    end: int
    text: str

    def apply(self, text: str) -> str:
        """Give the text with the stretch replaced."""
        return text[: self.start] + self.text + text[self.end :]


def remove_item(text: str, path: Path, owner: Place, parent: Place, place: Place) -> Patch:
    """Take an item out of `parent`, a list that is held by `owner`.

    The last item leaves `[]`, because a missing list may mean something else.
    """
    if parent.kind is not Kind.SEQUENCE:
        raise DraftRejected(f"`{show_path(path)}` is not an item of a list")
    index = parent.children.index(place)
    if parent.flow:
        return _from_flow(text, parent, parent.children, index)
    start = _dash_line(text, path, parent, index)
    end = line_end(text, place.content_end)
    if len(parent.children) == 1:
        return _empty_list(text, path, owner, parent, Patch(start, end, ""))
    floor = parent.children[index - 1].content_end if index else 0
    return _whole_lines(text, _with_comments(text, start, floor), end)


def remove_key(text: str, path: Path, parent: Place, place: Place) -> Patch:
    """Take a key and its value out of `parent`; the last key leaves `{}`."""
    if parent.kind is not Kind.MAPPING:
        raise DraftRejected(f"`{show_path(path)}` is not a key of a mapping")
    pairs = parent.pairs()
    index = next(at for at, (_, held) in enumerate(pairs) if held is place)
    key = pairs[index][0]
    if parent.flow:
        entries = [_entry(name, held) for name, held in pairs]
        return _from_flow(text, parent, entries, index)
    start, end = line_start(text, key.start), line_end(text, place.content_end)
    if len(pairs) == 1:
        raise DraftRejected(f"`{show_path(path)}` is the only key of its mapping")
    if text[start : key.start].strip(" "):  # it shares its line with the dash of an item
        if index + 1 == len(pairs):
            raise DraftRejected(f"`{show_path(path)}` shares its line with something else")
        return Patch(key.start, pairs[index + 1][0].start, "")
    floor = pairs[index - 1][1].content_end if index else 0
    return _whole_lines(text, _with_comments(text, start, floor), end)


def _entry(key: Place, value: Place) -> Place:
    """A key with its value, seen as one thing between commas."""
    end = max(key.content_end, value.content_end)
    return Place(Kind.MAPPING, key.start, end, key.start, flow=True)


def _from_flow(text: str, parent: Place, entries: list[Place], index: int) -> Patch:
    entry = entries[index]
    if index + 1 < len(entries):
        return Patch(entry.start, entries[index + 1].start, "")
    if index:
        return Patch(entries[index - 1].content_end, entry.content_end, "")
    inside = Patch(parent.inner + 1, parent.end - 1, "")
    if "#" not in text[inside.start : entry.start] + text[entry.content_end : inside.end]:
        return inside
    comma = _COMMA.match(text, entry.content_end)
    return Patch(entry.start, comma.end() if comma else entry.content_end, "")


def _whole_lines(text: str, start: int, end: int) -> Patch:
    """Where a file ends without a line end, what is left of it does too."""
    if end == len(text) and start and not text.endswith("\n"):
        start = len(text[:start].removesuffix("\n").removesuffix("\r"))
    return Patch(start, end, "")


def _empty_list(text: str, path: Path, owner: Place, parent: Place, lines: Patch) -> Patch:
    key = next((name for name, held in owner.pairs() if held is parent), None)
    if key is None or parent.marked:
        raise DraftRejected(f"`{show_path(path)}` is the only item of its list")
    colon = text.index(":", key.end) + 1
    kept = text[colon : _with_comments(text, lines.start, line_end(text, colon))]
    if lines.end == len(text) and not text.endswith("\n"):
        kept = kept.removesuffix("\n").removesuffix("\r")
    return Patch(colon, lines.end, " []" + kept)


def _dash_line(text: str, path: Path, parent: Place, index: int) -> int:
    """The start of the line with the item's dash, which must have nothing else before it."""
    floor = parent.children[index - 1].content_end if index else parent.inner
    dash = text.rfind("-", floor, parent.children[index].start)
    if index == 0:
        dash = parent.inner
    start = line_start(text, dash)
    if text[start:dash].strip(" "):
        raise DraftRejected(f"`{show_path(path)}` shares its line with something else")
    return start


def _with_comments(text: str, start: int, floor: int) -> int:
    """Take in the comment lines right above: they speak of what goes."""
    for above, line in lines_above(text, start):
        if above < floor or not line.lstrip(" ").startswith("#"):
            break
        start = above
    return start
