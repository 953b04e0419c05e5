"""What an answer hinges on that is not known, and what each of that costs.

An answer is `certain` only where nothing assumed, unread, unmodelled or left open touches it. What
touches it is a `Doubt`; the table `COSTS` says how sure the answer can be at most, and which causes
hold whatever the doubt comes to.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from app.core.diagnose.arrival import nodes_without_backend
from app.core.diagnose.case import Case
from app.core.diagnose.denied import PLAIN
from app.core.diagnose.ends import near_names, node_of_block
from app.core.diagnose.look import Look, look_at
from app.core.diagnose.namespaces import unread_namespaces
from app.core.diagnose.rejected import refused_selecting
from app.core.diagnose.tunnel import shut_tunnels
from app.core.model.answer import Cause, CauseCode, Confidence
from app.core.model.asked import EndKind
from app.core.model.cluster import IdentityKind
from app.core.model.unread import could_change
from app.core.model.verdict import Direction, Effect, Outcome, Verdict
from app.core.policy.cilium import DERIVED
from app.core.policy.identities import NODE_KINDS
from app.core.policy.rules import CidrSelector, Entry, FqdnSelector, GroupSelector

_MOST_UNREAD = 5
_MOST_NODES = 3


class Doubt(StrEnum):
    """What an answer may rest on without its being known."""

    UNREAD = "a file, kind or object that could not be read"
    NAMESPACE_LABELS = "labels of a namespace that no object gives"
    NAMESPACE = "whether a namespace that was asked for is there at all"
    PLACEHOLDER = "what a placeholder of a policy stands for"
    CLOUD_GROUPS = "policies derived from cloud groups"
    HOST_FIREWALL = "the host firewall of a node without labels"
    NAME_ADDRESS = "the address of a name, where a rule goes by addresses"
    REDIRECT = "whether a redirect policy is in force"
    DNS_SERVER = "which DNS server is asked"
    BARE_ADDRESS = "whether an address is a pod's or a node's"
    REFUSED_POLICY = "whether agents hold an older version of a refused policy"
    OTHER_CLUSTERS = "backends of a Service in other clusters of the mesh"
    POD_BLOCK = "whose an address is that pods get theirs from"
    GRANT = "whether a route may use a Service of another namespace"
    ARRIVAL = "as whom a node's own process arrives"
    ENTRY = "which node a load balancer sends to"
    TUNNEL = "whether the host firewall shuts the tunnel between two nodes"
    LEARNT_NAMES = "which names agents have learnt for an address"
    ENGINE = "what Cilium does here"


@dataclass(frozen=True, slots=True)
class Cost:
    """How sure an answer can be at most, and the causes that hold all the same."""

    at_most: Confidence
    spares: frozenset[CauseCode] = frozenset()


_SEEN = frozenset({CauseCode.FLOWS_DISAGREE, CauseCode.NOT_A_POLICY_DROP})
"""Causes that rest on flows."""
_DENIES = frozenset({CauseCode.EGRESS_EXPLICIT_DENY, CauseCode.INGRESS_EXPLICIT_DENY})
"""A deny wins over whatever else there is."""
_SPECIFIC = frozenset(CauseCode) - PLAIN - {CauseCode.NONE}

COSTS: dict[Doubt, Cost] = {
    Doubt.UNREAD: Cost(Confidence.POSSIBLE, _SEEN | _DENIES),
    Doubt.NAMESPACE_LABELS: Cost(Confidence.POSSIBLE, _SEEN),
    Doubt.NAMESPACE: Cost(Confidence.LIKELY, _SEEN),
    Doubt.PLACEHOLDER: Cost(Confidence.POSSIBLE, _SEEN | _DENIES),
    Doubt.CLOUD_GROUPS: Cost(Confidence.POSSIBLE, _SPECIFIC),
    Doubt.HOST_FIREWALL: Cost(Confidence.POSSIBLE, _SPECIFIC),
    Doubt.NAME_ADDRESS: Cost(Confidence.POSSIBLE, _SPECIFIC),
    Doubt.REDIRECT: Cost(Confidence.LIKELY),
    Doubt.DNS_SERVER: Cost(Confidence.LIKELY),
    Doubt.BARE_ADDRESS: Cost(Confidence.LIKELY, _SEEN),
    Doubt.REFUSED_POLICY: Cost(Confidence.LIKELY, _SEEN | _DENIES),
    Doubt.OTHER_CLUSTERS: Cost(Confidence.LIKELY, _SEEN),
    Doubt.POD_BLOCK: Cost(Confidence.POSSIBLE, _SEEN),
    Doubt.GRANT: Cost(Confidence.LIKELY, _SEEN),
    Doubt.ARRIVAL: Cost(Confidence.LIKELY, _SEEN),
    Doubt.ENTRY: Cost(Confidence.LIKELY, _SEEN | _DENIES),
    Doubt.TUNNEL: Cost(Confidence.POSSIBLE, _SEEN | _DENIES),
    Doubt.LEARNT_NAMES: Cost(Confidence.POSSIBLE, _SEEN | _DENIES),
    Doubt.ENGINE: Cost(Confidence.LIKELY, _SEEN),
}
"""What each assumption costs. Nothing else lowers the confidence of a cause."""

_ORDER = (Confidence.POSSIBLE, Confidence.LIKELY, Confidence.CERTAIN)


@dataclass(frozen=True, slots=True)
class Doubtful:
    """One doubt about an answer; `text` is what is not known, empty where a step says it."""

    doubt: Doubt
    text: str = ""


def doubts(case: Case) -> tuple[Doubtful, ...]:
    """Everything that is not known and could make the answer another one."""
    said = (
        (Doubt.UNREAD, _unread(case)),
        (Doubt.NAMESPACE_LABELS, _namespace_labels(case)),
        (Doubt.NAMESPACE, _unknown_namespaces(case)),
        (Doubt.PLACEHOLDER, _placeholders(case)),
        (Doubt.CLOUD_GROUPS, _unjudged_groups(case)),
        (Doubt.HOST_FIREWALL, _unjudged_host(case)),
        (Doubt.REDIRECT, _assumed_redirects(case)),
        (Doubt.BARE_ADDRESS, _bare_addresses(case)),
        (Doubt.REFUSED_POLICY, _refused(case)),
        (Doubt.OTHER_CLUSTERS, _other_clusters(case)),
        (Doubt.POD_BLOCK, _pod_blocks(case)),
        (Doubt.GRANT, _assumed_grants(case)),
        (Doubt.ARRIVAL, _through_the_router(case)),
        (Doubt.ENTRY, _entries(case)),
        (Doubt.TUNNEL, shut_tunnels(case.main, case.engine) if case.main else ()),
        (Doubt.LEARNT_NAMES, _learnt_names(case)),
    )
    found = [Doubtful(doubt, text) for doubt, texts in said for text in texts]
    if hinges_on_address(case):
        found.append(Doubtful(Doubt.NAME_ADDRESS))
    if case.name is not None and case.name.assumed:
        found.append(Doubtful(Doubt.DNS_SERVER))
    if case.main is not None and any(case.main.direction(one).uncertain for one in Direction):
        found.append(Doubtful(Doubt.ENGINE))
    return tuple(found)


def lowered(cause: Cause, found: tuple[Doubtful, ...]) -> Cause:
    """The cause, as sure as the doubts leave it."""
    costs = [COSTS[one.doubt] for one in found]
    limits = [cost.at_most for cost in costs if cause.code not in cost.spares]
    confidence = min((cause.confidence, *limits), key=_ORDER.index)
    return cause if confidence is cause.confidence else replace(cause, confidence=confidence)


def _namespace_labels(case: Case) -> Iterator[str]:
    """Namespaces of which no object was read, where policies select by their labels."""
    if case.main is not None:
        for name, policies in unread_namespaces(case.main, case.engine).items():
            listed = ", ".join(f"`{one}`" for one in policies)
            yield (
                f"the labels of namespace {name}: no Namespace object was read, and {listed} "
                f"select{'s' if len(policies) == 1 else ''} by them"
            )


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


def _placeholders(case: Case) -> Iterator[str]:
    """Policies that could turn a direction, once their placeholders have values."""
    if case.main is None:
        return
    looks = [look_at(case.main, direction, case.engine) for direction in Direction]
    for policy in case.engine.policies:
        if any(_could_turn(entry, look) for entry in policy.unfilled for look in looks):
            names = ", ".join(f"${{{name}}}" for name in policy.open_names)
            yield f"what `{policy.ref.name}` decides: {names} in it has no value (--set NAME=VALUE)"


def _could_turn(entry: Entry, look: Look) -> bool:
    """Whether an entry of the most that a policy does would make the direction another one."""
    trace = look.leg.direction(look.direction)
    if entry.direction is not look.direction or not look.selects_subject(entry):
        return False
    fits = look.peer_fits(entry) and look.port_fits(entry)
    if trace.outcome is Outcome.DENIED:
        return entry.effect is Effect.ALLOW and fits
    if entry.effect is Effect.DENY and fits:
        return True
    return entry.default_deny and not trace.default_deny


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


def _pod_blocks(case: Case) -> Iterator[str]:
    """Addresses outside by what was read, in a block that pods get theirs from."""
    if case.main is None:
        return
    for end in (case.main.source, case.main.destination):
        node = node_of_block(end, case.engine.cluster)
        if node is not None:
            yield (
                f"whose {end.peer.address} is: pods of {node.name} get their addresses from there, "
                "and no pod that was read has it; a pod's labels decide, CIDR rules never match it"
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


def _through_the_router(case: Case) -> Iterator[str]:
    """A node's API server, which other nodes see under its router's address through a tunnel.

    Source: Cilium `bpf/bpf_overlay.c` (`identity_is_remote_node`), `pkg/node/manager/manager.go`
    `NodeUpdated`: only the address of `default/kubernetes` is `kube-apiserver`.
    """
    main, engine = case.main, case.engine
    if main is None or engine.cluster.config.routing_mode == "native":
        return
    peer, pod = main.source.peer, main.destination.endpoint
    if peer.kind is not IdentityKind.KUBE_APISERVER or "world" in peer.labels or pod is None:
        return
    other = replace(main.question, source=engine.peer_of_entity("remote-node"))
    denied = engine.decide(other).verdict is Verdict.DENIED
    if denied is not main.is_denied:
        then = "denied" if denied else "allowed"
        yield (
            "as whom the API server arrives: through a tunnel its node sends with the router's "
            f"address and is remote-node to other nodes, which is {then}"
        )


def _entries(case: Case) -> Iterator[str]:
    """Nodes that refuse what a load balancer may send them."""
    cluster = case.engine.cluster
    without = nodes_without_backend(case.sources[0], case.destinations, cluster)
    if without and case.service is not None and not case.denials:
        has = "has" if len(without) == 1 else "have"
        yield (
            f"which node the load balancer sends to: {_listed(without)} {has} no ready backend of "
            f"Service {case.service.key}, whose externalTrafficPolicy is Local, and what comes in "
            "there is refused"
        )


def _listed(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _MOST_NODES} more" if len(names) > _MOST_NODES else ""
    return f"{', '.join(names[:_MOST_NODES])}{more}"


def _learnt_names(case: Case) -> Iterator[str]:
    """Rules by names that may hold an address, for agents know names that nobody here learnt.

    Source: Cilium `pkg/fqdn/namemanager`, `pkg/ipcache/metadata.go`: an address has the labels of
    every name that some pod of the node was given it for.
    """
    main = case.main
    if main is None or main.trace.egress.outcome is not Outcome.DENIED:
        return
    end, learned = main.destination, case.engine.cluster.learned_names
    if end.peer.kind is not IdentityKind.WORLD or end.peer.address is None or end.name:
        return
    look = look_at(main, Direction.EGRESS, case.engine)
    named = {
        one.name or one.pattern
        for entry in look.allowing
        if look.port_fits(entry)
        for one in entry.peers or ()
        if isinstance(one, FqdnSelector) and not any(map(one.selects_name, learned))
    }
    if named:
        yield (
            f"which names agents have learnt for {end.peer.address}: a rule lets "
            f"{_listed(tuple(sorted(named)))} through, and no address of that was seen "
            f"(`cilium-dbg fqdn cache list` on the node); if it is one, this is allowed"
        )


def _refused(case: Case) -> Iterator[str]:
    """Refused policies that are about an end: agents may hold an older version of them."""
    if case.main is None:
        return
    for direction in Direction:
        for policy in refused_selecting(look_at(case.main, direction, case.engine)):
            yield (
                f"whether agents still enforce an older, valid version of `{policy.ref.name}`, "
                f"which Cilium refuses now"
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
