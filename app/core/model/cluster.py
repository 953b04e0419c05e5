"""The cluster as policies see it: namespaces, endpoints, services, nodes, CIDR groups, settings.

Everything is frozen; a change makes a new `Cluster` that shares what did not change. Addresses are
`ipaddress` values, parsed once where they enter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from app.core.model.labels import LabelSet
from app.core.model.provenance import Manifest, Notice, ObjectRef, Source

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

DEFAULT_CILIUM_VERSION = (1, 19, 3)
"""What K8TRE pins; used when neither the cluster nor the user says."""


DEFAULT_CLUSTER_NAME = "default"
"""What Cilium calls a cluster that was given no name."""


class IdentityKind(StrEnum):
    """What stands behind an identity. Values are Hubble's and the entities' own names."""

    POD = "pod"
    HOST = "host"
    REMOTE_NODE = "remote-node"
    KUBE_APISERVER = "kube-apiserver"
    HEALTH = "health"
    INGRESS = "ingress"
    INIT = "init"
    UNMANAGED = "unmanaged"
    WORLD = "world"


class EnforcementMode(StrEnum):
    """`enable-policy` of the agent (helm `policyEnforcementMode`)."""

    DEFAULT = "default"
    ALWAYS = "always"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class ClusterConfig:
    """What of the agent's configuration changes a verdict; defaults are Cilium 1.19's own.

    Source: ConfigMap `kube-system/cilium-config`; its keys are the agent's options, Cilium
    `pkg/option/config.go` (1.19.3).
    `policy_default_local_cluster` None means the version decides (on since 1.19).
    """

    cilium_version: tuple[int, int, int] = DEFAULT_CILIUM_VERSION
    cluster_name: str = DEFAULT_CLUSTER_NAME
    dual_stack: bool = False
    enforcement: EnforcementMode = EnforcementMode.DEFAULT
    host_firewall: bool = False
    cidr_match_nodes: bool = False
    cidr_match_pods: bool = False
    policy_default_local_cluster: bool | None = None
    label_filter: tuple[str, ...] = ()
    allow_localhost: bool = True
    l7_proxy: bool = True
    icmp_rules: bool = True
    node_selector_labels: bool = False
    node_label_filter: tuple[str, ...] = ()
    excluded_local: tuple[Network, ...] = ()
    extended_ip_protocols: bool = False
    non_default_deny_policies: bool = True
    audit_mode: bool = False
    gateway_api: bool = True
    kube_proxy_replacement: bool = True
    routing_mode: str = ""
    """`tunnel` or `native`; empty where no setting of the agent was read."""
    lb_mode: str = "snat"
    """`snat`, `dsr` or `hybrid` (DSR for TCP): what becomes of a client's address on the way."""
    local_redirect: bool | None = None
    """Whether redirect policies count; None where no setting of the agent was read."""
    cluster_network_policy: bool | None = None
    """Whether ClusterNetworkPolicy counts; None where no setting of the agent was read."""
    enable_k8s_policy: bool = True
    enable_cilium_policy: bool = True
    enable_cilium_clusterwide_policy: bool = True
    engine_alone: bool = False
    """Judge as Cilium's policy engine does by itself, without what the running agent adds: the
    fixed identity of 0.0.0.0/0 and ::/0, and datapath keys that lose a range from port 0."""

    @property
    def default_local_cluster(self) -> bool:
        """Whether peers mean this cluster only (on by default since 1.19)."""
        if self.policy_default_local_cluster is not None:
            return self.policy_default_local_cluster
        return self.cilium_version >= (1, 19, 0)


@dataclass(frozen=True, slots=True)
class Namespace:
    """A namespace with its own labels; unless it `is_read`, there may be others."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    is_read: bool = True


@dataclass(frozen=True, slots=True)
class ContainerPort:
    """A declared container port; `name` may be empty, `host_port` is 0 where the node has none."""

    name: str
    port: int
    protocol: str = "TCP"
    host_port: int = 0


@dataclass(frozen=True, slots=True)
class Workload:
    """What made a pod: a `Deployment`, `StatefulSet`, `DaemonSet`, `Job` or `CronJob`."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A pod, or a workload's pod template where no pod was seen (`template`).

    `labels` are the identity's labels after Cilium's label filter; `pod_labels` the pod's own.
    `managed` is False for what has no policy of its own: host network, not yet taken over. `phase`
    is the pod's, or the state of a CiliumEndpoint that is not up yet. `nameservers` are the servers
    that it asks for names instead of the cluster's; one that `resolves_as_node` asks its node's.
    """

    namespace: str
    name: str
    labels: LabelSet
    pod_labels: Mapping[str, str] = field(default_factory=dict)
    addresses: tuple[Address, ...] = ()
    node: str = ""
    workload: Workload | None = None
    ports: tuple[ContainerPort, ...] = ()
    service_account: str = "default"
    identity: int | None = None
    host_network: bool = False
    managed: bool = True
    ready: bool = True
    phase: str = "Running"
    template: bool = False
    source: Source | None = None
    nameservers: tuple[Address, ...] = ()
    resolves_as_node: bool = False

    @property
    def key(self) -> str:
        """`NS/NAME`."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class ServicePort:
    """One port of a Service; `target` is a number or a container port's name."""

    port: int
    target: int | str
    protocol: str = "TCP"
    name: str = ""
    node_port: int = 0


@dataclass(frozen=True, slots=True)
class BackendAddress:
    """One address of an EndpointSlice with its slice's ports (name, number, protocol).

    One that `leaves` is terminating and serves still.
    """

    address: Address
    ports: tuple[ContainerPort, ...]
    ready: bool = True
    pod: str = ""
    leaves: bool = False


@dataclass(frozen=True, slots=True)
class Service:
    """A Service. `backends` come from EndpointSlices; None when no slice was seen.

    `publishes_unready` says that it also sends to pods that are not ready, `is_node_local` that
    pods reach only backends of their own node (`internalTrafficPolicy: Local`), `is_headless` that
    its name leads to its pods' own addresses, `external_is_local` that a client outside reaches
    only backends of the node it came in by, and keeps its address (`externalTrafficPolicy: Local`).
    `source_ranges` are the only clients a load balancer admits; empty: all. `is_global`: backends
    of other clusters of a mesh are sent to as well.
    """

    namespace: str
    name: str
    type: str = "ClusterIP"
    selector: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[ServicePort, ...] = ()
    cluster_ips: tuple[Address, ...] = ()
    external_ips: tuple[Address, ...] = ()
    external_name: str = ""
    backends: tuple[BackendAddress, ...] | None = None
    source: Source | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    publishes_unready: bool = False
    is_node_local: bool = False
    is_headless: bool = False
    external_is_local: bool = False
    source_ranges: tuple[Network, ...] = ()
    is_global: bool = False

    @property
    def key(self) -> str:
        """`NS/NAME`."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Node:
    """A node by its addresses, and those of its health and ingress endpoints.

    `addresses` are all of them, `router_addresses` those of its Cilium router among them
    (CiliumInternalIP), `pod_blocks` the blocks its pods get theirs from.
    """

    name: str
    addresses: tuple[Address, ...] = ()
    router_addresses: tuple[Address, ...] = ()
    pod_blocks: tuple[Network, ...] = ()
    health_addresses: tuple[Address, ...] = ()
    ingress_addresses: tuple[Address, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CidrGroup:
    """A CiliumCIDRGroup: blocks that cannot be parsed are left out, with a notice."""

    name: str
    blocks: tuple[Network, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LocalRedirect:
    """A CiliumLocalRedirectPolicy: what is sent to pods of the own node instead.

    Exactly one of `address` and `service` (of the policy's own namespace) is set. Without
    `frontend_ports` every port of the Service is meant. `selector` is a LabelSelector as written.
    """

    namespace: str
    name: str
    selector: Mapping[str, object]
    backend_ports: tuple[ContainerPort, ...]
    address: Address | None = None
    service: str = ""
    frontend_ports: tuple[ContainerPort, ...] = ()
    skips_backends: bool = False
    source: Source | None = None

    @property
    def key(self) -> str:
        """`NS/NAME`."""
        return f"{self.namespace}/{self.name}"


RouteBackend = tuple[str, str, int]
"""Namespace, Service and service port."""


@dataclass(frozen=True, slots=True)
class RoutePath:
    """Which paths of a route lead to which backends; an `exact` one is the whole path.

    `value` None is a path that is matched by an expression, or by more than its path.
    """

    value: str | None
    backends: tuple[RouteBackend, ...]
    exact: bool = False

    def fits(self, path: str) -> bool:
        """Say whether a request's path is meant: a prefix ends where an element of the path does.

        Source: Gateway API v1 `HTTPPathMatch` (Exact, PathPrefix).
        """
        if self.value is None:
            return False
        path = path.partition("?")[0]
        if self.exact:
            return path == self.value
        prefix = self.value.rstrip("/")
        return path == prefix or path.startswith(f"{prefix}/")


@dataclass(frozen=True, slots=True)
class GatewayRoute:
    """A host name served by a gateway, with the Services behind it.

    `controller` names whose gateway it is; empty: Cilium's own. `refused` are the backends that no
    ReferenceGrant admits, `assumed` those for which none was read. With `parent` `Service` it
    stands before a Service of the mesh (GAMMA), whose key `gateway` is then.
    """

    ref: ObjectRef
    gateway: str
    hostnames: tuple[str, ...] = ()
    backends: tuple[RouteBackend, ...] = ()
    addresses: tuple[Address, ...] = ()
    listener_ports: tuple[int, ...] = (443,)
    source: Source | None = None
    paths: tuple[RoutePath, ...] = ()
    controller: str = ""
    created: str = ""
    refused: tuple[RouteBackend, ...] = ()
    assumed: tuple[RouteBackend, ...] = ()
    parent: str = "Gateway"

    def rank(self, path: str) -> tuple[bool, int] | None:
        """Say how closely a request's path fits, exact before prefix, longer before shorter.

        None where the path alone cannot say, or fits nothing.
        """
        if any(one.value is None for one in self.paths):
            return None
        fitting = [(one.exact, len(one.value or "")) for one in self.paths if one.fits(path)]
        return max(fitting, default=None)

    def backends_for(self, path: str) -> tuple[RouteBackend, ...]:
        """Give the backends that a request's path leads to; all where the path alone cannot say.

        Source: Gateway API v1 `HTTPRouteRule.matches`: exact before prefix, longer before shorter.
        """
        if any(one.value is None for one in self.paths):
            return self.backends
        fitting = [one for one in self.paths if one.fits(path)]
        best = max(fitting, key=lambda one: (one.exact, len(one.value or "")), default=None)
        return best.backends if best is not None else self.backends


@dataclass(frozen=True, slots=True)
class Cluster:
    """Everything a verdict depends on, at one moment."""

    config: ClusterConfig = ClusterConfig()
    namespaces: Mapping[str, Namespace] = field(default_factory=dict)
    endpoints: tuple[Endpoint, ...] = ()
    services: tuple[Service, ...] = ()
    nodes: tuple[Node, ...] = ()
    cidr_groups: tuple[CidrGroup, ...] = ()
    routes: tuple[GatewayRoute, ...] = ()
    """Those of Cilium's own gateways."""
    other_routes: tuple[GatewayRoute, ...] = ()
    """Those of other controllers' gateways, and those that stand before a Service."""
    redirects: tuple[LocalRedirect, ...] = ()
    apiserver_addresses: tuple[Address, ...] = ()
    local_addresses: tuple[Address, ...] = ()
    """Addresses that every node has for itself, as node-local DNS listens on."""
    policies: tuple[Manifest, ...] = ()
    learned_names: Mapping[str, tuple[Address, ...]] = field(default_factory=dict)
    """FQDN (lower-case, no final dot) to addresses seen in DNS answers or flows."""
    notices: tuple[Notice, ...] = ()
    dns_addresses: tuple[Address, ...] = ()
    """The cluster's DNS servers as kubelets are told, where that was read."""
    unread: tuple[Notice, ...] = ()
    """What could not be read (see `app.core.model.unread`): no answer over it is certain."""
    book: object = field(default=None, compare=False, repr=False)
    """What `app.core.cluster.build` remembers, to build the next one from."""
