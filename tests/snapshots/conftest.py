"""Looks are compared with one version of Textual only: another one draws differently."""

from __future__ import annotations

import textual

PINNED = "8.2.8"


def pytest_configure() -> None:
    if textual.__version__ != PINNED:
        raise RuntimeError(f"snapshots were taken with textual {PINNED}, not {textual.__version__}")
