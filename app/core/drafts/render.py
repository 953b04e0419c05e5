"""JSON values as YAML text in a file's own style."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from app.core.documents.scalars import resolve_plain
from app.core.drafts.style import DOUBLE, PLAIN, SINGLE, JsonStyle, Style

_WORD = r"[A-Za-z0-9_./${}=@+*()\\^|~%-]"
_PLAIN_SAFE = re.compile(rf"[A-Za-z0-9_./$(\\]{_WORD}*(?::{_WORD}+)*")
_FLOW_SAFE = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_./@+-]*")
_NUMBER_LIKE = re.compile(r"[-+.0-9][-+.:_0-9]*")
"""Dates and base-60 numbers are text to go-yaml v2 and something else to other readers."""

_PRINTABLE = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff]*")
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def render_scalar(value: Any, style: Style, key: str = "") -> str:
    """Write a scalar as its siblings under `key` are written, quoted where it must be."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return repr(value)
    quote = style.quotes.get(key, PLAIN)
    if quote == PLAIN and _is_plain(value):
        return value
    return quoted(value, quote or style.quote)


def _is_plain(text: str) -> bool:
    if not _PLAIN_SAFE.fullmatch(text) or _NUMBER_LIKE.fullmatch(text):
        return False
    try:
        return resolve_plain(text) == text
    except ValueError:
        return False


def quoted(text: str, quote: str) -> str:
    """Write a string in quotes; in double ones when it holds what single ones cannot."""
    if quote == SINGLE and _PRINTABLE.fullmatch(text):
        return "'" + text.replace("'", "''") + "'"
    return DOUBLE + "".join(_escape(char) for char in text) + DOUBLE


def _escape(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    return char if _PRINTABLE.fullmatch(char) else f"\\u{ord(char):04x}"


def _key(key: str, style: Style) -> str:
    if quote := style.key_quotes.get(key):
        return quoted(key, quote)
    return key if _is_plain(key) else quoted(key, style.quote)


def render_lines(value: Any, style: Style, key: str = "") -> list[str]:
    """Write a value as block lines without indent; a scalar or empty collection is one line.

    `key` is the key the value stands under, which decides the quotes of its scalars.
    """
    if isinstance(value, Mapping) and value:
        return [line for name, item in value.items() for line in render_entry(name, item, style)]
    if isinstance(value, list) and value:
        return [line for item in value for line in render_item(item, style, key)]
    return [_render_leaf(value, style, key)]


def render_entry(key: str, value: Any, style: Style) -> list[str]:
    """Write `key: value` as block lines without indent."""
    head = f"{_key(key, style)}:"
    if isinstance(value, Mapping | list) and value:
        indent = style.dash_offset if isinstance(value, list) else style.step
        return [head, *indented(render_lines(value, style, key), indent)]
    return [f"{head} {_render_leaf(value, style, key)}"]


def render_item(value: Any, style: Style, key: str = "", width: int = 2) -> list[str]:
    """Write `- value` as block lines; the value starts `width` columns after the dash."""
    first, *rest = render_lines(value, style, key)
    return ["-".ljust(width) + first, *indented(rest, width)]


def _render_leaf(value: Any, style: Style, key: str) -> str:
    if isinstance(value, Mapping):
        return "{}"
    return "[]" if isinstance(value, list) else render_scalar(value, style, key)


def indented(lines: list[str], indent: int) -> list[str]:
    """Move lines to the right."""
    return [" " * indent + line for line in lines]


def render_json(value: Any, style: JsonStyle, eol: str = "\n", prefix: str | None = None) -> str:
    """Write JSON on one line, or, with the `prefix` of its first line's place, on several."""
    if prefix is None or not style.indent:
        return json.dumps(value, ensure_ascii=False, separators=(style.comma, style.colon))
    separators = (",", style.colon)
    text = json.dumps(value, ensure_ascii=False, indent=style.indent, separators=separators)
    return text.replace("\n", eol + prefix)


def render_flow(value: Any, style: Style, key: str = "") -> str:
    """Write a value on one line, fit for a place between brackets."""
    if style.json is not None:
        return render_json(value, style.json)
    if isinstance(value, Mapping):
        entries = (
            f"{_flow_text(name, name, style)}: {render_flow(item, style, name)}"
            for name, item in value.items()
        )
        return "{" + ", ".join(entries) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(render_flow(item, style, key) for item in value) + "]"
    text = render_scalar(value, style, key)
    return _flow_text(value, text, style) if isinstance(value, str) else text


def _flow_text(value: str, text: str, style: Style) -> str:
    if text != value or (_FLOW_SAFE.fullmatch(value) and _is_plain(value)):
        return text
    return quoted(value, style.quote)


def render_document(value: Any, style: Style | None = None) -> str:
    """Write a whole document, as a new file holds it."""
    style = style or Style()
    if style.json is not None:
        return render_json(value, style.json, style.eol, "") + style.eol
    return "".join(line + style.eol for line in render_lines(value, style))
