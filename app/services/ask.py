"""The question "why?": words in, an answer out, the same for every face."""

from __future__ import annotations

from dataclasses import replace

from app.core.diagnose.evidence import FlowEvidence
from app.core.diagnose.naming import parse_end, parse_port, parse_request
from app.core.diagnose.why import diagnose
from app.core.model.answer import WhyAnswer
from app.core.model.asked import Asked
from app.core.model.verdict import Verdict
from app.services.picture import Picture


def make_question(
    source: str, destination: str, port: str = "", *, http: str = "", dns: str = "", sni: str = ""
) -> Asked:
    """A question in words (contracts.md §3). Raises `UsageError` before anything is read."""
    return Asked(
        parse_end(source),
        parse_end(destination),
        parse_port(port) if port else None,
        parse_request(http, dns, sni),
    )


def explain(picture: Picture, flows: FlowEvidence | None, asked: Asked) -> WhyAnswer:
    """Answer without the ways to allow it: what a line or two beside a flow have room for.

    Raises `NotFound` or `Ambiguous` when an end is not in the picture.
    """
    return diagnose(asked, picture.engine, flows)


def why(picture: Picture, flows: FlowEvidence | None, asked: Asked) -> WhyAnswer:
    """Answer from policies, and from flows where there are any, with the ways to allow it.

    Raises `NotFound` or `Ambiguous` when an end is not in the picture.
    """
    answer = diagnose(asked, picture.engine, flows)
    if answer.fixes or answer.verdict is not Verdict.DENIED:
        return answer
    from app.services.drafting import offer

    return replace(answer, fixes=offer(picture, asked, flows))
