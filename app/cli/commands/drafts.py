"""`drafts`: those of ours that are there already, which are due, and whether they work."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from app.cli.context import Context
from app.cli.options import add_output_options
from app.core.errors import DraftRejected, K8treError

if TYPE_CHECKING:
    from app.bootstrap.drafts import Checkout
    from app.services.drafts import OwnDraft

EXAMPLE = """  k8tre-tui drafts --snapshot ./gitops
  k8tre-tui drafts --due --snapshot ./gitops
  k8tre-tui drafts --verify

of the forge that the settings name, else the branches of the checkout"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The words of this command."""
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--due", action="store_true", help="open the removal of every one that has expired"
    )
    what.add_argument(
        "--verify",
        action="store_true",
        help="ask each merged one's question again, and say the answer under its request",
    )
    parser.add_argument("--dry-run", action="store_true", help="only show what would be done")
    add_output_options(parser, ("table", "json", "yaml"))


def run(context: Context) -> int:
    """List, and do what was asked; 1 when a removal cannot be made, or a merged one is denied."""
    return asyncio.run(_run(context))


async def _run(context: Context) -> int:
    from app.bootstrap.drafts import build_checkout
    from app.bootstrap.forges import has_forge
    from app.bootstrap.sources import SystemClock
    from app.services.drafts import own_drafts

    settings = context.config.settings
    checkout = build_checkout(
        context.sources, settings, context.environ, pull_request=has_forge(settings)
    )
    drafts = await own_drafts(checkout.repo, SystemClock().now_ns())
    done: dict[str, tuple[str, bool]] = {}
    if context.args.due:
        done = await _remove(context, checkout, drafts)
    elif context.args.verify:
        done = await _verify(context, checkout, drafts)
    _print(context, checkout, drafts, done)
    return 0 if all(fine for _, fine in done.values()) else 1


async def _remove(
    context: Context, checkout: Checkout, drafts: Sequence[OwnDraft]
) -> dict[str, tuple[str, bool]]:
    from app.bootstrap.commits import CommitReader
    from app.bootstrap.drafts import DISCLOSURE, load_boundaries
    from app.services.drafts import Remover

    settings = context.config.settings
    commits = CommitReader(checkout.repo, checkout.root, context.sources, settings)
    boundaries = load_boundaries(context.sources, settings)
    if settings.repo.read_only and not context.args.dry_run:
        raise DraftRejected("drafts are switched off here", hint="by repo.read_only")
    public = DISCLOSURE[settings.repo.disclosure]
    remover = Remover(checkout.repo, commits, boundaries, public)
    done = {}
    for draft in (one for one in drafts if one.is_due):
        try:
            if context.args.dry_run:
                change = await remover.change(draft)
                done[draft.kept.branch] = f"would open {change.branch}", True
                continue
            proposal = await remover.remove(draft)
            done[draft.kept.branch] = f"removal: {proposal.url or proposal.branch}", True
        except K8treError as error:
            done[draft.kept.branch] = f"not removed: {error}", False
    return done


async def _verify(
    context: Context, checkout: Checkout, drafts: Sequence[OwnDraft]
) -> dict[str, tuple[str, bool]]:
    from app.services.drafts import EXPIRED, MERGED, verified

    workspace = await context.read(flows=context.recent_flows)
    done = {}
    for draft in (one for one in drafts if one.state in (MERGED, EXPIRED)):
        try:
            words, allowed = verified(draft, workspace.picture, workspace.evidence())
        except K8treError as error:
            done[draft.kept.branch] = f"cannot be asked again: {error}", False
            continue
        if words and not context.args.dry_run:
            await checkout.repo.comment(draft.kept, words)
        done[draft.kept.branch] = words or "its question is not kept", allowed
    return done


def _print(
    context: Context,
    checkout: Checkout,
    drafts: Sequence[OwnDraft],
    done: dict[str, tuple[str, bool]],
) -> None:
    if context.args.output != "table":
        from app.services.draft_forms import drafts_form

        context.print_documents([drafts_form(drafts, checkout.repo.name, done)])
        return
    if not drafts:
        context.out.say(f"no drafts of ours in {checkout.repo.name}")
        return
    from app.cli.render.drafts import print_drafts

    print_drafts(context.out, drafts, {branch: words for branch, (words, _) in done.items()})
