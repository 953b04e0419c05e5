"""`what-if`: what would a draft change, before anybody makes it?"""

from __future__ import annotations

import argparse

from app.cli.context import Context
from app.cli.options import add_output_options

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
    from app.services.effect import what_if
    from app.services.inventory import one_policy

    args = context.args
    if not args.file and not args.delete:
        raise UsageError("what would change?", hint="-f DRAFT.yaml, or --delete POLICY")
    workspace = context.load(flows=context.recent_flows)
    before = workspace.picture
    drafts = load_drafts(tuple(args.file), context.sources) if args.file else ()
    report = what_if(
        before,
        workspace.manifests(),
        upserts=drafts,
        deletes=[one_policy(before, name) for name in args.delete],
        flows=workspace.evidence(),
    )
    if args.output == "table":
        print_effect(context.out, report)
    else:
        context.print_documents([document(effect_form(report))])
    return 1 if report.broken or report.refused else 0
