"""From what arrives in a command to the words that were meant.

Phones and chat clients change what people type: `--` becomes a dash, quotes become curly, names
with a dot become links. Source: Slack's "Formatting text for app surfaces" (links, entities).
"""

from __future__ import annotations

import re
import shlex

from app.core.errors import UsageError
from app.core.text import clean

MAX_CHARACTERS = 2000
MAX_WORDS = 40

_SPACES = re.compile("[\u00a0\u2007\u202f\u2000-\u200a\u205f\u3000]")
_INVISIBLE = re.compile("[\u200b-\u200d\u2060\ufeff\u00ad]")
_DOUBLE = "\u201c\u201d\u201e\u201f\u00ab\u00bb\u2033\uff02"
_SINGLE = "\u2018\u2019\u201a\u201b\u2039\u203a\uff07"
_QUOTES = str.maketrans(_DOUBLE + _SINGLE, '"' * len(_DOUBLE) + "'" * len(_SINGLE))
_LABELLED_LINK = re.compile(r"<(?:https?|mailto|tel):[^|>\s]*\|([^>]*)>", re.IGNORECASE)
_BARE_LINK = re.compile(r"<(?:mailto:|tel:|(?=https?://))([^|>\s]*)>", re.IGNORECASE)
_CODE = re.compile(r"(?<!\S)`+([^`\s]+)`+(?!\S)")
_ENTITIES = (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&"))
_DASHES = "\u2010-\u2015\u2212\ufe58\ufe63\uff0d"
_LONG_DASH = re.compile(rf"(?:(?<=\s)|^)(?:[{_DASHES}][-{_DASHES}]?|-[{_DASHES}])(?=[A-Za-z])")
_ANY_DASH = re.compile(f"[{_DASHES}]")


def split_words(text: str) -> tuple[str, ...]:
    """Give the words of a command, repaired. Raises `UsageError` when it is too long."""
    if len(text) > MAX_CHARACTERS:
        raise UsageError(f"a command has at most {MAX_CHARACTERS} characters")
    words = _split(repair(text))
    if len(words) > MAX_WORDS:
        raise UsageError(f"a command has at most {MAX_WORDS} words")
    return tuple(clean(word) for word in words)


def repair(text: str) -> str:
    """Undo what clients do to plain text: spaces, quotes, links, entities, back-ticks, dashes."""
    text = _INVISIBLE.sub("", _SPACES.sub(" ", text)).translate(_QUOTES)
    text = _BARE_LINK.sub(r"\1", _LABELLED_LINK.sub(r"\1", text))
    for entity, character in _ENTITIES:
        text = text.replace(entity, character)
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] == "`":
        text = text.strip("`").strip()
    text = _CODE.sub(r"\1", text)
    return _ANY_DASH.sub("-", _LONG_DASH.sub("--", text))


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return _split_without_apostrophes(text)


def _split_without_apostrophes(text: str) -> list[str]:
    """An apostrophe as in "can't" opens no quotation."""
    lexer = shlex.shlex(text, posix=True)
    lexer.quotes, lexer.commenters, lexer.whitespace_split = '"', "", True
    try:
        return list(lexer)
    except ValueError:
        return text.split()
