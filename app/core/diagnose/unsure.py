"""What an answer hinges on that is not known, or that nobody here can judge."""

from __future__ import annotations

from collections.abc import Iterator

from app.core.diagnose.case import Case
from app.core.model.cluster import IdentityKind
from app.core.model.unread import could_change
from app.core.model.verdict import Direction, Effect, Verdict
from app.core.policy.cilium import DERIVED
from app.core.policy.identities import NODE_KINDS
from app.core.policy.rules import CidrSelector, GroupSelector

_MOST_UNREAD = 5


def unjudged(case: Case) -> tuple[str, ...]:
    """What decides too and could not be judged."""
    return (
        *_unjudged_host(case),
        *_unjudged_groups(case),
        *assumed_redirect(case),
        *_unread(case),
    )


def assumed_redirect(case: Case) -> tuple[str, ...]:
    """A redirect policy that is only taken to be enabled.

    Source: Cilium `daemon/cmd/daemon_main.go`: `enable-local-redirect-policy` is off by default.
    """
    if case.engine.cluster.config.local_redirect is not None:
        return ()
    ends = [case.main.destination] if case.main is not None else []
    ends += [case.name.leg.destination] if case.name is not None else []
    taken = dict.fromkeys(end.redirect.key for end in ends if end.redirect is not None)
    return tuple(
        f"whether redirect policies are enabled: {key} is taken to be in force, no cilium-config "
        "was read"
        for key in taken
    )


def _unread(case: Case) -> tuple[str, ...]:
    """What was not read and could change this answer."""
    found = [one for one in case.engine.cluster.unread if could_change(one, _namespaces(case))]
    said = [f"what this could change: {one}" for one in found[:_MOST_UNREAD]]
    if (more := len(found) - _MOST_UNREAD) > 0:
        said.append(f"what {more} more that were not read could change (`k8tre-tui doctor`)")
    return tuple(said)


def _namespaces(case: Case) -> frozenset[str] | None:
    """The namespaces of both ends; None where an end is no pod."""
    main = case.main
    if main is None:
        return frozenset({case.service.namespace}) if case.service else None
    ends = (main.source.endpoint, main.destination.endpoint)
    found = frozenset(end.namespace for end in ends if end is not None)
    return found if None not in ends else None


def _unjudged_groups(case: Case) -> Iterator[str]:
    """Policies that the operator makes of an object with cloud groups, up to Cilium 1.19."""
    main = case.main
    ends = (main.source, main.destination) if main is not None else ()
    namespaces = {"", *(end.endpoint.namespace for end in ends if end.endpoint)}
    for policy in case.engine.policies:
        derived = any(notice.text.endswith(DERIVED) for notice in policy.warnings)
        if derived and policy.ref.namespace in namespaces:
            name = f"{policy.ref.namespace}/{policy.ref.name}".removeprefix("/")
            yield f"what `{name}` decides: others are derived from its cloud groups"


def _unjudged_host(case: Case) -> tuple[str, ...]:
    """What the host firewall decides of a node whose labels were not read.

    `nodeSelector` looks at the node's own labels. Source: Cilium `pkg/policy/rule.go`
    `matchesSubject`.
    """
    main, engine = case.main, case.engine
    if main is None or not engine.cluster.config.host_firewall:
        return ()
    if not any(entry.node for policy in engine.policies for entry in policy.entries):
        return ()
    known = [host.endpoint for host in engine.hosts()]
    return tuple(
        f"what the host firewall of {end.text} decides: no Node object was read for its labels"
        for end in (main.source, main.destination)
        if end.peer.kind in NODE_KINDS and end.peer.endpoint not in known
    )


def hinges_on_address(case: Case) -> bool:
    """Whether a rule by addresses could turn the verdict on a name whose address nobody knows.

    A block of link-local addresses does not count: no name leads there.
    """
    main = case.main
    if main is None or main.source.endpoint is None:
        return False
    peer, question = main.destination.peer, main.question
    if peer.kind is not IdentityKind.WORLD or peer.address is not None or not main.destination.name:
        return False
    engine, subject = case.engine, main.source.endpoint
    turns = Effect.ALLOW if case.policy_verdict is Verdict.DENIED else Effect.DENY
    return any(
        isinstance(selector, GroupSelector)
        or (isinstance(selector, CidrSelector) and not _is_for_no_name(selector))
        for entry in engine.entries_selecting(subject)
        if (entry.direction, entry.effect) == (Direction.EGRESS, turns)
        and engine.fits_port(entry, subject, question.port, question.protocol)
        for selector in entry.peers or ()
    )


def _is_for_no_name(selector: CidrSelector) -> bool:
    return selector.block.prefixlen == 0 or selector.block.is_link_local
