"""`endpoints`: every endpoint with what restricts it, or one in full."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from app.cli.context import Context
from app.cli.options import add_namespace_options, add_output_options

if TYPE_CHECKING:
    from app.services.picture import Picture

EXAMPLE = """  k8tre-tui endpoints -n project-lung --demo
  k8tre-tui endpoints project-lung/jupyter-alice --demo"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The words of this command."""
    parser.add_argument("endpoint", nargs="?", metavar="NS/NAME", help="one endpoint in full")
    add_namespace_options(parser)
    add_output_options(parser)


def run(context: Context) -> int:
    """List, or show those that the words name."""
    picture = context.load().picture
    if context.args.endpoint:
        return _show(context, picture)
    from app.cli.render.lists import endpoint_table
    from app.services.contract import endpoint_form
    from app.services.inventory import endpoint_rows

    context.check_scope(picture)
    rows = endpoint_rows(picture, context.in_scope)
    context.print_items(rows, endpoint_form, endpoint_table, picture.notices)
    return 0


def _show(context: Context, picture: Picture) -> int:
    from app.cli.render.lists import endpoint_page
    from app.services.contract import document, endpoint_detail_form
    from app.services.inventory import endpoint_detail, find_endpoints

    found = find_endpoints(picture, context.args.endpoint)
    details = [endpoint_detail(picture, endpoint) for endpoint in found]
    if context.args.output == "table":
        for detail in details:
            endpoint_page(context.out, detail)
    else:
        context.print_documents([document(endpoint_detail_form(one)) for one in details])
    return 0
