"""No command: the terminal interface."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.cli.context import Context
from app.core.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from app.services.drafting import Drafter


def run(context: Context) -> int:
    """Open the interface; sources that fail are shown there, they do not end it."""
    if not (context.out.stdout.isatty() and context.stdin.isatty()):
        raise UsageError(
            "the interface needs a terminal", hint="for pipes there are commands: k8tre-tui --help"
        )
    from app.bootstrap.drafts import load_drafts
    from app.bootstrap.sources import SystemClock, has_sources
    from app.bootstrap.workspace import build_contexts, build_workspace
    from app.tui.app import K8treApp
    from app.tui.places import Place

    settings = context.config.settings
    app = K8treApp(
        build_workspace(context.sources, settings),
        settings,
        clock=SystemClock(),
        context=context.sources.title,
        start=None if has_sources(context.sources, settings, context.environ) else Place("doctor"),
        surroundings=context.surroundings(),
        make_drafter=lambda: _drafter(context),
        contexts=build_contexts(context.sources, settings),
        read_drafts=lambda path: load_drafts((path,), context.sources),
        read_lines=_read_demo_lines if context.sources.demo else _read_lines,
    )
    app.run(mouse=settings.ui.mouse)
    return app.return_code or 0


def _drafter(context: Context) -> Drafter | None:
    """What drafts changes; None when there are no files to change."""
    from app.bootstrap.drafts import build_checkout, build_drafter
    from app.bootstrap.forges import has_forge

    sources, settings = context.sources, context.config.settings
    try:
        checkout = build_checkout(
            sources,
            settings,
            context.environ,
            pull_request=has_forge(settings),
        )
    except ConfigError:
        return None
    return build_drafter(checkout, sources, settings)


def _read_lines(path: str | None) -> tuple[str, ...]:
    from app.bootstrap.lint import read_lines

    return read_lines(path)


def _read_demo_lines(path: str | None) -> tuple[str, ...]:
    from app.bootstrap.lint import read_demo_lines

    return read_demo_lines(path)
