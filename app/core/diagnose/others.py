"""Who else is dropped where the asked connection goes: often whoever really makes it.

Webhooks are called through konnectivity's agents, scrapes come from a node, a job of another name
runs under the asked one's title: the flows in hand show who was refused at the same port.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from app.core.diagnose.denied import explain_denial
from app.core.diagnose.ends import of_endpoint
from app.core.diagnose.evidence import FlowEvidence, Wanted, clock
from app.core.diagnose.question import Leg, ask
from app.core.diagnose.story import DROPPED, POLICY_REASONS, Story, condense
from app.core.model.cluster import Endpoint
from app.core.model.flow import EVENT_L7, Flow
from app.core.model.verdict import Direction, Outcome
from app.core.policy.engine import Engine

MOST_SHOWN = 3
_DIRECTIONS = (Direction.EGRESS, Direction.INGRESS)


@dataclass(frozen=True, slots=True)
class Other:
    """Another source whose packets to the same place were dropped; `end` names it to ask again."""

    end: str
    story: Story
    endpoint: Endpoint | None = None


def others_dropped(evidence: FlowEvidence, wanted: Wanted, engine: Engine) -> tuple[Other, ...]:
    """Every other source that was dropped on its way to the asked place, most drops first."""
    found: dict[str, list[Flow]] = {}
    for flow in evidence.flows:
        if flow.verdict != DROPPED or flow.event == EVENT_L7 or flow.is_reply:
            continue
        if wanted.leads_here(flow) and not wanted.is_asked(flow):
            found.setdefault(_name_of(flow), []).append(flow)
    pods = {one.key: one for one in engine.cluster.endpoints} if found else {}
    others = [Other(name, condense(flows), pods.get(name)) for name, flows in found.items()]
    return tuple(sorted(others, key=lambda one: (-one.story.drops, one.end)))


def _name_of(flow: Flow) -> str:
    """The source as an end that can be asked about."""
    if flow.source.pod:
        return f"{flow.source.namespace}/{flow.source.pod}"
    if "reserved:host" in flow.source.labels:
        return "entity:host"
    return f"ip:{flow.source_ip}" if flow.source_ip else "entity:world"


def say_others(others: tuple[Other, ...], leg: Leg, engine: Engine) -> Iterator[tuple[str, str]]:
    """Say who was dropped, how often and why; each with a flow by which it can be checked."""
    for other in others[:MOST_SHOWN]:
        story = other.story
        reasons = ", ".join(story.reasons) or "no reason given"
        count = f"{story.drops:,} drop{'' if story.drops == 1 else 's'}"
        why = _why(other, leg, engine)
        text = (
            f"dropped at the same port: {_words(other)}, {count} ({reasons}), "
            f"last {clock(story.last_drop_ns)}{why}"
        )
        yield text, story.last_denied.uuid if story.last_denied else ""
    if (more := len(others) - MOST_SHOWN) > 0:
        yield f"{more:,} more sources were dropped at the same port", ""


def _words(other: Other) -> str:
    flow = other.story.last_denied
    if flow is None or flow.source.pod or not other.end.startswith("ip:"):
        return other.end.removeprefix("entity:")
    reserved = [one.partition(":")[2] for one in flow.source.labels if one.startswith("reserved:")]
    return f"{flow.source_ip} ({', '.join(reserved)})" if reserved else flow.source_ip


def _why(other: Other, leg: Leg, engine: Engine) -> str:
    """What policies say of that source, where it is a pod that they know."""
    if other.endpoint is None or POLICY_REASONS.isdisjoint(other.story.reasons):
        return ""
    question = leg.question
    asked = ask(
        of_endpoint(other.endpoint, engine),
        leg.destination,
        (question.port, question.protocol),
        engine,
    )
    for direction in _DIRECTIONS:
        if asked.direction(direction).outcome is Outcome.DENIED:
            return f": {explain_denial(asked, direction, engine).cause.summary}"
    return ": policies allow that"
