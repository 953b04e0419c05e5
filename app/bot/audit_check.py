"""Whether a record of questions is whole: every line follows from the one before it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from app.bot.audit import FIRST, hash_of, set_aside
from app.core.errors import BadInput
from app.core.text import clean


@dataclass(frozen=True, slots=True)
class Broken:
    """A line that does not follow: where it is, 1-based, and why."""

    file: str
    line: int
    why: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.why}"


@dataclass(frozen=True, slots=True)
class Checked:
    """What a look at the whole record found.

    `begins` is the number of its first line: 1, unless older files were taken away. `last` is the
    hash of its last line: kept elsewhere, it shows later whether the end was cut off.
    """

    lines: int
    files: int
    begins: int
    last: str
    broken: tuple[Broken, ...] = ()


def check_log(path: Path) -> Checked:
    """Read a record with all that it set aside. Raises `BadInput` where there is none to read."""
    files = [*(file for _, file in set_aside(path)), path]
    chain = _Chain()
    for file in files:
        if not file.exists() and file == path and len(files) > 1:
            continue  # set aside a moment ago: the next line makes it anew
        try:
            lines = file.read_bytes().splitlines(keepends=True)
        except OSError as error:
            words = (error.strerror or str(error)).lower()
            raise BadInput(f"cannot read the record `{file}`: {words}", file=str(file)) from error
        chain.broken += list(chain.follow(str(file), lines))
    return Checked(chain.lines, len(files), chain.begins, chain.previous, tuple(chain.broken))


class _Chain:
    def __init__(self) -> None:
        self.lines = 0
        self.begins = 0
        self.previous = FIRST
        self.broken: list[Broken] = []
        self._number = 0

    def follow(self, file: str, lines: Iterable[bytes]) -> Iterator[Broken]:
        for at, line in enumerate(lines, start=1):
            body = _read(line)
            if body is None:
                yield Broken(file, at, f"no whole line of a record: {clean(repr(line[:60]))}")
                continue
            yield from (Broken(file, at, why) for why in self._step(body))
            self.lines += 1
            self.previous = hash_of(line)

    def _step(self, body: dict[str, object]) -> Iterator[str]:
        number = body.get("number", self._number + 1)
        number = number if isinstance(number, int) else 0
        is_first = not self.lines
        if is_first:
            self.begins = number
        elif number != self._number + 1:
            yield f"number {number} comes after {self._number}"
        if (is_first and number > 1) or body["previous"] == self.previous:
            self._number = number
            return
        self._number = number
        yield "it does not follow from the line before: one was changed, taken out or put in"


def _read(line: bytes) -> dict[str, object] | None:
    try:
        body = json.loads(line)
    except ValueError:
        return None
    whole = isinstance(body, dict) and "previous" in body and line.endswith(b"\n")
    return body if whole else None
