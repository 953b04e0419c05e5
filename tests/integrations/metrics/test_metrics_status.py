"""Health, readiness and numbers of the bot."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import aiohttp
import pytest

from app.bot.desk import Known
from app.bot.tally import BOUNDS_S, LOST_AFTER_S, Tally
from app.core.errors import ConfigError
from app.ports import SourceState
from app.services.picture import empty_picture
from app.testing.clock import START_NS, FakeClock
from integrations.metrics.status import serving_status


class Bot:
    """A bot whose connection and knowledge are set by hand."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.connected = True
        picture = empty_picture()
        self.picture = replace(
            picture,
            revision=1,
            as_of_ns=START_NS,
            sources={"demo": SourceState("demo", "live")},
        )
        self.tally = Tally(
            self.clock,
            lambda: Known(self.picture, None, "demo"),
            lambda: 3,
            lambda: self.connected,
        )

    @asynccontextmanager
    async def served(self) -> AsyncIterator[str]:
        async with serving_status(self.tally, BOUNDS_S, "127.0.0.1:0") as address:
            yield address


async def get(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status, await answer.text()


async def test_bot_that_is_connected_and_knows_something_is_ready() -> None:
    async with Bot().served() as address:
        assert await get(f"{address}/readyz") == (200, "ready")
        assert await get(f"{address}/healthz") == (200, "fine")


async def test_bot_that_has_read_nothing_is_not_ready() -> None:
    bot = Bot()
    bot.picture = empty_picture()
    async with bot.served() as address:
        assert await get(f"{address}/readyz") == (503, "nothing has been read yet")


async def test_bot_without_a_connection_is_not_well_after_a_while() -> None:
    bot = Bot()
    async with bot.served() as address:
        await get(f"{address}/healthz")
        bot.connected = False
        assert (await get(f"{address}/healthz"))[0] == 200
        assert (await get(f"{address}/readyz"))[0] == 503
        bot.clock.advance(LOST_AFTER_S + 1)
        assert (await get(f"{address}/healthz"))[0] == 503
        bot.connected = True
        assert (await get(f"{address}/healthz"))[0] == 200


async def test_numbers_are_told_in_prometheus_form() -> None:
    bot = Bot()
    for decision, took_s in (("answered", 0.07), ("answered", 0.7), ("refused", 100.0)):
        bot.tally.count(decision, took_s)
    bot.clock.advance(30)
    async with bot.served() as address:
        status, text = await get(f"{address}/metrics")
    assert status == 200
    for line in (
        'k8tre_tui_bot_questions_total{decision="answered"} 2.0',
        'k8tre_tui_bot_questions_total{decision="refused"} 1.0',
        'k8tre_tui_bot_answer_seconds_bucket{le="0.1"} 1.0',
        'k8tre_tui_bot_answer_seconds_bucket{le="60.0"} 2.0',
        'k8tre_tui_bot_answer_seconds_bucket{le="+Inf"} 3.0',
        "k8tre_tui_bot_answer_seconds_count 3.0",
        "k8tre_tui_bot_pending 3.0",
        "k8tre_tui_bot_connected 1.0",
        'k8tre_tui_source_age_seconds{what="objects"} 30.0',
        'k8tre_tui_source_phase{phase="live",source="demo"} 1.0',
    ):
        assert line in text.splitlines()


@pytest.mark.parametrize("listen", ["9090", "nowhere:port", "256.0.0.1:1"])
async def test_address_that_is_none_is_a_configuration_error(listen: str) -> None:
    with pytest.raises(ConfigError):
        async with serving_status(Bot().tally, BOUNDS_S, listen):
            await asyncio.sleep(0)
