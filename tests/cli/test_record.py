"""`record` over the demo: flows are kept, and it goes on where it ended."""

import re

from tests.cli.conftest import Run

WORDS = ("record", "--demo", "--listen", "127.0.0.1:0", "--for")


def test_record_when_run_twice_then_keeps_flows_and_goes_on(run: Run) -> None:
    first = run(*WORDS, "2.5")
    assert first.code == 0, first.err
    assert "metrics at http://127.0.0.1:" in first.err
    received = [
        int(one.replace(",", "")) for one in re.findall(r"([\d,]+) flows received", first.err)
    ]
    assert received[-1] > 100
    again = run(*WORDS, "2.5")
    assert again.code == 0
    more = [int(one.replace(",", "")) for one in re.findall(r"([\d,]+) flows received", again.err)]
    assert more[-1] < received[-1], "what was kept is not asked for again"


def test_record_when_there_is_nothing_to_record_then_it_says_so(run: Run) -> None:
    assert run("record", "--flows", "x.jsonl").code == 2
    assert run("record", "--demo", "--listen", "nonsense").code == 2
