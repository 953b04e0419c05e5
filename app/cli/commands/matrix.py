"""`matrix`: who may talk to whom."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from app.cli.context import Context
from app.cli.options import add_namespace_options, add_output_options

if TYPE_CHECKING:
    from app.services.matrix import MatrixRow, Party

EXAMPLE = """  k8tre-tui matrix -n project-lung --demo
  k8tre-tui matrix --from project-lung/ --verdict allowed -o csv --demo"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The words of this command."""
    parser.add_argument(
        "--by",
        choices=("identity", "workload"),
        default="workload",
        help="what a row's ends are (default: workload)",
    )
    parser.add_argument(
        "--from",
        dest="source",
        default="",
        metavar="TEXT",
        help="only sources whose name has this in it",
    )
    parser.add_argument(
        "--to",
        dest="destination",
        default="",
        metavar="TEXT",
        help="only destinations whose name has this in it",
    )
    parser.add_argument(
        "--verdict",
        choices=("allowed", "denied", "redirected"),
        action="append",
        help="only rows with this verdict; may be repeated",
    )
    add_namespace_options(parser)
    add_output_options(parser, ("table", "csv", "json", "jsonl", "yaml"))


def run(context: Context) -> int:
    """Ask every pair and print the rows."""
    from app.cli.render.matrix import matrix_csv, matrix_table
    from app.services.contract import matrix_form
    from app.services.matrix import By, matrix

    picture = context.load().picture
    context.check_scope(picture)
    found = matrix(picture, By(context.args.by), _chooser(context))
    rows = [row for row in dict.fromkeys(found) if _has_verdict(context, row)]
    if context.args.output == "csv":
        matrix_csv(context.out, rows)
    else:
        context.print_items(rows, matrix_form, matrix_table, picture.notices)
    return 0


def _chooser(context: Context) -> Callable[[Party, Party], bool]:
    args = context.args

    def wanted(source: Party, destination: Party) -> bool:
        here = context.in_scope(source.namespace) or context.in_scope(destination.namespace)
        return here and args.source in source.name and args.destination in destination.name

    return wanted


def _has_verdict(context: Context, row: MatrixRow) -> bool:
    return not context.args.verdict or row.verdict.value in context.args.verdict
