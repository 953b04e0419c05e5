"""Untrusted text in Markdown that a forge renders, and in commit messages.

Forges act on mentions and closing keywords, but not inside code spans and fences; so text that
others chose stands in code, behind more back-ticks than it holds.
"""

from __future__ import annotations

import re

from app.core.text import clean

_TICKS = re.compile(r"`+")
_ACTIVE = re.compile(r"([@#!])(?=\w)|(?<=\w)(#)(?=\d)")
_ZERO_WIDTH_SPACE = "\u200b"
_MARKER = "<!-- k8tre-tui:"
_DANGEROUS_LINES = re.compile(
    r"^\s*(?:co-authored-by|signed-off-by|k8tre-tui-[a-z]+|requested-by)\s*:.*$",
    re.IGNORECASE | re.MULTILINE,
)
_SKIP_CI = re.compile(
    r"\[(?:skip[ -]ci|ci[ -]skip|no[ -]ci|skip[ -]actions|actions[ -]skip)\]", re.IGNORECASE
)


def code_span(text: str) -> str:
    """Give text as an inline code span; fit for a table cell too."""
    text = _unmarked(clean(text)).replace("|", "\\|")
    ticks = "`" * (_longest_ticks(text) + 1)
    pad = " " if text.startswith("`") or text.endswith("`") or not text else ""
    return f"{ticks}{pad}{text}{pad}{ticks}"


def fence(text: str, language: str = "") -> str:
    """Give text as a fenced block; every line is cleaned, no line can end the fence."""
    lines = [_unmarked(clean(line)) for line in text.split("\n")]
    body = "\n".join(lines).removesuffix("\n")
    ticks = "`" * max(3, _longest_ticks(body) + 1)
    return f"{ticks}{language}\n{body}\n{ticks}"


def _unmarked(text: str) -> str:
    """Text that holds no marker of ours: they are looked for in the raw body, fences or not."""
    return text.replace(_MARKER, f"<{_ZERO_WIDTH_SPACE}{_MARKER[1:]}")


def _longest_ticks(text: str) -> int:
    return max((len(run) for run in _TICKS.findall(text)), default=0)


def plain(text: str) -> str:
    """Give text on one line that mentions nobody and closes nothing, for titles and prose.

    A line that begins with `/` would be a quick action (GitLab documentation, "Quick actions"), one
    with `<!--` a comment of ours.
    """
    text = _ACTIVE.sub(lambda match: match.group() + _ZERO_WIDTH_SPACE, clean(text))
    text = text.replace("<!--", f"<{_ZERO_WIDTH_SPACE}!--")
    return _ZERO_WIDTH_SPACE + text if text.startswith("/") else text


def message_text(text: str) -> str:
    """Give prose for a commit message: no mentions, no trailers, nothing that steers a build."""
    lines = [clean(line) for line in _SKIP_CI.sub("", text).split("\n")]
    kept = _DANGEROUS_LINES.sub("", "\n".join(lines)).strip()
    return "\n".join(plain(line) for line in kept.split("\n"))
