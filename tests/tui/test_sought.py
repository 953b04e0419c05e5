"""The filter of tables."""

from __future__ import annotations

import pytest

from app.core.errors import UsageError
from app.tui.sought import complete, hint, sift
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
