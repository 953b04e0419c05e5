"""The grammar of the command line: one table of commands, each in a module of its own.

Only the module of the command that was typed is imported, so that `--help` stays fast.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, NoReturn

from app.cli.options import add_log_options, add_source_options
from app.core.errors import UsageError

PROGRAM = "k8tre-tui"

DESCRIPTION = "Why is this connection blocked? Cilium and Kubernetes network policies, explained."

EPILOG = f"""without a command: the terminal interface

  {PROGRAM} --demo
  {PROGRAM} why project-lung/jupyter svc:mirror/mirror:80
  {PROGRAM} policies --snapshot ./gitops --set DOMAIN=tre.example.org

exit codes: 0 fine · 1 the answer is no · 2 wrong usage or input · 3 a source failed or could not be
read · 70 a defect of this program · 74 the output could not be written · 130 stopped · 141 its
reader went away
"""


@dataclass(frozen=True, slots=True)
class Command:
    """A command: `module` has `EXAMPLE`, `configure(parser)` and `run(context)`."""

    name: str
    summary: str
    module: str


COMMANDS = (
    Command("policies", "list policies, or explain one", "app.cli.commands.policies"),
    Command("endpoints", "list endpoints and what restricts them", "app.cli.commands.endpoints"),
    Command("flows", "show flows, as hubble observe does", "app.cli.commands.flows"),
    Command("why", "say whether a connection is allowed, and why", "app.cli.commands.why"),
    Command("what-if", "say what a draft would change", "app.cli.commands.what_if"),
    Command("draft", "write the change that would allow a connection", "app.cli.commands.draft"),
    Command("drafts", "list own drafts, end expired ones, verify", "app.cli.commands.drafts"),
    Command("matrix", "list who may talk to whom", "app.cli.commands.matrix"),
    Command("check", "say whether the boundaries hold", "app.cli.commands.check"),
    Command(
        "alerts", "say what was refused, why, and what is not usual", "app.cli.commands.alerts"
    ),
    Command("insights", "say how connections work, and what is used", "app.cli.commands.insights"),
    Command("evidence", "write the proof that auditors ask for", "app.cli.commands.evidence"),
    Command("record", "keep flows without a screen, and serve metrics", "app.cli.commands.record"),
    Command("lint", "find policies that do not do what they say", "app.cli.commands.lint"),
    Command("snapshot", "write down what was read", "app.cli.commands.snapshot"),
    Command(
        "conformance", "judge the engine against recorded verdicts", "app.cli.commands.conformance"
    ),
    Command("doctor", "say what was found, and what is missing", "app.cli.commands.doctor"),
    Command("bot", "answer questions in Slack, or here to try it", "app.cli.commands.bot"),
    Command("config", "show, check or find the settings", "app.cli.commands.config"),
)


class Parser(argparse.ArgumentParser):
    """argparse with this program's one form of error."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage and leaving."""
        raise UsageError(message, hint=f"{self.prog} --help")


class SayVersion(argparse.Action):
    """Like argparse's own action, but the version is looked for when it is asked for only."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        """Print it and leave."""
        from app.cli.version import version

        del namespace, values, option_string
        print(f"{PROGRAM} {version()}")
        parser.exit()


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the words of a command line. Raises `UsageError`."""
    args, unknown = build_parser(argv).parse_known_args(argv)
    if unknown:
        hint = f"{PROGRAM} {args.command}".rstrip()
        raise UsageError(f"unknown: {' '.join(unknown)}", hint=f"{hint} --help")
    return args


def build_parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    """The parser for `argv`: complete for the command in it, names only for the others."""
    parser = Parser(
        prog=PROGRAM,
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--version", action=SayVersion, nargs=0, help="show program's version number and exit"
    )
    parser.set_defaults(module="app.cli.commands.ui", command="")
    add_source_options(parser, top=True)
    add_log_options(parser, top=True)
    commands = parser.add_subparsers(
        title="commands", metavar="COMMAND", dest="command", parser_class=Parser
    )
    for command in COMMANDS:
        _add_command(commands, command, complete=command.name in argv)
    return parser


def _add_command(commands: Any, command: Command, *, complete: bool) -> None:
    if not complete:
        commands.add_parser(command.name, help=command.summary)
        return
    module = import_module(command.module)
    parser = commands.add_parser(
        command.name,
        help=command.summary,
        description=f"{command.summary[0].upper()}{command.summary[1:]}.",
        epilog=f"example:\n{module.EXAMPLE}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    module.configure(parser)
    add_source_options(parser, top=False)
    add_log_options(parser, top=False)
    parser.set_defaults(module=command.module)
