"""Servers whose answers have no end: every adapter stops at its bound and says which."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest

from app.config import Secret
from app.core.errors import SourceCause, SourceUnavailable
from integrations.git import http as forge
from integrations.history import clickhouse
from integrations.kubernetes import client as kubernetes
from integrations.kubernetes.client import ApiServer
from integrations.paging.post import Target, post


class Response:
    """What urllib3 gives: parts for ever."""

    status = 200

    def __init__(self, part: bytes = b"x" * 1_000_000) -> None:
        self._part = part

    def stream(self, _size: int) -> Iterator[bytes]:
        return itertools.repeat(self._part)

    def close(self) -> None:
        """Nothing is open."""


class Api:
    """What the kubernetes package gives, as far as a GET needs it."""

    configuration = None

    def __init__(self, response: Response) -> None:
        self.rest_client = self
        self.pool_manager = self
        self.request = lambda *_args, **_options: response

    def param_serialize(self, *_args: Any, **_options: Any) -> tuple[Any, ...]:
        return "GET", "http://127.0.0.1/api", {}, None, None


def ticking(step_s: float) -> Callable[[], float]:
    moments = itertools.count(0.0, step_s)
    return lambda: float(next(moments))


def test_endless_answer_of_the_api_server_ends_at_its_bound_of_bytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kubernetes, "MOST_BYTES", 4 << 20)
    server = ApiServer(Api(Response()), "cluster", now=ticking(0))
    with pytest.raises(SourceUnavailable, match="longer than 4 MiB") as caught:
        server.get("/api")
    assert caught.value.cause is SourceCause.PROTOCOL


def test_trickling_answer_of_the_api_server_ends_at_its_bound_of_time() -> None:
    server = ApiServer(Api(Response(b" ")), "cluster", now=ticking(0.4))
    with pytest.raises(SourceUnavailable, match="did not end within 60 s") as caught:
        server.get("/api")
    assert caught.value.cause is SourceCause.TIMEOUT


def test_endless_refusal_of_the_api_server_is_not_read_whole() -> None:
    response = Response()
    response.status = 500
    server = ApiServer(Api(response), "cluster", now=ticking(0))
    with pytest.raises(SourceUnavailable, match="longer than 1 MiB"):
        server.get("/api")


class Endless(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body for ever, for both kinds of client."""

    def __iter__(self) -> Iterator[bytes]:
        return itertools.repeat(b"x" * 1_000_000)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self:
            yield part


def endless(status: int = 200) -> httpx.MockTransport:
    return httpx.MockTransport(lambda _request: httpx.Response(status, stream=Endless()))


@pytest.mark.parametrize(("step_s", "words"), [(0, "more than 4 MiB"), (20, "in time")])
async def test_endless_answer_of_clickhouse_ends_at_its_bounds(
    monkeypatch: pytest.MonkeyPatch, step_s: float, words: str
) -> None:
    monkeypatch.setattr(clickhouse, "MOST_BYTES", 4 << 20)
    server = clickhouse.Server("http://127.0.0.1")
    history = clickhouse.ClickHouseHistory(server, transport=endless(), now=ticking(step_s))
    span = await history.span()
    assert words in span.failure
    await history.close()


async def test_answer_of_a_forge_without_an_end_of_time_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Silent(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            while True:
                await asyncio.sleep(0.001)
                yield b" "

    monkeypatch.setattr(forge, "_ANSWER_S", 0.05)
    client = forge.ForgeClient("https://forge.example.org", Secret("t", "a test"), {})
    transport = httpx.MockTransport(lambda _request: httpx.Response(200, stream=Silent()))
    monkeypatch.setattr(client, "_client", httpx.AsyncClient(transport=transport))
    with pytest.raises(SourceUnavailable, match="did not end"):
        await client.post("/x", {})


@pytest.mark.parametrize("status", [200, 500])
async def test_pager_that_answers_for_ever_is_read_no_further_than_its_first_words(
    status: int,
) -> None:
    target = Target("https://pager.example.org")
    if status == 200:
        await post(target, "/", {}, transport=endless(status))
        return
    with pytest.raises(SourceUnavailable, match="HTTP 500 xxx"):
        await post(target, "/", {}, transport=endless(status))
