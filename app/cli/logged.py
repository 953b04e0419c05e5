"""Runs a command inside the log it asks for, and logs how it began and ended.

The command's words are not logged: they hold names.
"""

from __future__ import annotations

import logging
import os
import platform
import time
from importlib import import_module

from app.bootstrap.log import STDERR, LogChoice, choose_log, open_log
from app.cli.context import Context
from app.cli.version import version
from app.core.errors import K8treError, UsageError

_log = logging.getLogger("k8tre_tui.cli")


def run_logged(context: Context) -> int:
    """Give the exit code of the command. Raises what it raises, and `ConfigError` for the log."""
    with open_log(_choice(context), context.environ, context.out.stderr):
        began = time.monotonic()
        command = context.args.command or "ui"
        if _log.isEnabledFor(logging.INFO):  # to find the version takes longer than to parse
            about = {"version": version(), "python": platform.python_version(), "pid": os.getpid()}
            _log.info("command started", extra={"command": command, **about})
        try:
            code: int = import_module(context.args.module).run(context)
        except K8treError as error:
            kind = type(error).__name__
            said = {"kind": kind, "said": error.message, "hint": error.hint}
            _log.error("command failed", extra={"command": command, **said})
            raise
        except Exception:
            _log.exception("unforeseen error", extra={"command": command})
            raise
        ms = round((time.monotonic() - began) * 1000)
        _log.info("command ended", extra={"command": command, "code": code, "ms": ms})
        return code


def _choice(context: Context) -> LogChoice:
    """What the words and the environment say; a bot that serves a chat logs in any case."""
    args = context.args
    choice = choose_log(
        context.environ, file=args.log_file, level=args.log_level, form=args.log_format
    )
    if not choice.file and serves_chat(context):
        return LogChoice(STDERR, choice.level, args.log_format or "json")
    if choice.file == STDERR and not args.command:
        raise UsageError("the screen is drawn where the log would go: name a file for it")
    return choice


def serves_chat(context: Context) -> bool:
    """Whether this is the bot in Slack, whose standard error is its log."""
    args = context.args
    return args.command == "bot" and not (args.local or args.demo or args.what)
