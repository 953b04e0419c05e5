from pathlib import Path

import pytest

from tests.integrations.kustomize.bank import (
    REFUSED,
    Case,
    build_ours,
    build_real,
    by_id,
    cases,
    parse,
)
from tests.testbed.binaries import require

BANK = cases()


def test_bank_holds_at_least_sixty_kustomizations() -> None:
    assert len(BANK) >= 60
    assert all(case.expected for case in BANK)


@pytest.mark.parametrize("case", BANK, ids=lambda case: case.name)
def test_build_gives_the_objects_of_kustomize_build(case: Case, tmp_path: Path) -> None:
    case.write(tmp_path)
    built = build_ours(tmp_path)
    if case.expected == REFUSED:
        assert built.refused
        return
    assert by_id(one.body for one in built.manifests) == by_id(parse(case.expected))
    assert not built.refused
    assert not built.missing


@pytest.mark.testbed
@pytest.mark.parametrize("case", BANK, ids=lambda case: case.name)
def test_bank_is_what_the_real_kustomize_says(case: Case, tmp_path: Path) -> None:
    require("kustomize")
    case.write(tmp_path)
    assert build_real(tmp_path) == case.expected
