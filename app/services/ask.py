"""The question "why?": words in, an answer out, the same for every face."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from app.core.diagnose.case import gather
from app.core.diagnose.evidence import FlowEvidence
from app.core.diagnose.naming import parse_end, parse_port, parse_request
from app.core.diagnose.why import answer_of, diagnose
from app.core.errors import UsageError
from app.core.model.answer import WhyAnswer
from app.core.model.asked import Asked, EndKind
from app.core.model.flow import Flow
from app.core.model.verdict import Verdict
from app.services.picture import Picture

if TYPE_CHECKING:
    from app.services.ways import Ways


def make_question(
    source: str, destination: str, port: str = "", *, http: str = "", dns: str = "", sni: str = ""
) -> Asked:
    """A question in words (docs/forms.md §3). Raises `UsageError` before anything is read."""
    opener = parse_end(source)
    if opener.port is not None and opener.kind is not EndKind.SERVICE:
        raise UsageError("the port belongs to the other end", hint="FROM has none: FROM TO PORT")
    return Asked(
        opener,
        parse_end(destination),
        parse_port(port) if port else None,
        parse_request(http, dns, sni),
    )


@dataclass(frozen=True, slots=True)
class Inquiry:
    """A question with what was found out about it, by one look at one picture.

    The fixes of the `answer` are the `ways` in words, `flows` those that it is from. `commit` is
    the one that the picture's files are of; empty when they are those of a work tree, or none.
    """

    picture: Picture
    answer: WhyAnswer
    ways: Ways
    commit: str = ""
    flows: FlowEvidence | None = field(default=None, repr=False, compare=False)


def inquire(picture: Picture, flows: FlowEvidence | None, asked: Asked) -> Inquiry:
    """Answer from policies, and from flows where there are any, with the ways to allow it.

    Raises `NotFound` or `Ambiguous` when an end is not in the picture.
    """
    from app.services.ways import find_ways

    case = gather(asked, picture.engine, flows)
    answer = answer_of(case)
    ways = find_ways(case, picture.boundaries)
    answer = replace(answer, not_known=(*answer.not_known, *_unheard(picture)))
    if answer.verdict is Verdict.DENIED:
        answer = replace(answer, fixes=ways.fixes())
    return Inquiry(picture, answer, ways, flows=flows)


def _unheard(picture: Picture) -> tuple[str, ...]:
    """Whose flows no answer of this picture has seen."""
    return tuple(
        f"what was seen by {state.unheard}: {state.source} has no flows of it"
        for state in picture.sources.values()
        if state.unheard
    )


def why(picture: Picture, flows: FlowEvidence | None, asked: Asked) -> WhyAnswer:
    """The answer of an inquiry, for those who draft nothing."""
    return inquire(picture, flows, asked).answer


def explain(picture: Picture, flows: FlowEvidence | None, asked: Asked) -> WhyAnswer:
    """Answer without the ways to allow it: what a line or two beside a flow have room for.

    Raises `NotFound` or `Ambiguous` when an end is not in the picture.
    """
    return diagnose(asked, picture.engine, flows)


def explain_flow(picture: Picture, flow: Flow, asked: Asked) -> WhyAnswer:
    """Explain with one flow as the only evidence, as a table of many has time for.

    Raises `NotFound` or `Ambiguous` when an end is not in the picture.
    """
    evidence = FlowEvidence((flow,), policies_as_of_ns=picture.as_of_ns)
    return diagnose(asked, picture.engine, evidence)
