"""The bot under load: the whole of it over the local Slack-like server, in one process.

200 commands at once over a cluster of 10,000 pods, half of them by people who may not see most of
it: how long Slack waits for each acknowledgement (three seconds are its limit, one is ours), and
whether all are answered. What a look-up in a form takes there. And what is left in memory by
10,000 commands and 1,000 changes of a cluster.

`python benchmarks/bot.py [COMMANDS]`
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import _tre
from _figures import Figure, report

from app.bot.access import Level, Rules
from app.bot.audit import Unrecorded
from app.bot.desk import Desk, Known
from app.bot.limits import RateLimit
from app.bot.pool import prompt_turns
from app.core.diagnose.evidence import FlowEvidence
from app.core.model.flow import Flow, FlowEndpoint
from app.services.picture import Ingredients, Picture, make_picture
from integrations.slack.chat import SlackAccess, SlackChat
from integrations.slack.local_server import (
    APP_TOKEN,
    BOT_TOKEN,
    CHANNEL,
    TEAM,
    Exchange,
    SlackServer,
)

LARGE = _tre.Size(identities=2000, pods_per_identity=5, policies=1000)
SMALL = _tre.Size(identities=40, pods_per_identity=2, policies=20)
AT_ONCE = 200
COMMANDS = 10_000
CHANGES = 1000
FLOWS = 20_000
TOGETHER = 25
ACK_S, LOOK_UP_S = 1.0, 1.0
GROWTH_MIB = 20.0
RULES = Rules(TEAM, frozenset({CHANNEL}), projects={"project-*": frozenset({"UADMIN"})})
_PAGE = 4096


class SystemClock:
    """The machine's own time."""

    def now_ns(self) -> int:
        """UTC nanoseconds."""
        return time.time_ns()

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()


def known_of(size: _tre.Size) -> Known:
    picture = replace(make_picture(Ingredients(tuple(_tre.manifests(size)))), revision=1)
    picture = replace(picture, as_of_ns=time.time_ns())
    return Known(picture, FlowEvidence(_flows(picture), policies_as_of_ns=time.time_ns()), "bench")


def _flows(picture: Picture) -> list[Flow]:
    ends = [
        (FlowEndpoint(identity=at, namespace=one.namespace, pod=one.name), str(one.addresses[0]))
        for at, one in enumerate(picture.cluster.endpoints, start=1000)
        if one.addresses
    ]
    now_ns, count = time.time_ns(), len(ends)
    return [
        Flow(
            now_ns - (FLOWS - at) * 10_000_000,
            "FORWARDED" if at % 3 else "DROPPED",
            *(ends[at % count][0], ends[(at * 7 + 1) % count][0]),
            *(ends[at % count][1], ends[(at * 7 + 1) % count][1]),
            *("TCP", 40_000 + at % 20_000, 8080),
        )
        for at in range(FLOWS)
    ]


@asynccontextmanager
async def serving(known: list[Known]) -> AsyncIterator[SlackServer]:
    limit = RateLimit(per_user=10**6, per_channel=10**6)
    desk = Desk(lambda: known[-1], replace(RULES, level=Level.MINIMAL), Unrecorded(), SystemClock())
    desk.limit = limit
    async with SlackServer() as server:
        access = SlackAccess(BOT_TOKEN, APP_TOKEN, server.api, frozenset({server.host}))
        chat = SlackChat(access, desk, print)
        running = asyncio.ensure_future(chat.run())
        await server.connected()
        with prompt_turns():
            yield server
        chat.stop()
        await running


def questions(picture: Picture, count: int) -> list[tuple[str, str]]:
    """Commands and who asks them: operators of everything, and people of no project."""
    pods = [one.key for one in picture.cluster.endpoints]
    asked = []
    for at in range(count):
        source, destination = pods[at * 37 % len(pods)], pods[(at * 91 + 5) % len(pods)]
        user = "UADMIN" if at % 2 else f"U{at % 50}"
        asked.append((f"why-blocked {source} {destination} 8080", user))
    return asked


async def burst(known: Known) -> list[Figure]:
    async with serving([known]) as server:
        await (await server.command("ping")).answer()
        began = time.monotonic()
        asked = questions(known.picture, AT_ONCE)
        exchanges = await asyncio.gather(*(server.command(text, user=who) for text, who in asked))
        acked = [one.acked_after_s for one in exchanges if one.acknowledged is not None]
        answered = await asyncio.gather(*map(_answered, exchanges))
        took_s = time.monotonic() - began
        looked_s = await _look_up(server)
    return [
        Figure("bot: 200 commands at once, acknowledged", len(acked), "of 200", bar=200, more=True),
        Figure("bot: the slowest acknowledgement", max(acked), "s", bar=ACK_S),
        Figure("bot: 200 commands at once, answered", sum(answered), "of 200", bar=200, more=True),
        Figure("bot: until the last of them", took_s, "s"),
        Figure("bot: slowest look-up among 10,000 pods", looked_s, "s", bar=LOOK_UP_S),
    ]


async def _answered(exchange: Exchange) -> bool:
    message = await exchange.answer(within_s=300)
    while "takes longer" in message["text"]:
        await asyncio.sleep(0.05)
        message = exchange.messages[-1]
    return "too many" not in message["text"] and "no answer" not in message["text"]


async def _look_up(server: SlackServer) -> float:
    view = await (await server.command("", user="UADMIN")).modal()
    times = []
    for typed in ("", "note", "web-1", "nothing"):
        began = time.monotonic()
        found = await server.look_up(view, "from", typed, {}, user="UADMIN")
        times.append(time.monotonic() - began)
        if found.acknowledged is None:
            raise SystemExit("a look-up was not answered in time")
    return max(times)


async def memory(count: int) -> list[Figure]:
    """What is resident after a tenth of the commands and changes, and after all of them."""
    known = [known_of(SMALL)]
    asked = questions(known[0].picture, count)
    every = max(1, count // CHANGES)
    sizes: list[float] = []
    async with serving(known) as server:
        for at in range(0, count, TOGETHER):
            if at // every != (at - TOGETHER) // every:
                known[:] = [_changed(known[0], at)]
            some = asked[at : at + TOGETHER]
            exchanges = await asyncio.gather(*(server.command(t, user=w) for t, w in some))
            await asyncio.gather(*map(_answered, exchanges))
            for one in exchanges:
                server.forget(one)
            server.calls.clear()
            if at + TOGETHER in (count // 10, count):
                gc.collect()
                sizes.append(_resident_mib())
    name = f"bot: growth over {count} commands, {count // every} changes"
    return [Figure(name, sizes[-1] - sizes[0], "MiB", f"{sizes[0]:.0f} MiB", bar=GROWTH_MIB)]


def _changed(known: Known, number: int) -> Known:
    """The same cluster, with one policy changed: another picture and another engine."""
    cluster = known.picture.cluster
    first, *rest = cluster.policies
    body = {**first.body, "metadata": {**first.body["metadata"], "labels": {"n": str(number)}}}
    changed = replace(cluster, policies=(replace(first, body=body), *rest))
    picture = replace(
        known.picture,
        cluster=changed,
        engine=known.picture.engine.replace(changed),
        revision=known.picture.revision + 1,
    )
    return replace(known, picture=picture)


def _resident_mib() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE / 2**20


def main() -> int:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else COMMANDS
    figures = [*asyncio.run(burst(known_of(LARGE))), *asyncio.run(memory(count))]
    return 0 if report(figures) else 1


if __name__ == "__main__":
    sys.exit(main())
