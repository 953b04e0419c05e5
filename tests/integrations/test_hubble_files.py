from __future__ import annotations

import asyncio
import gzip
import json
import os
import threading
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from app.core.errors import BadInput, SourceUnavailable
from app.core.flows.encode import encode_line
from app.core.model.flow import Flow, FlowBatch, LostEvents
from app.ports import FlowRequest, SourceState
from app.testing.clock import FakeClock
from integrations.hubble import files
from integrations.hubble.files import FlowFile
from integrations.hubble.recording import LONGEST_PAUSE_S, Recorded, Replay

ONCE = FlowRequest(follow=False)
SECOND = 1_000_000_000
WITHIN_S = 10


def flow(number: int, verdict: str = "FORWARDED") -> Flow:
    return Flow(time_ns=number * SECOND, verdict=verdict, uuid=f"u{number}")


def text(*flows: Flow | LostEvents) -> bytes:
    return b"".join(encode_line(one) + b"\n" for one in flows)


async def uuids(source: FlowFile, request: FlowRequest = ONCE) -> list[str]:
    return [
        one.uuid
        async for batch in source.flows(request)
        if isinstance(batch, FlowBatch)
        for one in batch.flows
    ]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "flows.jsonl"
    path.write_bytes(text(flow(1), flow(2, "DROPPED"), flow(3)))
    return path


async def test_file_when_read_gives_every_flow_in_order(file: Path) -> None:
    assert await uuids(FlowFile(str(file))) == ["u1", "u2", "u3"]


async def test_file_when_packed_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "flows.jsonl.gz"
    path.write_bytes(gzip.compress(text(flow(1))))
    assert await uuids(FlowFile(str(path))) == ["u1"]


async def test_request_limits_by_time_filter_and_count(file: Path) -> None:
    source = FlowFile(str(file))
    since = FlowRequest(follow=False, since_ns=2 * SECOND, until_ns=2 * SECOND)
    assert await uuids(source, since) == ["u2"]
    dropped = FlowRequest(follow=False, allow=({"verdict": ["DROPPED"]},))
    assert await uuids(source, dropped) == ["u2"]
    assert await uuids(source, FlowRequest(follow=False, last=2)) == ["u2", "u3"]


async def test_lines_that_are_no_flows_are_counted_and_kept_apart(tmp_path: Path) -> None:
    path = tmp_path / "flows.jsonl"
    path.write_bytes(b"nonsense\n" + text(flow(1), LostEvents("PERF_EVENT_RING_BUFFER", 7)))
    [batch] = [one async for one in FlowFile(str(path)).flows(FlowRequest(last=5, follow=False))]
    assert isinstance(batch, FlowBatch)
    assert (batch.unreadable, batch.lost[0].count, len(batch.flows)) == (1, 7, 1)


@pytest.mark.parametrize("request_", [ONCE, FlowRequest(follow=False, last=3)])
async def test_file_when_nothing_in_it_is_a_flow_then_the_source_says_so(
    tmp_path: Path, request_: FlowRequest
) -> None:
    path = tmp_path / "flows.jsonl"
    path.write_bytes(b"level=info msg=started\nlevel=info msg=ready\n")
    with pytest.raises(SourceUnavailable, match="none of 2 records") as caught:
        await uuids(FlowFile(str(path)), request_)
    assert caught.value.exit_code == 3
    path.write_bytes(b"")
    assert await uuids(FlowFile(str(path)), request_) == []
    path.write_bytes(b'{"agent_event": {"type": "AGENT_STARTED"}}\n')
    assert await uuids(FlowFile(str(path)), request_) == []


async def test_file_when_it_is_a_store_s_answer_then_its_flows_are_read(tmp_path: Path) -> None:
    path = tmp_path / "loki.json"
    lines = [["1", encode_line(one).decode()] for one in (flow(1), flow(2), flow(3))]
    path.write_text(json.dumps({"data": {"result": [{"stream": {}, "values": lines}]}}, indent=1))
    assert await uuids(FlowFile(str(path)), FlowRequest(follow=False, last=2)) == ["u2", "u3"]


@pytest.mark.parametrize("name", ["absent.jsonl", "absent.jsonl.gz"])
@pytest.mark.parametrize("follow", [True, False])
async def test_file_when_absent_is_bad_input_with_its_name(
    tmp_path: Path, name: str, *, follow: bool
) -> None:
    with pytest.raises(BadInput) as caught:
        await uuids(FlowFile(str(tmp_path / name)), FlowRequest(follow=follow))
    assert name in caught.value.file


@pytest.mark.parametrize("request_", [ONCE, FlowRequest(follow=False, last=2)])
async def test_packed_file_when_cut_short_gives_what_is_whole_and_then_fails(
    tmp_path: Path, request_: FlowRequest
) -> None:
    path = tmp_path / "flows.jsonl.gz"
    path.write_bytes(gzip.compress(text(*map(flow, range(5000))))[:-12])
    seen: list[Flow] = []

    async def read() -> None:
        async for batch in FlowFile(str(path)).flows(request_):
            assert isinstance(batch, FlowBatch)
            seen.extend(batch.flows)

    with pytest.raises(SourceUnavailable, match="cut off"):
        await read()
    assert len(seen) == (request_.last or 4999)


async def test_packed_file_when_corrupt_fails_at_once_and_hangs_nobody(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(os.urandom(5000)))
    packed[40] ^= 0xFF
    path = tmp_path / "flows.jsonl.gz"
    path.write_bytes(packed)
    with pytest.raises(SourceUnavailable):
        await asyncio.wait_for(uuids(FlowFile(str(path))), WITHIN_S)


async def test_line_without_end_is_counted_and_the_others_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "LONGEST_RECORD", 10_000)
    path = tmp_path / "flows.jsonl"
    path.write_bytes(b'{"flow":"' + b"x" * 100_000 + b"\n" + text(flow(1)))
    assert await uuids(FlowFile(str(path))) == ["u1"]


async def test_pipe_when_named_is_read_to_its_end(tmp_path: Path) -> None:
    pipe = tmp_path / "flows"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(text(flow(1))))
    writer.start()
    assert await uuids(FlowFile(str(pipe)), FlowRequest(follow=True)) == ["u1"]
    writer.join()


async def next_uuids(batches: AsyncIterator[FlowBatch | SourceState], count: int) -> list[str]:
    seen: list[str] = []
    async with asyncio.timeout(WITHIN_S):
        async for batch in batches:
            if isinstance(batch, FlowBatch):
                seen.extend(one.uuid for one in batch.flows)
            if len(seen) >= count:
                return seen
    raise AssertionError("the source ended")


async def test_followed_file_when_it_grows_is_cut_or_rotated_misses_nothing(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "POLL_S", 0.01)
    async with aclosing(FlowFile(str(file)).flows(FlowRequest())) as batches:  # type: ignore[type-var]  # the port's type is wider
        assert await next_uuids(batches, 3) == ["u1", "u2", "u3"]
        with file.open("ab") as out:
            line = text(flow(4))
            out.write(line[:20])
            out.flush()
            await asyncio.sleep(0.05)
            out.write(line[20:])
        assert await next_uuids(batches, 1) == ["u4"]
        file.rename(file.with_suffix(".1"))
        file.write_bytes(text(flow(5)))
        assert await next_uuids(batches, 1) == ["u5"]
        os.truncate(file, 0)
        await asyncio.sleep(0.05)
        with file.open("ab") as out:
            out.write(text(flow(6)))
        assert await next_uuids(batches, 1) == ["u6"]


async def test_standard_input_shows_the_first_flow_before_the_pipe_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "r") as stdin, os.fdopen(writing, "wb", 0) as pipe:
        monkeypatch.setattr("sys.stdin", stdin)
        async with aclosing(FlowFile("-").flows(FlowRequest())) as batches:  # type: ignore[type-var]
            pipe.write(text(flow(1)))
            assert await next_uuids(batches, 1) == ["u1"]
            pipe.write(text(flow(2))[:-1])
            pipe.close()
            assert await next_uuids(batches, 1) == ["u2"]


async def test_recording_when_read_gives_what_passed(file: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.jsonl.gz"
    assert len([one async for one in Recorded(FlowFile(str(file)), str(copy)).flows(ONCE)]) == 1
    assert await uuids(FlowFile(str(copy))) == ["u1", "u2", "u3"]


async def test_recording_when_it_cannot_be_written_is_bad_input(file: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="recording"):
        async for _ in Recorded(FlowFile(str(file)), str(tmp_path / "no" / "where")).flows(ONCE):
            pass


async def test_replay_waits_between_flows_as_long_as_they_were_apart(tmp_path: Path) -> None:
    path = tmp_path / "flows.jsonl"
    path.write_bytes(text(flow(10), flow(10), flow(12), flow(1000)))
    clock, waits = FakeClock(), list[float]()

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        clock.advance(seconds)

    replay = Replay(FlowFile(str(path)), clock=clock, speed=2.0, sleep=sleep)
    bursts = [
        len(one.flows) async for one in replay.flows(FlowRequest()) if isinstance(one, FlowBatch)
    ]
    assert bursts == [2, 1, 1]
    assert waits == [pytest.approx(1.0), LONGEST_PAUSE_S]
