"""`policies`: every policy object, or one in full."""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING

from app.cli.context import Context
from app.cli.options import add_namespace_options, add_output_options

if TYPE_CHECKING:
    from app.services.inventory import PolicyRow
    from app.services.picture import Picture

EXAMPLE = """  k8tre-tui policies -n jupyterhub --snapshot ./gitops
  k8tre-tui policies CNP/jupyterhub/hub-access --demo"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The words of this command."""
    parser.add_argument(
        "policy", nargs="?", metavar="POLICY", help="one policy: NAME, NS/NAME or KIND/NS/NAME"
    )
    add_namespace_options(parser)
    add_output_options(parser)


def run(context: Context) -> int:
    """List, or show one."""
    picture = context.load().picture
    if context.args.policy:
        return _show(context, picture)
    return _list(context, picture)


def _list(context: Context, picture: Picture) -> int:
    from app.cli.render.lists import policy_table
    from app.services.contract import policy_form
    from app.services.inventory import policy_rows

    context.check_scope(picture)
    rows = policy_rows(picture, context.in_scope)
    table = partial(policy_table, complete=not picture.cluster.unread)
    context.print_items(rows, policy_form, table, picture.notices)
    return 0


def _show(context: Context, picture: Picture) -> int:
    from app.cli.render.lists import policy_page
    from app.services.contract import document, policy_detail_form
    from app.services.inventory import find_policies, policy_detail

    found = find_policies(picture, context.args.policy, context.in_scope)
    details = [policy_detail(picture, row) for row in found]
    if not found:
        raise _not_found(context.args.policy, picture)
    if context.args.output == "yaml":
        context.out.line("---\n".join(detail.yaml for detail in details).rstrip())
    elif context.args.output == "table":
        for detail in details:
            policy_page(context.out, detail)
    else:
        forms = [document(policy_detail_form(detail)) for detail in details]
        context.print_documents(forms)
    return 0


def _not_found(name: str, picture: Picture) -> Exception:
    from difflib import get_close_matches

    from app.core.errors import NotFound
    from app.services.inventory import policy_rows

    rows: tuple[PolicyRow, ...] = policy_rows(picture)
    near = get_close_matches(name.rpartition("/")[2], {row.ref.name for row in rows}, n=3)
    hint = f"did you mean {' or '.join(f'`{one}`' for one in near)}?" if near else ""
    return NotFound(f"no policy is called `{name}`", hint=hint)
