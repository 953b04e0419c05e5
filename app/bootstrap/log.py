"""The log: one line for each thing that happened, as `key=value` or as JSON.

Whoever has something to tell asks the standard library, `logging.getLogger("k8tre_tui.AREA")`, and
says what happened in fixed words, with the particulars as `extra` fields::

    log.info("request answered", extra={"method": "GET", "status": 200, "ms": 12})

Nothing is written anywhere until `open_log` is called, by the command line and nowhere else. Every
value is cleaned as text from a cluster is, secrets are replaced, and a file is its owner's alone.
The levels are the library's: debug (each request and each picture), info (starts, changes of
state), warning (what goes on without something), error (what failed).
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import traceback
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from app.core.errors import ConfigError
from app.core.text import clean

ROOT = "k8tre_tui"
LEVELS = ("debug", "info", "warning", "error")
FORMS = ("text", "json")
STDERR = "-"
ROTATE_BYTES = 10 << 20
KEPT_FILES = 3
VALUE_LIMIT = 2000
"""Characters kept of one value; a traceback is one value."""

_RECORD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_SECRET_NAME = re.compile(r"(?:TOKEN|PASSWORD|SECRET|PRIVATE_KEY)$")
_SECRET_TEXT = re.compile(
    r"(?i:\b(?:bearer|basic|token)\s+)[\w.~+/=-]{8,}"  # an Authorization header
    r"|\bx(?:ox[a-z]|app)-[\w-]{8,}"  # Slack
    r"|\b(?:gh[a-z]_|github_pat_|glpat-)\w{8,}"  # forges
    r"|\beyJ[\w-]+\.[\w-]+\.[\w-]*"  # a signed web token, as service accounts have
    r"|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"  # credentials inside an address
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)",
    re.DOTALL,
)
HIDDEN = "[secret]"
_SHORTEST_SECRET = 8


@dataclass(frozen=True, slots=True)
class LogChoice:
    """Where the log goes (a path, `-` for standard error, or nowhere), from which level, how."""

    file: str = ""
    level: str = "info"
    form: str = "text"


def choose_log(
    environ: Mapping[str, str], *, file: str = "", level: str = "", form: str = ""
) -> LogChoice:
    """The command line's words, else `K8TRE_TUI_LOG`, `…_LEVEL`, `…_FORMAT`.

    Raises `ConfigError` for a level or a form that there is not.
    """
    chosen = LogChoice(
        file or environ.get("K8TRE_TUI_LOG", ""),
        (level or environ.get("K8TRE_TUI_LOG_LEVEL", "") or "info").lower(),
        (form or environ.get("K8TRE_TUI_LOG_FORMAT", "") or "text").lower(),
    )
    for word, known, name in ((chosen.level, LEVELS, "LEVEL"), (chosen.form, FORMS, "FORMAT")):
        if word not in known:
            raise ConfigError(
                f"K8TRE_TUI_LOG_{name}: `{clean(word, 40)}` is none of {', '.join(known)}",
                key=f"K8TRE_TUI_LOG_{name}",
            )
    return chosen


@contextlib.contextmanager
def open_log(choice: LogChoice, environ: Mapping[str, str], stderr: TextIO) -> Iterator[None]:
    """Write what is logged inside the block; restore what was before.

    Raises `ConfigError` when the file cannot be opened.
    """
    ours, root = logging.getLogger(ROOT), logging.getLogger()
    before = (ours.level, ours.propagate, root.level)
    handler = _handler(choice, stderr)
    handler.setFormatter(Lines(choice.form, secrets=known_secrets(environ)))
    if choice.file:
        ours.setLevel(choice.level.upper())
        root.setLevel(max(logging.WARNING, ours.level))
        root.addHandler(handler)
    else:
        ours.propagate = False  # else warnings would go to stderr as Python's last resort
        ours.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        ours.removeHandler(handler)
        handler.close()
        ours.setLevel(before[0])
        ours.propagate = before[1]
        root.setLevel(before[2])


def _handler(choice: LogChoice, stderr: TextIO) -> logging.Handler:
    if not choice.file:
        return logging.NullHandler()
    if choice.file == STDERR:
        return logging.StreamHandler(stderr)
    from app.bootstrap.log_file import PrivateFile

    path = Path(choice.file).expanduser()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return PrivateFile(path, maxBytes=ROTATE_BYTES, backupCount=KEPT_FILES, encoding="utf-8")
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or str(error)
        raise ConfigError(
            f"cannot write the log `{path}`: {said.lower()}",
            hint="name another file, or `-` for standard error",
            file=str(path),
        ) from error


class Lines(logging.Formatter):
    """Time, level, area, event, then the fields in the order given; always one line."""

    def __init__(self, form: str, *, secrets: Iterable[str] = ()) -> None:
        super().__init__()
        self._form = form
        words = sorted((one for one in secrets if len(one) >= _SHORTEST_SECRET), key=len)
        self._secrets = tuple(reversed(words))

    def format(self, record: logging.LogRecord) -> str:
        """Give the line, without its end."""
        fields = {
            "time": _utc(record.created),
            "level": record.levelname.lower(),
            "area": record.name.removeprefix(f"{ROOT}."),
            "event": self._value(record.getMessage()),
            **{
                name: self._value(value)
                for name, value in vars(record).items()
                if name not in _RECORD
            },
        }
        if record.exc_info and record.exc_info[1] is not None:
            fields["error"] = self._value(_told(record.exc_info[1]))
        if self._form == "json":
            return json.dumps(fields, ensure_ascii=True, separators=(",", ":"))
        return " ".join(f"{name}={_quoted(value)}" for name, value in fields.items())

    def _value(self, value: object) -> object:
        if value is None or isinstance(value, bool | int | float):
            return value
        text = str(value)
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return clean(_SECRET_TEXT.sub(HIDDEN, text), VALUE_LIMIT)


def known_secrets(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Every secret of the environment; one that is kept in a file is known by its form."""
    return tuple(value for name, value in environ.items() if _SECRET_NAME.search(name.upper()))


def _utc(seconds: float) -> str:
    at = datetime.fromtimestamp(seconds, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _told(error: BaseException) -> str:
    """The error and where it was raised, innermost last, as one line."""
    frames = traceback.extract_tb(error.__traceback__)
    where = " > ".join(f"{Path(one.filename).name}:{one.lineno}:{one.name}" for one in frames[-12:])
    return f"{type(error).__name__}: {error} ({where})"


def _quoted(value: object) -> str:
    """A value of `key=value`: in quotation marks where it has blanks, marks or nothing in it."""
    if value is None:
        return "-"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    plain = text and not re.search(r'[\s"=\\]', text)
    return text if plain else json.dumps(text, ensure_ascii=False)
