"""`doctor`: what was found, what is missing, and how to mend it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from app.cli.context import Context
from app.cli.options import add_output_options
from app.cli.output import Output, Style

if TYPE_CHECKING:
    from app.ports import Right
    from app.services.doctor import Check
    from app.services.workspace import Workspace

EXAMPLE = """  k8tre-tui doctor
  k8tre-tui doctor --snapshot ./gitops -o json
  k8tre-tui doctor --report > report.txt

exit code 3 when a source, or a part of one, could not be read"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The words of this command."""
    parser.add_argument(
        "--can-i", action="store_true", help="which kinds may be read, and what each missing costs"
    )
    parser.add_argument(
        "--report", action="store_true", help="what a bug report needs; it names nothing of yours"
    )
    add_output_options(parser, ("table", "json", "yaml"))


def run(context: Context) -> int:
    """Look at everything; a source that fails is a finding, not an error."""
    from app.ports import FlowRequest
    from app.services.contract import check_form, listing, right_form
    from app.services.doctor import examine

    workspace = context.load(flows=FlowRequest(follow=False, last=1), strict=False)
    picture = workspace.picture
    if context.args.can_i:
        context.print_items(picture.rights, right_form, _rights_table)
        return 0
    if context.args.report:
        return _report(context, workspace)
    checks = examine(picture, context.surroundings())
    if context.args.output == "table":
        for check in checks:
            _print_check(context.out, check)
    else:
        context.print_documents([listing(map(check_form, checks), picture.notices)])
    failed = any(state.is_broken or state.unheard for state in picture.sources.values())
    broken = failed or bool(picture.cluster.unread)
    return 3 if broken else 0


def _report(context: Context, workspace: Workspace) -> int:
    """Print the report; what cannot be read is part of it."""
    from app.bootstrap.sources import SystemClock
    from app.cli.installed import look_at_installation
    from app.services.bug_report import report_lines, write_report
    from app.services.contract import document

    report = write_report(
        workspace.picture,
        look_at_installation(context.args, context.config),
        objects=workspace.manifests(),
        flows={"kept": len(workspace.ring), "lost": workspace.ring.lost.total()},
        now_ns=SystemClock().now_ns(),
    )
    if context.args.output == "table":
        for line in report_lines(report):
            context.out.line(line)
    else:
        context.print_documents([document(report)])
    return 0


SIGNS = {"fine": ("✓", Style.GOOD), "missing": ("-", Style.WARN), "broken": ("✗", Style.BAD)}
TEXT_COLUMN = 13


def _print_check(out: Output, check: Check) -> None:
    sign, style = SIGNS[check.health.value]
    out.line(f"{out.paint(sign, style)} {check.area:<11}{out.wrap(check.text, TEXT_COLUMN)}")
    if check.fix:
        out.line(f"{'':{TEXT_COLUMN}}{out.wrap(check.fix, TEXT_COLUMN)}")


def _rights_table(out: Output, rights: Sequence[Right]) -> None:
    if not rights:
        out.say("only a live cluster has rights to ask about")
        return
    words = {True: "yes", False: "no", None: "no such kind"}
    rows = [
        (right.kind, right.verb, words[right.allowed], right.scope, right.cost) for right in rights
    ]
    out.table(("KIND", "VERB", "ALLOWED", "SCOPE", "WITHOUT IT"), rows)
