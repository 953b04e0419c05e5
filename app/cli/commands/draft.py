"""`draft`: the smallest change that allows a denied connection, as a branch or a pull request."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from app.cli.commands.why import add_question, asked
from app.cli.context import Context
from app.core.errors import BadInput, UsageError
from app.core.model.kinds import SHORT_KINDS

_KINDS = frozenset(name.lower() for pair in SHORT_KINDS.items() for name in pair)

if TYPE_CHECKING:
    from app.core.diagnose.evidence import FlowEvidence
    from app.core.model.asked import Asked
    from app.ports import Proposal
    from app.services.drafting import Draft, Wish
    from app.services.effect import EffectReport
    from app.services.workspace import Workspace

EXAMPLE = """  k8tre-tui draft gitea/gitea-0 keycloak/keycloak-0 8080 --snapshot ./gitops --dry-run
  k8tre-tui draft --remove CNP:gitea/egress-core:egress[2] --snapshot ./gitops --dry-run
  k8tre-tui draft --from-flows gitea --since 24h --dry-run
  k8tre-tui draft gitea/gitea-0 keycloak/keycloak-0 8080 --snapshot ./gitops --pr --reason 'SSO'

  k8tre-tui draft gitea/gitea-0 keycloak/keycloak-0 8080 --snapshot ./gitops -o sso.patch

without --dry-run, --pr or -o FILE.patch the change is put on a new branch of the checkout; the work
tree is left alone, and nothing is ever written to a cluster"""


_PATCH = ".patch"


def configure(parser: argparse.ArgumentParser) -> None:
    """The words of this command."""
    add_question(parser, optional=True)
    wish = parser.add_argument_group("instead of a question").add_mutually_exclusive_group()
    wish.add_argument(
        "--remove",
        default="",
        metavar="POLICY[:PATH]",
        help="take a policy away, or what stands at a path of it: CNP:NS/NAME:egress[2]",
    )
    wish.add_argument(
        "--tighten",
        default="",
        metavar="POLICY:PATH",
        help="narrow a rule down to what was used of it: CNP:NS/NAME:egress[2]",
    )
    wish.add_argument(
        "--from-flows",
        default="",
        metavar="NS[/WORKLOAD]",
        help="the rules that a namespace's pods, or a workload's, were seen to need",
    )
    parser.add_argument(
        "--since", default="", metavar="TIME", help="how far back flows are looked at, as 24h"
    )
    parser.add_argument(
        "--fix", type=int, default=1, metavar="N", help="the N-th way that `why` offers"
    )
    parser.add_argument("--reason", default="", metavar="TEXT", help="why it is needed")
    parser.add_argument(
        "--again", action="store_true", help="although the same change was declined before"
    )
    parser.add_argument(
        "--accept-risk", action="store_true", help="although it is rated high; needs --reason"
    )
    parser.add_argument(
        "--expires", default="", metavar="WHEN", help="when it is to be taken back, as 7d or a date"
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--dry-run", action="store_true", help="only show the change")
    where.add_argument("--branch", action="store_true", help="put it on a branch (the default)")
    where.add_argument(
        "--pr", action="store_true", help="open a pull request on Gitea, Forgejo or GitHub"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=_output,
        default="table",
        metavar="FORM",
        help="table (the default), json, yaml, or FILE.patch: a mail that `git am` applies",
    )


def _output(text: str) -> str:
    if text in ("table", "json", "yaml") or text.endswith(_PATCH):
        return text
    raise argparse.ArgumentTypeError(f"`{text}` is none of table, json, yaml and FILE{_PATCH}")


def due_date(text: str) -> str:
    """A date from `7d` or a date, UTC; empty for none. Raises `UsageError` for one that is past."""
    from app.bootstrap.sources import SystemClock
    from app.services.drafts import parse_due

    return parse_due(text, SystemClock().now_ns()) if text else ""


def run(context: Context) -> int:
    """Draft, show, and put it where it was asked for."""
    question = None if _wishes(context.args) else asked(context.args)
    if context.args.accept_risk and not context.args.reason.strip():
        raise UsageError("--accept-risk needs --reason", hint="say why it is needed all the same")
    asyncio.run(_draft(context, question, due_date(context.args.expires)))
    return 0


def _wishes(args: argparse.Namespace) -> bool:
    """Whether a change is wanted for itself. Raises `UsageError` unless that or a question is."""
    wanted = args.remove or args.tighten or args.from_flows
    if wanted and args.source:
        option = "--remove" if args.remove else "--tighten" if args.tighten else "--from-flows"
        raise UsageError(f"a question and {option} are two drafts", hint="ask for one of them")
    if not wanted and not args.destination:
        hint = "FROM TO [PORT], --remove POLICY or --from-flows NS"
        raise UsageError("what is to be drafted?", hint=hint)
    return bool(wanted)


async def _draft(context: Context, question: Asked | None, expires: str) -> None:
    from app.bootstrap.drafts import build_checkout, build_drafter
    from app.cli.render.drafts import print_draft
    from app.services.drafting import DraftRequest

    args = context.args
    checkout = build_checkout(
        context.sources, context.config.settings, context.environ, pull_request=args.pr
    )
    workspace = await context.read(flows=context.flows_since(args.since))
    drafter = build_drafter(checkout, context.sources, context.config.settings)
    request = DraftRequest(
        reason=args.reason,
        requested_by=context.environ.get("USER", ""),
        again=args.again,
        accept_risk=args.accept_risk,
        expires=expires,
    )
    if question is None:
        draft = await drafter.make(workspace.picture, _wish(args, workspace), request)
    else:
        inquiry = await drafter.ask(workspace.picture, workspace.evidence(), question)
        draft = await drafter.draft(inquiry, inquiry.ways.numbered(args.fix), request)
    report = _effect(workspace, draft)
    if draft.public:
        context.out.say(
            f"note: everybody reads {draft.repository}: who asks and why, evidence and effect"
            " are left out of the request (repo.disclosure)"
        )
    if args.output == "table":
        print_draft(context.out, draft, report, whole=args.dry_run)
    if args.output.endswith(_PATCH):
        _save(context, draft)
        return
    if args.dry_run or not (checkout.writable or args.branch):
        proposal = None
        if not args.dry_run:
            context.out.say(f"note: {checkout.repo.name} is no git repository: nothing is written")
    else:
        proposal = await drafter.submit(draft)
    _finish(context, draft, report, proposal)


def _wish(args: argparse.Namespace, workspace: Workspace) -> Wish:
    if args.from_flows:
        return _from_flows(args.from_flows, workspace)
    policy, path = _split(args.remove or args.tighten)
    if args.tighten:
        return _tightening(policy, path, workspace)
    from app.core.drafts.wishes import removal

    return lambda picture: removal(policy, path, picture.engine)


def _tightening(policy: str, path: str, workspace: Workspace) -> Wish:
    from app.core.drafts.tighter import tightening
    from app.services.seen_flows import seen_connections

    evidence = _evidence(workspace)
    return lambda picture: tightening(
        policy, path, seen_connections(evidence, picture.engine), picture.engine
    )


def _evidence(workspace: Workspace) -> FlowEvidence:
    evidence = workspace.evidence()
    if evidence is None:
        raise UsageError("there are no flows to draft from", hint="give a recording with --flows")
    return evidence


def _from_flows(whose: str, workspace: Workspace) -> Wish:
    from app.core.drafts.seen import plan_for_seen
    from app.services.seen_flows import seen_connections

    evidence = _evidence(workspace)
    namespace, _, workload = whose.partition("/")
    return lambda picture: plan_for_seen(
        seen_connections(evidence, picture.engine),
        picture.engine,
        picture.boundaries,
        namespace=namespace,
        workload=workload,
    )


def _split(text: str) -> tuple[str, str]:
    """A policy and a path of it: `CNP:NS/NAME:egress[2]`, where the kind may be left out."""
    words = text.split(":")
    if len(words) > 1 and words[0].lower() in _KINDS:
        return ":".join(words[:2]), ":".join(words[2:])
    return words[0], ":".join(words[1:])


def _save(context: Context, draft: Draft) -> None:
    """Write the draft as a mail; nothing is put anywhere else."""
    from email.utils import formatdate

    from app.services.drafting import check_risk
    from app.services.patch_mail import patch_mail

    check_risk(draft)
    path = Path(context.args.output)
    try:
        path.write_text(
            patch_mail(draft.change, commit=draft.proof.commit, date=formatdate()), newline=""
        )
    except OSError as error:
        raise BadInput(f"cannot write `{path}`: {error.strerror}", file=str(path)) from error
    context.out.say(f"{path}: apply it with `git am {path}`")


def _effect(workspace: Workspace, draft: Draft) -> EffectReport:
    from app.services.effect import effect_of_policies

    proof = draft.proof
    policies = proof.after.cluster.policies
    return effect_of_policies(
        proof.before, policies, flows=workspace.evidence(), manifests=workspace.manifests()
    )


def _finish(
    context: Context, draft: Draft, report: EffectReport, proposal: Proposal | None
) -> None:
    if context.args.output != "table":
        from app.services.contract import draft_form

        context.print_documents([draft_form(draft, report, proposal)])
    elif proposal is not None:
        state = "as it was" if proposal.existed else "new"
        context.out.line(f"Branch     {proposal.branch} ({state})")
        if proposal.url:
            context.out.line(f"Request    {proposal.url}")
