"""The one sanitiser and the one width function.

Pod names, DNS names, HTTP paths and labels are chosen by the people whose connections are being
judged. `clean` is applied once, at the adapter that lets a string in; afterwards a string holds
nothing a terminal, a bidi algorithm or a line-based format would act on. It does not escape any
markup: cleaned text is shown literally (`rich.text.Text`, Slack raw text), never parsed.

What passes and what does not (Unicode 16 categories): C0, C1 and DEL, bidi controls, zero-width
and other format characters, line and paragraph separators, surrogates, private use and
noncharacters become visible escapes, so evidence is kept and seen.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any

DEFAULT_LIMIT = 4096
"""Characters kept of one string; longer text ends in an ellipsis."""

_ELLIPSIS = "…"
_UNCUT = 1 << 30
_ESCAPED = re.compile(rb"\\[bfnrtu]")
_PAGES = frozenset(
    {
        "annotations",
        "data",
        "description",
        "literals",
        "patch",
        "patches",
        "patchesStrategicMerge",
        "values",
        "valuesInline",
    }
)
"""Keys under which texts have lines."""

_HOSTILE = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # C0, DEL, C1
    "\u00ad\u061c\u180e"  # soft hyphen, Arabic letter mark, Mongolian vowel separator
    "\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0"  # fillers that draw as nothing
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f"  # zero-width, separators, bidi, invisible operators
    "\ufe00-\ufe0f\ufeff\ufff9-\ufffb"  # variation selectors, BOM, interlinear marks
    "\ud800-\udfff\ue000-\uf8ff\ufdd0-\ufdef"  # surrogates, private use, noncharacters
    "\ufffe\uffff\U000e0000-\U000fffff\U00100000-\U0010ffff]"  # tags, variation, private planes
)


def _visible(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < 0x20:  # noqa: PLR2004  # the C0 block
        return chr(0x2400 + code)
    if code == 0x7F:  # noqa: PLR2004  # DEL
        return "\u2421"
    if code <= 0xFF:  # noqa: PLR2004  # two hex digits are enough
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004


def clean(text: str, limit: int = DEFAULT_LIMIT) -> str:
    """Give `text` with every dangerous character made visible, in NFC, of at most `limit` length.

    Idempotent. ASCII without control characters is returned as it is, at no cost but a scan.
    """
    if text.isascii():
        if not text.isprintable():
            text = _HOSTILE.sub(_visible, text)
    else:
        text = _HOSTILE.sub(_visible, unicodedata.normalize("NFC", text))
    return text if len(text) <= limit else text[: limit - 1] + _ELLIPSIS


def clean_tree(value: Any) -> Any:
    """Give a tree whose every text and key is cleaned, none of them cut.

    New lines and tabs stay where people write pages, in ConfigMaps, annotations, descriptions and
    the patches and values of kustomizations and charts: whoever shows one of those on one line
    cleans it again. Everywhere else they would forge lines. Names and labels that Kubernetes
    accepts are never changed by this.
    """
    return _clean_tree(value, pages=False)


def _clean_tree(value: Any, *, pages: bool) -> Any:
    if isinstance(value, str):
        if value.isascii() and value.isprintable():
            return value
        return _clean_page(value) if pages else clean(value, _UNCUT)
    if isinstance(value, dict):
        return {
            _clean_tree(key, pages=False): _clean_tree(item, pages=pages or key in _PAGES)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_clean_tree(item, pages=pages) for item in value]
    return value


def _clean_page(text: str) -> str:
    lines = text.split("\n")
    return "\n".join("\t".join(clean(cell, _UNCUT) for cell in line.split("\t")) for line in lines)


def may_hold_controls(raw: bytes) -> bool:
    """Whether JSON text may hold characters that `clean` changes; most of it cannot."""
    if not raw.isascii() or b"\x7f" in raw:
        return True
    return b"\\" in raw and _ESCAPED.search(raw) is not None


def is_clean(text: str) -> bool:
    """Say whether `clean` would leave the characters of `text` alone."""
    return _HOSTILE.search(text) is None


def cell_width(text: str) -> int:
    """Terminal columns of cleaned `text`: two for wide characters, none for combining marks.

    Source: Unicode Standard Annex 11 (East Asian Width), categories Mn and Me.
    """
    if text.isascii():
        return len(text)
    return sum(map(_character_width, text))


def _character_width(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1
