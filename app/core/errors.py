"""Every error this program raises on purpose, sorted by what an operator can do about it.

::

    K8treError                 anything below; carries `hint`, what to do next
    ├── UsageError             the command line or a question is not of the right form     exit 2
    ├── ConfigError            a setting is wrong: names file, line and key                exit 2
    ├── BadInput               a manifest, flow file or draft cannot be read               exit 2
    ├── NotFound               no such pod, policy or name in what was loaded              exit 2
    │   └── Ambiguous          more than one: `choices` lists them                         exit 2
    ├── SourceUnavailable      a cluster, Relay, forge or chat did not answer              exit 3
    │   └── by `cause`: unreachable, unauthenticated, forbidden, overloaded, protocol …
    └── DraftRejected          a change is refused: unsafe, not minimal, breaks a boundary exit 1

Messages are one line, lower-case, without a final stop, user text in back-ticks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class SourceCause(StrEnum):
    """Why a source gave nothing; each leads to another remedy."""

    DNS = "dns"
    TLS = "tls"
    REFUSED = "refused"
    TIMEOUT = "timeout"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not-found"
    UNIMPLEMENTED = "unimplemented"
    OVERLOADED = "overloaded"
    PROTOCOL = "protocol"
    CONFLICT = "conflict"
    UNREADABLE = "unreadable"


@dataclass(eq=False)
class K8treError(Exception):
    """Base of the tree; `str()` is the one-line message, `hint` the way out (may be empty)."""

    message: str
    hint: str = field(default="", kw_only=True)
    exit_code = 2

    def __str__(self) -> str:
        return self.message


@dataclass(eq=False)
class UsageError(K8treError):
    """A command, flag, filter or end of a connection that is not of the right form."""


@dataclass(eq=False)
class ConfigError(K8treError):
    """A setting that cannot be used."""

    file: str = field(default="", kw_only=True)
    line: int = field(default=0, kw_only=True)
    key: str = field(default="", kw_only=True)


@dataclass(eq=False)
class BadInput(K8treError):
    """Input that cannot be read; `file`, `line` (1-based, 0 unknown) and `path` say where."""

    file: str = field(default="", kw_only=True)
    line: int = field(default=0, kw_only=True)
    path: str = field(default="", kw_only=True)


@dataclass(eq=False)
class NotFound(K8treError):
    """What was named is not in the loaded picture."""


@dataclass(eq=False)
class Ambiguous(NotFound):
    """More than one thing fits; `choices` are ready to be typed again.

    `place` says which word of a question they stand for: `from`, `to`, or empty.
    """

    choices: tuple[str, ...] = field(default=(), kw_only=True)
    place: str = field(default="", kw_only=True)


@dataclass(eq=False)
class SourceUnavailable(K8treError):
    """A source that could not be reached or refused access."""

    source: str = field(default="", kw_only=True)
    cause: SourceCause = field(default=SourceCause.PROTOCOL, kw_only=True)
    exit_code = 3


@dataclass(eq=False)
class DraftRejected(K8treError):
    """A wanted change that this program will not write."""

    exit_code = 1
