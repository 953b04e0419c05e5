from collections.abc import Iterator

import pytest

from tests.fuzz.seed import SEED


def pytest_report_header() -> str:
    return f"fuzzing: FUZZ_SEED={SEED}"


@pytest.fixture(autouse=True, scope="session")
def _own_cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What tests read is not kept in the cache of whoever runs them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("xdg-cache")))
        yield
