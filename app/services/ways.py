"""The ways to allow what is denied: changes of policies that hold every boundary, or what else.

Found by the engine alone (`app.core.drafts.choice`); no file is read here. A fix of an answer is a
plan in words, and carries its key.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from app.core.diagnose.boundaries import Boundary, newly_broken
from app.core.diagnose.case import Case
from app.core.diagnose.denied import deny_only_policies
from app.core.diagnose.ends import node_of_block
from app.core.diagnose.instead import go_betweens
from app.core.diagnose.look import look_at
from app.core.drafts.choice import DirectedQuestion, NothingDenied, Plan, plans
from app.core.errors import DraftRejected
from app.core.model.answer import Fix
from app.core.model.cluster import IdentityKind
from app.core.model.verdict import Direction, Outcome, Question
from app.core.model.workloads import short_name
from app.core.policy.engine import Engine

MOST_PLANS = 3
MOST_LEGS = 8
"""Connections behind one question that one change may be about; of more the first is."""


@dataclass(frozen=True, slots=True)
class Ways:
    """Plans, the one that opens least first; without any, `refusal` says why.

    `instead` are ways that change nothing.
    """

    plans: tuple[Plan, ...] = ()
    refusal: DraftRejected | None = None
    instead: tuple[Fix, ...] = ()

    def fixes(self) -> tuple[Fix, ...]:
        """Put them in words; where there is no plan, that is said too."""
        if isinstance(self.refusal, NothingDenied):
            return ()
        if self.refusal is not None:
            return (Fix(f"none offered: {self.refusal.message}", "none"), *self.instead)
        return (*map(_fix, self.plans), *self.instead)

    def numbered(self, number: int) -> Plan:
        """The plan of the fix that is shown with this number, from 1. Raises DraftRejected."""
        if self.refusal is not None:
            raise self.refusal
        if not 0 < number <= len(self.plans):
            count = len(self.plans)
            raise DraftRejected(f"there are {count} ways to allow this, and no number {number}")
        return self.plans[number - 1]

    def keyed(self, key: str) -> Plan:
        """The plan of a fix. Raises DraftRejected when there is none like it any more."""
        for plan in self.plans:
            if plan.key == key:
                return plan
        raise DraftRejected("the policies have changed since; ask again")


def find_ways(case: Case, boundaries: Sequence[Boundary]) -> Ways:
    """Find the ways to allow what was asked. What would break a boundary is none."""
    instead: tuple[Fix, ...] = ()
    try:
        wanted = wanted_of(case)
        instead = (*_left_open(case), *_instead(wanted.question, case.engine))
        return replace(_held(wanted.plans(case.engine), case.engine, boundaries), instead=instead)
    except DraftRejected as refused:
        return Ways(refusal=refused, instead=instead)


def _held(found: Iterable[Plan], engine: Engine, boundaries: Sequence[Boundary]) -> Ways:
    """The plans that break no boundary that holds now."""
    held: list[Plan] = []
    broken: dict[str, None] = {}
    for plan in found:
        names = newly_broken(boundaries, engine, plan.after)
        broken.update(dict.fromkeys(names))
        if not names:
            held.append(plan)
    if broken and not held:
        shown = ", ".join(f"`{name}`" for name in broken)
        raise DraftRejected(
            f"any rule that allows it breaks {shown}", hint="this is blocked on purpose"
        )
    return Ways(tuple(held))


def _left_open(case: Case) -> Iterable[Fix]:
    """What a policy that only denies may say to leave the rest open.

    No draft of it is made: it opens far more than was asked for, and a person should see to that.
    """
    for denial in case.denials:
        look = look_at(denial.leg, denial.direction, case.engine)
        for ref in deny_only_policies(look, case.engine):
            field = f"enableDefaultDeny: {{{denial.direction.value}: false}}"
            opens = "all that it does not deny, for every pod that no other policy closes"
            title = f"`{field}` in `{ref.name}`, which only denies"
            yield Fix(title, "none", ref, opens=f"opens {opens}")


def _instead(question: Question, engine: Engine) -> Iterable[Fix]:
    """What the pod may use instead of the outside, where there is anything."""
    found = next(go_betweens(question, engine), None)
    if found is None:
        return
    where = f"{found.service.key}:{found.port.port}"
    other = short_name(question.destination)
    title = (
        f"do not allow it: use `{where}`, which policies let this pod reach and let go to {other}"
    )
    yield Fix(title, "none", opens="opens nothing")


def _fix(plan: Plan) -> Fix:
    first = plan.changes[0]
    title = f"{first.title}: {how(plan)}"
    return Fix(title, first.kind.value, first.policy, opens=plan.opens, key=plan.key)


def how(plan: Plan) -> str:
    """By which changes of which policies."""
    return "; ".join(
        f"{change.how} ({change.policy.namespace}/{change.policy.name})".replace("(/", "(")
        for change in plan.changes
    )


@dataclass(frozen=True, slots=True)
class Wanted:
    """The connection to allow, and the port of the Service that stands before it.

    `sides` are what the way through the own gateway asks of policies, one direction each.
    """

    question: Question
    service_port: int | None = None
    sides: tuple[DirectedQuestion, ...] = ()

    def plans(self, engine: Engine) -> tuple[Plan, ...]:
        """Plans that allow it. Raises DraftRejected."""
        return plans(
            self.question,
            engine,
            service_port=self.service_port,
            most=MOST_PLANS,
            sides=self.sides,
        )


def wanted_of(case: Case) -> Wanted:
    """The first connection that is denied, else the one whose name is not seen."""
    main = case.main
    if main is None:
        raise NothingDenied("there is no connection behind this question")
    if case.arrivals:
        raise DraftRejected(
            "no rule can name the client: its address does not reach the pod",
            hint="set externalTrafficPolicy: Local on the Service, then ask again",
        )
    for end in (main.source, main.destination):
        if node_of_block(end, case.engine.cluster) is not None:
            raise DraftRejected(
                f"no pod that was read has {end.peer.address}, which is an address for pods",
                hint="name the pod, or its labels: label:NS/k=v",
            )
    if case.path is not None:
        checks = case.path.checks
        return Wanted(
            main.question, sides=tuple((check.leg.question, check.direction) for check in checks)
        )
    end, question = main.destination, main.question
    if end.name and end.peer.kind is IdentityKind.WORLD:
        learned_as = case.answered[0].query if case.answered else end.name
        return _wanted_by_name(case, question, learned_as)
    port = end.service_port.port if end.service_port else None
    several = [leg.question for leg in case.legs if leg.is_denied][: MOST_LEGS + 1]
    if case.name is not None and case.name.leg.is_denied:
        several = [case.name.leg.question, question]
    if not 1 < len(several) <= MOST_LEGS:
        return Wanted(question, port)
    return Wanted(question, port, tuple((one, way) for one in several for way in Direction))


def _wanted_by_name(case: Case, question: Question, name: str) -> Wanted:
    """A connection to what is outside, with its name; first of all the DNS server must answer."""
    named = replace(question.destination, names=frozenset({name}))
    wanted = replace(question, destination=named)
    report = case.name
    if report is None or report.leg.trace.ingress.l4 is not Outcome.DENIED:
        return Wanted(wanted)
    server = replace(report.leg.question, request=None)
    both = [(wanted, direction) for direction in Direction]
    return Wanted(wanted, sides=((server, Direction.INGRESS), *both))
