"""`why`: may FROM open a connection to TO, and what decides it?"""

from __future__ import annotations

import argparse
import asyncio
from typing import TYPE_CHECKING, Any

from app.cli.context import Context
from app.cli.environments import in_each
from app.cli.options import add_output_options
from app.core.errors import K8treError
from app.core.model.verdict import Verdict
from app.ports import Environment

if TYPE_CHECKING:
    from app.core.model.answer import WhyAnswer
    from app.core.model.asked import Asked
    from app.services.ask import Inquiry
    from app.services.workspace import Workspace

EXAMPLE = """  k8tre-tui why project-lung/jupyter-alice svc:mirror/mirror:80 --demo
  k8tre-tui why project-lung/jupyter-alice pypi.org 443 --sni pypi.org --demo
  k8tre-tui why jupyterhub/hub entity:kube-apiserver 6443 --snapshot ./gitops -o json

an end is NS/POD, deploy:NS/NAME, sts:, ds:, job:, label:NS/k=v, svc:NS/NAME[:PORT], an address,
fqdn:NAME[=ADDR] or entity:NAME; exit code 1 means denied, 3 that it is not known; with --env all
the same question is asked of every environment of a checkout, and one denial is 1"""


_ENVIRONMENTS_MAX = 8
"""Other environments that are asked as well where none was chosen; `--env all` asks each."""

UNKNOWN_CODE = 3
"""Something that decides was not read, or is not established."""


def configure(parser: argparse.ArgumentParser) -> None:
    """The words of this command."""
    add_question(parser)
    parser.add_argument(
        "--explain", action="store_true", help="every rule that was looked at, and where it failed"
    )
    add_output_options(parser, ("table", "json", "yaml"))


def add_question(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    """FROM TO [PORT] and the request (docs/forms.md §3); `optional` where none need be asked."""
    for name, shown, words in (
        ("source", "FROM", "who opens the connection"),
        ("destination", "TO", "to whom"),
    ):
        if optional:
            parser.add_argument(name, nargs="?", default="", metavar=shown, help=words)
        else:
            parser.add_argument(name, metavar=shown, help=words)
    parser.add_argument(
        "port", nargs="?", default="", metavar="PORT", help="443, 53/UDP, https or 8/ICMP"
    )
    parser.add_argument(
        "-n",
        "--namespace",
        default="",
        metavar="NS",
        help="namespace of pods written without one",
    )
    request = parser.add_mutually_exclusive_group()
    request.add_argument("--http", default="", metavar="REQUEST", help='as "GET /simple/"')
    request.add_argument("--dns", default="", metavar="NAME", help="a DNS question for this name")
    request.add_argument("--sni", default="", metavar="NAME", help="TLS for this server name")


def asked(args: argparse.Namespace) -> Asked:
    """The question in the words of the command line. Raises `UsageError`."""
    from app.services.ask import make_question

    return make_question(
        in_namespace(args.source, args.namespace),
        in_namespace(args.destination, args.namespace),
        args.port,
        http=args.http,
        dns=args.dns,
        sni=args.sni,
    )


def in_namespace(end: str, namespace: str) -> str:
    """A pod written as a plain name, with the namespace before it; anything else as it is."""
    plain = end and not set(end) & set("/:.")
    return f"{namespace}/{end}" if namespace and plain else end


def run(context: Context) -> int:
    """Answer; exit code 1 when the connection is denied, 3 when that is not known."""
    question = asked(context.args)
    from app.cli.render.lint import print_notes
    from app.cli.render.why import print_answer, print_elsewhere
    from app.services.ask import inquire
    from app.services.contract import why_form
    from app.services.lint import lint_policies

    workspace = context.load(flows=context.recent_flows)
    inquiry = inquire(workspace.picture, workspace.evidence(), question)
    answer = inquiry.answer
    here, *others = workspace.environments or (Environment(),)
    most = len(others) if context.asks_all else _ENVIRONMENTS_MAX
    verdicts = [
        (one, _verdict_in(other, question)) for one, other in in_each(context, tuple(others[:most]))
    ]
    judging = {*answer.egress.selected_by, *answer.ingress.selected_by}
    findings = lint_policies(workspace.picture, judging, workspace.manifests())
    if context.args.output == "table":
        sources = context.source_words
        print_answer(context.out, answer, explain=context.args.explain, sources=sources)
        left = len(others) - len(verdicts)
        print_elsewhere(context.out, (here, answer.verdict), verdicts, left)
        print_notes(context.out, findings)
    else:
        form = why_form(asyncio.run(_patched(context, inquiry)), findings)
        if verdicts:
            every = [(here, answer.verdict), *verdicts]
            form["environments"] = [environment_form(*one) for one in every]
        context.print_documents([form])
    all_of_them = [answer.verdict, *(verdict for _, verdict in verdicts if context.asks_all)]
    if Verdict.DENIED in all_of_them:
        return 1
    return UNKNOWN_CODE if Verdict.UNKNOWN in all_of_them else 0


def _verdict_in(workspace: Workspace, question: Asked) -> Verdict:
    """The verdict on a question over another environment of the checkout."""
    from app.services.ask import inquire

    try:
        return inquire(workspace.picture, workspace.evidence(), question).answer.verdict
    except K8treError:  # an end that is not there
        return Verdict.UNKNOWN


def environment_form(environment: Environment, verdict: Verdict) -> dict[str, Any]:
    """The verdict in one environment, as `why -o json` lists it."""
    clusters = list(environment.clusters)
    return {"env": environment.env or None, "clusters": clusters, "verdict": verdict.value}


async def _patched(context: Context, inquiry: Inquiry) -> WhyAnswer:
    """The answer with patches for the files of the checkout; as it is where there is none."""
    from app.bootstrap.drafts import build_checkout, build_drafter

    if not inquiry.ways.plans:
        return inquiry.answer
    sources, settings = context.sources, context.config.settings
    try:
        checkout = build_checkout(sources, settings, context.environ, pull_request=False)
    except K8treError:
        return inquiry.answer
    return await build_drafter(checkout, sources, settings).patched(inquiry)
