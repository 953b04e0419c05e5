"""`what-if`: what would a draft change, before anybody makes it?"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from app.cli.context import Context
from app.cli.options import add_output_options

if TYPE_CHECKING:
    from app.core.model.provenance import ObjectRef
    from app.services.picture import Picture

EXAMPLE = """  k8tre-tui what-if -f draft.yaml --snapshot ./gitops --flows events.log
  k8tre-tui what-if --delete CNP/project-lung/workspace --demo -o json

objects of the draft take the place of those of the same name; exit code 1 when a boundary that
holds would be broken, or Cilium would refuse the draft"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The words of this command."""
    parser.add_argument(
        "-f",
        "--file",
        action="append",
        default=[],
        metavar="FILE",
        help="policies as they would be; may be repeated",
    )
    parser.add_argument(
        "--delete",
        action="append",
        default=[],
        metavar="POLICY",
        help="a policy as if it were gone: NAME, NS/NAME or KIND/NS/NAME; may be repeated",
    )
    add_output_options(parser, ("table", "json", "yaml"))


def run(context: Context) -> int:
    """Compare, and print the effect."""
    from app.bootstrap.drafts import load_drafts
    from app.cli.render.effect import print_effect
    from app.core.errors import UsageError
    from app.services.contract import document, effect_form
    from app.services.effect import effect_of, with_changes

    args = context.args
    if not args.file and not args.delete:
        raise UsageError("what would change?", hint="-f DRAFT.yaml, or --delete POLICY")
    workspace = context.load(flows=context.recent_flows)
    before = workspace.picture
    drafts = load_drafts(tuple(args.file), context.sources) if args.file else ()
    after = with_changes(
        before,
        workspace.manifests(),
        upserts=drafts,
        deletes=[_named(before, name) for name in args.delete],
    )
    report = effect_of(before, after, flows=workspace.evidence())
    if args.output == "table":
        print_effect(context.out, report)
    else:
        context.print_documents([document(effect_form(report))])
    return 1 if report.broken or report.refused else 0


def _named(picture: Picture, name: str) -> ObjectRef:
    from app.core.errors import Ambiguous, NotFound
    from app.services.inventory import find_policies

    found = tuple(dict.fromkeys(row.ref for row in find_policies(picture, name)))
    if not found:
        raise NotFound(f"no policy is called `{name}`")
    if len(found) > 1:
        choices = tuple(map(str, found))
        raise Ambiguous(f"`{name}` is {len(found)} policies: {', '.join(choices)}", choices=choices)
    return found[0]
