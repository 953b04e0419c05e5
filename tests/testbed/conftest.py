from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.testbed.network import Island, require_namespaces


@pytest.fixture
def island() -> Iterator[Island]:
    """Another host on this machine, or a skip that says what is missing."""
    require_namespaces()
    with Island() as made:
        yield made
