"""The environments of a checkout, one after the other: the same question over each."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from app.cli.context import Context

if TYPE_CHECKING:
    from app.ports import Environment
    from app.services.workspace import Workspace


def in_each(
    context: Context, environments: tuple[Environment, ...], *, boundaries: str = ""
) -> Iterator[tuple[Environment, Workspace]]:
    """Yield each environment with what it deploys, by its policies alone."""
    from app.bootstrap.workspace import build_workspace

    for one in environments:
        chosen = replace(context.sources, env=one.env, clusters=one.clusters, flows="")
        settings = context.config.settings
        workspace = build_workspace(
            chosen, settings, follow=False, flows=False, boundaries=boundaries
        )
        asyncio.run(_load(workspace))
        yield one, workspace


async def _load(workspace: Workspace) -> None:
    await workspace.load(strict=False)
    await workspace.close()
