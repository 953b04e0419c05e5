"""Which release this is."""

from __future__ import annotations

from importlib import metadata


def version() -> str:
    """The installed release; `unknown` in a checkout that was never installed."""
    try:
        return metadata.version("k8tre-tui")
    except metadata.PackageNotFoundError:
        return "unknown"
