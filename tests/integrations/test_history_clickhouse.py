from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from msgspec import structs

from app.core.errors import SourceCause, SourceUnavailable
from app.core.flows.codec import Decoder
from app.core.flows.times import NS_PER_S
from app.core.model.flow import Flow, FlowEndpoint
from app.ports import HistoryQuery
from app.testing.clock import START_NS
from integrations.history.clickhouse import MOST_DAYS, TRIES, ClickHouseHistory, Server
from tests.core.flows import lines

FOREVER_DAYS = 36_500  # the flows of these tests are years old when it is run
WEB = FlowEndpoint(identity=7, namespace="shop", pod="web-1", workload="web")
DB = FlowEndpoint(identity=8, namespace="data", pod="db-0")
WORLD = FlowEndpoint(identity=2, labels=("reserved:world",))


def flow(number: int, **fields: object) -> Flow:
    made = Flow(
        time_ns=START_NS + number * NS_PER_S,
        uuid=f"u{number}",
        verdict="FORWARDED",
        source=WEB,
        destination=DB,
        protocol="TCP",
        destination_port=5432,
    )
    return structs.replace(made, **fields)


def every_shape() -> list[Flow]:
    decoder = Decoder()
    bodies = (body | {"uuid": f"u{at:02}"} for at, body in enumerate(lines.EVERY_FIELD))
    items = [decoder.decode_line(json.dumps(lines.envelope(body))) for body in bodies]
    return [item for item in items if isinstance(item, Flow)]


async def kept(history: ClickHouseHistory, *flows: Flow) -> None:
    history.keep(flows)
    await history.flush()


def uuids(flows: tuple[Flow, ...]) -> list[str]:
    return [one.uuid for one in flows]


# The wire, against a scripted server

Answer = Callable[[httpx.Request], httpx.Response]


def connected(answer: Answer, **fields: str) -> tuple[ClickHouseHistory, list[float]]:
    pauses: list[float] = []
    server = Server("http://clickhouse:8123", **fields)  # type: ignore[arg-type]  # all text
    transport = httpx.MockTransport(answer)
    return ClickHouseHistory(server, transport=transport, pause=pauses.append), pauses


async def test_rows_when_sent_then_one_statement_makes_the_table_and_one_holds_them_all() -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200)

    history, _ = connected(answer, user="tui", password="s3cret", database="net", table="f")
    await kept(history, flow(1), flow(2, uuid=""))
    await history.close()
    create, insert = asked
    assert "CREATE TABLE IF NOT EXISTS" in create.url.params["query"]
    assert insert.url.params["param_table"] == "f"
    assert insert.url.params["database"] == "net"
    assert insert.headers["X-ClickHouse-Key"] == "s3cret"
    assert "s3cret" not in str(insert.url)
    first, second = map(json.loads, insert.content.splitlines())
    assert first["time"] == f"{START_NS // NS_PER_S + 1}.{START_NS % NS_PER_S:09d}"
    assert (first["source"], first["port"], first["uuid"]) == ("shop/web", 5432, "u1")
    assert len(second["uuid"]) == 32


async def test_batch_when_refused_then_it_is_tried_again_and_at_last_counted() -> None:
    calls: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        calls.append(request.url.params["query"].split()[0])
        return httpx.Response(500 if calls[-1] == "INSERT" else 200, text="Code: 242. read-only")

    history, pauses = connected(answer)
    await kept(history, flow(1), flow(2))
    assert calls.count("INSERT") == TRIES
    assert pauses == [1.0, 2.0]
    history.keep([])
    await history.close()


async def test_span_of_a_server_that_is_gone_says_so_and_raises_nothing() -> None:
    def answer(_request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    history, _ = connected(answer)
    assert history.failure == ""
    await kept(history, flow(1))
    span = await history.span()
    assert (span.writing, span.dropped) == (False, 1)
    assert "refused" in span.failure
    assert "refused" in history.failure
    await history.close()


async def test_batch_when_the_server_comes_back_then_nothing_is_lost() -> None:
    failures = iter([httpx.ConnectError("refused"), None])

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.params["query"].startswith("INSERT") and (error := next(failures)):
            raise error
        return httpx.Response(200, text='{"flows":"1","oldest_ns":1,"newest_ns":1,"size":9}')

    history, pauses = connected(answer)
    await kept(history, flow(1))
    span = await history.span()
    await history.close()
    assert (span.dropped, span.writing, span.size, len(pauses)) == (0, True, 9, 1)


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (httpx.Response(403, text="no"), SourceCause.UNAUTHENTICATED),
        (httpx.Response(500, text="Code: 516. AUTHENTICATION_FAILED"), SourceCause.UNAUTHENTICATED),
        (httpx.Response(404, text="Code: 60. UNKNOWN_TABLE\nat"), SourceCause.PROTOCOL),
        (httpx.ConnectError("refused"), SourceCause.REFUSED),
        (httpx.ReadTimeout("slow"), SourceCause.TIMEOUT),
    ],
)
async def test_question_when_the_server_fails_then_the_error_says_how(
    answer: httpx.Response | Exception, cause: SourceCause
) -> None:
    def respond(_request: httpx.Request) -> httpx.Response:
        if isinstance(answer, Exception):
            raise answer
        return answer

    history, _ = connected(respond)
    with pytest.raises(SourceUnavailable) as caught:
        await history.query(HistoryQuery())
    await history.close()
    assert caught.value.cause is cause
    assert "\n" not in str(caught.value)


def test_server_when_shown_then_its_password_is_not() -> None:
    assert "s3cret" not in repr(Server("http://h", password="s3cret"))


# The real engine


def engine_python() -> str:
    """A Python that has `chdb`: `CHDB_PYTHON`, or this one with the extra `clickhouse-test`."""
    if other := os.environ.get("CHDB_PYTHON"):
        return other
    if importlib.util.find_spec("chdb") is None:
        reason = "needs chdb (pip install -r requirements-clickhouse.lock, 900 MB) or CHDB_PYTHON"
        if os.environ.get("TESTBED") == "required":
            pytest.fail(f"TESTBED=required, but it {reason}", pytrace=False)
        pytest.skip(reason)
    return sys.executable


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    program = str(Path(__file__).with_name("chdb_server.py"))
    folder = str(tmp_path_factory.mktemp("chdb"))
    command = [engine_python(), program, "0", folder]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.kill()


@pytest.fixture
async def history(engine: str, request: pytest.FixtureRequest) -> AsyncIterator[ClickHouseHistory]:
    table = request.node.name.removeprefix("test_")[:60]
    opened = ClickHouseHistory(Server(engine, table=table, days=FOREVER_DAYS))
    yield opened
    await opened.close()


async def test_flows_of_every_shape_come_back_as_they_were(history: ClickHouseHistory) -> None:
    flows = sorted(every_shape(), key=lambda one: (one.time_ns, one.uuid))
    await kept(history, *flows)
    assert await history.query(HistoryQuery()) == tuple(flows)


async def test_flow_when_it_comes_again_is_given_once(history: ClickHouseHistory) -> None:
    await kept(history, flow(1), flow(2))
    await kept(history, flow(2), flow(3))
    assert uuids(await history.query(HistoryQuery())) == ["u1", "u2", "u3"]


async def test_query_by_time_namespace_identity_and_verdict(history: ClickHouseHistory) -> None:
    dropped = flow(2, verdict="DROPPED", destination=WORLD)
    await kept(history, flow(1), dropped, flow(3, source=WORLD))
    ask = HistoryQuery()
    times = replace(ask, since_ns=START_NS + 2 * NS_PER_S, until_ns=START_NS + 2 * NS_PER_S)
    assert uuids(await history.query(times)) == ["u2"]
    assert uuids(await history.query(replace(ask, namespace="shop"))) == ["u1", "u2"]
    assert uuids(await history.query(replace(ask, identity=2))) == ["u2", "u3"]
    assert uuids(await history.query(replace(ask, verdicts=("DROPPED", "AUDIT")))) == ["u2"]
    assert uuids(await history.query(replace(ask, limit=2))) == ["u2", "u3"]


@pytest.mark.parametrize("hostile", ["' OR 1=1 --", "\\", "{table:Identifier}", "a'b\\'c"])
async def test_query_when_values_are_hostile_then_they_are_only_values(
    engine: str, hostile: str
) -> None:
    history = ClickHouseHistory(Server(engine, table="hostile", days=FOREVER_DAYS))
    odd = flow(1, verdict=hostile, source=structs.replace(WEB, namespace=hostile))
    await kept(history, odd, flow(2))
    assert (await history.query(HistoryQuery(namespace=hostile)))[-1].verdict == hostile
    assert {one.verdict for one in await history.query(HistoryQuery(verdicts=(hostile,)))} == {
        hostile
    }
    await history.close()


async def test_drops_are_added_up_by_the_server(history: ClickHouseHistory) -> None:
    drop = {"verdict": "DROPPED", "drop_reason": "POLICY_DENIED", "event": 1}
    twin = flow(5, **drop | {"event": 5, "uuid": "twin"})
    other = flow(70, destination=WORLD, **drop)
    await kept(history, flow(1), flow(5, **drop), flow(6, **drop), twin, other)
    first, second = await history.top_dropped(HistoryQuery())
    assert (first.source, first.destination, first.port) == ("shop/web", "data/db-0", 5432)
    assert (first.reason, first.count, first.last_ns) == (
        "POLICY_DENIED",
        2,
        START_NS + 6 * NS_PER_S,
    )
    assert (second.destination, second.count) == ("world", 1)
    late = HistoryQuery(since_ns=START_NS + 65 * NS_PER_S)
    assert [one.destination for one in await history.top_dropped(late)] == ["world"]


async def test_span_tells_how_far_it_reaches(history: ClickHouseHistory) -> None:
    assert (await history.span()).oldest_ns is None
    await kept(history, flow(1), flow(9))
    span = await history.span()
    assert (span.oldest_ns, span.newest_ns) == (START_NS + NS_PER_S, START_NS + 9 * NS_PER_S)
    assert (span.flows, span.dropped, span.writing) == (2, 0, True)
    assert span.size > 0


@pytest.mark.parametrize(("days", "kept_days"), [(1, 1), (36_500, MOST_DAYS)])
async def test_table_when_made_then_the_server_forgets_by_age(
    engine: str, days: int, kept_days: int
) -> None:
    table = f"short{days}"
    history = ClickHouseHistory(Server(engine, table=table, days=days))
    await history.span()
    await history.close()
    sql = "SELECT create_table_query FROM system.tables WHERE name = {name:String}"
    answer = httpx.post(engine, params={"query": sql, "param_name": table})
    assert f"TTL toDateTime(time) + toIntervalDay({kept_days})" in answer.text
