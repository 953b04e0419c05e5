from __future__ import annotations

from collections.abc import Callable, Hashable

from textual.widget import Widget

from tests.widgets.conftest import Stage, screen_text
from widgets.grid import Column
from widgets.motion import Motion
from widgets.spans import Line, line
from widgets.stream import Stream

COLUMNS = (Column("n", "N", 8),)
MakeStage = Callable[[Widget], Stage]


class Numbers:
    """Rows `first` to `last`, by number."""

    def __init__(self, first: int, last: int) -> None:
        self.first, self.last = first, last

    def __len__(self) -> int:
        return self.last - self.first

    def key(self, index: int) -> Hashable:
        return self.first + index

    def cells(self, index: int) -> tuple[Line, ...]:
        return (line(f"n{self.first + index}"),)

    def find(self, key: Hashable) -> int | None:
        if isinstance(key, int) and self.first <= key < self.last:
            return key - self.first
        return None


async def test_stream_when_rows_come_then_the_last_is_on_screen(stage: MakeStage) -> None:
    stream = Stream(COLUMNS)
    async with stage(stream).run_test(size=(20, 5)) as pilot:
        for last in (3, 50, 500):
            stream.show_stream(Numbers(0, last))
            await pilot.pause()
            assert screen_text(stream)[min(4, last)].strip() == f"n{last - 1}"
        assert stream.following


async def test_stream_when_the_ring_is_full_then_the_window_moves_with_it(stage: MakeStage) -> None:
    stream = Stream(COLUMNS)
    async with stage(stream).run_test(size=(20, 5)) as pilot:
        stream.show_stream(Numbers(0, 100))
        stream.show_stream(Numbers(900, 1000))
        await pilot.pause()
        assert screen_text(stream)[-1].strip() == "n999"
        assert stream.cursor_key == 999


async def test_stream_when_stepping_up_then_released_and_the_screen_stands(
    stage: MakeStage,
) -> None:
    stream = Stream(COLUMNS)
    async with stage(stream).run_test(size=(20, 5)) as pilot:
        stream.show_stream(Numbers(0, 100))
        stream.move(Motion.UP)
        await pilot.pause()
        assert not stream.following
        before = screen_text(stream)
        stream.show_stream(Numbers(0, 150))
        await pilot.pause()
        assert screen_text(stream) == before


async def test_stream_when_going_to_the_end_then_it_follows_again(stage: MakeStage) -> None:
    stream = Stream(COLUMNS)
    async with stage(stream).run_test(size=(20, 5)) as pilot:
        stream.show_stream(Numbers(0, 100))
        stream.move(Motion.TOP)
        stream.move(Motion.BOTTOM)
        assert stream.following
        stream.show_stream(Numbers(0, 200))
        await pilot.pause()
        assert screen_text(stream)[-1].strip() == "n199"


async def test_stream_when_the_wheel_goes_back_then_released(stage: MakeStage) -> None:
    stream = Stream(COLUMNS)
    async with stage(stream).run_test(size=(20, 5)) as pilot:
        stream.show_stream(Numbers(0, 100))
        await pilot.pause()
        stream.scroll_up(animate=False, immediate=True)
        await pilot.pause()
        assert not stream.following


async def test_stream_when_told_to_follow_then_back_at_the_end(stage: MakeStage) -> None:
    stream = Stream(COLUMNS)
    async with stage(stream).run_test(size=(20, 5)) as pilot:
        stream.show_stream(Numbers(0, 100))
        stream.release()
        stream.move(Motion.TOP)
        stream.follow()
        await pilot.pause()
        assert screen_text(stream)[-1].strip() == "n99"
