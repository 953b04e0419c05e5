"""What an answer may hinge on without its being known, and what each of that costs.

What touches an answer is a `Doubt`; the table `COSTS` says how sure the answer can be at most, and
which causes hold whatever the doubt comes to. `leg_doubts` finds those of one connection; what only
the whole question has is in `app.core.diagnose.certainty`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from app.core.diagnose.denied import PLAIN
from app.core.diagnose.ends import node_of_block
from app.core.diagnose.look import Look, look_at
from app.core.diagnose.namespaces import unread_namespaces
from app.core.diagnose.question import Leg
from app.core.diagnose.rejected import refused_selecting
from app.core.diagnose.tunnel import shut_tunnels
from app.core.model.answer import CauseCode, Confidence
from app.core.model.cluster import IdentityKind
from app.core.model.provenance import Notice
from app.core.model.unread import could_change
from app.core.model.verdict import Direction, Effect, Outcome, Verdict
from app.core.policy.cilium import DERIVED
from app.core.policy.engine import Engine
from app.core.policy.identities import NODE_KINDS
from app.core.policy.rules import Entry, FqdnSelector

_MOST_UNREAD = 5
_MOST_NAMES = 3


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

ORDER = (Confidence.POSSIBLE, Confidence.LIKELY, Confidence.CERTAIN)
"""The less sure first."""


def at_most(found: Iterable[Doubtful], code: CauseCode) -> Confidence:
    """How sure an answer with a cause can be."""
    costs = (COSTS[one.doubt] for one in found)
    limits = (cost.at_most for cost in costs if code not in cost.spares)
    return min((Confidence.CERTAIN, *limits), key=ORDER.index)


@dataclass(frozen=True, slots=True)
class Doubtful:
    """One doubt about an answer; `text` is what is not known, empty where a step says it."""

    doubt: Doubt
    text: str = ""


def leg_doubts(leg: Leg, engine: Engine) -> Iterator[Doubtful]:
    """Yield what is not known of one connection and could make its verdict another one."""
    said = (
        (Doubt.UNREAD, unread_words(engine.cluster.unread, namespaces_of(leg))),
        (Doubt.NAMESPACE_LABELS, _namespace_labels(leg, engine)),
        (Doubt.PLACEHOLDER, _placeholders(leg, engine)),
        (Doubt.CLOUD_GROUPS, _unjudged_groups(leg, engine)),
        (Doubt.HOST_FIREWALL, _unjudged_host(leg, engine)),
        (Doubt.REFUSED_POLICY, _refused(leg, engine)),
        (Doubt.POD_BLOCK, _pod_blocks(leg, engine)),
        (Doubt.ARRIVAL, _through_the_router(leg, engine)),
        (Doubt.TUNNEL, shut_tunnels(leg, engine)),
        (Doubt.LEARNT_NAMES, _learnt_names(leg, engine)),
    )
    yield from (Doubtful(doubt, text) for doubt, texts in said for text in texts)
    if any(leg.direction(one).uncertain for one in Direction):
        yield Doubtful(Doubt.ENGINE)


def unread_words(unread: Iterable[Notice], namespaces: frozenset[str] | None) -> tuple[str, ...]:
    """What was not read and could change a connection between some namespaces."""
    found = [one for one in unread if could_change(one, namespaces)]
    said = [f"what this could change: {one}" for one in found[:_MOST_UNREAD]]
    if (more := len(found) - _MOST_UNREAD) > 0:
        said.append(f"what {more} more that were not read could change (`k8tre-tui doctor`)")
    return tuple(said)


def namespaces_of(leg: Leg) -> frozenset[str] | None:
    """The namespaces of both ends; None where an end is no pod."""
    ends = (leg.source.endpoint, leg.destination.endpoint)
    found = frozenset(end.namespace for end in ends if end is not None)
    return found if None not in ends else None


def listed(names: tuple[str, ...]) -> str:
    """A few names in words, with how many more there are."""
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return f"{', '.join(names[:_MOST_NAMES])}{more}"


def _namespace_labels(leg: Leg, engine: Engine) -> Iterator[str]:
    """Namespaces of which no object was read, where policies select by their labels."""
    for name, policies in unread_namespaces(leg, engine).items():
        names = ", ".join(f"`{one}`" for one in policies)
        yield (
            f"the labels of namespace {name}: no Namespace object was read, and {names} "
            f"select{'s' if len(policies) == 1 else ''} by them"
        )


def _placeholders(leg: Leg, engine: Engine) -> Iterator[str]:
    """Policies that could turn a direction, once their placeholders have values."""
    looks = [look_at(leg, direction, engine) for direction in Direction]
    for policy in engine.policies:
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


def _pod_blocks(leg: Leg, engine: Engine) -> Iterator[str]:
    """Addresses outside by what was read, in a block that pods get theirs from."""
    for end in (leg.source, leg.destination):
        node = node_of_block(end, engine.cluster)
        if node is not None:
            yield (
                f"whose {end.peer.address} is: pods of {node.name} get their addresses from there, "
                "and no pod that was read has it; a pod's labels decide, CIDR rules never match it"
            )


def _through_the_router(leg: Leg, engine: Engine) -> Iterator[str]:
    """A node's API server, which other nodes see under its router's address through a tunnel.

    Source: Cilium `bpf/bpf_overlay.c` (`identity_is_remote_node`), `pkg/node/manager/manager.go`
    `NodeUpdated`: only the address of `default/kubernetes` is `kube-apiserver`.
    """
    if engine.cluster.config.routing_mode == "native":
        return
    peer, pod = leg.source.peer, leg.destination.endpoint
    if peer.kind is not IdentityKind.KUBE_APISERVER or "world" in peer.labels or pod is None:
        return
    other = replace(leg.question, source=engine.peer_of_entity("remote-node"))
    denied = engine.decide(other).verdict is Verdict.DENIED
    if denied is not leg.is_denied:
        then = "denied" if denied else "allowed"
        yield (
            "as whom the API server arrives: through a tunnel its node sends with the router's "
            f"address and is remote-node to other nodes, which is {then}"
        )


def _learnt_names(leg: Leg, engine: Engine) -> Iterator[str]:
    """Rules by names that may hold an address, for agents know names that nobody here learnt.

    Source: Cilium `pkg/fqdn/namemanager`, `pkg/ipcache/metadata.go`: an address has the labels of
    every name that some pod of the node was given it for.
    """
    if leg.trace.egress.outcome is not Outcome.DENIED:
        return
    end, learned = leg.destination, engine.cluster.learned_names
    if end.peer.kind is not IdentityKind.WORLD or end.peer.address is None or end.name:
        return
    look = look_at(leg, Direction.EGRESS, engine)
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
            f"{listed(tuple(sorted(named)))} through, and no address of that was seen "
            f"(`cilium-dbg fqdn cache list` on the node); if it is one, this is allowed"
        )


def _refused(leg: Leg, engine: Engine) -> Iterator[str]:
    """Refused policies that are about an end: agents may hold an older version of them."""
    for direction in Direction:
        for policy in refused_selecting(look_at(leg, direction, engine)):
            yield (
                f"whether agents still enforce an older, valid version of `{policy.ref.name}`, "
                f"which Cilium refuses now"
            )


def _unjudged_groups(leg: Leg, engine: Engine) -> Iterator[str]:
    """Policies that the operator makes of an object with cloud groups, up to Cilium 1.19."""
    ends = leg.source, leg.destination
    namespaces = {"", *(end.endpoint.namespace for end in ends if end.endpoint)}
    for policy in engine.policies:
        derived = any(notice.text.endswith(DERIVED) for notice in policy.warnings)
        if derived and policy.ref.namespace in namespaces:
            name = f"{policy.ref.namespace}/{policy.ref.name}".removeprefix("/")
            yield f"what `{name}` decides: others are derived from its cloud groups"


def _unjudged_host(leg: Leg, engine: Engine) -> tuple[str, ...]:
    """What the host firewall decides of a node whose labels were not read.

    `nodeSelector` looks at the node's own labels. Source: Cilium `pkg/policy/rule.go`
    `matchesSubject`.
    """
    if not engine.cluster.config.host_firewall:
        return ()
    if not any(entry.node for policy in engine.policies for entry in policy.entries):
        return ()
    known = [host.endpoint for host in engine.hosts()]
    return tuple(
        f"what the host firewall of {end.text} decides: no Node object was read for its labels"
        for end in (leg.source, leg.destination)
        if end.peer.kind in NODE_KINDS and end.peer.endpoint not in known
    )
