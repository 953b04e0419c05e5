from __future__ import annotations

from collections.abc import Callable

from hypothesis import HealthCheck, given, settings
from textual.widget import Widget

from tests.widgets.conftest import Stage, screen_text
from tests.widgets.hostile import hostile_text, offending
from widgets.grid import Column, Grid, Row, TableRows, fit_line, lay_out, sort_rows
from widgets.motion import Motion
from widgets.spans import Line, Span, Tone, line, plain, width_of

COLUMNS = (Column("name", "NAME", 6), Column("note", "NOTE", 6, flex=1, rank=1))
MakeStage = Callable[[Widget], Stage]


def table(*names: str) -> TableRows:
    return TableRows(tuple(row(name, line(name), line(f"note {name}")) for name in names))


def row(key: object, *cells: Line, sort: str | float | None = None) -> Row:
    return Row(key, lambda: cells, None if sort is None else lambda _column: sort)


def test_lay_out_when_narrow_then_the_highest_rank_goes_first() -> None:
    columns = (Column("a", "A", 5), Column("b", "B", 5, rank=2), Column("c", "C", 5, rank=1))
    assert [at for at, _ in lay_out(columns, 13, wide=False)] == [0, 2]
    assert [at for at, _ in lay_out(columns, 3, wide=False)] == [0]


def test_lay_out_when_room_is_left_then_flex_columns_share_it_all() -> None:
    columns = (Column("a", "A", 5, flex=1), Column("b", "B", 5, flex=2))
    assert lay_out(columns, 21, wide=False) == ((0, 8), (1, 11))


def test_lay_out_when_wide_then_every_column_shows() -> None:
    columns = (Column("a", "A", 50), Column("b", "B", 50, rank=9), Column("c", "C", 5, wide=True))
    assert len(lay_out(columns, 20, wide=True)) == 3
    assert len(lay_out(columns, 200, wide=False)) == 2


def test_fit_line_when_many_spans_then_exact_and_cut_in_the_last_that_fits() -> None:
    cell = (Span("ns/", Tone.DIM), Span("podname"))
    assert plain(tuple(fit_line(cell, 8))) == "ns/podn…"
    assert plain(tuple(fit_line(cell, 12))) == "ns/podname  "
    assert plain(tuple(fit_line(cell, 12, right=True))) == "  ns/podname"


@given(hostile_text, hostile_text)
def test_fit_line_when_hostile_then_exact_width_and_clean(first: str, second: str) -> None:
    for cell in ((Span(first),), (Span(first), Span(second))):
        text = plain(tuple(fit_line(cell, 11)))
        assert width_of(text) == 11
        assert not offending(text)


def test_sort_rows_when_numbers_and_words_then_numbers_first_and_stable() -> None:
    rows = (row(1, sort="b"), row(2, sort=2), row(3, sort=1))
    assert [one.key for one in sort_rows(rows, 0).rows] == [3, 2, 1]
    assert [one.key for one in sort_rows(rows, 0, descending=True).rows] == [1, 2, 3]


async def test_grid_when_shown_then_header_and_rows_are_drawn(stage: MakeStage) -> None:
    grid = Grid(COLUMNS)
    async with stage(grid).run_test(size=(30, 5)) as pilot:
        grid.show(table("one", "two"))
        await pilot.pause()
        assert screen_text(grid)[:3] == [" NAME   NOTE", " one    note one", " two    note two"]


async def test_grid_when_empty_then_says_why(stage: MakeStage) -> None:
    grid = Grid(COLUMNS)
    async with stage(grid).run_test(size=(30, 5)) as pilot:
        grid.show(TableRows(), empty=(line("Nothing here, because of a reason"),))
        await pilot.pause()
        assert "Nothing here, because of" in " ".join(screen_text(grid))
        assert grid.cursor_key is None


async def test_grid_when_rows_change_then_the_cursor_stays_on_its_key(stage: MakeStage) -> None:
    grid = Grid(COLUMNS)
    async with stage(grid).run_test(size=(30, 5)):
        grid.show(table("a", "b", "c"))
        grid.move(Motion.DOWN)
        grid.show(table("0", "a", "b", "c"))
        assert (grid.cursor_key, grid.cursor) == ("b", 2)


async def test_grid_when_the_row_goes_then_the_cursor_takes_its_neighbour(stage: MakeStage) -> None:
    grid = Grid(COLUMNS)
    async with stage(grid).run_test(size=(30, 5)):
        grid.show(table("a", "b", "c"))
        grid.select("c")
        grid.show(table("a", "b"))
        assert grid.cursor_key == "b"
        grid.show(TableRows())
        assert grid.cursor_key is None


async def test_grid_when_moving_past_the_screen_then_it_scrolls(stage: MakeStage) -> None:
    grid = Grid(COLUMNS)
    async with stage(grid).run_test(size=(30, 4)) as pilot:
        grid.show(table(*(f"r{at:02}" for at in range(20))))
        grid.move(Motion.BOTTOM)
        await pilot.pause()
        assert screen_text(grid)[-1].startswith(" r19")
        grid.move(Motion.TOP)
        await pilot.pause()
        assert screen_text(grid)[1].startswith(" r00")


async def test_grid_when_clicked_then_moves_and_a_second_click_opens(stage: MakeStage) -> None:
    grid = Grid(COLUMNS)
    app = stage(grid)
    async with app.run_test(size=(30, 5)) as pilot:
        grid.show(table("a", "b"))
        await pilot.click(grid, offset=(3, 2))
        assert (grid.cursor_key, app.heard) == ("b", [])
        await pilot.click(grid, offset=(3, 2))
        assert app.heard == ["opened"]


async def test_grid_when_the_header_is_sorted_then_an_arrow_says_so(stage: MakeStage) -> None:
    grid = Grid(COLUMNS)
    async with stage(grid).run_test(size=(30, 5)) as pilot:
        grid.show(table("a"), sorted_by=("name", True))
        await pilot.pause()
        assert screen_text(grid)[0].startswith(" NAME ↓")


@given(hostile_text, hostile_text)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_grid_when_cells_are_hostile_then_strips_are_clean(
    stage: MakeStage, first: str, second: str
) -> None:
    grid = Grid(COLUMNS)
    async with stage(grid).run_test(size=(30, 4)) as pilot:
        grid.show(TableRows((row("key", line(first), line(first, second)),)))
        await pilot.pause()
        for y in range(grid.size.height):
            strip = grid.render_line(y)
            assert not offending(strip.text)
            assert strip.cell_length == grid.scrollable_content_region.width
