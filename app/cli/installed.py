"""What is installed and how it was called, for a bug report."""

from __future__ import annotations

import argparse
import platform
from importlib import metadata

from app.cli.version import version
from app.config import FREE_TABLES, Loaded, show
from app.services.bug_report import Installation

OPTIONS = (
    "demo", "snapshot", "env", "cluster", "rendered", "helm", "flows", "replay", "record", "set",
    "cilium_version", "kubeconfig", "context", "hubble_address",
)  # fmt: skip
PACKAGES = (
    "textual", "kubernetes", "grpcio", "protobuf", "httpx", "slack-bolt", "msgspec", "PyYAML",
    "google-re2",
)  # fmt: skip


def look_at_installation(args: argparse.Namespace, loaded: Loaded) -> Installation:
    """Give releases, and the names of the options and settings in use, never their values."""
    changed = {key for key, _, origin in show(loaded) if origin != "default"}
    sections = {key.partition(".")[0] for key in changed} & set(FREE_TABLES)
    settings = {key for key in changed if key.partition(".")[0] not in FREE_TABLES}
    return Installation(
        version=version(),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        platform=f"{platform.system()} {platform.release()} {platform.machine()}",
        packages={name: _release(name) for name in PACKAGES},
        settings=tuple(settings | sections),
        given=tuple(f"--{name.replace('_', '-')}" for name in OPTIONS if _is_given(args, name)),
    )


def _is_given(args: argparse.Namespace, name: str) -> bool:
    merged = (getattr(args, f"{name}:{depth}", None) for depth in range(3))
    return bool(getattr(args, name, None)) or any(merged)


def _release(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "none"
