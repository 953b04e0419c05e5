"""Questions to one file of the history."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from app.core.flows.times import NS_PER_S
from app.core.model.flow import Flow, FlowEndpoint
from app.ports import HistoryQuery
from integrations.history.rows import COLUMNS, Rest, read_endpoint, read_rest, read_row

SCHEMA_VERSION = 0
"""The newest form that is read; SQLite's own number for a file that says nothing of it."""
_LAST_MINUTE = 1 << 40
MINUTES_A_DAY = 24 * 60
MINUTE_NS = 60 * NS_PER_S
DAY_NS = MINUTES_A_DAY * MINUTE_NS

DropKey = tuple[str, str, str, int, str]
"""Source, destination, protocol, port and reason of drops."""


@contextlib.contextmanager
def opened(file: Path) -> Iterator[sqlite3.Connection]:
    """Open a file for reading; the writer is not disturbed."""
    address = f"{file.absolute().as_uri()}?mode=ro"  # `#`, `?` and `%` of a path are escaped
    connection = sqlite3.connect(address, uri=True, timeout=10)
    try:
        yield connection
    finally:
        connection.close()


def check(part: sqlite3.Connection) -> None:
    """Raise `sqlite3.DatabaseError` for a file whose form is newer than what is known here."""
    (version,) = part.execute("PRAGMA user_version").fetchone()
    if version > SCHEMA_VERSION:
        raise sqlite3.DatabaseError(f"written by a newer release (form {version})")


def edges(part: sqlite3.Connection) -> tuple[int, int] | None:
    """The times of the oldest and the newest flow; None when there is none."""
    first, last = part.execute("SELECT min(time_ns), max(time_ns) FROM flow").fetchone()
    return None if first is None else (first, last)


def select(part: sqlite3.Connection, query: HistoryQuery) -> list[Flow]:
    """The newest flows of one file that fit, newest first."""
    where, values = ["1"], list[Any]()
    if query.since_ns is not None:
        where.append("time_ns >= ?")
        values.append(query.since_ns)
    if query.until_ns is not None:
        where.append("time_ns <= ?")
        values.append(query.until_ns)
    if query.verdicts:
        marks = ", ".join("?" * len(query.verdicts))
        where.append(f"verdict IN (SELECT id FROM text WHERE value IN ({marks}))")
        values.extend(query.verdicts)
    for column, value in (("namespace", query.namespace or None), ("identity", query.identity)):
        if value is not None:
            ends = f"(SELECT id FROM endpoint WHERE {column} = ?)"
            where.append(f"(source IN {ends} OR destination IN {ends})")
            values.extend((value, value))
    order = "ORDER BY time_ns DESC, rowid DESC LIMIT ?"
    sql = f"SELECT {', '.join(COLUMNS)} FROM flow WHERE {' AND '.join(where)} {order}"
    rows = part.execute(sql, (*values, query.limit)).fetchall()
    readers = _readers(part)
    return [read_row(row, *readers) for row in rows]


def _readers(
    part: sqlite3.Connection,
) -> tuple[Callable[[int], str], Callable[[int], FlowEndpoint], Callable[[int], Rest]]:
    """Functions from the numbers of one file to what they stand for, each read once."""
    return (
        _reader(part, "text", str),
        _reader(part, "endpoint", read_endpoint),
        _reader(part, "text", read_rest),
    )


def _reader(
    part: sqlite3.Connection, table: str, read: Callable[[str], Any]
) -> Callable[[int], Any]:
    known: dict[int, Any] = {}
    sql = f"SELECT value FROM {table} WHERE id = ?"

    def get(number: int) -> Any:
        if number not in known:
            known[number] = read(part.execute(sql, (number,)).fetchone()[0])
        return known[number]

    return get


def drops(part: sqlite3.Connection, query: HistoryQuery) -> Iterator[tuple[DropKey, int, int]]:
    """Drops of the whole minutes that fit: their key, how many, and the newest one's time."""
    since = 0 if query.since_ns is None else query.since_ns // MINUTE_NS
    until = _LAST_MINUTE if query.until_ns is None else query.until_ns // MINUTE_NS
    sql, values = _drops_between(since, until, by_day=has_days(part))
    text, endpoint, _ = _readers(part)
    for source, destination, protocol, port, reason, count, last_ns in part.execute(sql, values):
        ends = endpoint(source), endpoint(destination)
        if query.namespace and query.namespace not in {end.namespace for end in ends}:
            continue
        if query.identity is not None and query.identity not in {end.identity for end in ends}:
            continue
        key = (shown_end(ends[0]), shown_end(ends[1]), text(protocol), port, text(reason))
        yield key, count, last_ns


def has_days(part: sqlite3.Connection) -> bool:
    """Whether a file has its drops added up by days; older ones have not."""
    sql = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'dropped_day'"
    return bool(part.execute(sql).fetchone()[0])


def _drops_between(since: int, until: int, *, by_day: bool) -> tuple[str, tuple[int, ...]]:
    """The statement for two minutes and all between; whole days are read as such."""
    first_day, end_day = -(-since // MINUTES_A_DAY), (until + 1) // MINUTES_A_DAY
    columns = "source, destination, protocol, port, reason"
    minutes = f"SELECT {columns}, count, last_ns FROM dropped WHERE minute BETWEEN ? AND ?"
    parts, values = [minutes], [since, until]
    if by_day and first_day < end_day:
        days = f"SELECT {columns}, count, last_ns FROM dropped_day WHERE day BETWEEN ? AND ?"
        parts = [minutes, days, minutes]
        before, after = first_day * MINUTES_A_DAY - 1, end_day * MINUTES_A_DAY
        values = [since, before, first_day, end_day - 1, after, until]
    every = " UNION ALL ".join(parts)
    sql = f"SELECT {columns}, sum(count), max(last_ns) FROM ({every}) GROUP BY {columns}"
    return sql, tuple(values)


def shown_end(end: FlowEndpoint) -> str:
    """An end by its workload or pod, else by its reserved label or identity."""
    if end.namespace:
        return f"{end.namespace}/{end.workload or end.pod}"
    reserved = (label for label in end.labels if label.startswith("reserved:"))
    return next(reserved, "").removeprefix("reserved:") or str(end.identity)
