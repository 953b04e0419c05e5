"""`bot`: answer questions in Slack, or on this machine to try it."""

from __future__ import annotations

import argparse
import asyncio
import logging
from typing import TYPE_CHECKING

from app.cli.context import Context
from app.cli.logged import serves_chat

if TYPE_CHECKING:
    from app.services.picture import Picture
    from app.services.workspace import Workspace

_log = logging.getLogger("k8tre_tui.bot")

EXAMPLE = """  k8tre-tui bot --demo
  K8TRE_TUI_SLACK_BOT_TOKEN_FILE=bot.token K8TRE_TUI_SLACK_APP_TOKEN_FILE=app.token k8tre-tui bot

who may ask, and where, is in the settings (section bot); docs/slack.md tells how to set it up"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The words of this command."""
    parser.add_argument(
        "--local",
        action="store_true",
        help="no Slack: a prompt in front of a local stand-in (always so with --demo)",
    )


def run(context: Context) -> int:
    """Serve until interrupted; a local conversation ends with its input."""
    asyncio.run(_serve(context))
    return 0


async def _serve(context: Context) -> None:
    from app.bootstrap.workspace import build_workspace
    from app.services.tasks import Caught, Tasks

    def report(caught: Caught) -> None:
        if not serves_chat(context):  # there, what failed is in the log, and nothing else is said
            context.out.say(str(caught))

    workspace = build_workspace(context.sources, context.config.settings)
    async with Tasks(report) as tasks:
        tasks.start("workspace", workspace.run())
        if context.args.local or context.args.demo:
            await _try_out(context, workspace)
        else:
            await _answer(context, workspace)


async def _answer(context: Context, workspace: Workspace) -> None:
    from app.bootstrap.chat import build_desk, build_slack

    desk = build_desk(workspace, context.config.settings, context.sources.title)
    await build_slack(desk, context.environ, _say).run()


def _say(text: str) -> None:
    """What the chat tells its operator, as a line of the log."""
    _log.info("chat", extra={"said": text})


async def _try_out(context: Context, workspace: Workspace) -> None:
    from app.bootstrap.chat import build_local_desk
    from integrations.slack.console import try_out

    def read_line(prompt: str) -> str:
        context.out.stdout.write(prompt)
        context.out.stdout.flush()
        if not (line := context.stdin.readline()):
            raise EOFError
        return line

    picture = workspace.picture
    while not _has_something_to_say(picture):
        picture = await workspace.newer_than(picture.revision)
    desk = build_local_desk(workspace, context.sources.title)
    await try_out(desk.answer, read_line, context.out.line)


def _has_something_to_say(picture: Picture) -> bool:
    """Whether objects were read, or a source said why not."""
    failed = any(state.is_broken for state in picture.sources.values())
    return failed or bool(picture.cluster.namespaces or picture.cluster.policies)
