"""The filter of tables."""

from __future__ import annotations

import pytest

from app.core.errors import UsageError
from app.tui.sought import complete, hint, sift
from tests.tui.lab import command, driven, make_app, said, shown, until
from widgets.grid import Column, Row
from widgets.spans import line

COLUMNS = (
    Column("name", "NAME", 10),
    Column("kind", "KIND", 4),
    Column("labels", "LABELS", 20, wide=True),
)
ROWS = tuple(
    Row(cells[0], lambda cells=cells: tuple(line(one) for one in cells))  # type: ignore[misc]
    for cells in (
        ("workspace", "CNP", "k8s:app=jupyter k8s:tier=web"),
        ("mirror-in", "CNP", "k8s:app=mirror"),
        ("hub-in", "NP", "k8s:app=hub"),
    )
)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("", ["workspace", "mirror-in", "hub-in"]),
        ("IN", ["mirror-in", "hub-in"]),
        ("!in", ["workspace"]),
        ("in kind:cnp", ["mirror-in"]),
        ("kind:np !kind:cnp", ["hub-in"]),
        ("name:work*,hub*", ["workspace", "hub-in"]),
        ("-l app=hub", ["hub-in"]),
        ("!-l app=hub", ["workspace", "mirror-in"]),
        ("-l app=hu", []),
        ("-f wrk", ["workspace"]),
        ("fd00::1", []),
        ('"unclosed', []),
    ],
)
def test_filter_when_given_then_these_rows_are_left(text: str, left: list[str]) -> None:
    assert [row.key for row in sift(ROWS, COLUMNS, text)] == left


def test_labels_where_there_are_none_are_refused_with_the_table_that_has_them() -> None:
    with pytest.raises(UsageError) as refused:
        sift(ROWS, COLUMNS[:2], "-l app=hub")
    assert "`:endpoints` has" in refused.value.hint


def test_column_when_begun_then_completed() -> None:
    assert complete("in ki", COLUMNS) == "in kind:"
    assert complete("in !ki", COLUMNS) == "in !kind:"
    assert complete("in zz", COLUMNS) is None


def test_hint_names_every_column() -> None:
    assert all(f"{one.key}:" in hint(COLUMNS) for one in COLUMNS)


@pytest.mark.parametrize("text", [":lint /-l app=hub", ":flows /nokey:x", f":flows /{'x' * 3000}"])
async def test_command_with_a_filter_that_cannot_be_read_filters_nothing_and_says_so(
    text: str,
) -> None:
    app = make_app()
    async with driven(app) as pilot:
        await command(pilot, app, text)
        await until(pilot, lambda: "nothing is filtered" in said(app))
        assert "[view" not in shown(app)
