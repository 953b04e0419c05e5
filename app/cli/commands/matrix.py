"""`matrix`: who may talk to whom."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator
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
    from app.core.model.verdict import Verdict
    from app.services.contract import matrix_form
    from app.services.matrix import By, matrix

    picture = context.load().picture
    context.check_scope(picture)
    verdicts = tuple(map(Verdict, context.args.verdict or ()))
    rows = _each_once(matrix(picture, By(context.args.by), _chooser(context), verdicts))
    if context.args.output == "csv":
        matrix_csv(context.out, rows)
    else:
        context.print_items(list(rows), matrix_form, matrix_table, picture.notices)
    return 0


def _each_once(rows: Iterable[MatrixRow]) -> Iterator[MatrixRow]:
    """Rows as they come, none twice: identities of one name may have the same answers."""
    seen: set[MatrixRow] = set()
    for row in rows:
        if row not in seen:
            seen.add(row)
            yield row


def _chooser(context: Context) -> Callable[[Party, Party], bool]:
    args = context.args

    def wanted(source: Party, destination: Party) -> bool:
        here = context.in_scope(source.namespace) or context.in_scope(destination.namespace)
        return here and args.source in source.name and args.destination in destination.name

    return wanted
