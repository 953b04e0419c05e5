"""`bot`: answer questions in Slack, or on this machine to try it; check the record of questions."""

from __future__ import annotations

import argparse
import asyncio
import signal
from dataclasses import replace
from typing import TYPE_CHECKING

from app.cli.context import Context
from app.cli.logged import serves_chat
from app.core.errors import UsageError

if TYPE_CHECKING:
    from app.services.picture import Picture
    from app.services.tasks import Tasks
    from app.services.workspace import Workspace

EXAMPLE = """  k8tre-tui bot --demo
  K8TRE_TUI_SLACK_BOT_TOKEN_FILE=bot.token K8TRE_TUI_SLACK_APP_TOKEN_FILE=app.token k8tre-tui bot
  k8tre-tui bot audit verify

who may ask, and where, is in the settings (section bot); docs/slack.md tells how to set it up"""

AUDIT_VERIFY = ("audit", "verify")


def configure(parser: argparse.ArgumentParser) -> None:
    """The words of this command."""
    parser.add_argument(
        "what",
        nargs="*",
        metavar="audit verify",
        help="check the record of questions instead: that no line was changed, taken out or put in",
    )
    parser.add_argument(
        "--file", default="", metavar="FILE", help="of `audit verify`: another record"
    )
    parser.add_argument(
        "--local",
        action="store_true",
        help="no Slack: a prompt in front of a local stand-in (always so with --demo)",
    )


def run(context: Context) -> int:
    """Serve until interrupted or told to end; a local conversation ends with its input."""
    if words := tuple(context.args.what):
        if words != AUDIT_VERIFY:
            raise UsageError(f"`{' '.join(words)}` is nothing the bot does", hint="audit verify")
        return _verify(context)
    asyncio.run(_serve(context))
    return 0


def _verify(context: Context) -> int:
    from pathlib import Path

    from app.bootstrap.chat import audit_file
    from app.bot.audit_check import check_log

    named = context.args.file
    path = Path(named) if named else audit_file(context.config.settings)
    checked = check_log(path)
    for one in checked.broken:
        context.out.line(str(one))
    whole = "whole" if not checked.broken else f"broken in {len({*checked.broken})} places"
    context.out.line(f"{path}: {checked.lines} lines in {checked.files} files, {whole}")
    if checked.begins > 1:
        context.out.line(f"it begins with number {checked.begins}: what was before is not here")
    context.out.line(f"last {checked.last}")
    context.out.say("kept elsewhere, the last hash shows later whether lines were cut off the end")
    return 1 if checked.broken else 0


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
            await _answer(context, workspace, tasks)


async def _answer(context: Context, workspace: Workspace, tasks: Tasks) -> None:
    from app.bootstrap.chat import (
        build_desk,
        build_role_workspaces,
        build_slack,
        slack_access,
        state_folder,
    )
    from app.bootstrap.office import build_drafts, open_office, telling_status
    from app.bot.pool import prompt_turns

    settings = context.config.settings
    access = slack_access(context.environ, settings.bot)
    by_role = build_role_workspaces(context.sources, settings)
    for role, one in by_role.items():
        tasks.start(f"workspace of the role {role}", one.run())
    desk = build_desk(workspace, settings, context.sources.title, by_role)
    chat = build_slack(desk, access)
    drafts = build_drafts(context.sources, settings, context.environ, pull_request=True)
    shelf = state_folder() / "bot.sqlite"
    rooms = open_office(desk, chat, workspace, settings, drafts=drafts, shelf=shelf)
    tasks.start("requests", rooms.follow_up.run())
    tasks.start("alerts", rooms.alerting.run())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, chat.stop)
    async with telling_status(desk, chat, settings.bot.status):
        with prompt_turns():
            await chat.run()


async def _try_out(context: Context, workspace: Workspace) -> None:
    from app.bootstrap.chat import build_local_desk
    from app.bootstrap.office import build_drafts, open_office
    from app.services.tasks import Tasks
    from integrations.slack.console import converse, local_chat
    from integrations.slack.local_people import CHANNEL

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
    settings = context.config.settings
    settings = replace(settings, bot=replace(settings.bot, operators=CHANNEL))
    drafts = build_drafts(context.sources, settings, context.environ, pull_request=False)
    async with local_chat(desk, context.out.line) as (server, chat):
        rooms = open_office(desk, chat, workspace, settings, drafts=drafts)
        async with Tasks(lambda caught: context.out.line(str(caught))) as tasks:
            tasks.start("slack", chat.run())
            tasks.start("requests", rooms.follow_up.run())
            tasks.start("alerts", rooms.alerting.run())
            await server.connected()
            await converse(server, read_line, context.out.line)


def _has_something_to_say(picture: Picture) -> bool:
    """Whether objects were read, or a source said why not."""
    failed = any(state.is_broken for state in picture.sources.values())
    return failed or bool(picture.cluster.namespaces or picture.cluster.policies)
