"""The same paths as they were at a revision, so that only what is new since is told."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from app.bootstrap.lint import Target, read_target
from app.bootstrap.sources import Sources
from app.config import Settings
from app.core.errors import UsageError
from app.services.picture import Picture


def target_at(sources: Sources, settings: Settings, paths: Sequence[str], revision: str) -> Target:
    """Read what `paths` (else the snapshots) were at a revision of their checkout.

    A path that was not there then gives nothing. Raises `UsageError` outside of a checkout, and
    `SourceUnavailable` for a revision that git does not know.
    """
    from dataclasses import replace

    named = [Path(path) for path in (paths or sources.snapshots)]
    root = _checkout(named)
    with _unpacked(root, revision) as folder:
        moved = [folder / path.resolve().relative_to(root) for path in named]
        there = tuple(str(path) for path in moved if path.exists())
        if not there:
            return Target(_nothing())
        if any(path.is_file() for path in moved):
            # a file was judged with its checkout around it, and so it must be here
            around = replace(sources, snapshots=(str(folder),))
            return read_target(around, settings, there)
        return read_target(replace(sources, snapshots=()), settings, there)


def _nothing() -> Picture:
    from app.services.picture import empty_picture

    return empty_picture()


def _checkout(paths: Sequence[Path]) -> Path:
    for path in paths:
        real = path.resolve()
        for folder in (real, *real.parents):
            if (folder / ".git").exists():
                return folder
    raise UsageError("--diff needs files of a git checkout", hint="name them, or --snapshot")


@contextmanager
def _unpacked(root: Path, revision: str) -> Iterator[Path]:
    """The tree of a revision in a folder of its own, which goes away afterwards."""
    with TemporaryDirectory(prefix="k8tre-tui-lint-") as name:
        folder = Path(name).resolve()
        asyncio.run(_export(root, revision, folder))
        yield folder


async def _export(root: Path, revision: str, folder: Path) -> None:
    from integrations.git.local import LocalGit

    repo = LocalGit(root, revision)
    await repo.export(await repo.base(), folder)
