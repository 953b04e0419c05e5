"""How often each rule was hit: connections that flows show, judged by the policies of now.

A rule is hit by a connection that was let through and that it allows, or that was refused and that
it denies; several rules may share a hit. A refusal that no rule names is the policy's own, by
default deny. Which rules an agent used then is not in a flow: the policies may have been others.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from app.core.flows.grouping import Connections
from app.core.model.flow import Flow
from app.core.model.provenance import ObjectRef
from app.core.model.verdict import DirectionTrace, Effect, Outcome
from app.services.coverage import traces_of
from app.services.picture import Picture

MOST_CONNECTIONS = 5_000
"""Connections that are judged: each costs about a millisecond."""


@dataclass(frozen=True, slots=True)
class Use:
    """Packets let through and refused, and when the last was seen (UTC nanoseconds)."""

    hits: int = 0
    drops: int = 0
    last_ns: int = 0

    def plus(self, *, hits: int = 0, drops: int = 0, last_ns: int) -> Use:
        """Give it with more."""
        return Use(self.hits + hits, self.drops + drops, max(self.last_ns, last_ns))


@dataclass(frozen=True, slots=True)
class RuleUse:
    """Use by policy and path of the rule; the empty path is the policy's default deny.

    `judged` counts connections, `left_out` those that had no answer or were too many.
    """

    rules: dict[tuple[ObjectRef, str], Use] = field(default_factory=dict)
    judged: int = 0
    left_out: int = 0

    def of(self, policy: ObjectRef, path: str) -> Use:
        """Give the use of one rule."""
        return self.rules.get((policy, path), Use())


def rule_use(picture: Picture, flows: Iterable[Flow]) -> RuleUse:
    """Judge what flows show, the most frequent connections first."""
    rules: dict[tuple[ObjectRef, str], Use] = {}
    judged = left_out = 0
    for at, one in enumerate(Connections(flows).ranked()):
        sides = traces_of(picture.engine, one.newest) if at < MOST_CONNECTIONS else None
        if sides is None:
            left_out += 1
            continue
        judged += 1
        refused = one.verdict == "DROPPED"
        for key in (key for side in sides for key in _keys(side, refused=refused)):
            counts = {"drops" if refused else "hits": one.packets}
            rules[key] = rules.get(key, Use()).plus(last_ns=one.last_ns, **counts)
    return RuleUse(rules, judged, left_out)


def _keys(side: DirectionTrace, *, refused: bool) -> set[tuple[ObjectRef, str]]:
    wanted = Effect.DENY if refused else Effect.ALLOW
    keys = {(one.rule.policy, one.rule.path) for one in side.matched if one.effect is wanted}
    if refused and not keys and side.outcome is Outcome.DENIED:
        return {(rule.policy, "") for rule in side.default_deny_by}
    return keys
