"""From an edit to the one stretch of text it replaces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.core.drafts.edits import (
    AddKey,
    Append,
    Edit,
    MergeItem,
    Path,
    RemoveItem,
    RemoveKey,
    RenameKey,
    Restore,
    SetScalar,
    show_path,
)
from app.core.drafts.layout import Kind, Place
from app.core.drafts.removals import Patch, remove_item, remove_key
from app.core.drafts.render import (
    indented,
    quoted,
    render_entry,
    render_flow,
    render_item,
    render_json,
    render_scalar,
)
from app.core.drafts.style import column, line_end, line_start, style_of
from app.core.errors import DraftRejected


class Patcher:
    """Works out the stretch that one edit replaces in the text of one document."""

    def __init__(self, text: str, root: Place) -> None:
        self._text = text
        self._root = root
        self._style = style_of(text, root)

    def patch(self, edit: Edit) -> Patch:
        """Give the replacement; DraftRejected when the place is not there or cannot be edited."""
        match edit:
            case Append(path, item):
                found = self._append(path, item)
            case AddKey(path, key, value):
                found = self._add_key(path, key, value)
            case SetScalar(path, value):
                found = self._set(path, value)
            case RenameKey(path, key):
                found = self._rename(path, key)
            case MergeItem(path):
                found = self._merge(path)
            case RemoveItem(path):
                found = self._remove_item(path)
            case RemoveKey(path):
                found = self._remove_key(path)
            case Restore():
                found = self._restore(edit)
        return found

    def _place(self, path: Path) -> Place:
        place = self._root.find(path)
        if place is None:
            raise _not_here(path)
        if place.kind is Kind.ALIAS:
            raise DraftRejected(f"`{show_path(path)}` is an alias of another part of the file")
        return place

    # Lists

    def _append(self, path: Path, item: Any) -> Patch:
        parent = self._place(path[:-1])
        place = parent.child(path[-1])
        if place is None and parent.kind is Kind.MAPPING:
            return self._add_key(path[:-1], str(path[-1]), [item])
        place = self._place(path)
        key = _key_above(path)
        if place.children and place.kind is Kind.SEQUENCE:
            if place.flow:
                return self._append_flow(place, self._beside(item, place.children[-1], key))
            return self._append_block(place, item, key)
        return self._fill_empty(path, parent, place, [item])

    def _append_block(self, place: Place, item: Any, key: str) -> Patch:
        dash = column(self._text, place.inner)
        lines = render_item(item, self._style, key, self._dash_width(place))
        return self._insert_after(place.content_end, indented(lines, dash))

    def _dash_width(self, place: Place) -> int:
        """Columns from dash to item, as the last item on the line of its dash has it."""
        dash = column(self._text, place.inner)
        for item in reversed(place.children):
            start = line_start(self._text, item.start)
            before = self._text[start : item.start]
            if before.strip() == "-" and len(before) > dash + 1:
                return len(before) - dash
        return 2

    def _append_flow(self, place: Place, rendered: str) -> Patch:
        last = place.children[-1]
        start = last.content_end
        return Patch(start, start, "," + self._flow_gap(last) + rendered)

    def _beside(self, value: Any, last: Place, key: str, *, bare: bool = False) -> str:
        """Write what follows `last` between brackets: on lines of its own in JSON that has them.

        A `bare` mapping is written without its own brackets.
        """
        rendered = render_flow(value, self._style, key)
        lined = "\n" in self._text[last.start : last.content_end] or last.kind is Kind.SCALAR
        before = self._text[line_start(self._text, last.start) : last.start]
        if self._style.json is not None and not before.strip() and (lined or bare):
            if not bare:
                return render_json(value, self._style.json, self._style.eol, before)
            ((name, held),) = value.items()
            head = render_json(name, self._style.json) + self._style.json.colon
            return head + render_json(held, self._style.json, self._style.eol, before)
        return rendered[1:-1] if bare else rendered

    def _flow_gap(self, last: Place) -> str:
        """A blank, or a new line as deep as the last entry when that has its own line.

        JSON on one line may have no blank.
        """
        first = last.start
        start = line_start(self._text, first)
        before = self._text[start:first]
        if start and not before.strip():
            return self._style.eol + before
        return self._style.json.comma[1:] if self._style.json is not None else " "

    def _insert_after(self, at: int, lines: Sequence[str]) -> Patch:
        """Insert whole lines after the line that content ends on, whose end is `at`."""
        at = line_end(self._text, at)
        block = self._style.eol.join(lines)
        if self._text[at - 1 : at] != "\n":
            return Patch(at, at, self._style.eol + block)
        return Patch(at, at, block + self._style.eol)

    # Mappings

    def _add_key(self, path: Path, key: str, value: Any) -> Patch:
        place = self._place(path)
        if place.kind is Kind.MAPPING and place.children:
            if place.flow:
                entries = _as_list(place)
                inner = self._beside({key: value}, entries.children[-1], "", bare=True)
                return self._append_flow(entries, inner)
            indent = column(self._text, place.children[0].start)
            lines = indented(render_entry(key, value, self._style), indent)
            return self._insert_after(place.content_end, lines)
        return self._fill_empty(path, self._place(path[:-1]), place, {key: value})

    def _fill_empty(self, path: Path, parent: Place, place: Place, value: Any) -> Patch:
        """Put a value where `[]`, `{}`, `null` or nothing stands, as a block where one can be."""
        if place.marked or not self._is_empty(place):
            raise DraftRejected(f"`{show_path(path)}` is neither a list nor empty")
        key = _key_above(path)
        owner = next((name for name, held in parent.pairs() if held is place), None)
        if self._style.json is not None and owner is not None:
            before = self._text[line_start(self._text, owner.start) : owner.start]
            prefix = None if before.strip() else before
            rendered = render_json(value, self._style.json, self._style.eol, prefix)
            return Patch(place.start, place.end, rendered)
        if parent.flow or owner is None:
            return Patch(place.start, place.end, render_flow(value, self._style, key))
        lines = render_entry(key, value, self._style)[1:]
        block = self._style.eol.join(indented(lines, column(self._text, owner.start)))
        head_end = len(self._text[: place.start].rstrip(" "))
        line_stop = len(self._text[: line_end(self._text, place.end)].rstrip("\r\n"))
        comment = self._text[place.end : line_stop].rstrip()
        return Patch(head_end, line_stop, comment + self._style.eol + block)

    def _is_empty(self, place: Place) -> bool:
        if place.kind is Kind.SCALAR:
            return not place.style and place.value in ("", "~", "null", "Null", "NULL")
        return place.flow and not place.children

    # Scalars

    def _set(self, path: Path, value: Any) -> Patch:
        place = self._place(path)
        if place.kind is not Kind.SCALAR or place.style in ("|", ">"):
            raise DraftRejected(f"`{show_path(path)}` is not a scalar on one line")
        rendered = self._rescalar(place, value, _key_above(path))
        if place.inner == place.end and self._text[place.end - 1 : place.end] in (":", "-"):
            rendered = " " + rendered
        return Patch(place.inner, place.end, rendered)

    def _rename(self, path: Path, key: str) -> Patch:
        parent, value = self._place(path[:-1]), self._place(path)
        place = next(name for name, held in parent.pairs() if held is value)
        return Patch(place.inner, place.end, self._rescalar(place, key, ""))

    def _rescalar(self, place: Place, value: Any, key: str) -> str:
        if self._style.json is not None:
            return render_json(value, self._style.json)
        if isinstance(value, str) and place.style:
            return quoted(value, place.style)
        if isinstance(value, str) and self._parent_is_flow(place):
            return render_flow(value, self._style, key)
        return render_scalar(value, self._style, key)

    def _parent_is_flow(self, place: Place) -> bool:
        def inside(outer: Place) -> bool:
            if any(child is place for child in outer.children):
                return outer.flow
            return any(inside(child) for child in outer.children)

        return inside(self._root)

    # Joining

    def _merge(self, path: Path) -> Patch:
        """Take the dash away: what follows then belongs to the item before, comments and all."""
        parent, item = self._place(path[:-1]), self._place(path)
        index = parent.children.index(item)
        before = parent.children[index - 1]
        alike = all(
            one.kind is Kind.MAPPING and not one.flow and not one.marked for one in (before, item)
        )
        same = column(self._text, before.start) == column(self._text, item.start)
        if not index or parent.flow or not alike or not same:
            raise DraftRejected(f"`{show_path(path)}` cannot be joined with the item before")
        dash = self._text.rindex("-", before.content_end, item.start)
        return Patch(dash, dash + 1, " ")

    # Removing

    def _remove_item(self, path: Path) -> Patch:
        owner = self._place(path[:-2])
        return remove_item(self._text, path, owner, self._place(path[:-1]), self._place(path))

    def _restore(self, edit: Restore) -> Patch:
        end = edit.start + len(edit.instead)
        if self._text[edit.start : end] != edit.instead:
            raise DraftRejected("the text has changed since; it cannot be put back")
        return Patch(edit.start, end, edit.text)

    def _remove_key(self, path: Path) -> Patch:
        parent, place = self._place(path[:-1]), self._root.find(path)
        if place is None:
            raise _not_here(path)
        return remove_key(self._text, path, parent, place)


def _as_list(place: Place) -> Place:
    """A flow mapping seen as the list of its values, for where the last of them ends."""
    last_key, last_value = place.pairs()[-1]
    entry = Place(Kind.MAPPING, last_key.start, last_value.content_end, last_key.start, flow=True)
    return Place(Kind.SEQUENCE, place.start, place.end, place.inner, flow=True, children=[entry])


def _key_above(path: Path) -> str:
    return next((step for step in reversed(path) if isinstance(step, str)), "")


def _not_here(path: Path) -> DraftRejected:
    return DraftRejected(
        f"`{show_path(path)}` is not written in this document",
        hint="it may come from a merge key or an alias",
    )
