import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, note, settings

from tests.integrations.kustomize.bank import (
    REFUSED,
    Case,
    build_ours,
    build_real,
    by_id,
    parse,
)
from tests.integrations.kustomize.random_trees import Files, trees
from tests.testbed.binaries import require


@pytest.mark.testbed
@settings(
    max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
@given(trees())
def test_random_kustomizations_give_what_the_real_one_gives(files: Files) -> None:
    require("kustomize")
    with tempfile.TemporaryDirectory() as folder:
        Case("random", files, "").write(Path(folder))
        printed = build_real(Path(folder))
        built = build_ours(Path(folder))
    for name, text in files.items():
        note(f"-- {name} --\n{text}")
    if printed == REFUSED:
        assert built.refused
        return
    assert not built.refused
    assert by_id(one.body for one in built.manifests) == by_id(parse(printed))
