"""`check`: do the boundaries hold?"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.cli.context import Context
from app.cli.environments import in_each
from app.cli.options import add_output_options

if TYPE_CHECKING:
    from app.core.diagnose.boundaries import Ruling
    from app.ports import Environment
    from app.services.picture import Picture

UNREAD = 3
"""The code of a source that failed: no promise can be made over what is not known."""

EXAMPLE = """  k8tre-tui check boundaries.toml --snapshot ./gitops
  k8tre-tui check boundaries.toml --snapshot ./gitops -o junit > boundaries.xml
  k8tre-tui check --demo

a boundary is a table [[boundary]] with name, from, to, ports, must = "allow" or "deny", and why;
exit code 1 when one does not hold, 3 when all hold but what is not known might break one; with
--env all each environment of a checkout is checked, in JSON a document each"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The words of this command."""
    parser.add_argument(
        "file", nargs="?", default="", metavar="FILE", help="TOML; default: check.boundaries"
    )
    add_output_options(parser, ("table", "json", "yaml", "junit"))


def run(context: Context) -> int:
    """Decide each, and say what breaks those that do not hold."""
    from app.core.errors import UsageError

    workspace = context.load(boundaries=context.args.file)
    picture = workspace.picture
    if not picture.boundaries:
        raise UsageError("there are no boundaries to check", hint="name a file of them")
    here, *others = (workspace.environments if context.asks_all else ()) or (None,)
    checked = [_checked(picture, here)]
    for one, other in in_each(context, tuple(others), boundaries=context.args.file):
        checked.append(_checked(other.picture, one))
    _print(context, checked)
    codes = [_code(context, one) for one in checked]
    return 1 if 1 in codes else max(codes)


@dataclass(frozen=True, slots=True)
class _Checked:
    """The boundaries over one picture, which is of an environment where all are checked."""

    picture: Picture
    rulings: tuple[Ruling, ...]
    environment: str


def _checked(picture: Picture, environment: Environment | None) -> _Checked:
    from app.services.boundaries import judge

    return _Checked(picture, judge(picture), str(environment or ""))


def _code(context: Context, one: _Checked) -> int:
    from app.core.model.unread import could_decide
    from app.services.wording import counted

    if not all(ruling.holds for ruling in one.rulings):
        return 1
    if unread := [notice for notice in one.picture.cluster.unread if could_decide(notice)]:
        context.out.say(f"not certain: {counted(len(unread), 'part')} could not be read (doctor)")
    return UNREAD if unread or any(ruling.not_known for ruling in one.rulings) else 0


def _print(context: Context, checked: Sequence[_Checked]) -> None:
    from app.cli.render.boundaries import print_junit, print_rulings
    from app.services.contract import listing, ruling_form

    if context.args.output == "table":
        for one in checked:
            print_rulings(context.out, one.rulings, one.environment)
    elif context.args.output == "junit":
        print_junit(context.out, [(one.environment, one.rulings) for one in checked])
    else:
        context.print_documents(
            [
                listing(map(ruling_form, one.rulings), one.picture.notices)
                | ({"environment": one.environment} if one.environment else {})
                for one in checked
            ]
        )
