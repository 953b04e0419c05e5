"""JSON into Kubernetes objects, at JSON's speed: only policies and their like become YAML nodes.

A list is decoded item by item from the raw text, so that each object's line is known without a
parser that counts lines.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from app.core.documents.limits import READING
from app.core.documents.tree import TreeBuilder, compose
from app.core.errors import BadInput
from app.core.model.provenance import Source
from app.core.text import clean_tree, may_hold_controls
from integrations.manifests.found import LINE_KINDS, Found, item_defaults
from integrations.manifests.placeholders import Placeholders

_JSON_SUFFIXES = (".json", ".json.gz")
_YAML_WORTH_TRYING = 1 << 20
_SPACE = re.compile(r"\s*")
_OFFSET = re.compile(r"\((?:byte|char) (\d+)\)")


class _List(msgspec.Struct):
    items: list[msgspec.Raw] | None
    kind: str = ""
    apiVersion: str = ""  # noqa: N815  # the wire's name


_list = msgspec.json.Decoder(_List)


class JsonFile:
    """One JSON text: an object, a `kind: List`, an array, or several of them in a row."""

    def __init__(self, content: bytes, file: str, placeholders: Placeholders, found: Found) -> None:
        self._content = content
        self._file = file
        self._placeholders = placeholders
        self._found = found

    def read(self) -> bool:
        """Add the objects; False, adding nothing, when the text may be YAML in flow style.

        Raises BadInput when it is neither.
        """
        try:
            raws, defaults = self._parts()
        except (ValueError, RecursionError) as error:
            if self._file.endswith(_JSON_SUFFIXES) or len(self._content) > _YAML_WORTH_TRYING:
                raise BadInput(f"not JSON: {error}", line=self._line_of(error)) from error
            return False
        if defaults is not None and not raws and not self._content.lstrip().startswith(b"["):
            self._found.empty_lists.add(self._file)
        for raw, line in self._located(raws):
            try:
                self._read_object(raw, line, defaults)
            except BadInput as error:
                self._found.broken(error, self._file)
            except ValueError as error:  # bytes that are no UTF-8 show only when strings are made
                self._found.broken(BadInput(f"not JSON: {error}", line=line), self._file)
            except RecursionError:
                self._found.broken(BadInput("nested too deeply", line=line), self._file)
        return True

    def _parts(self) -> tuple[list[bytes], Mapping[str, str] | None]:
        """The objects as text, and what items of a list take from it; None where they are none."""
        content = self._content
        try:
            msgspec.json.decode(content, type=msgspec.Raw)
        except msgspec.DecodeError as error:
            if "trailing" not in str(error):
                raise
            return self._values(content), None
        if content.lstrip()[:1] == b"[":
            items = msgspec.json.decode(content, type=list[msgspec.Raw])
            return [bytes(item) for item in items], {}
        try:
            head = _list.decode(content)
        except msgspec.ValidationError:
            return [content.strip()], None
        return [bytes(item) for item in head.items or ()], item_defaults(head.kind, head.apiVersion)

    def _values(self, content: bytes) -> list[bytes]:
        """Values one after the other; where one is broken, the lines that are whole are read."""
        found: list[bytes] = []
        try:
            found.extend(_values(content.decode()))
        except (ValueError, RecursionError) as error:
            lines = [line.strip() for line in content.splitlines()]
            whole = [line for line in lines if line and _is_json(line)]
            if not whole:
                raise
            said = BadInput(f"not JSON: {error}", line=self._line_of(error))
            self._found.broken(said, self._file)
            return whole
        return found

    def _line_of(self, error: Exception) -> int:
        offset = _OFFSET.search(str(error))
        return self._content.count(b"\n", 0, int(offset[1])) + 1 if offset else 1

    def _located(self, raws: Iterable[bytes]) -> Iterator[tuple[bytes, int]]:
        at, line = 0, 1
        for raw in raws:
            start = self._content.find(raw, at)
            line += self._content.count(b"\n", at, start)
            yield raw, line
            at = start + len(raw)
            line += raw.count(b"\n")

    def _read_object(self, raw: bytes, line: int, defaults: Mapping[str, str] | None) -> None:
        body: Any = msgspec.json.decode(raw)
        if isinstance(body, dict) and defaults:
            body = {**defaults, **body}
        kind = body.get("kind") if isinstance(body, dict) else None
        _check_depth(raw, body, line)
        lines: dict[str, int] = {}
        if isinstance(kind, str) and kind in LINE_KINDS:
            body = {**(defaults or {}), **self._with_lines(raw, body, line, lines)}
        elif b"${" in raw:
            body = self._placeholders.fill_tree(body)
        if may_hold_controls(raw):
            body = clean_tree(body)
        source = Source(self._file, line, lines=lines)
        self._found.add(body, source, listed=defaults is not None)

    def _with_lines(
        self, raw: bytes, body: Any, line: int, lines: dict[str, int]
    ) -> dict[str, Any]:
        try:
            node = compose(raw.decode())
        except BadInput:
            # JSON that YAML 1.1 does not take, such as an escaped surrogate pair: no lines then
            filled: dict[str, Any] = self._placeholders.fill_tree(body)
            return filled
        fill = self._placeholders.fill
        builder = TreeBuilder(READING, aliases=False, first_line=line, fill=fill, lines=lines)
        value: dict[str, Any] = builder.build(node)
        return value


def _check_depth(raw: bytes, body: Any, line: int) -> None:
    """Refuse what is nested deeper than YAML may be, so that no later walk can fail on it."""
    if raw.count(b"{") + raw.count(b"[") <= READING.nesting:
        return
    level, depth = [body], 0
    while level:
        if depth > READING.nesting:
            raise BadInput(f"nested deeper than {READING.nesting} levels", line=line)
        values = (one.values() if isinstance(one, dict) else one for one in level)
        level = [item for items in values for item in items if isinstance(item, dict | list)]
        depth += 1


def _is_json(line: bytes) -> bool:
    try:
        msgspec.json.decode(line, type=msgspec.Raw)
    except (ValueError, RecursionError):
        return False
    return True


def _values(text: str) -> Iterator[bytes]:
    decoder, at = json.JSONDecoder(), _after_space(text, 0)
    while at < len(text):
        _, end = decoder.raw_decode(text, at)
        yield text[at:end].encode()
        at = _after_space(text, end)


def _after_space(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    return space.end() if space else at
