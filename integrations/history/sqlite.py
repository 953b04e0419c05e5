"""Flows on disk in SQLite: a row of files, one writing process, any number that read.

- WAL lets the terminal and the bot read while one of them writes. Which one writes is settled by a
  lock on a file; when it ends, another takes over at its next flows.
- One thread writes (`intake`): what is queued is committed to the disk twice a second, so a crash
  loses at most that. A flow that was kept before, by uuid, is not kept again.
- Minutes and days of drops are added up while writing, so that "most dropped" over millions of
  rows reads thousands (measured: grouping the rows themselves takes seconds, and grouping the
  minutes of a week nearly one).
- A file is closed after a day, or when it holds an eighth of what may be kept; old ones go whole,
  by age, and the oldest while all are together too large.
"""

from __future__ import annotations

import contextlib
import fcntl
import re
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import IO, Any, TypeVar

from app.core.errors import SourceCause, SourceUnavailable
from app.core.flows.times import NS_PER_S
from app.core.model.flow import Flow, FlowDetail, FlowEndpoint
from app.core.text import clean
from app.ports import Clock, DroppedTotal, HistoryQuery, HistorySpan
from integrations.history.intake import Intake
from integrations.history.reading import (
    DAY_NS,
    MINUTE_NS,
    MINUTES_A_DAY,
    DropKey,
    check,
    drops,
    edges,
    has_days,
    opened,
    select,
)
from integrations.history.rows import COLUMNS, Row, endpoint_text, make_row, packed_uuid, rest_of
from integrations.private import is_private, make_private_folder, open_private
from integrations.threads import in_daemon_thread

T = TypeVar("T")

_DAY_S = 86_400
_PART = re.compile(r"flows-\d{8}T\d{6}\.\d{6}\.sqlite", re.ASCII)
"""What else lies in the folder is not ours and is left alone."""
PARTS = 8
"""Files the history is cut into at least, so that an eighth of it goes at a time."""
KEEP_TEXTS = 200_000
"""Distinct texts whose numbers the writer remembers; beyond that it asks the file again."""

_SCHEMA = f"""
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
CREATE TABLE IF NOT EXISTS text (id INTEGER PRIMARY KEY, value TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS endpoint (
  id INTEGER PRIMARY KEY, value TEXT NOT NULL UNIQUE, namespace TEXT NOT NULL, identity INTEGER
);
CREATE TABLE IF NOT EXISTS flow ({", ".join(COLUMNS)});
CREATE INDEX IF NOT EXISTS flow_time ON flow (time_ns);
CREATE TABLE IF NOT EXISTS dropped (
  minute INTEGER, source INTEGER, destination INTEGER, protocol INTEGER, port INTEGER,
  reason INTEGER, count INTEGER NOT NULL, last_ns INTEGER NOT NULL,
  PRIMARY KEY (minute, source, destination, protocol, port, reason)
) WITHOUT ROWID;
"""
_DAYS = """
CREATE TABLE dropped_day (
  day INTEGER, source INTEGER, destination INTEGER, protocol INTEGER, port INTEGER,
  reason INTEGER, count INTEGER NOT NULL, last_ns INTEGER NOT NULL,
  PRIMARY KEY (day, source, destination, protocol, port, reason)
) WITHOUT ROWID;
"""
_FILL_DAYS = f"""
INSERT INTO dropped_day
SELECT minute / {MINUTES_A_DAY}, source, destination, protocol, port, reason,
  sum(count), max(last_ns)
FROM dropped GROUP BY 1, 2, 3, 4, 5, 6
"""
"""For a file that was begun before days were added up."""
_INSERT = f"INSERT INTO flow VALUES ({', '.join('?' * len(COLUMNS))})"
_ADD_DROPS = """
INSERT INTO {table} VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET count = count + excluded.count, last_ns = max(last_ns, excluded.last_ns)
"""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is kept: days, and bytes of all files together."""

    days: int = 7
    size: int = 2 << 30


class SqliteHistory:
    """A folder of files as a `FlowHistory`.

    `keep` may be called from any thread; the rest from the loop. It is optional: a folder that
    cannot be used, or a file that cannot be read, is said in `span`, and everything else goes on.
    """

    def __init__(self, folder: Path, *, clock: Clock, limits: Limits | None = None) -> None:
        self._folder = folder
        self._clock = clock
        self._limits = limits or Limits()
        self._lock: IO[bytes] | None = None
        self._broken: dict[str, str] = {}
        self._failure = ""
        try:
            make_private_folder(folder)
            self._lock = open_private(folder / "writer.lock", append=True)
            if not is_private(folder):
                self._failure = f"others can read {clean(str(folder))}: chmod 700"
        except OSError as error:
            self._failure = f"{clean(str(folder))}: {error.strerror}; set flows.history_folder"
        self._writing = False
        self._open_parts = _Parts(folder, self._limits, clock)
        self._intake = Intake("flow history", self._write, self._open_parts.close)

    @property
    def failure(self) -> str:
        """Why flows are not kept at the moment; empty while they are."""
        return self._intake.failure or self._failure

    def keep(self, flows: Sequence[Flow]) -> None:
        """Queue flows; when the disk cannot keep up they are dropped and counted."""
        self._intake.keep(flows)

    async def flush(self) -> None:
        """Wait until everything queued so far is committed."""
        await self._intake.flush()

    async def close(self) -> None:
        """Commit what is queued, and let another process write."""
        await self._intake.close()
        if self._lock is not None:
            self._lock.close()

    # Writing

    def _write(self, flows: Sequence[Flow]) -> None:
        if self._lock is None:
            raise SourceUnavailable(self._failure, source="history")
        if not self._may_write():
            return
        try:
            self._open_parts.write(flows)
        except (sqlite3.Error, OSError) as error:
            self._open_parts.close()
            raise _unwritable(error) from error

    def _may_write(self) -> bool:
        if not self._writing and self._lock is not None:
            with contextlib.suppress(OSError):  # another process holds it
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._writing = True
        return self._writing

    # Reading

    async def query(self, query: HistoryQuery) -> tuple[Flow, ...]:
        """The newest flows that fit, oldest first."""
        return await in_daemon_thread("history query", lambda: self._query(query))

    def _query(self, query: HistoryQuery) -> tuple[Flow, ...]:
        found: list[Flow] = []
        for flows in self._each(lambda part: select(part, query)):
            found.extend(reversed(flows))
        found.sort(key=lambda flow: flow.time_ns)
        return tuple(found[-query.limit :])

    async def top_dropped(self, query: HistoryQuery) -> tuple[DroppedTotal, ...]:
        """The most frequent drops that fit, by whole minutes."""
        return await in_daemon_thread("history drops", lambda: self._top_dropped(query))

    def _top_dropped(self, query: HistoryQuery) -> tuple[DroppedTotal, ...]:
        totals: Counter[DropKey] = Counter()
        newest: dict[DropKey, int] = {}
        for counted in self._each(lambda part: list(drops(part, query))):
            for key, count, last_ns in counted:
                totals[key] += count
                newest[key] = max(newest.get(key, 0), last_ns)
        return tuple(
            DroppedTotal(*key, count, newest[key]) for key, count in totals.most_common(query.limit)
        )

    async def span(self) -> HistorySpan:
        """How far it reaches, and what it lost."""
        return await in_daemon_thread("history span", self._span)

    def _span(self) -> HistorySpan:
        files = _parts(self._folder)
        reach: list[tuple[int, int]] = []
        count = 0
        for number, here in self._each(_reach):
            count += number
            if here is not None:
                reach.append(here)
        return HistorySpan(
            min((first for first, _ in reach), default=None),
            max((last for _, last in reach), default=None),
            count,
            sum(map(_size, files)),
            self._intake.dropped,
            self._writing and not self._intake.failure,
            "; ".join(filter(None, (self.failure, *self._unreadable()))),
        )

    def _unreadable(self) -> list[str]:
        return [f"{name} cannot be read ({why})" for name, why in self._broken.items()]

    def _each(self, read: Callable[[sqlite3.Connection], T]) -> Iterator[T]:
        """What `read` gives for every file, oldest first.

        A file that is damaged, or of a newer form, is named and left out.
        """
        self._broken.clear()
        for file in _parts(self._folder):
            try:
                with opened(file) as part:
                    check(part)
                    found = read(part)
            except (sqlite3.Error, OSError, ValueError, TypeError) as error:
                self._broken[clean(file.name)] = clean(str(error), 200)
                continue
            yield found


def _reach(part: sqlite3.Connection) -> tuple[int, tuple[int, int] | None]:
    """How many flows a file holds, and from when to when."""
    return part.execute("SELECT count(*) FROM flow").fetchone()[0], edges(part)


def _unwritable(error: Exception) -> SourceUnavailable:
    return SourceUnavailable(
        f"the flow history cannot be written: {clean(str(error))}",
        source="history",
        cause=SourceCause.OVERLOADED,
        hint="is the disk full?",
    )


def _parts(folder: Path) -> list[Path]:
    """Every file, oldest first: their names are the times they were begun."""
    with contextlib.suppress(OSError):
        return sorted(one for one in folder.glob("flows-*.sqlite") if _PART.fullmatch(one.name))
    return []


def _size(file: Path) -> int:
    """Bytes on disk, with what is not yet folded into the file."""
    with contextlib.suppress(FileNotFoundError):  # another process removed it
        log = file.with_name(f"{file.name}-wal")
        return file.stat().st_size + (log.stat().st_size if log.exists() else 0)
    return 0


class _Parts:
    """The writer's side: the file that flows go to, and the end of the old ones."""

    def __init__(self, folder: Path, limits: Limits, clock: Clock) -> None:
        self._folder = folder
        self._limits = limits
        self._clock = clock
        self._open: _Part | None = None

    def write(self, flows: Sequence[Flow]) -> None:
        """Write and commit flows, then let go of what is too old or too much."""
        if self._open is None or self._is_full(self._open.file):
            self.close()
            self._open = self._next()
            self._retain()
        self._open.write(flows)

    def _next(self) -> _Part:
        """The newest file, or a new one where it is full, damaged or of a newer form."""
        newest = _parts(self._folder)[-1:]
        if newest and not self._is_full(newest[0]):
            with contextlib.suppress(sqlite3.DatabaseError):
                return _Part(newest[0])
        return _Part(self._new_file())

    def _new_file(self) -> Path:
        begun = datetime.fromtimestamp(self._clock.now_ns() / NS_PER_S, UTC)
        return self._folder / f"flows-{begun:%Y%m%dT%H%M%S.%f}.sqlite"

    def _is_full(self, file: Path) -> bool:
        return _size(file) > self._limits.size // PARTS or self._age_s(file) > _DAY_S

    def _age_s(self, file: Path) -> float:
        text = f"{file.stem.removeprefix('flows-')}+0000"
        begun = datetime.strptime(text, "%Y%m%dT%H%M%S.%f%z")
        return self._clock.now_ns() / NS_PER_S - begun.timestamp()

    def _retain(self) -> None:
        files = _parts(self._folder)
        size = sum(map(_size, files))
        for file in files[:-1]:
            if self._age_s(file) <= (self._limits.days + 1) * _DAY_S and size <= self._limits.size:
                return
            size -= _size(file)
            for name in (file.name, f"{file.name}-wal", f"{file.name}-shm"):
                file.with_name(name).unlink(missing_ok=True)

    def close(self) -> None:
        """Close the open file."""
        if self._open is not None:
            self._open.close()
            self._open = None


class _Part:
    """One file, open for writing, with the numbers of its texts and endpoints at hand."""

    def __init__(self, file: Path) -> None:
        self.file = file
        open_private(file, append=True).close()  # SQLite's own files beside it take its mode
        self._connection = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
        try:
            check(self._connection)
            self._connection.executescript(_SCHEMA)
            if not has_days(self._connection):
                self._connection.execute("BEGIN IMMEDIATE")
                self._connection.execute(_DAYS)
                self._connection.execute(_FILL_DAYS)
                self._connection.execute("COMMIT")
        except sqlite3.Error:
            self._connection.close()
            raise
        self._texts: dict[str, int] = {}
        self._endpoints: dict[FlowEndpoint, int] = {}
        self._rests: dict[tuple[Any, ...], tuple[int, FlowDetail]] = {}

    def close(self) -> None:
        self._connection.close()

    def write(self, flows: Sequence[Flow]) -> None:
        """Write flows in one transaction."""
        run = self._connection.execute
        run("BEGIN IMMEDIATE")
        try:
            flows = self._new(flows)
            rows = [make_row(flow, self._text, self._endpoint, self._rest) for flow in flows]
            self._connection.executemany(_INSERT, rows)
            for table, length_ns in (("dropped", MINUTE_NS), ("dropped_day", DAY_NS)):
                added = self._drops(flows, rows, length_ns)
                self._connection.executemany(_ADD_DROPS.format(table=table), added)
        except BaseException:
            run("ROLLBACK")
            self._texts.clear()
            self._endpoints.clear()
            self._rests.clear()
            raise
        run("COMMIT")

    def _new(self, flows: Sequence[Flow]) -> list[Flow]:
        """Flows that are not in the file yet: a source gives its history at every start."""
        sql = "SELECT uuid FROM flow WHERE time_ns BETWEEN ? AND ?"
        known: set[bytes] = set()
        for first_ns, last_ns in _spans(flow.time_ns for flow in flows):
            known.update(uuid for (uuid,) in self._connection.execute(sql, (first_ns, last_ns)))
        new: list[Flow] = []
        for flow in flows:
            uuid = packed_uuid(flow.uuid)
            if not flow.uuid or uuid not in known:
                known.add(uuid)
                new.append(flow)
        return new

    def _text(self, value: str) -> int:
        known = self._texts.get(value)
        if known is None:
            if len(self._texts) >= KEEP_TEXTS:
                self._texts.clear()
            known = self._texts[value] = self._number("text", "(value)", (value,))
        return known

    def _endpoint(self, endpoint: FlowEndpoint) -> int:
        known = self._endpoints.get(endpoint)
        if known is None:
            if len(self._endpoints) >= KEEP_TEXTS:
                self._endpoints.clear()
            values = (endpoint_text(endpoint), endpoint.namespace, endpoint.identity)
            number = self._number("endpoint", "(value, namespace, identity)", values)
            known = self._endpoints[endpoint] = number
        return known

    def _rest(self, flow: Flow) -> int:
        key = (
            flow.l7,
            flow.source_names,
            flow.destination_names,
            flow.egress_allowed_by,
            flow.ingress_allowed_by,
            flow.egress_denied_by,
            flow.ingress_denied_by,
            id(flow.detail),
        )
        known = self._rests.get(key)
        if known is None:
            if len(self._rests) >= KEEP_TEXTS:
                self._rests.clear()
            # The detail is kept with its number: its id stays true only while it lives.
            known = self._rests[key] = (self._text(rest_of(flow)), flow.detail)
        return known[0]

    def _number(self, table: str, columns: str, values: tuple[Any, ...]) -> int:
        marks = ", ".join("?" * len(values))
        sql = f"INSERT OR IGNORE INTO {table} {columns} VALUES ({marks})"
        cursor = self._connection.execute(sql, values)
        if cursor.rowcount == 1 and cursor.lastrowid is not None:
            return cursor.lastrowid
        sql = f"SELECT id FROM {table} WHERE value = ?"
        return int(self._connection.execute(sql, values[:1]).fetchone()[0])

    @staticmethod
    def _drops(
        flows: Sequence[Flow], rows: Sequence[Row], length_ns: int
    ) -> Iterator[tuple[Any, ...]]:
        """The drops of these flows by time of a length, ends, port and reason.

        Of a verdict and its twin drop event only the drop counts; a layer 7 drop has no twin.
        """
        counts: Counter[tuple[Any, ...]] = Counter()
        newest: dict[tuple[Any, ...], int] = {}
        for flow, row in zip(flows, rows, strict=True):
            if flow.verdict == "DROPPED" and flow.event != _POLICY_VERDICT:
                key = (flow.time_ns // length_ns, row[4], row[5], row[8], row[10], row[2])
                counts[key] += 1
                newest[key] = max(newest.get(key, 0), flow.time_ns)
        for key, count in counts.items():
            yield (*key, count, newest[key])


_POLICY_VERDICT = 5


def _spans(times_ns: Iterable[int]) -> Iterator[tuple[int, int]]:
    """First and last of every run of times with no gap of a minute in it."""
    ordered = sorted(times_ns)
    cuts = [at for at in range(1, len(ordered)) if ordered[at] - ordered[at - 1] > MINUTE_NS]
    for first, last in pairwise([0, *cuts, len(ordered)]):
        yield ordered[first], ordered[last - 1]
