"""Pods, what Cilium says of them, and workloads whose pods were not seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from app.core.cluster.identity import bare_namespace, make_labels
from app.core.cluster.resolvers import nameservers, resolves_as_node
from app.core.cluster.tree import (
    Tree,
    addresses,
    items,
    pairs,
    port,
    protocol,
    section,
    whole,
    word,
    words,
)
from app.core.model.cluster import (
    Address,
    ClusterConfig,
    ContainerPort,
    Endpoint,
    Namespace,
    Workload,
)
from app.core.model.labels import LabelSet
from app.core.model.provenance import Manifest

FINISHED_PHASES = frozenset({"Succeeded", "Failed"})
"""A pod that ended has no endpoint any more."""

TEMPLATE_KINDS = ("Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob")


WAITING = "waiting-for-identity"
_NOT_YET_MANAGED = frozenset({"creating", WAITING, "not-ready", "invalid"})
"""States of a CiliumEndpoint in which the datapath knows no policy of the pod."""
INIT_IDENTITY = 5
"""Of a pod whose labels the agent does not have yet.

Source: Cilium `pkg/identity/numericidentity.go` `ReservedIdentityInit`.
"""


@dataclass(frozen=True, slots=True)
class CiliumEndpoint:
    """What Cilium published of a pod: its identity wins over what the pod's labels suggest."""

    labels: LabelSet | None
    identity: int | None
    addresses: tuple[Address, ...]
    ports: tuple[ContainerPort, ...]
    state: str = ""


@dataclass(slots=True)
class Owners:
    """Who made whom, by namespace and name: ReplicaSets' Deployments and Jobs' CronJobs."""

    replica_sets: dict[tuple[str, str], Workload] = field(default_factory=dict)
    jobs: dict[tuple[str, str], Workload] = field(default_factory=dict)

    def add(self, manifest: Manifest) -> None:
        """Remember the owner of a ReplicaSet or Job."""
        owner = _controller(manifest.body)
        if owner is None:
            return
        table = self.replica_sets if manifest.ref.kind == "ReplicaSet" else self.jobs
        table[manifest.ref.namespace, manifest.ref.name] = Workload(*owner)


def _controller(body: Tree) -> tuple[str, str] | None:
    owners = list(items(section(body, "metadata"), "ownerReferences"))
    leading = [owner for owner in owners if owner.get("controller") is True] or owners
    return (word(leading[0], "kind"), word(leading[0], "name")) if leading else None


def read_cilium_endpoint(body: Tree) -> CiliumEndpoint:
    """Read a CiliumEndpoint."""
    status = section(body, "status")
    identity = section(status, "identity")
    return CiliumEndpoint(
        LabelSet.from_texts(words(identity, "labels")) if "labels" in identity else None,
        whole(identity, "id") or None,
        _networking(section(status, "networking")),
        _named_ports(status),
        state=word(status, "state"),
    )


def read_endpoint_slice(body: Tree) -> Iterator[tuple[tuple[str, str], CiliumEndpoint]]:
    """Yield the endpoints of a CiliumEndpointSlice by namespace and name."""
    namespace = word(body, "namespace")
    for item in items(body, "endpoints"):
        found = CiliumEndpoint(
            None,
            whole(item, "id") or None,
            _networking(section(item, "networking")),
            _named_ports(item),
        )
        yield (namespace, word(item, "name")), found


def _networking(tree: Tree) -> tuple[Address, ...]:
    return addresses(
        word(item, family) for item in items(tree, "addressing") for family in ("ipv4", "ipv6")
    )


def _named_ports(tree: Tree) -> tuple[ContainerPort, ...]:
    return tuple(
        ContainerPort(word(item, "name"), port(item, "port"), protocol(item))
        for item in items(tree, "named-ports")
    )


def read_pod(
    manifest: Manifest, namespaces: Mapping[str, Namespace], config: ClusterConfig, owners: Owners
) -> Endpoint:
    """Read a Pod; a finished one keeps its name but no address and no policy."""
    body, ref = manifest.body, manifest.ref
    metadata, spec, status = (section(body, name) for name in ("metadata", "spec", "status"))
    own = pairs(metadata, "labels")
    namespace = namespaces.get(ref.namespace) or bare_namespace(ref.namespace)
    account = word(spec, "serviceAccountName")
    phase = word(status, "phase", "Running")
    finished = phase in FINISHED_PHASES
    return Endpoint(
        ref.namespace,
        ref.name,
        make_labels(own, namespace, account, config),
        pod_labels=own,
        addresses=() if finished else _pod_addresses(status),
        node=word(spec, "nodeName"),
        workload=_workload_of(body, own, ref.namespace, owners),
        ports=container_ports(spec),
        service_account=account or "default",
        host_network=spec.get("hostNetwork") is True,
        managed=not finished,
        ready=_is_ready(metadata, status),
        phase=phase,
        source=manifest.source,
        nameservers=nameservers(spec),
        resolves_as_node=resolves_as_node(spec),
    )


def _pod_addresses(status: Tree) -> tuple[Address, ...]:
    several = [word(item, "ip") for item in items(status, "podIPs")]
    return addresses([word(status, "podIP"), *several])


def container_ports(spec: Tree) -> tuple[ContainerPort, ...]:
    """Give the declared ports of a pod's containers (not of its init containers)."""
    return tuple(
        ContainerPort(
            word(item, "name"),
            port(item, "containerPort"),
            protocol(item),
            port(item, "hostPort"),
        )
        for container in items(spec, "containers")
        for item in items(container, "ports")
    )


def _is_ready(metadata: Tree, status: Tree) -> bool:
    """Whether Services would send to the pod; without conditions a running pod is ready.

    Source: Kubernetes `staging/src/k8s.io/endpointslice/utils.go` `podToEndpoint`: a pod that is
    being deleted is not ready.
    """
    if "deletionTimestamp" in metadata:
        return False
    for condition in items(status, "conditions"):
        if word(condition, "type") == "Ready":
            return word(condition, "status") == "True"
    return word(status, "phase", "Running") != "Pending"


def _workload_of(
    body: Tree, labels: Mapping[str, str], namespace: str, owners: Owners
) -> Workload | None:
    owner = _controller(body)
    if owner is None:
        return None
    kind, name = owner
    if kind == "ReplicaSet":
        known = owners.replica_sets.get((namespace, name))
        suffix = f"-{labels.get('pod-template-hash', '')}"
        if known is None and len(suffix) > 1 and name.endswith(suffix):
            return Workload("Deployment", name.removesuffix(suffix))
        return known or Workload(kind, name)
    if kind == "Job":
        return owners.jobs.get((namespace, name)) or Workload(kind, name)
    return Workload(kind, name)


def with_cilium(
    endpoint: Endpoint, found: CiliumEndpoint | None, labels: Mapping[int, LabelSet], *, known: bool
) -> Endpoint:
    """Give the pod as Cilium sees it; `known` says that endpoints were read at all.

    A running pod of its own network without an endpoint started before Cilium took over; one whose
    endpoint waits is in that state. Source: Cilium `pkg/endpoint/endpoint.go`, `State`.
    """
    if found is None:
        waiting = endpoint.host_network or endpoint.phase != "Running" or not endpoint.addresses
        return endpoint if waiting or not known else replace(endpoint, managed=False)
    by_number = labels.get(found.identity) if found.identity else None
    state = WAITING if found.identity == INIT_IDENTITY else found.state
    return replace(
        endpoint,
        labels=found.labels or by_number or endpoint.labels,
        identity=found.identity,
        phase=state if state in _NOT_YET_MANAGED else endpoint.phase,
        addresses=found.addresses or endpoint.addresses,
        ports=endpoint.ports or found.ports,
    )


def template_endpoint(
    manifest: Manifest,
    present: frozenset[tuple[str, Workload]],
    namespaces: Mapping[str, Namespace],
    config: ClusterConfig,
) -> Endpoint | None:
    """Give a workload's pod template as an endpoint; None when one of its pods is `present`."""
    ref = manifest.ref
    workload = Workload(ref.kind, ref.name)
    owned = ref.kind == "Job" and _controller(manifest.body) is not None
    if owned or (ref.namespace, workload) in present:
        return None
    return _of_template(manifest, workload, namespaces, config)


def _of_template(
    manifest: Manifest,
    workload: Workload,
    namespaces: Mapping[str, Namespace],
    config: ClusterConfig,
) -> Endpoint:
    way = ("jobTemplate", "spec", "template") if workload.kind == "CronJob" else ("template",)
    template = section(manifest.body, "spec", *way)
    spec = section(template, "spec")
    own = pairs(section(template, "metadata"), "labels")
    name = manifest.ref.namespace
    namespace = namespaces.get(name) or bare_namespace(name)
    account = word(spec, "serviceAccountName") or word(spec, "serviceAccount") or "default"
    return Endpoint(
        name,
        workload.name,
        make_labels(own, namespace, account, config),
        pod_labels=own,
        workload=workload,
        ports=container_ports(spec),
        service_account=account,
        host_network=spec.get("hostNetwork") is True,
        template=True,
        source=manifest.source,
        nameservers=nameservers(spec),
        resolves_as_node=resolves_as_node(spec),
    )
