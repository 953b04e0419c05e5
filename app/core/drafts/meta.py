"""What a draft says of itself to programs: one comment of a body, or one trailer of a commit.

The content is base64url of JSON, so that no text in it can end the comment. It is read with bounds,
and whatever is not of the form is nothing: anybody can write a body.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from app.core.text import clean

_COMMENT = re.compile(r"<!-- k8tre-tui:meta v1 ([A-Za-z0-9_-]{1,10000}) -->")
_TRAILER = re.compile(r"(?m)^K8tre-Tui-Meta: ([A-Za-z0-9_-]{1,10000})$")
_KEY = re.compile(r"[0-9a-f]{8,64}")
_TEXT_MAX = 300
_FILES_MAX = 50


@dataclass(frozen=True, slots=True)
class Meta:
    """What is known of a draft: its key, and what of the rest was kept.

    `question` has `from`, `to`, `port` and `http`, `dns` or `sni`, as they were asked; it is empty
    where a public repository keeps it. `expires` is a date, empty for what stays. `undo` is as
    `undo.pack` gives it. `undoes` is the key of the draft that this one takes back.
    """

    key: str
    policy: str = ""
    files: tuple[str, ...] = ()
    base: str = ""
    question: Mapping[str, str] = field(default_factory=dict)
    expires: str = ""
    undo: str = field(default="", repr=False)
    undoes: str = ""

    def packed(self) -> str:
        """The content as base64url text."""
        content = {
            "key": self.key,
            "policy": clean(self.policy, _TEXT_MAX),
            "files": sorted(clean(one, 500) for one in self.files[:_FILES_MAX]),
            "base": clean(self.base, 64),
            "question": {name: clean(text, _TEXT_MAX) for name, text in self.question.items()},
            "expires": self.expires,
            "undo": self.undo,
            "undoes": self.undoes,
        }
        kept = {name: value for name, value in content.items() if value}
        raw = json.dumps(kept, sort_keys=True).encode()
        return base64.urlsafe_b64encode(raw).decode().rstrip("=")

    @property
    def comment(self) -> str:
        """The comment of a body."""
        return f"<!-- k8tre-tui:meta v1 {self.packed()} -->"

    @property
    def trailer(self) -> str:
        """The trailer of a commit."""
        return f"K8tre-Tui-Meta: {self.packed()}"


def read_meta(text: str) -> Meta | None:
    """Give what a body or a commit message of ours says; None when it says nothing readable."""
    match = _COMMENT.search(text) or _TRAILER.search(text)
    if not match:
        return None
    try:
        content = json.loads(base64.urlsafe_b64decode(match[1] + "=" * (-len(match[1]) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        return None
    if not isinstance(content, dict) or not _KEY.fullmatch(_text(content.get("key"))):
        return None
    files, question = content.get("files"), content.get("question")
    return Meta(
        key=content["key"],
        policy=_text(content.get("policy")),
        files=tuple(map(_text, files[:_FILES_MAX])) if isinstance(files, list) else (),
        base=_text(content.get("base")),
        question={_text(name): _text(value) for name, value in question.items()}
        if isinstance(question, dict)
        else {},
        expires=_date(content.get("expires")),
        undo=content["undo"] if isinstance(content.get("undo"), str) else "",
        undoes=_text(content.get("undoes")),
    )


def _text(value: object) -> str:
    return clean(value, 500) if isinstance(value, str) else ""


def _date(value: object) -> str:
    try:
        return date.fromisoformat(_text(value)).isoformat()
    except ValueError:
        return ""
