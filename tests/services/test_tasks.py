import asyncio
import inspect

import pytest

from app.services.tasks import Caught, Tasks, guard


class Heard:
    def __init__(self) -> None:
        self.caught: list[Caught] = []

    def __call__(self, caught: Caught) -> None:
        self.caught.append(caught)


async def fail() -> None:
    raise ValueError("boom")


async def test_guard_gives_the_value() -> None:
    async def work() -> int:
        return 7

    heard = Heard()
    assert await guard("work", work(), heard) == 7
    assert heard.caught == []


async def test_guard_reports_an_error_under_its_name() -> None:
    heard = Heard()
    await guard("work", fail(), heard)
    assert str(heard.caught[0]) == "work: boom"


async def test_caught_without_message_shows_the_type() -> None:
    assert str(Caught("work", KeyError())) == "work: KeyError"


async def test_failing_task_leaves_its_siblings_running() -> None:
    heard, done = Heard(), asyncio.Event()

    async def finish() -> None:
        await asyncio.sleep(0)
        done.set()

    async with Tasks(heard) as tasks:
        tasks.start("bad", fail())
        tasks.start("good", finish())
        await tasks.finished()
    assert done.is_set()
    assert [one.task for one in heard.caught] == ["bad"]


async def test_leaving_the_block_ends_what_still_runs() -> None:
    ended = asyncio.Event()

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with Tasks(Heard()) as tasks:
        task = tasks.start("endless", endless())
        await asyncio.sleep(0)
    assert ended.is_set()
    assert task.cancelled()


async def test_finished_without_tasks_returns() -> None:
    async with Tasks(Heard()) as tasks:
        await tasks.finished()


async def test_cancelling_the_owner_cancels_its_tasks() -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def endless() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def own() -> None:
        async with Tasks(Heard()) as tasks:
            tasks.start("endless", endless())
            await tasks.finished()

    async with asyncio.TaskGroup() as group:
        owner = group.create_task(own())
        await started.wait()
        owner.cancel()
    assert ended.is_set()


async def test_error_in_the_body_still_ends_the_tasks() -> None:
    ended = asyncio.Event()

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def own() -> None:
        async with Tasks(Heard()) as tasks:
            tasks.start("endless", endless())
            await asyncio.sleep(0)
            raise ValueError("body")

    with pytest.raises(ValueError, match="body"):
        await own()
    assert ended.is_set()


async def test_task_that_never_ran_is_closed() -> None:
    started = asyncio.Event()

    async def begin() -> None:
        started.set()

    work = begin()
    async with Tasks(Heard()) as tasks:
        tasks.start("begin", work)
    await asyncio.sleep(0)
    assert not started.is_set()
    assert inspect.getcoroutinestate(work) == inspect.CORO_CLOSED
