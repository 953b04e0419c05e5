from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from integrations.manifests import reader
from integrations.manifests.reader import Loaded, Selected


@pytest.fixture(autouse=True)
def _read_again_from_the_cache(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """In the tests of manifests every reading is done three times: what was kept is the same."""
    if not hasattr(request.module, "load") or "test_manifests" not in request.module.__name__:
        return
    cache = tmp_path_factory.mktemp("cache") / "kept"

    def load(
        paths: Iterable[str],
        sets: Mapping[str, str] | None = None,
        selected: Selected = Selected(),  # noqa: B008  # frozen
    ) -> Loaded:
        named = tuple(paths)
        plain = reader.load(named, sets, selected)
        if any(path == "-" or Path(path).is_fifo() for path in named if "\0" not in path):
            return plain  # what can be read only once
        for _ in ("written", "read"):
            kept = reader.load(named, sets, selected, cache=cache)
            assert told(kept) == told(plain)
        return kept

    monkeypatch.setattr(request.module, "load", load)


def told(loaded: Loaded) -> list[Any]:
    """All of a reading, with what equality leaves out: bodies and lines."""
    several = (loaded.manifests, loaded.shadowed, loaded.undeployed)
    return [
        loaded,
        [
            (one.body, one.source and (one.source.lines, one.source.elsewhere))
            for manifests in several
            for one in manifests
        ],
    ]


@pytest.fixture
def kept_folder(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "manifests"
