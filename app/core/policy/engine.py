"""The policy engine: one cluster, asked about connections.

An `Engine` never changes; a new cluster makes a new one, which keeps what is still true. It is
plain computation, safe to share between tasks of one thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from app.core.model.cluster import Address, Cluster, Endpoint, IdentityKind
from app.core.model.labels import LabelSet
from app.core.model.provenance import ObjectRef
from app.core.model.verdict import (
    ConnectionTrace,
    Decision,
    Direction,
    DirectionDecision,
    DirectionTrace,
    Effect,
    Outcome,
    Peer,
    Protocol,
    Question,
    Verdict,
)
from app.core.policy import trace as tracing
from app.core.policy.context import ParseContext
from app.core.policy.filters import DirectionPolicy, compile_direction
from app.core.policy.groups import pod_changes
from app.core.policy.identities import Identities
from app.core.policy.inside import Inside
from app.core.policy.judge import (
    DirectedConnection,
    Judgement,
    find_misfiled,
    is_denied_by_rule,
    judge,
)
from app.core.policy.named import NamedPorts, number_of
from app.core.policy.parse import is_enabled, parse_policy
from app.core.policy.ports import in_range
from app.core.policy.reachability import Reachability, find_reachability
from app.core.policy.requests import (
    Headers,
    RequestVerdict,
    judge_request,
    request_headers,
    undefined_proxy,
)
from app.core.policy.rules import Entry, Identity, ParsedPolicy, PortSpec, RejectedPolicy

Parsed = ParsedPolicy | RejectedPolicy

NOT_APPLICABLE = Judgement(Outcome.NOT_APPLICABLE)


class Engine:
    """Decides and explains connections of one cluster."""

    def __init__(
        self,
        cluster: Cluster,
        parsed: Mapping[int, Parsed],
        context: ParseContext,
        names: NamedPorts,
        pairs: Reachability | None = None,
    ) -> None:
        self.cluster = cluster
        self.policies = tuple(item for item in parsed.values() if isinstance(item, ParsedPolicy))
        self.rejected = tuple(item for item in parsed.values() if isinstance(item, RejectedPolicy))
        self.names = names
        self._parsed = parsed
        self._context = context
        self._identities = Identities(cluster, self.policies)
        self._entries = _by_namespace(self.policies)
        self._near: dict[str, tuple[ParsedPolicy, ...]] = {}
        self._compiled: dict[tuple[int, str, Direction], DirectionPolicy] = {}
        self._known: dict[tuple[object, ...], Identity] = {}
        self._keep: list[Endpoint] = []
        self._pairs = pairs
        self._inside: Inside | None = None

    @classmethod
    def build(cls, cluster: Cluster) -> Engine:
        """Parse every policy of the cluster."""
        return cls._with(cluster, {})

    def replace(self, cluster: Cluster, *, keep_places: bool = True) -> Engine:
        """Give the engine of a changed cluster; what the change leaves true is taken over.

        Without `keep_places` nothing tells what was there before: groups have the order of the
        cluster's own pods, not the places that others left.
        """
        known: Mapping[int, Parsed] = {}
        if cluster.config == self._context.config:
            same_services = cluster.services == self._context.services
            known = {
                id(item.manifest): item
                for item in self._parsed.values()
                if same_services or not item.names_services
            }
        names = None
        if cluster.config == self.cluster.config:
            gone, came = pod_changes(self.cluster.endpoints, cluster.endpoints)
            names = self.names.replace(gone, came, cluster.endpoints)
        pairs = self._pairs if keep_places else None
        engine = self._with(cluster, known, pairs, names)
        engine.take_inside(self._inside)
        return engine

    @classmethod
    def _with(
        cls,
        cluster: Cluster,
        known: Mapping[int, Parsed],
        pairs: Reachability | None = None,
        names: NamedPorts | None = None,
    ) -> Engine:
        """Parse the policies that are not `known`, by the id of their manifest."""
        context = ParseContext.of(cluster)
        parsed: dict[int, Parsed] = {}
        for index, manifest in enumerate(cluster.policies):
            if is_enabled(manifest.ref.kind, cluster.config):
                old = known.get(id(manifest))
                parsed[index] = parse_policy(manifest, context) if old is None else old
        names = names or NamedPorts.of(cluster.endpoints, cluster.config.cilium_version)
        return cls(cluster, parsed, context, names, pairs)

    def take_inside(self, inside: Inside | None) -> None:
        """Take over what another engine knows of it, where that is still true."""
        if inside is not None and inside.is_of(self.cluster):
            self._inside = inside

    @property
    def inside(self) -> Inside:
        """What the cluster itself uses; the same object while nothing of it changes."""
        if self._inside is None:
            self._inside = Inside.of(self.cluster)
        return self._inside

    # -- ends -------------------------------------------------------------------------------

    def peer_of(self, endpoint: Endpoint) -> Peer:
        """Give a pod as an end of a connection; a host-network pod is its node."""
        return self._identities.of_endpoint(endpoint)

    def peer_of_address(self, address: Address, names: frozenset[str] = frozenset()) -> Peer:
        """Give an address as the cluster knows it, with the names it was learned for."""
        return self._identities.of_address(address, names)

    def peer_of_outside(self, address: Address, names: frozenset[str] = frozenset()) -> Peer:
        """Give an address that is taken to be outside, whatever the cluster uses it for."""
        return self._identities.of_outside(address, names)

    def peer_of_entity(self, name: str) -> Peer:
        """Give a reserved identity (`host`, `ingress`, `world`, …)."""
        return self._identities.of_entity(name)

    def hosts(self) -> tuple[Peer, ...]:
        """Give every node as its own pods see it, where the host firewall is on."""
        return self._identities.own_hosts()

    def nodes_with_policy(self) -> tuple[Peer, ...]:
        """Give every node as other nodes see it, where the host firewall is on."""
        hosts, nodes = self._identities.hosts, self.cluster.nodes
        return tuple(self._identities.of_node(node) for node in nodes if node.name in hosts)

    def identity_of(self, peer: Peer, *, seen_from: Endpoint | None = None) -> Identity:
        """Give what selectors see of a peer from the node of `seen_from`."""
        node = seen_from.node if seen_from is not None else ""
        key = (peer.kind, peer.labels, peer.address, peer.names, node)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._identities.identity(peer, local_to=seen_from)
        return found

    @staticmethod
    def labels_if_managed(endpoint: Endpoint) -> LabelSet:
        """Give the identity labels a pod would have if Cilium managed it."""
        return endpoint.labels

    # -- subjects ---------------------------------------------------------------------------

    def entries_selecting(self, endpoint: Endpoint) -> Iterable[Entry]:
        """Yield the rule items whose subject the endpoint is."""
        namespaces = ("", endpoint.namespace) if endpoint.namespace else ("",)
        for namespace in namespaces:
            for entry in self._entries.get(namespace, ()):
                if entry.selects_subject(endpoint.labels, endpoint.namespace):
                    yield entry

    def policies_selecting(self, endpoint: Endpoint) -> tuple[ParsedPolicy, ...]:
        """Give the policies with a rule whose subject the endpoint is; none for unmanaged ones."""
        if not _has_policy(endpoint):
            return ()
        return tuple(
            policy
            for policy in self._policies_near(endpoint.namespace)
            if any(
                entry.selects_subject(endpoint.labels, endpoint.namespace)
                for entry in policy.entries
            )
        )

    def _policies_near(self, namespace: str) -> tuple[ParsedPolicy, ...]:
        """Give the policies that can have a subject in a namespace, in order."""
        found = self._near.get(namespace)
        if found is None:
            found = self._near[namespace] = tuple(
                policy
                for policy in self.policies
                if any(entry.namespace in ("", namespace) for entry in policy.entries)
            )
        return found

    def selected_endpoints(self, ref: ObjectRef) -> tuple[Endpoint, ...]:
        """Give the endpoints that are subjects of a policy."""
        entries = [
            entry for policy in self.policies if policy.ref == ref for entry in policy.entries
        ]
        return tuple(
            endpoint
            for endpoint in self.cluster.endpoints
            if _has_policy(endpoint)
            and any(entry.selects_subject(endpoint.labels, endpoint.namespace) for entry in entries)
        )

    def default_deny(self, endpoint: Endpoint, direction: Direction) -> bool:
        """Say whether what no rule allows is dropped."""
        if not _has_policy(endpoint):
            return False
        policy = self.direction_policy(endpoint, direction)
        return policy.enforced and policy.default_deny

    def direction_policy(self, endpoint: Endpoint, direction: Direction) -> DirectionPolicy:
        """Give everything that applies to one direction of an endpoint, ready to be asked."""
        key = (id(endpoint.labels), endpoint.namespace, direction)
        found = self._compiled.get(key)
        if found is None:
            entries = self.entries_selecting(endpoint)
            found = compile_direction(entries, direction, endpoint, self.cluster.config)
            self._compiled[key] = found
            self._keep.append(endpoint)  # an id is only a key while its object lives
        return found

    # -- rules ------------------------------------------------------------------------------

    def numbers_of(
        self, spec: PortSpec, entry: Entry, subject: Endpoint | None, protocol: str
    ) -> tuple[int, ...]:
        """Give the numbers that a port name of an entry stands for; empty when it is void.

        From 1.20 on an egress name has one number per peer, so there may be several.
        """
        if not spec.name:
            return (spec.number,)
        if entry.direction is Direction.INGRESS:
            found = [number_of(subject, spec.name, protocol)] if subject is not None else []
        elif self.names.by_peer:
            found = [number_of(peer, spec.name, protocol) for peer in self.cluster.endpoints]
        else:
            found = [self.names.table.get((spec.name, protocol))]
        return tuple(dict.fromkeys(number for number in found if number is not None))

    def fits_port(
        self, entry: Entry, subject: Endpoint | None, port: int, protocol: Protocol
    ) -> bool:
        """Say whether an entry's ports hold a connection's, whoever the peer is."""
        if not entry.ports:
            return True
        return any(
            protocol.value in spec.protocols
            and any(
                spec.spills or in_range(number, spec.end, port)
                for number in self.numbers_of(spec, entry, subject, protocol.value)
            )
            for rule in entry.ports
            for spec in rule.ports
        )

    def reachability(self, peers: Sequence[Peer] = ()) -> Reachability:
        """Give all pairs of pods, reserved identities and `peers`, as sets of identity groups.

        What was asked of the engine before, or of the one it replaces, is not computed again.
        """
        self._pairs = find_reachability(self._identities, self.names, peers, self._pairs)
        return self._pairs

    def loosest(self) -> Engine:
        """Give the engine in which placeholders that nobody filled allow all that they could.

        What it denies is denied whatever they stand for; this one where there are none.
        """
        return self._filled(
            lambda entry: (
                replace(entry, default_deny=False) if entry.effect is Effect.ALLOW else None
            )
        )

    def strictest(self) -> Engine:
        """Give the engine in which placeholders that nobody filled allow nothing, and deny all."""
        return self._filled(
            lambda entry: entry if entry.effect is Effect.DENY else replace(entry, peers=None)
        )

    def _filled(self, fill: Callable[[Entry], Entry | None]) -> Engine:
        if not any(policy.unfilled for policy in self.policies):
            return self
        parsed = {
            key: replace(one, entries=(*one.entries, *filter(None, map(fill, one.unfilled))))
            if isinstance(one, ParsedPolicy)
            else one
            for key, one in self._parsed.items()
        }
        filled = Engine(self.cluster, parsed, self._context, self.names, self._pairs)
        filled.take_inside(self._inside)
        return filled

    # -- questions --------------------------------------------------------------------------

    def decide(self, question: Question) -> Decision:
        """Give the verdict without reasons."""
        egress, ingress = self._judge_both(question)
        verdict = _verdict_of(egress, ingress)
        return Decision(verdict, egress.decision(), ingress.decision())

    def trace(self, question: Question) -> ConnectionTrace:
        """Give the verdict with everything that was looked at."""
        egress, ingress = self._judge_both(question)
        return ConnectionTrace(
            question,
            _verdict_of(egress, ingress),
            self._trace_of(Direction.EGRESS, egress),
            self._trace_of(Direction.INGRESS, ingress),
        )

    def _judge_both(self, question: Question) -> tuple[_Side, _Side]:
        headers = request_headers(question.request) if question.request else {}
        if _is_same_pod(question):
            return _Side(NOT_APPLICABLE, note="same-pod"), _Side(NOT_APPLICABLE, note="same-pod")
        egress = self._judge(question, Direction.EGRESS, headers)
        return egress, self._judge(question, Direction.INGRESS, headers)

    def _judge(self, question: Question, direction: Direction, headers: Headers) -> _Side:
        own, other = question.source, question.destination
        if direction is Direction.INGRESS:
            own, other = other, own
        subject = own.endpoint
        if subject is None or not _has_policy(subject):
            return _Side(NOT_APPLICABLE)
        policy = self.direction_policy(subject, direction)
        connection = DirectedConnection(
            subject,
            self.identity_of(other, seen_from=subject),
            question.protocol.value,
            question.port,
            other.endpoint,
        )
        judgement = judge(policy, connection, self.names)
        request = None
        if question.request and judgement.outcome is Outcome.REDIRECTED:
            protocol = question.protocol.value
            misfiled = tuple(find_misfiled(policy, connection, self.names))
            request = judge_request(judgement, question.request, protocol, headers, misfiled)
            undefined = undefined_proxy(policy, connection, self.names)
            if undefined:
                request = replace(request, unsure=undefined)
        return _Side(judgement, policy, connection, request)

    def _trace_of(self, direction: Direction, side: _Side) -> DirectionTrace:
        policy, connection = side.policy, side.connection
        if policy is None or connection is None:
            outcome = side.outcome
            return DirectionTrace(direction, outcome, outcome, implicit=side.note)
        judgement = side.judgement
        return DirectionTrace(
            direction=direction,
            outcome=side.outcome,
            l4=judgement.outcome,
            default_deny=policy.enforced and policy.default_deny,
            default_deny_by=tuple(entry.rule for entry in tracing.default_deny_rules(policy)),
            selected_by=tuple(sorted({entry.rule.policy for entry in policy.entries})),
            matched=tracing.find_matches(judgement),
            missed=tracing.find_misses(policy, connection, judgement, self.names),
            requests=side.request.matches if side.request else (),
            implicit=_implicit(policy, connection, judgement),
            uncertain=tuple(_uncertain(side)),
        )


class _Side:
    """One direction, judged."""

    __slots__ = ("connection", "judgement", "note", "policy", "request")

    def __init__(
        self,
        judgement: Judgement,
        policy: DirectionPolicy | None = None,
        connection: DirectedConnection | None = None,
        request: RequestVerdict | None = None,
        note: str = "",
    ) -> None:
        self.judgement = judgement
        self.policy = policy
        self.connection = connection
        self.request = request
        self.note = note

    @property
    def outcome(self) -> Outcome:
        """The final outcome: the request's, where one was judged."""
        if self.request is None:
            return self.judgement.outcome
        return Outcome.ALLOWED if self.request.allowed else Outcome.DENIED

    @property
    def is_unknown(self) -> bool:
        """Whether Cilium's own answer is not established."""
        conflict = self.policy is not None and bool(self.policy.conflict)
        return conflict or (self.request is not None and bool(self.request.unsure))

    def decision(self) -> DirectionDecision:
        """Give the answer without reasons."""
        return DirectionDecision(self.outcome, self.judgement.by, self.judgement.outcome)


def _by_namespace(policies: Iterable[ParsedPolicy]) -> dict[str, list[Entry]]:
    found: dict[str, list[Entry]] = {}
    for policy in policies:
        for entry in policy.entries:
            found.setdefault(entry.namespace, []).append(entry)
    return found


def _has_policy(endpoint: Endpoint) -> bool:
    return endpoint.managed and not endpoint.host_network


def _is_same_pod(question: Question) -> bool:
    """Whether a pod connects to itself; a workload's template stands for several pods."""
    source, destination = question.source.endpoint, question.destination.endpoint
    if source is None or source is not destination or source.template:
        return False
    return question.source.kind is IdentityKind.POD


def _verdict_of(egress: _Side, ingress: _Side) -> Verdict:
    outcomes = (egress.outcome, ingress.outcome)
    if egress.is_unknown or ingress.is_unknown:
        return Verdict.UNKNOWN
    if Outcome.DENIED in outcomes:
        return Verdict.DENIED
    return Verdict.REDIRECTED if Outcome.REDIRECTED in outcomes else Verdict.ALLOWED


def _implicit(policy: DirectionPolicy, connection: DirectedConnection, judgement: Judgement) -> str:
    """Name the rule that is no policy's, if one had a say."""
    if policy.implicit:
        return policy.implicit
    automatic = any(not hit.policy.contributions for hit in judgement.hits)
    if not automatic or is_denied_by_rule(judgement):
        return ""
    if connection.peer.kind is IdentityKind.HOST and policy.direction is Direction.INGRESS:
        return "allow-localhost"
    return "allow-any" if not policy.default_deny else ""


def _uncertain(side: _Side) -> Iterable[str]:
    if side.policy is not None and side.policy.conflict:
        yield (
            f"the agent cannot compute this endpoint's policy ({side.policy.conflict}) "
            "and keeps the one it had before"
        )
    if side.request is not None and side.request.unsure:
        yield side.request.unsure
    modes = {hit.policy.auth for hit in side.judgement.hits} - {"", "disabled"}
    if modes:
        yield "the rule asks for mutual authentication; without it the first packet is dropped"


def without_policy(peer: Peer) -> Peer:
    """Give the same end with no policy of its own, as the conformance files mean entities."""
    return replace(peer, endpoint=None)
