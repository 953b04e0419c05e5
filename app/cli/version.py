"""Which release this is."""

from __future__ import annotations


def version() -> str:
    """The installed release; `unknown` in a checkout that was never installed."""
    from importlib import metadata

    try:
        return metadata.version("k8tre-tui")
    except metadata.PackageNotFoundError:
        return "unknown"
