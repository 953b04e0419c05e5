from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from app.core.flows.codec import Decoder
from app.core.flows.times import NS_PER_S
from app.core.model.flow import Flow, FlowDetail, FlowEndpoint
from app.ports import HistoryQuery
from app.testing.clock import START_NS, FakeClock
from integrations.history import intake, sqlite
from integrations.history.reading import opened
from integrations.history.rows import make_row, read_rest, read_row, rest_of
from integrations.history.sqlite import Limits, SqliteHistory
from tests.core.flows import lines

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


@pytest.fixture
async def history(tmp_path: Path) -> AsyncIterator[SqliteHistory]:
    opened = SqliteHistory(tmp_path / "h", clock=FakeClock())
    yield opened
    await opened.close()


async def kept(history: SqliteHistory, *flows: Flow) -> None:
    history.keep(flows)
    await history.flush()


def uuids(flows: tuple[Flow, ...]) -> list[str]:
    return [one.uuid for one in flows]


async def test_flows_of_every_shape_come_back_as_they_were(history: SqliteHistory) -> None:
    decoder = Decoder()
    named = (body | {"uuid": f"u{number}"} for number, body in enumerate(lines.EVERY_FIELD))
    bodies = (lines.envelope(body) for body in named)
    items = [decoder.decode_line(json.dumps(body)) for body in bodies]
    flows = sorted((one for one in items if isinstance(one, Flow)), key=lambda one: one.time_ns)
    await kept(history, *flows)
    assert await history.query(HistoryQuery()) == tuple(flows)


async def test_query_by_time_namespace_identity_and_verdict(history: SqliteHistory) -> None:
    dropped = flow(2, verdict="DROPPED", destination=WORLD)
    await kept(history, flow(1), dropped, flow(3, source=WORLD))
    ask = HistoryQuery()
    times = replace(ask, since_ns=START_NS + 2 * NS_PER_S, until_ns=START_NS + 2 * NS_PER_S)
    assert uuids(await history.query(times)) == ["u2"]
    assert uuids(await history.query(replace(ask, namespace="shop"))) == ["u1", "u2"]
    assert uuids(await history.query(replace(ask, identity=2))) == ["u2", "u3"]
    assert uuids(await history.query(replace(ask, verdicts=("DROPPED", "AUDIT")))) == ["u2"]
    assert uuids(await history.query(replace(ask, limit=2))) == ["u2", "u3"]


async def test_top_dropped_counts_a_drop_and_its_verdict_once(history: SqliteHistory) -> None:
    drop = {"verdict": "DROPPED", "drop_reason": "POLICY_DENIED"}
    await kept(
        history,
        *(flow(number, event=1, **drop) for number in range(3)),
        *(flow(number, event=5, **drop) for number in range(3)),
        flow(4, event=129, verdict="DROPPED", destination=WORLD),
        flow(5),
    )
    first, second = await history.top_dropped(HistoryQuery())
    assert (first.source, first.destination, first.port) == ("shop/web", "data/db-0", 5432)
    assert (first.reason, first.count, first.last_ns) == (
        "POLICY_DENIED",
        3,
        START_NS + 2 * NS_PER_S,
    )
    assert (second.destination, second.count) == ("world", 1)
    assert len(await history.top_dropped(HistoryQuery(limit=1))) == 1
    later = HistoryQuery(since_ns=START_NS + 3600 * NS_PER_S)
    assert await history.top_dropped(later) == ()
    assert len(await history.top_dropped(HistoryQuery(identity=2))) == 1
    assert len(await history.top_dropped(HistoryQuery(namespace="data"))) == 1


@pytest.mark.parametrize("old", [False, True])
async def test_top_dropped_over_days_when_added_up_then_is_what_its_minutes_are(
    tmp_path: Path, *, old: bool
) -> None:
    """Whole days are read as such; a file from before they were added up is filled once."""
    drops = [
        flow(n, time_ns=START_NS + n * 7 * 3600 * NS_PER_S, verdict="DROPPED", event=1)
        for n in range(20)
    ]
    first = SqliteHistory(tmp_path / "h", clock=FakeClock())
    await kept(first, *drops)
    await first.close()
    if old:
        (part,) = (tmp_path / "h").glob("flows-*.sqlite")
        with contextlib.closing(sqlite3.connect(part)) as file:
            file.execute("DROP TABLE dropped_day")
    history = SqliteHistory(tmp_path / "h", clock=FakeClock())
    for since_h, until_h in ((0, 200), (5, 100), (30, 31), (24, 48), (1, 47), (50, 49)):
        since_ns, until_ns = (START_NS + hours * 3600 * NS_PER_S for hours in (since_h, until_h))
        found = await history.top_dropped(HistoryQuery(since_ns=since_ns, until_ns=until_ns))
        wanted = sum(since_ns <= one.time_ns <= until_ns for one in drops)
        assert sum(one.count for one in found) == wanted
    assert sum(one.count for one in await history.top_dropped(HistoryQuery())) == len(drops)
    await kept(history, flow(99, time_ns=START_NS, verdict="DROPPED", event=1))
    assert sum(one.count for one in await history.top_dropped(HistoryQuery())) == len(drops) + 1
    await history.close()


async def test_second_process_reads_and_takes_over_when_the_first_ends(tmp_path: Path) -> None:
    first = SqliteHistory(tmp_path, clock=FakeClock())
    second = SqliteHistory(tmp_path, clock=FakeClock())
    await kept(first, flow(1))
    await kept(second, flow(1))
    assert uuids(await second.query(HistoryQuery())) == ["u1"]
    assert not (await second.span()).writing
    await first.close()
    await kept(second, flow(2))
    assert uuids(await second.query(HistoryQuery())) == ["u1", "u2"]
    assert (await second.span()).writing
    await second.close()


async def test_old_and_large_files_go_and_the_newest_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "PARTS", 2)
    clock = FakeClock()
    history = SqliteHistory(tmp_path, clock=clock, limits=Limits(days=2, size=1 << 20))
    for _ in range(6):
        await kept(history, *(flow(number, summary=f"{number:050}") for number in range(4000)))
        clock.advance(60)
    size = sum(file.stat().st_size for file in tmp_path.glob("flows-*.sqlite"))
    assert size < 3 << 20
    assert len(list(tmp_path.glob("flows-*.sqlite"))) <= 3
    clock.advance(10 * 86_400)
    await kept(history, flow(1))
    assert len(list(tmp_path.glob("flows-*.sqlite"))) == 1
    assert uuids(await history.query(HistoryQuery())) == ["u1"]
    await history.close()


async def test_full_queue_drops_and_counts(
    history: SqliteHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "QUEUED_FLOWS", 2)
    history.keep([flow(1), flow(2), flow(3)])
    await kept(history, flow(4))
    span = await history.span()
    assert (span.dropped, span.flows) == (3, 1)


def test_crash_of_the_process_loses_nothing_that_is_a_second_old(tmp_path: Path) -> None:
    program = f"""
import os, time
from pathlib import Path
from app.core.model.flow import Flow
from app.testing.clock import FakeClock
from integrations.history.sqlite import SqliteHistory
history = SqliteHistory(Path({str(tmp_path)!r}), clock=FakeClock())
history.keep([Flow(time_ns=1, uuid="old")])
time.sleep(1.5)
os.kill(os.getpid(), 9)
"""
    ended = subprocess.run([sys.executable, "-c", program], check=False, timeout=60)
    assert ended.returncode == -9
    [file] = tmp_path.glob("flows-*.sqlite")
    with opened(file) as part:
        assert part.execute("SELECT count(*) FROM flow").fetchone() == (1,)


async def test_folder_that_cannot_be_used_is_said_and_ends_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    history = SqliteHistory(tmp_path / "file" / "h", clock=FakeClock())
    await kept(history, flow(1))
    assert await history.query(HistoryQuery()) == ()
    span = await history.span()
    assert "flows.history_folder" in span.failure
    assert (span.writing, span.dropped) == (False, 1)
    await history.close()


@pytest.mark.parametrize("name", ["a#b", "a?b", "a%41b", "a b"])
async def test_folder_of_any_name_is_read_again(tmp_path: Path, name: str) -> None:
    history = SqliteHistory(tmp_path / name, clock=FakeClock())
    await kept(history, flow(1))
    assert len(await history.query(HistoryQuery())) == 1
    await history.close()
    modes = {file.stat().st_mode & 0o777 for file in (tmp_path / name).iterdir()}
    assert modes == {0o600}
    assert (tmp_path / name).stat().st_mode & 0o777 == 0o700


async def test_bad_part_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    history = SqliteHistory(tmp_path / "h", clock=FakeClock())
    await kept(history, flow(1))
    (tmp_path / "h" / "flows-20200101T000000.000000.sqlite").write_bytes(b"no database" * 500)
    (tmp_path / "h" / "flows-notes.sqlite").write_text("stray")
    newer = tmp_path / "h" / "flows-20200102T000000.000000.sqlite"
    with contextlib.closing(sqlite3.connect(newer)) as part:
        part.execute("PRAGMA user_version = 99")
    assert len(await history.query(HistoryQuery())) == 1
    failure = (await history.span()).failure
    assert "flows-20200101T000000.000000.sqlite cannot be read" in failure
    assert "written by a newer release" in failure
    assert "notes" not in failure
    await history.close()


async def test_damaged_newest_part_is_left_and_a_new_one_begun(tmp_path: Path) -> None:
    (tmp_path / "h").mkdir(0o700)
    clock = FakeClock()
    begun = datetime.fromtimestamp(clock.now_ns() / 1e9, UTC)
    bad = tmp_path / "h" / f"flows-{begun:%Y%m%dT%H%M%S}.000000.sqlite"
    bad.write_bytes(b"no database" * 500)
    clock.advance(1)
    history = SqliteHistory(tmp_path / "h", clock=clock)
    await kept(history, flow(1))
    assert len(await history.query(HistoryQuery())) == 1
    await history.close()


async def test_folder_that_others_can_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "h").mkdir()
    (tmp_path / "h").chmod(0o755)
    history = SqliteHistory(tmp_path / "h", clock=FakeClock())
    assert "others can read" in (await history.span()).failure
    await history.close()


@given(st.text(max_size=40))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_any_uuid_comes_back(uuid: str) -> None:
    made = flow(1, uuid=uuid)
    texts: list[str] = []

    def number(text: str) -> int:
        texts.append(text)
        return len(texts) - 1

    ends: list[FlowEndpoint] = []

    def end(endpoint: FlowEndpoint) -> int:
        ends.append(endpoint)
        return len(ends) - 1

    row = make_row(made, number, end, lambda one: number(rest_of(one)))
    read = read_row(row, texts.__getitem__, ends.__getitem__, lambda one: read_rest(texts[one]))
    assert read == made


async def test_flow_when_it_comes_again_is_kept_once(history: SqliteHistory) -> None:
    nameless = flow(3, uuid="")
    await kept(history, flow(1), flow(1), nameless)
    await kept(history, flow(2), flow(1), nameless)
    assert uuids(await history.query(HistoryQuery())) == ["u1", "u2", "", ""]
    far = flow(1_000_000)
    await kept(history, far, flow(1), flow(5))
    assert uuids(await history.query(HistoryQuery()))[-1] == "u1000000"
    assert (await history.span()).flows == 6


async def test_rare_parts_of_short_lived_flows_stay_their_own(history: SqliteHistory) -> None:
    for number in range(200):
        detail = FlowDetail(proxy_port=number)
        await kept(history, flow(number, detail=detail))
        del detail
    ports = [one.detail.proxy_port for one in await history.query(HistoryQuery())]
    assert ports == list(range(200))


async def test_flows_that_cannot_be_written_are_counted_and_later_ones_kept(
    history: SqliteHistory, tmp_path: Path
) -> None:
    folder = tmp_path / "h"
    moved = folder.rename(tmp_path / "elsewhere")
    await kept(history, flow(1), flow(2))
    assert (await history.span()).dropped == 2
    assert not (await history.span()).writing
    moved.rename(folder)
    await kept(history, flow(3))
    span = await history.span()
    assert (span.flows, span.dropped, span.writing) == (1, 2, True)
