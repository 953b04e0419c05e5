from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import UsageError
from app.core.flows.codec import Decoder
from app.services.sheets import Sheet, flow_sheet, no_formula, written
from tests.tui.lab import flows

SHEET = Sheet(("NAME", "SEEN AT"), (("=cmd()", "a|b"), ("x,y", "`c`"), ("", "-")))


def test_csv_when_a_cell_is_a_formula_then_it_is_text() -> None:
    rows = list(csv.reader(io.StringIO(written(SHEET, ".csv"))))
    assert rows == [["NAME", "SEEN AT"], ["'=cmd()", "a|b"], ["x,y", "`c`"], ["", "-"]]


@given(st.text())
def test_cell_when_any_text_then_no_spreadsheet_computes_it(text: str) -> None:
    assert len(text) < 2 or no_formula(text)[0] not in "=+-@\t\r"


def test_json_lines_when_rows_have_no_form_then_texts_by_title() -> None:
    lines = [json.loads(line) for line in written(SHEET, ".jsonl").splitlines()]
    assert lines[0] == {"name": "=cmd()", "seen_at": "a|b"}


def test_json_lines_when_rows_are_flows_then_they_are_read_again() -> None:
    lines = written(flow_sheet(flows()), ".jsonl").splitlines()
    assert [Decoder().decode_line(line) for line in lines] == list(flows())


def test_markdown_when_cells_hold_bars_and_ticks_then_they_stay_cells() -> None:
    assert written(SHEET, ".md").splitlines()[2:4] == [
        "| `=cmd()` | `a\\|b` |",
        "| `x,y` | `` `c` `` |",
    ]


def test_text_when_written_then_columns_stand_under_each_other() -> None:
    assert written(SHEET, ".txt").splitlines()[:2] == ["NAME    SEEN AT", "=cmd()  a|b"]


def test_form_when_unknown_then_the_known_ones_are_named() -> None:
    with pytest.raises(UsageError) as caught:
        written(SHEET, ".xlsx")
    assert ".csv" in caught.value.hint
