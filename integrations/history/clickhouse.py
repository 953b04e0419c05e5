"""Flows in ClickHouse, for sites that outgrow one machine, over its HTTP interface.

Batches go in as `JSONEachRow`, once a second or every ten thousand flows, because many small
inserts make parts faster than ClickHouse merges them. The server aggregates and forgets (`TTL`).
A `ReplacingMergeTree` keyed by time and uuid makes it right for several programs to write the same
flows. Beside the columns that questions are about, each row has the flow in Hubble's own JSON, so
that what comes back is complete and other tools can read it.

Source: https://clickhouse.com/docs/interfaces/http, …/engines/table-engines/mergetree-family.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any

import httpx
import msgspec

from app.core.errors import SourceCause, SourceUnavailable
from app.core.flows.codec import Decoder
from app.core.flows.encode import encode_line
from app.core.flows.times import NS_PER_S
from app.core.model.flow import Flow
from app.core.text import clean
from app.ports import DroppedTotal, HistoryQuery, HistorySpan
from app.services.connection import backoff_s
from integrations.history.intake import Intake, Pace
from integrations.history.reading import MINUTE_NS, shown_end
from integrations.threads import in_daemon_thread

SOURCE = "clickhouse"
TIMEOUT_S = 30.0
ANSWER_TIMEOUT_S = 60.0
"""Until the end of an answer, however it comes in."""
MOST_BYTES = 512 << 20
"""Bytes of an answer; a flow is about 1 KiB."""
PACE = Pace(within_s=1.0, at_most=10_000)
TRIES = 3
"""How often a batch is sent before its flows count as dropped."""

MOST_DAYS = 10_000
"""Longer would leave the 32 bits of ClickHouse's DateTime, and everything would expire at once."""

_CREATE = """
CREATE TABLE IF NOT EXISTS {table:Identifier} (
  time DateTime64(9, 'UTC'),
  uuid String,
  verdict LowCardinality(String),
  reason LowCardinality(String),
  event UInt8,
  source LowCardinality(String),
  source_namespace LowCardinality(String),
  source_identity UInt32,
  destination LowCardinality(String),
  destination_namespace LowCardinality(String),
  destination_identity UInt32,
  protocol LowCardinality(String),
  port UInt16,
  flow String CODEC(ZSTD(3))
)
ENGINE = ReplacingMergeTree
PARTITION BY toDate(time)
ORDER BY (toStartOfMinute(time), time, uuid)
TTL toDateTime(time) + toIntervalDay(%d)
"""
_INSERT = "INSERT INTO {table:Identifier} FORMAT JSONEachRow"
_FLOWS = """
SELECT flow FROM {{table:Identifier}} FINAL WHERE {where}
ORDER BY time DESC, uuid DESC LIMIT {{limit:UInt32}} FORMAT JSONEachRow
"""
_TOP = """
SELECT source, destination, protocol, port, reason, count() AS count,
  toUnixTimestamp64Nano(max(time)) AS last_ns
FROM {{table:Identifier}} FINAL
WHERE verdict = 'DROPPED' AND event != 5 AND {where}
GROUP BY source, destination, protocol, port, reason
ORDER BY count DESC, last_ns DESC LIMIT {{limit:UInt32}} FORMAT JSONEachRow
"""
_SPAN = """
SELECT count() AS flows, toUnixTimestamp64Nano(min(time)) AS oldest_ns,
  toUnixTimestamp64Nano(max(time)) AS newest_ns,
  (SELECT sum(bytes_on_disk) FROM system.parts
   WHERE active AND database = currentDatabase() AND table = {table:String}) AS size
FROM {table:Identifier} FORMAT JSONEachRow
"""


@dataclass(frozen=True, slots=True)
class Server:
    """Where ClickHouse answers, as whom, and which table; `days` is how long flows are kept."""

    url: str
    user: str = "default"
    password: str = field(default="", repr=False)
    database: str = "default"
    table: str = "flows"
    days: int = 30


class ClickHouseHistory:
    """A table of a ClickHouse server as a `FlowHistory`."""

    def __init__(
        self,
        server: Server,
        *,
        transport: httpx.BaseTransport | None = None,
        pause: Callable[[float], None] = time.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._server = server
        self._now = now
        self._pause = pause
        self._client = httpx.Client(
            base_url=server.url,
            headers={"X-ClickHouse-User": server.user, "X-ClickHouse-Key": server.password},
            params={"database": server.database},
            timeout=TIMEOUT_S,
            transport=transport,
        )
        self._is_ready = False
        self._intake = Intake("clickhouse", self._write, lambda: None, pace=PACE)

    @property
    def failure(self) -> str:
        """Why flows are not kept at the moment; empty while they are."""
        return self._intake.failure

    def keep(self, flows: Sequence[Flow]) -> None:
        """Queue flows; when the server cannot keep up they are dropped and counted."""
        self._intake.keep(flows)

    async def flush(self) -> None:
        """Wait until everything queued so far is kept or counted as dropped."""
        await self._intake.flush()

    async def close(self) -> None:
        """Send what is queued and close the connection."""
        await self._intake.close()
        self._client.close()

    async def query(self, query: HistoryQuery) -> tuple[Flow, ...]:
        """The newest flows that fit, oldest first."""
        where, values = _conditions(query)
        rows = await self._ask(_FLOWS.format(where=where), values | {"limit": query.limit})
        decoder = Decoder()
        items = [decoder.decode_line(row["flow"]) for row in reversed(rows)]
        return tuple(item for item in items if isinstance(item, Flow))

    async def top_dropped(self, query: HistoryQuery) -> tuple[DroppedTotal, ...]:
        """The most frequent drops that fit, by whole minutes."""
        where, values = _conditions(_whole_minutes(query))
        rows = await self._ask(_TOP.format(where=where), values | {"limit": query.limit})
        return tuple(
            DroppedTotal(
                source=row["source"],
                destination=row["destination"],
                protocol=row["protocol"],
                port=row["port"],
                reason=row["reason"],
                count=int(row["count"]),
                last_ns=int(row["last_ns"]),
            )
            for row in rows
        )

    async def span(self) -> HistorySpan:
        """How far it reaches, and what it lost. Flows that await merging may count twice."""
        try:
            (row,) = await self._ask(_SPAN, {})
        except SourceUnavailable as error:
            return HistorySpan(dropped=self._intake.dropped, writing=False, failure=error.message)
        count = int(row["flows"])
        return HistorySpan(
            oldest_ns=int(row["oldest_ns"]) if count else None,
            newest_ns=int(row["newest_ns"]) if count else None,
            flows=count,
            size=int(row["size"] or 0),
            dropped=self._intake.dropped,
            writing=not self.failure,
            failure=self.failure,
        )

    async def _ask(self, sql: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        answer = await in_daemon_thread("clickhouse", lambda: self._prepared(sql, values))
        return [msgspec.json.decode(line) for line in answer.splitlines()]

    # Called from threads

    def _write(self, flows: Sequence[Flow]) -> None:
        rows = b"\n".join(map(_row, flows))
        for attempt in range(1, TRIES + 1):
            try:
                self._prepared(_INSERT, {}, rows)
            except SourceUnavailable:
                if attempt == TRIES:
                    raise
                self._pause(backoff_s(attempt, 0.0))
            else:
                return

    def _prepared(self, sql: str, values: Mapping[str, Any], body: bytes = b"") -> bytes:
        """Run a statement, with the table there; both may be repeated without harm."""
        if not self._is_ready:
            self._run(_CREATE % min(self._server.days, MOST_DAYS), {})
            self._is_ready = True
        return self._run(sql, values, body)

    def _run(self, sql: str, values: Mapping[str, Any], body: bytes = b"") -> bytes:
        given = {"table": self._server.table} | dict(values)
        params = {"query": sql} | {f"param_{name}": str(value) for name, value in given.items()}
        try:
            with self._client.stream("POST", "/", params=params, content=body) as response:
                content = self._whole(response)
        except httpx.HTTPError as error:
            raise _unreachable(error) from error
        if response.is_success:
            return content
        raise _refused(response.status_code, content)

    def _whole(self, response: httpx.Response) -> bytes:
        """Read an answer to its end, which has to come: bytes and time are bounded."""
        content, until = bytearray(), self._now() + ANSWER_TIMEOUT_S
        for part in response.iter_bytes():
            content += part
            if len(content) > MOST_BYTES:
                raise SourceUnavailable(
                    f"ClickHouse answers with more than {MOST_BYTES >> 20} MiB",
                    source=SOURCE,
                    cause=SourceCause.PROTOCOL,
                    hint="ask for less: `--since`, `--last`, `-n NS`",
                )
            if self._now() > until:
                raise httpx.ReadTimeout(f"no end within {ANSWER_TIMEOUT_S:g} s")
        return bytes(content)


def _row(flow: Flow) -> bytes:
    line = encode_line(flow)
    seconds, rest_ns = divmod(flow.time_ns, NS_PER_S)
    return msgspec.json.encode(
        {
            "time": f"{seconds}.{rest_ns:09d}",
            # Flows of an agent that gives none are told apart by what they say.
            "uuid": flow.uuid or blake2b(line, digest_size=16).hexdigest(),
            "verdict": flow.verdict,
            "reason": flow.drop_reason,
            "event": flow.event,
            "source": shown_end(flow.source),
            "source_namespace": flow.source.namespace,
            "source_identity": flow.source.identity,
            "destination": shown_end(flow.destination),
            "destination_namespace": flow.destination.namespace,
            "destination_identity": flow.destination.identity,
            "protocol": flow.protocol,
            "port": flow.destination_port,
            "flow": line.decode(),
        }
    )


def _whole_minutes(query: HistoryQuery) -> HistoryQuery:
    since_ns, until_ns = query.since_ns, query.until_ns
    return replace(
        query,
        since_ns=None if since_ns is None else since_ns // MINUTE_NS * MINUTE_NS,
        until_ns=None if until_ns is None else (until_ns // MINUTE_NS + 1) * MINUTE_NS - 1,
        verdicts=(),
    )


def _conditions(query: HistoryQuery) -> tuple[str, dict[str, Any]]:
    """The WHERE clause and its parameters; values never become part of the SQL text."""
    given: list[tuple[str, str, Any]] = [
        ("time >= fromUnixTimestamp64Nano({since:Int64})", "since", query.since_ns),
        ("time <= fromUnixTimestamp64Nano({until:Int64})", "until", query.until_ns),
        (
            "(source_namespace = {namespace:String} OR destination_namespace = {namespace:String})",
            "namespace",
            _escaped(query.namespace) or None,
        ),
        (
            "(source_identity = {identity:UInt32} OR destination_identity = {identity:UInt32})",
            "identity",
            query.identity,
        ),
        ("verdict IN {verdicts:Array(String)}", "verdicts", _array(query.verdicts) or None),
    ]
    chosen = [(condition, name, value) for condition, name, value in given if value is not None]
    where = " AND ".join(condition for condition, _, _ in chosen) or "1"
    return where, {name: value for _, name, value in chosen}


def _escaped(text: str) -> str:
    """A text as the value of a `String` parameter, which ClickHouse reads as in a TSV field."""
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")


def _array(texts: Sequence[str]) -> str:
    """Texts as the value of an `Array(String)` parameter."""
    quoted = (_escaped(text).replace("'", "\\'") for text in texts)
    return "[" + ",".join(f"'{text}'" for text in quoted) + "]" if texts else ""


def _unreachable(error: httpx.HTTPError) -> SourceUnavailable:
    timed_out = isinstance(error, httpx.TimeoutException)
    words = "did not answer in time" if timed_out else f"cannot be reached ({clean(str(error))})"
    return SourceUnavailable(
        f"ClickHouse {words}",
        source=SOURCE,
        cause=SourceCause.TIMEOUT if timed_out else SourceCause.REFUSED,
    )


def _refused(status: int, body: bytes) -> SourceUnavailable:
    words = clean(body.decode(errors="replace").partition("\n")[0], 300)
    denied = status in (401, 403) or "AUTHENTICATION_FAILED" in words
    return SourceUnavailable(
        f"ClickHouse refuses: {words}",
        source=SOURCE,
        cause=SourceCause.UNAUTHENTICATED if denied else SourceCause.PROTOCOL,
    )
