"""What an answer hinges on that is not known, and how sure that leaves it.

An answer is `certain` only where nothing assumed, unread, unmodelled or left open touches it:
`app.core.diagnose.doubts` has the table, and what one connection hinges on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from app.core.diagnose.arrival import nodes_without_backend
from app.core.diagnose.case import Case
from app.core.diagnose.doubts import (
    ORDER,
    Doubt,
    Doubtful,
    at_most,
    leg_doubts,
    listed,
    unread_words,
)
from app.core.diagnose.ends import near_names
from app.core.model.answer import Cause
from app.core.model.asked import EndKind
from app.core.model.cluster import IdentityKind
from app.core.model.verdict import Direction, Effect, Verdict
from app.core.policy.rules import CidrSelector, GroupSelector


def doubts(case: Case) -> tuple[Doubtful, ...]:
    """Everything that is not known and could make the answer another one."""
    main, engine = case.main, case.engine
    found = list(leg_doubts(main, engine)) if main is not None else _without_leg(case)
    said = (
        (Doubt.NAMESPACE, _unknown_namespaces(case)),
        (Doubt.REDIRECT, _assumed_redirects(case)),
        (Doubt.BARE_ADDRESS, _bare_addresses(case)),
        (Doubt.OTHER_CLUSTERS, _other_clusters(case)),
        (Doubt.GRANT, _assumed_grants(case)),
        (Doubt.ENTRY, _entries(case)),
    )
    found += [Doubtful(doubt, text) for doubt, texts in said for text in texts]
    if hinges_on_address(case):
        found.append(Doubtful(Doubt.NAME_ADDRESS))
    if case.name is not None and case.name.assumed:
        found.append(Doubtful(Doubt.DNS_SERVER))
    return tuple(found)


def _without_leg(case: Case) -> list[Doubtful]:
    """What was not read and could change an answer about a Service that leads nowhere."""
    here = frozenset({case.service.namespace}) if case.service else None
    words = unread_words(case.engine.cluster.unread, here)
    return [Doubtful(Doubt.UNREAD, text) for text in words]


def lowered(cause: Cause, found: tuple[Doubtful, ...]) -> Cause:
    """The cause, as sure as the doubts leave it."""
    confidence = min(cause.confidence, at_most(found, cause.code), key=ORDER.index)
    return cause if confidence is cause.confidence else replace(cause, confidence=confidence)


def _unknown_namespaces(case: Case) -> Iterator[str]:
    """Namespaces of pods that are not there yet, which nothing that was read is in."""
    known = case.engine.cluster.namespaces
    ends = (case.main.source, case.main.destination) if case.main is not None and known else ()
    asked = dict.fromkeys(end.endpoint.namespace for end in ends if end.endpoint is not None)
    for name in asked:
        if name not in known:
            hint = near_names(name, sorted(known), "namespaces")
            yield f"whether namespace {name} is there: nothing that was read is in it; {hint}"


def _assumed_redirects(case: Case) -> tuple[str, ...]:
    """Redirect policies that are only taken to be enabled.

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


def _bare_addresses(case: Case) -> Iterator[str]:
    """Addresses asked for that nobody has, in a picture that does not know who has which."""
    cluster = case.engine.cluster
    missing = [] if cluster.nodes else ["nodes"]
    if not any(one.addresses for one in cluster.endpoints):
        missing.append("pods with addresses")
    if not missing or case.main is None:
        return
    ends = ((case.asked.source, case.main.source), (case.asked.destination, case.main.destination))
    for asked, end in ends:
        if asked.kind is EndKind.ADDRESS and end.peer.kind is IdentityKind.WORLD:
            yield (
                f"whether {end.peer.address} is a pod's or a node's address, which CIDR rules do "
                f"not match: no {' and no '.join(missing)} were read"
            )


def _other_clusters(case: Case) -> Iterator[str]:
    """Services that also send to other clusters of a mesh.

    Source: Cilium `Documentation/network/clustermesh/services.rst`.
    """
    service = case.service
    if service is not None and service.is_global:
        yield (
            f"where else Service {service.key} sends: it is shared with the other clusters of the "
            "mesh (service.cilium.io/global), and only this one was read"
        )


def _assumed_grants(case: Case) -> Iterator[str]:
    """Routes that use a Service of another namespace, where no ReferenceGrant was read."""
    end = case.main.destination if case.main is not None else None
    if end is None or end.route is None or end.service is None:
        return
    key = (end.service.namespace, end.service.name)
    if any(backend[:2] == key for backend in end.route.assumed):
        ref = end.route.ref
        yield (
            f"whether a ReferenceGrant in {key[0]} lets {ref.kind} {ref.namespace}/{ref.name} use "
            f"Service {end.service.key}: none was read"
        )


def _entries(case: Case) -> Iterator[str]:
    """Nodes that refuse what a load balancer may send them."""
    cluster = case.engine.cluster
    without = nodes_without_backend(case.sources[0], case.destinations, cluster)
    if without and case.service is not None and not case.denials:
        has = "has" if len(without) == 1 else "have"
        yield (
            f"which node the load balancer sends to: {listed(without)} {has} no ready backend of "
            f"Service {case.service.key}, whose externalTrafficPolicy is Local, and what comes in "
            "there is refused"
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
