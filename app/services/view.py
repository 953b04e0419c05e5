"""What is left of a picture, and of the flows, for somebody who may not see every namespace.

Nothing is hidden after an answer was made: the answer is made from what is left. An object that
must not be seen is as absent as one that never was, for pods, policies, addresses, names that DNS
taught, counts and suggestions alike. Which namespaces those are is told by their names alone, never
by what exists, so nobody can ask which of them there are.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field, replace
from typing import TypeVar

from app.core.diagnose.evidence import FlowEvidence
from app.core.flows.times import NS_PER_S
from app.core.model.cluster import Cluster, GatewayRoute, RouteBackend
from app.core.model.flow import Flow, FlowEndpoint, PolicyEvidence
from app.core.model.provenance import Manifest, Notice
from app.core.policy.engine import Engine
from app.services.names import NameBook
from app.services.picture import Picture

T = TypeVar("T")
Hides = Callable[[str], bool]
"""Says whether a namespace must not be seen; the empty one (cluster scope) always may be."""

_POLICIES = ("egress_allowed_by", "ingress_allowed_by", "egress_denied_by", "ingress_denied_by")
_MOMENT_NS = 60 * NS_PER_S
_VIEWS_KEPT = 8
SOMETHING = "an object whose namespace is not known could not be read"


def restrict(picture: Picture, hides: Hides, *, engine: Engine | None = None) -> Picture:
    """The picture without the objects of hidden namespaces, and without names that flows taught.

    Its age is told to the minute: when something was read last also tells that something changed.
    `engine` is that of the same view, where it was made before.
    """
    if engine is None:
        left = _restrict_cluster(picture.cluster, hides)
        engine = picture.engine.replace(left, keep_places=False)
    return replace(
        picture,
        cluster=engine.cluster,
        engine=engine,
        as_of_ns=picture.as_of_ns - picture.as_of_ns % _MOMENT_NS,
        notices=_notices(picture.notices, hides),
        shadowed=_manifests(picture.shadowed, hides),
    )


def _restrict_cluster(cluster: Cluster, hides: Hides) -> Cluster:
    """Nodes, CIDR groups, settings and what is of cluster scope belong to nobody, and stay."""
    return replace(
        cluster,
        namespaces={name: one for name, one in cluster.namespaces.items() if not hides(name)},
        endpoints=tuple(one for one in cluster.endpoints if not hides(one.namespace)),
        services=tuple(one for one in cluster.services if not hides(one.namespace)),
        routes=tuple(_routes(cluster.routes, hides)),
        other_routes=tuple(_routes(cluster.other_routes, hides)),
        redirects=tuple(one for one in cluster.redirects if not hides(one.namespace)),
        policies=_manifests(cluster.policies, hides),
        learned_names={},
        notices=_notices(cluster.notices, hides),
        unread=_notices(cluster.unread, hides),
        book=None,
    )


def _manifests(manifests: Iterable[Manifest], hides: Hides) -> tuple[Manifest, ...]:
    return tuple(one for one in manifests if not hides(one.ref.namespace))


def _notices(notices: Iterable[Notice], hides: Hides) -> tuple[Notice, ...]:
    """Those of readable objects; of what has no object it is only told that there is something."""
    kept: dict[Notice, None] = {}
    for notice in notices:
        if notice.ref is None:
            if notice.severity == "error":
                kept[Notice(SOMETHING, severity=notice.severity)] = None
            continue
        name = notice.ref.name if notice.ref.kind == "Namespace" else notice.ref.namespace
        if not hides(name):
            kept[notice] = None
    return tuple(kept)


def _routes(routes: Iterable[GatewayRoute], hides: Hides) -> Iterable[GatewayRoute]:
    """Routes of readable namespaces and gateways, without backends that are hidden.

    Whether a ReferenceGrant of a hidden namespace admits a backend goes with the backend.
    """

    def kept(backends: tuple[RouteBackend, ...]) -> tuple[RouteBackend, ...]:
        return tuple(one for one in backends if not hides(one[0]))

    for route in routes:
        if hides(route.ref.namespace) or hides(route.gateway.partition("/")[0]):
            continue
        yield replace(
            route,
            backends=kept(route.backends),
            refused=kept(route.refused),
            assumed=kept(route.assumed),
            paths=tuple(replace(path, backends=kept(path.backends)) for path in route.paths),
        )


@dataclass(frozen=True, slots=True)
class _Sight:
    """Tells which flows touch nothing hidden. `addresses` are those of hidden pods and Services.

    An end whose namespace Hubble names is judged by that: an address is used again by others.
    """

    hides: Hides
    addresses: frozenset[str]
    judged: dict[int, bool] = field(default_factory=dict)

    def may_see(self, flow: Flow) -> bool:
        if self._is_hidden(flow.source, flow.source_ip):
            return False
        if self._is_hidden(flow.destination, flow.destination_ip):
            return False
        return not any(map(self._names_hidden, _names_in(flow)))

    def _is_hidden(self, end: FlowEndpoint, ip: str) -> bool:
        if not end.namespace:
            return ip in self.addresses
        found = self.judged.get(id(end))
        if found is None:
            found = self.judged[id(end)] = self.hides(end.namespace)
        return found

    def _names_hidden(self, name: str) -> bool:
        """`SERVICE.NAMESPACE.svc…`: the names that the cluster's own DNS answers."""
        labels = name.rstrip(".").lower().split(".")
        return any(map(self.hides, labels[:3]))


def _names_in(flow: Flow) -> Iterable[str]:
    yield from flow.source_names
    yield from flow.destination_names
    if flow.l7 is not None and flow.l7.dns is not None:
        yield flow.l7.dns.query


def restrict_flows(flows: FlowEvidence, cluster: Cluster, hides: Hides) -> FlowEvidence:
    """The flows with no end in a hidden namespace of `cluster`, and no policy of one named."""
    sight = _Sight(hides, _hidden_addresses(cluster, hides))
    return replace(
        flows,
        flows=[_without_policies(one, hides) for one in flows.flows if sight.may_see(one)],
        policies_as_of_ns=flows.policies_as_of_ns - flows.policies_as_of_ns % _MOMENT_NS,
    )


def _hidden_addresses(cluster: Cluster, hides: Hides) -> frozenset[str]:
    pods = [
        one.addresses for one in cluster.endpoints if hides(one.namespace) and not one.host_network
    ]
    services = [one.cluster_ips for one in cluster.services if hides(one.namespace)]
    return frozenset(str(address) for found in (*pods, *services) for address in found)


def _without_policies(flow: Flow, hides: Hides) -> Flow:
    from msgspec.structs import replace as with_fields

    kept: dict[str, tuple[PolicyEvidence, ...]] = {}
    for name in _POLICIES:
        named: tuple[PolicyEvidence, ...] = getattr(flow, name)
        if any(hides(one.namespace) for one in named):
            kept[name] = tuple(one for one in named if not hides(one.namespace))
    return with_fields(flow, **kept) if kept else flow


def learn_names(picture: Picture, flows: FlowEvidence | None) -> Picture:
    """The picture with the names that these flows teach, and no others."""
    if flows is None:
        return picture
    book = NameBook()
    book.learn(flows.flows)
    if not (names := book.names()):
        return picture
    cluster = replace(picture.cluster, learned_names=names)
    return replace(picture, cluster=cluster, engine=picture.engine.replace(cluster))


@dataclass(frozen=True, slots=True)
class Views:
    """Restricted pictures and flows that were made already, by who may see them.

    Several threads may ask at once; the worst that comes of it is that one is made twice.
    """

    kept: OrderedDict[Hashable, tuple[Engine, Engine]] = field(default_factory=OrderedDict)
    flows: OrderedDict[Hashable, tuple[FlowEvidence, Cluster, FlowEvidence]] = field(
        default_factory=OrderedDict
    )

    def of(
        self, picture: Picture, flows: FlowEvidence | None, hides: Hides, key: Hashable
    ) -> tuple[Picture, FlowEvidence | None]:
        """What is left of both for those who may not see what `hides` says, which `key` names."""
        left = None if flows is None else self.restricted(flows, picture.cluster, hides, key)
        view = restrict(picture, hides, engine=self._engine(picture, hides, key))
        return learn_names(view, left), left

    def restricted(
        self, flows: FlowEvidence, cluster: Cluster, hides: Hides, key: Hashable
    ) -> FlowEvidence:
        """What is left of the flows alone."""
        found = self.flows.get(key)
        if found is None or found[0] is not flows or found[1] is not cluster:
            found = flows, cluster, restrict_flows(flows, cluster, hides)
            _keep(self.flows, key, found)
        return found[2]

    def _engine(self, picture: Picture, hides: Hides, key: Hashable) -> Engine:
        full = picture.engine
        found = self.kept.get(key)
        if found is None or found[0] is not full:
            found = full, restrict(picture, hides).engine
            _keep(self.kept, key, found)
        return found[1]


def _keep(kept: OrderedDict[Hashable, T], key: Hashable, value: T) -> None:
    """Keep the newest of each key, and few keys: one picture and its flows can be large."""
    kept[key] = value
    kept.move_to_end(key)
    while len(kept) > _VIEWS_KEPT:
        kept.popitem(last=False)
