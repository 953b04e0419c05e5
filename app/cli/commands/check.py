"""`check`: do the boundaries hold?"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from app.cli.context import Context
from app.cli.options import add_output_options

if TYPE_CHECKING:
    from app.core.diagnose.boundaries import Ruling
    from app.core.model.provenance import Notice

UNREAD = 3
"""The code of a source that failed: no promise can be made over what is not known."""

EXAMPLE = """  k8tre-tui check boundaries.toml --snapshot ./gitops
  k8tre-tui check boundaries.toml --snapshot ./gitops -o junit > boundaries.xml
  k8tre-tui check --demo

a boundary is a table [[boundary]] with name, from, to, ports, must = "allow" or "deny", and why;
exit code 1 when one does not hold, 3 when all hold but what is not known might break one"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The words of this command."""
    parser.add_argument(
        "file", nargs="?", default="", metavar="FILE", help="TOML; default: check.boundaries"
    )
    add_output_options(parser, ("table", "json", "yaml", "junit"))


def run(context: Context) -> int:
    """Decide each, and say what breaks those that do not hold."""
    from app.core.diagnose.boundaries import doubted, judge_boundaries
    from app.core.errors import UsageError
    from app.core.model.unread import could_decide
    from app.services.wording import counted

    picture = context.load(boundaries=context.args.file).picture
    if not picture.boundaries:
        raise UsageError("there are no boundaries to check", hint="name a file of them")
    engine = picture.engine
    rulings = doubted(judge_boundaries(picture.boundaries, engine), engine)
    _print(context, rulings, picture.notices)
    if not all(one.holds for one in rulings):
        return 1
    if unread := [one for one in picture.cluster.unread if could_decide(one)]:
        context.out.say(f"not certain: {counted(len(unread), 'part')} could not be read (doctor)")
    return UNREAD if unread or any(one.not_known for one in rulings) else 0


def _print(context: Context, rulings: tuple[Ruling, ...], notices: tuple[Notice, ...]) -> None:
    from app.cli.render.boundaries import print_junit, print_rulings
    from app.services.contract import listing, ruling_form

    if context.args.output == "table":
        print_rulings(context.out, rulings)
    elif context.args.output == "junit":
        print_junit(context.out, rulings)
    else:
        context.print_documents([listing(map(ruling_form, rulings), notices)])
