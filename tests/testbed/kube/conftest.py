from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.testbed.binaries import require
from tests.testbed.kube.server import KubeServer


@pytest.fixture(scope="session")
def kube(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeServer]:
    """One API server with Cilium's kinds for the whole session; a namespace per test."""
    server = _start(tmp_path_factory.mktemp("kube"))
    try:
        server.install_crds()
        yield server
    finally:
        server.stop()


@pytest.fixture
def forgetful_kube(tmp_path: Path) -> Iterator[KubeServer]:
    """An API server that forgets old versions within seconds, so that 410 Gone really comes."""
    server = _start(tmp_path, "--etcd-compaction-interval=1s", "--watch-cache=false")
    try:
        yield server
    finally:
        server.stop()


def _start(folder: Path, *extra: str) -> KubeServer:
    server = KubeServer(folder, require("etcd", "kube-apiserver", "crds"), extra)
    try:
        server.start()
    except BaseException:
        server.stop()
        raise
    return server
