"""Stops that lead somewhere: the target of a line of text, and the place that it stands for.

A target is text, as a document's stops are: `file:LINE:PATH`, `policy:KIND/NS/NAME`,
`endpoint:NS/NAME`, `go:COMMAND`. It is written here and read here, nowhere else.
"""

from __future__ import annotations

from app.core.errors import UsageError
from app.core.model.answer import WhyAnswer
from app.core.model.provenance import Manifest, ObjectRef, RuleRef
from app.core.model.verdict import DirectionTrace, Outcome
from app.services.picture import Picture
from app.services.wording import deciding_rules
from app.tui.places import Place, parse_command

FILE, POLICY, RULE, ENDPOINT, GO = "file:", "policy:", "rule:", "endpoint:", "go:"


def to_file(file: str | None, line: int | None = None) -> str:
    """A line of a file; no stop without a file."""
    return f"{FILE}{line or 0}:{file}" if file else ""


def to_policy(ref: ObjectRef) -> str:
    """A policy."""
    return f"{POLICY}{ref}"


def to_rule(rule: RuleRef) -> str:
    """A rule where it is written; one that is in no file, in its policy."""
    return to_file(rule.file, rule.line) or f"{RULE}{rule.path}:{rule.policy}"


def to_endpoint(key: str) -> str:
    """An endpoint by `NS/NAME`."""
    return f"{ENDPOINT}{key}"


def to_command(text: str) -> str:
    """What a typed command leads to."""
    return f"{GO}{text}"


def place_of(target: str, picture: Picture) -> Place | None:
    """Give where a target leads; None for one that leads nowhere, or not any more."""
    kind, colon, rest = target.partition(":")
    match kind + colon:
        case "file:":
            line, _, file = rest.partition(":")
            return Place("file", (file, line))
        case "policy:":
            return policy_place(rest, picture)
        case "rule:":
            path, _, ref = rest.partition(":")
            return policy_place(ref, picture, path)
        case "endpoint:":
            return Place("endpoint", (rest,))
        case "go:":
            return _commanded(rest)
    return None


def _commanded(text: str) -> Place | None:
    try:
        return parse_command(text)
    except UsageError:
        return None


def policy_place(name: str, picture: Picture, path: str = "") -> Place | None:
    """Give the rules of a policy by `KIND/NS/NAME`, at one of them; None when it is not there."""
    for manifest in (*picture.cluster.policies, *picture.shadowed):
        if str(manifest.ref) == name:
            return Place("policy", ("rules", path), subject=key_of(manifest))
    return None


def key_of(manifest: Manifest) -> tuple[str, str, int]:
    """What a policy's row is known by: the object with its file, as two may hold one object."""
    line = manifest.source.line if manifest.source else 0
    return (str(manifest.ref), manifest.file or "", line)


def rule_to_change(answer: WhyAnswer) -> str:
    """The stop of the rule that decides a connection, or would have to change; empty without one.

    The line that the cause names comes first; else, of the direction that is denied, a rule that
    denies, the one nearest to a match, and the one that turned default deny on.
    """
    if answer.cause.file:
        return to_file(answer.cause.file, answer.cause.line)
    if answer.cause.rule is not None:
        return to_rule(answer.cause.rule)
    sides = sorted(
        (answer.egress, answer.ingress), key=lambda one: one.outcome is not Outcome.DENIED
    )
    return next((to_rule(rule) for side in sides if (rule := deciding_rule(side))), "")


def deciding_rule(side: DirectionTrace) -> RuleRef | None:
    """Give the rule that decides one direction, or that would have to change; None without one."""
    if found := deciding_rules(side):
        return found[0]
    allows = [one.rule for one in side.nearest if not one.rule.denies]
    return next(iter((*allows, *side.default_deny_by)), None)
