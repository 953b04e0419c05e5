"""Everything a rule may look at, and how much of the world that is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import ip_network

from app.core.diagnose.boundaries import Boundary
from app.core.diagnose.evidence import FlowEvidence
from app.core.lint.cover import Facts, peers_cover, ports_cover
from app.core.lint.finding import Knowledge
from app.core.lint.view import View
from app.core.model.cluster import Address, Cluster, Endpoint, Network, Service
from app.core.model.provenance import Manifest, ObjectRef, RuleRef
from app.core.model.verdict import Direction, Effect
from app.core.policy.engine import Engine
from app.core.policy.outside import names_leading_outside
from app.core.policy.parse import policy_ref
from app.core.policy.rules import Entry

SubjectKey = tuple[str, str, bool]


@dataclass(frozen=True)
class Scope:
    """One cluster, as far as it was read.

    `objects` are all objects read, for kinds that the cluster model leaves out. `shadowed` are
    objects that another of the same name keeps from being in force. `whole` says that more than
    single files was read, so that what is missing is not merely somewhere else.
    `suffixes` are the public suffixes (publicsuffix.org), as `co.uk`.
    """

    cluster: Cluster
    engine: Engine
    objects: tuple[Manifest, ...] = ()
    shadowed: tuple[Manifest, ...] = ()
    flows: FlowEvidence | None = None
    boundaries: tuple[Boundary, ...] = ()
    whole: bool = False
    suffixes: frozenset[str] = frozenset()
    _endpoints: dict[SubjectKey, tuple[Endpoint, ...]] = field(default_factory=dict, repr=False)
    _near: dict[tuple[object, ...], tuple[Entry, ...]] = field(default_factory=dict, repr=False)
    _sharing: dict[SubjectKey, tuple[SubjectKey, ...]] = field(default_factory=dict, repr=False)
    covering: dict[int, Entry | None] = field(default_factory=dict, repr=False)
    """What covers an entry, by its id: NP101 and NP105 both ask."""
    _covers: dict[tuple[SubjectKey, SubjectKey], bool] = field(default_factory=dict, repr=False)

    @cached_property
    def knowledge(self) -> Knowledge:
        """How much was read."""
        if self.flows is not None and self.flows.flows:
            return Knowledge.FLOWS
        if self.has_pods:
            return Knowledge.CLUSTER
        return Knowledge.REPOSITORY if self.whole else Knowledge.FILE

    @cached_property
    def has_pods(self) -> bool:
        """Whether running pods were read, and not only what a repository makes of them."""
        return any(not endpoint.template for endpoint in self.cluster.endpoints)

    def suffixes_under(self, name: str) -> tuple[str, ...]:
        """Give the public suffixes below a name, the shortest first."""
        found = [one for one in self.suffixes if one.endswith(f".{name}")]
        return tuple(sorted(found, key=lambda one: (len(one), one)))

    @property
    def version(self) -> tuple[int, int, int]:
        """The agent's version."""
        return self.cluster.config.cilium_version

    @cached_property
    def facts(self) -> Facts:
        """What is known of every pod."""
        labels = {name: one.labels for name, one in self.cluster.namespaces.items()}
        return Facts(labels, self.cluster.config.cluster_name)

    @cached_property
    def names_outside(self) -> frozenset[str]:
        """The names of the cluster that lead outside, as an ExternalName's."""
        return names_leading_outside(self.engine)

    @cached_property
    def views(self) -> tuple[View, ...]:
        """Every policy object, in the order read."""
        parsed = {one.ref: one for one in self.engine.policies}
        rejected = {one.ref: one for one in self.engine.rejected}
        return tuple(
            View(one, parsed.get(policy_ref(one)), rejected.get(policy_ref(one)))
            for one in self.cluster.policies
        )

    @cached_property
    def view_of(self) -> Mapping[ObjectRef, View]:
        """Every policy by its name."""
        return {view.ref: view for view in self.views}

    @cached_property
    def of_kind(self) -> Mapping[str, tuple[Manifest, ...]]:
        """Objects by kind."""
        found: dict[str, list[Manifest]] = {}
        for one in self.objects:
            found.setdefault(one.ref.kind, []).append(one)
        return {kind: tuple(some) for kind, some in found.items()}

    @cached_property
    def _by_namespace(self) -> Mapping[tuple[str, Direction, Effect], tuple[Entry, ...]]:
        found: dict[tuple[str, Direction, Effect], list[Entry]] = {}
        for policy in self.engine.policies:
            for entry in policy.entries:
                key = (entry.namespace, entry.direction, entry.effect)
                found.setdefault(key, []).append(entry)
        return {key: tuple(some) for key, some in found.items()}

    def nearby(self, namespace: str, direction: Direction, effect: Effect) -> Iterator[Entry]:
        """Yield the entries that can have a subject in a namespace; an empty one is every one."""
        if not namespace:
            for (_, way, kind), entries in self._by_namespace.items():
                if (way, kind) == (direction, effect):
                    yield from entries
            return
        for space in ("", namespace):
            yield from self._by_namespace.get((space, direction, effect), ())

    def sharing(
        self,
        entry: Entry,
        direction: Direction,
        effect: Effect = Effect.ALLOW,
        *,
        kind: str = "",
        wanted: Callable[[Entry], bool] | None = None,
    ) -> tuple[Entry, ...]:
        """Give the entries that may have a subject in common with one; `kind` names `wanted`."""
        key = (_key(entry), direction, effect, kind)
        found = self._near.get(key)
        if found is None:
            found = self._near[key] = tuple(
                other
                for subject in self._partners(entry)
                for other in self._by_subject.get((subject, direction, effect), ())
                if wanted is None or wanted(other)
            )
        return found

    @cached_property
    def _by_subject(
        self,
    ) -> Mapping[tuple[SubjectKey, Direction, Effect], tuple[Entry, ...]]:
        found: dict[tuple[SubjectKey, Direction, Effect], list[Entry]] = {}
        for policy in self.engine.policies:
            for entry in policy.entries:
                key = (_key(entry), entry.direction, entry.effect)
                found.setdefault(key, []).append(entry)
        return {key: tuple(some) for key, some in found.items()}

    @cached_property
    def _subjects_in(self) -> Mapping[str, Mapping[SubjectKey, Entry]]:
        """By namespace (empty: clusterwide), one entry of each subject there is."""
        found: dict[str, dict[SubjectKey, Entry]] = {}
        for policy in self.engine.policies:
            for entry in policy.entries:
                found.setdefault(entry.namespace, {}).setdefault(_key(entry), entry)
        return found

    def _partners(self, entry: Entry) -> tuple[SubjectKey, ...]:
        """The subjects that may have an endpoint in common with an entry's."""
        key = _key(entry)
        found = self._sharing.get(key)
        if found is None:
            spaces = ("", entry.namespace) if entry.namespace else tuple(self._subjects_in)
            found = self._sharing[key] = tuple(
                other
                for space in dict.fromkeys(spaces)
                for other, one in self._subjects_in.get(space, {}).items()
                if self.may_share(entry, one)
            )
        return found

    def may_share(self, one: Entry, other: Entry) -> bool:
        """Say whether two entries can have a subject in common, as far as is known."""
        if one.node is not other.node:
            return False
        if one.namespace and other.namespace and one.namespace != other.namespace:
            return False
        if one.subject.key == other.subject.key:
            return True
        ours, theirs = self.endpoints_of(one), self.endpoints_of(other)
        if self.has_pods and (ours or theirs):
            known = set(map(id, theirs))
            if any(id(endpoint) in known for endpoint in ours):
                return True
        return not self.facts.disjoint(one.subject.requirements, other.subject.requirements)

    def endpoints_of(self, entry: Entry) -> tuple[Endpoint, ...]:
        """Give the managed endpoints that are an entry's subject."""
        key = _key(entry)
        found = self._endpoints.get(key)
        if found is None:
            near = (
                self.endpoints_in.get(entry.namespace, ())
                if entry.namespace
                else self.cluster.endpoints
            )
            found = self._endpoints[key] = tuple(
                endpoint
                for endpoint in near
                if _is_subject(endpoint)
                and entry.selects_subject(endpoint.labels, endpoint.namespace)
            )
        return found

    def is_node(self, address: Address) -> bool:
        """Say whether an address is a node's own."""
        return any(address in node.addresses for node in self.cluster.nodes)

    @cached_property
    def pod_networks(self) -> Mapping[Network, str]:
        """The blocks of pods as the nodes say them, and with them every Service's address."""
        found: dict[Network, str] = {
            block: f"the pod network of {node.name}"
            for node in self.cluster.nodes
            for block in node.pod_blocks
        }
        if found:
            for service in self.cluster.services:
                for address in service.cluster_ips:
                    found[ip_network(address)] = f"Service {service.key}"
        return found

    @cached_property
    def route_backends(self) -> Mapping[str, tuple[tuple[int, str], ...]]:
        """The pods behind the cluster's own routes: by `NS/NAME` their ports, each with a host."""
        services = {service.key: service for service in self.cluster.services}
        found: dict[str, list[tuple[int, str]]] = {}
        for route in self.cluster.routes:
            host = route.hostnames[0] if route.hostnames else route.ref.name
            for space, name, port in route.backends:
                service = services.get(f"{space}/{name}")
                for endpoint in self.endpoints_in.get(space, ()) if service else ():
                    number = self.port_behind(service, port, endpoint)
                    if number:
                        found.setdefault(endpoint.key, []).append((number, host))
        return {key: tuple(some) for key, some in found.items()}

    @staticmethod
    def port_behind(service: Service | None, port: int, endpoint: Endpoint) -> int:
        """Give the port of a pod that a Service's port leads to; 0 when it does not lead there."""
        if service is None or not service.selector:
            return 0
        if not service.selector.items() <= endpoint.pod_labels.items():
            return 0
        for one in service.ports:
            if one.port == port:
                if isinstance(one.target, int):
                    return one.target
                return next((own.port for own in endpoint.ports if own.name == one.target), 0)
        return 0

    @cached_property
    def carried(self) -> tuple[tuple[str, tuple[RuleRef, ...]], ...]:
        """Each connection that was seen to pass, with the rules that allow it in one direction."""
        from app.core.lint.seen import carried_by

        return carried_by(self)

    @cached_property
    def project_leaks(self) -> Mapping[ObjectRef, Mapping[str, str]]:
        """By policy and rule, which project it lets into which other."""
        from app.core.lint.projects import find_leaks

        return find_leaks(self)

    def object_of(self, endpoint: Endpoint) -> Manifest | None:
        """Give the object that makes an endpoint: its workload, else the pod itself."""
        workload = endpoint.workload
        names = [("Pod", endpoint.name)]
        if workload is not None:
            names.insert(0, (workload.kind, workload.name))
        for kind, name in names:
            for one in self.of_kind.get(kind, ()):
                if (one.ref.namespace, one.ref.name) == (endpoint.namespace, name):
                    return one
        return None

    @cached_property
    def endpoints_in(self) -> Mapping[str, tuple[Endpoint, ...]]:
        """Endpoints by namespace."""
        found: dict[str, list[Endpoint]] = {}
        for endpoint in self.cluster.endpoints:
            found.setdefault(endpoint.namespace, []).append(endpoint)
        return {name: tuple(some) for name, some in found.items()}

    def subject_covers(self, outer: Entry, inner: Entry) -> bool:
        """Say whether every subject of `inner` is one of `outer`: of the pods seen, else of any."""
        if outer.node is not inner.node or outer.namespace not in ("", inner.namespace):
            return False
        if outer.subject.key == inner.subject.key:
            return True
        key = (_key(outer), _key(inner))
        found = self._covers.get(key)
        if found is None:
            ours = self.endpoints_of(inner)
            if ours and self.has_pods:
                found = {id(one) for one in ours} <= {id(one) for one in self.endpoints_of(outer)}
            else:
                have, want = inner.subject.requirements, outer.subject.requirements
                found = self.facts.implies(have, want)
            self._covers[key] = found
        return found

    def covers(self, outer: Entry, inner: Entry) -> bool:
        """Say whether an entry holds all that another does, layer 7 left aside."""
        if outer.direction is not inner.direction or outer is inner:
            return False
        return (
            ports_cover(outer, inner)
            and self.subject_covers(outer, inner)
            and peers_cover(outer, inner, self.facts)
        )


def _key(entry: Entry) -> SubjectKey:
    return entry.namespace, entry.subject.key, entry.node


def _is_subject(endpoint: Endpoint) -> bool:
    return endpoint.managed and not endpoint.host_network
