"""One direction of a denied connection, with everything that can be asked about its rules."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from app.core.diagnose.question import Leg
from app.core.diagnose.services import service_names, services_before, target_port
from app.core.model.cluster import Address, Cluster, Endpoint, IdentityKind, Service
from app.core.model.verdict import Direction, Effect, Peer, Protocol
from app.core.policy.engine import Engine
from app.core.policy.rules import Entry, Identity, PeerSelector


@dataclass(frozen=True, slots=True)
class Look:
    """One direction of one connection, with everything that hints ask of it.

    `peer_end` is the pod at the other end, also one without an identity of its own. `addresses`
    are all its addresses and those in front of it, `names` the names it has inside the cluster.
    """

    leg: Leg
    direction: Direction
    engine: Engine
    subject: Endpoint | None
    peer: Peer
    identity: Identity
    peer_end: Endpoint | None
    addresses: frozenset[Address]
    names: frozenset[str]
    service_ports: frozenset[int]

    @property
    def port(self) -> int:
        """The port that policies see."""
        return self.leg.question.port

    @property
    def protocol(self) -> Protocol:
        """The protocol of the connection."""
        return self.leg.question.protocol

    @property
    def cluster(self) -> Cluster:
        """The cluster as it was read."""
        return self.engine.cluster

    def peer_fits(self, entry: Entry) -> bool:
        """Say whether the entry's peers hold the other end."""
        if entry.peers is None:
            return False
        if not entry.peers:
            return bool(entry.ports)
        return any(selector.selects(self.identity) for selector in entry.peers)

    def port_fits(self, entry: Entry) -> bool:
        """Say whether the entry's ports hold the connection's."""
        return self.engine.fits_port(entry, self.subject, self.port, self.protocol)

    def selects_subject(self, entry: Entry) -> bool:
        """Say whether the entry is about the end whose policy is asked."""
        subject = self.subject
        return subject is not None and entry.selects_subject(subject.labels, subject.namespace)

    def outside_at(self, address: Address, selector: PeerSelector) -> bool:
        """Say whether a selector would hold the other end if it were outside, at `address`."""
        outside = self.engine.peer_of_outside(address)
        return selector.selects(self.engine.identity_of(outside))

    @property
    def is_apiserver(self) -> bool:
        """Whether the other end is the Kubernetes API server."""
        return "kube-apiserver" in self.peer.labels or (
            self.peer.kind is IdentityKind.KUBE_APISERVER
        )

    @property
    def allowing(self) -> Iterator[Entry]:
        """The entries that may allow what the subject does in this direction."""
        for policy in self.engine.policies:
            for entry in policy.entries:
                allows = entry.direction is self.direction and entry.effect is Effect.ALLOW
                if allows and self.selects_subject(entry):
                    yield entry

    @property
    def named_by_a_rule(self) -> bool:
        """Whether a rule about the subject names the other end, so that something else fails."""
        return any(bool(entry.peers) and self.peer_fits(entry) for entry in self.allowing)


def look_at(leg: Leg, direction: Direction, engine: Engine) -> Look:
    """Gather what hints need for one direction of a connection."""
    question = leg.question
    own, peer = question.source, question.destination
    if direction is Direction.INGRESS:
        own, peer = peer, own
    services = _services_of(leg, engine.cluster)
    in_front = services if direction is Direction.EGRESS else ()
    return Look(
        leg=leg,
        direction=direction,
        engine=engine,
        subject=own.endpoint,
        peer=peer,
        identity=engine.identity_of(peer, seen_from=own.endpoint),
        peer_end=leg.other(direction).endpoint,
        addresses=frozenset(_addresses(leg, direction, peer, in_front)),
        names=frozenset(_names(leg, direction, in_front)),
        service_ports=frozenset(_service_ports(leg, services)),
    )


def _services_of(leg: Leg, cluster: Cluster) -> tuple[Service, ...]:
    endpoint, asked = leg.destination.endpoint, leg.destination.service
    known = services_before(endpoint, cluster) if endpoint else ()
    return (*known, asked) if asked is not None and asked not in known else known


def _addresses(
    leg: Leg, direction: Direction, peer: Peer, in_front: tuple[Service, ...]
) -> set[Address]:
    other = leg.other(direction)
    addresses = {ip for service in in_front for ip in (*service.cluster_ips, *service.external_ips)}
    addresses |= set(other.endpoint.addresses if other.endpoint else ())
    return addresses | {ip for ip in (peer.address, other.frontend) if ip is not None}


def _names(leg: Leg, direction: Direction, in_front: tuple[Service, ...]) -> set[str]:
    other = leg.other(direction)
    names = {name for service in in_front for name in service_names(service)}
    names |= set(other.route.hostnames if other.route else ())
    return names | ({other.name} if other.name else set())


def _service_ports(leg: Leg, services: tuple[Service, ...]) -> set[int]:
    """The ports under which Services offer the port that policies see, other than that itself."""
    question, end = leg.question, leg.destination
    return {
        own.port
        for service in services
        for own in service.ports
        if own.protocol == question.protocol.value
        and (own == end.service_port or target_port(end.endpoint, own) == question.port)
    } - {question.port}
