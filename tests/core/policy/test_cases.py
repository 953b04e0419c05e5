from pathlib import Path

import pytest

from app.services.conformance import judge_case, run
from tests.core.policy.cases import CASES, FIXTURE, Tree, load, to_case

FILES = sorted(path.name for path in CASES.glob("*.yaml") if path.name != FIXTURE)
RECORDED = sorted((CASES.parent / "recorded").glob("*.jsonl.gz"))


def _all_cases() -> list[tuple[str, Tree]]:
    return [(name, case) for name in FILES for case in load(name)]


def _name(value: object) -> str:
    return f"{value['name']}@{value['version']}" if isinstance(value, dict) else str(value)


@pytest.mark.parametrize(("file", "written"), _all_cases(), ids=_name)
def test_verdict_when_a_readable_case_is_asked_then_is_what_cilium_says(
    file: str, written: Tree
) -> None:
    differences = [str(found) for found in judge_case(to_case(written), file, 0)]

    assert differences == []


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.name)
def test_verdicts_when_random_clusters_were_recorded_then_agree(path: Path) -> None:
    report = run([str(path)])

    assert [str(found) for found in report] == []
    assert report.verdicts > 0
