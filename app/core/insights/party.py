"""Who takes part in a flow, by workload: replicas, restarts and roll-outs are one party.

Hubble names the workload only for the end that is local to the observing node, so the same pod is
seen with it and without. Here it is the cluster's own answer where the pod is known, else what the
flow says, else the pod's name without what Kubernetes appends.

Source: Cilium `pkg/hubble/parser/common/endpoint.go` (workloads of local endpoints only),
`pkg/k8s/utils/workload.go` (`GetWorkloadMetaFromPod`: a Job of a CronJob is the CronJob);
Kubernetes `staging/src/k8s.io/apimachinery/pkg/util/rand/rand.go` (the letters of suffixes).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from app.core.lint.projects import is_project
from app.core.model.cluster import Cluster, IdentityKind
from app.core.model.flow import DnsInfo, FlowEndpoint
from app.core.model.workloads import workload_name

KEPT_PARTIES = 65_536
"""Ends whose party is remembered; beyond that they are worked out again."""

_RESERVED = "reserved:"
_NAMESPACE_LABELS = "k8s:io.cilium.k8s.namespace.labels."
_ENTITIES = {
    IdentityKind.KUBE_APISERVER: 0,
    IdentityKind.HOST: 1,
    IdentityKind.REMOTE_NODE: 2,
    IdentityKind.HEALTH: 3,
    IdentityKind.INGRESS: 4,
    IdentityKind.UNMANAGED: 5,
    IdentityKind.INIT: 6,
    IdentityKind.WORLD: 7,
}
"""Reserved identities; of several labels the first here says most: the API server is a node too."""

_WORLD_LABELS = frozenset({"world", "world-ipv4", "world-ipv6"})
_SUFFIX = "[bcdfghjklmnpqrstvwxz2456789]"
_APPENDED = (
    re.compile(r"-(?=[a-z0-9]*\d)[a-z0-9]{8,10}-[a-z0-9]{5}$"),  # the same of other programs
    re.compile(rf"-{_SUFFIX}{{5,10}}-{_SUFFIX}{{5}}$"),  # Deployment: ReplicaSet's hash and pod
    re.compile(rf"-\d{{8,11}}-{_SUFFIX}{{5}}$"),  # CronJob: minutes since the epoch and pod
    re.compile(rf"-{_SUFFIX}{{5}}$"),  # DaemonSet, Job
    re.compile(r"-\d{1,4}$"),  # StatefulSet
)
_AGENT_KEYS = ("io.cilium.", "io.kubernetes.")
"""Labels that the agent adds; those of the namespace are read from it, or apart."""
_WORKSPACE_NAME = re.compile(r"(?:^|-)(?:jupyter|workspace|notebook|rstudio|desktop|vdi)(?:-|$)")
_SERVERS = frozenset({"hub", "proxy", "db", "postgres", "spawner", "controller", "operator"})
"""Words in names of what serves workspaces, and is none."""
_WORKSPACE_LABELS = (
    ("component", "singleuser-server"),
    ("app.kubernetes.io/component", "singleuser-server"),
)
_WORKSPACE_KEYS = ("hub.jupyter.org/username", "hub.jupyter.org/servername")
"""Labels that KubeSpawner gives to the pods of users. Source: kubespawner `spawner.py`."""


@dataclass(frozen=True, slots=True)
class FlowParty:
    """One end of connections. `name` is a workload's, or outside a DNS name or an address.

    `project` is the name of the project whose it is; `is_workspace` says that people work in
    the pods.
    """

    kind: IdentityKind
    namespace: str = ""
    name: str = ""
    project: str = ""
    is_workspace: bool = False

    @property
    def text(self) -> str:
        """`project-lung/jupyter`, `pypi.org`, `kube-apiserver`."""
        if self.kind is IdentityKind.POD:
            return f"{self.namespace}/{self.name}"
        return self.name or self.kind.value

    @property
    def is_outside(self) -> bool:
        """Whether it is beyond the cluster."""
        return self.kind is IdentityKind.WORLD

    @property
    def is_pod(self) -> bool:
        """Whether it is a workload of the cluster."""
        return self.kind is IdentityKind.POD


NOBODY = FlowParty(IdentityKind.UNMANAGED, name="unknown")


class Directory:
    """Finds the party of an end; it remembers, and knows the workloads of the clusters it was told.

    A pod that is gone keeps the workload it had.
    """

    def __init__(self, cluster: Cluster | None = None) -> None:
        self._cluster = Cluster()
        self._workloads: dict[tuple[str, str], str] = {}
        self._services: dict[str, FlowParty] = {}
        self._known: dict[tuple[FlowEndpoint, str, str], FlowParty] = {}
        self._names: dict[str, str] = {}
        if cluster is not None:
            self.learn(cluster)

    def learn(self, cluster: Cluster) -> None:
        """Take over the pods and namespaces of a picture; nothing to do for the same ones."""
        before, self._cluster = self._cluster, cluster
        if cluster.endpoints is before.endpoints and cluster.services is before.services:
            return
        if len(self._workloads) > KEPT_PARTIES:
            self._workloads.clear()
        for one in cluster.endpoints:
            if not one.template:
                self._workloads[one.namespace, one.name] = workload_name(one)
        self._services = {
            str(address): FlowParty(
                IdentityKind.UNMANAGED, one.namespace, f"svc:{one.namespace}/{one.name}"
            )
            for one in cluster.services
            for address in one.cluster_ips
        }
        self._known.clear()

    def party(self, end: FlowEndpoint, ip: str, names: tuple[str, ...] = ()) -> FlowParty:
        """Give the party behind an end of a flow, its address and the names learnt for it."""
        if end.pod:
            ip, names = "", ()
        elif not names and (name := self._names.get(ip)):
            names = (name,)
        key = (end, ip, names[0] if names else "")
        party = self._known.get(key)
        if party is None:
            if len(self._known) >= KEPT_PARTIES:
                self._known.clear()
            party = self._known[key] = self._find(end, ip, names)
        return party

    def learn_names(self, dns: DnsInfo) -> None:
        """Take over which addresses were given for a name; the newest name of an address holds."""
        for ip in dns.ips:
            if len(self._names) >= KEPT_PARTIES:
                self._names.clear()
            self._names[ip] = dns.query.lower()

    def _find(self, end: FlowEndpoint, ip: str, names: tuple[str, ...]) -> FlowParty:
        if end.pod:
            return self._pod(end)
        if ip in self._services:
            return self._services[ip]
        kind = _entity(end)
        if kind is IdentityKind.WORLD:
            return FlowParty(kind, name=names[0] if names else _learnt_name(end) or ip)
        if kind is None:
            return FlowParty(IdentityKind.UNMANAGED, name=ip) if ip else NOBODY
        return FlowParty(kind, name=ip if kind is IdentityKind.UNMANAGED else "")

    def _pod(self, end: FlowEndpoint) -> FlowParty:
        labels = dict(_plain_labels(end))
        self._remember(end)
        name = self._workloads.get((end.namespace, end.pod)) or _workload(end, labels)
        return FlowParty(
            IdentityKind.POD,
            end.namespace,
            name,
            self._project(end, labels),
            is_workspace=_is_workspace(end, name, labels),
        )

    def _remember(self, end: FlowEndpoint) -> None:
        """Keep what a pod's own node says of its workload: other nodes do not say it."""
        place = (end.namespace, end.pod)
        if end.workload and end.workload_kind not in ("", "Pod") and place not in self._workloads:
            if len(self._workloads) > KEPT_PARTIES:
                self._workloads.clear()
            self._workloads[place] = end.workload
            if _workload_by_name(end.pod) != end.workload:
                self._known.clear()  # who was seen from afar before had another name

    def _project(self, end: FlowEndpoint, labels: Mapping[str, str]) -> str:
        """The project by K8TRE's label or the namespace's name, else by a label `project`.

        Namespaces of one project share it: `project-aurora` is project `aurora`.
        """
        known = self._cluster.namespaces.get(end.namespace)
        of_namespace = known.labels if known is not None else dict(_namespace_labels(end))
        for key, value in (*of_namespace.items(), *labels.items()):
            if value and key.rpartition("/")[2] == "project" and not key.startswith(_AGENT_KEYS):
                return value
        if is_project(end.namespace, of_namespace):
            return end.namespace.removeprefix("project-")
        return ""


def network_of(address: str) -> str:
    """The /24 (IPv6: /48) an address lies in: servers of one service share it; else itself."""
    try:
        bits = 24 if ip_address(address).version == 4 else 48  # noqa: PLR2004  # IP's own numbers
        return str(ip_network(f"{address}/{bits}", strict=False))
    except ValueError:
        return address


def _entity(end: FlowEndpoint) -> IdentityKind | None:
    found = set()
    for label in end.labels:
        if label.startswith(_RESERVED):
            word = label.removeprefix(_RESERVED)
            found.add("world" if word in _WORLD_LABELS else word)
        elif label.startswith(("cidr:", "fqdn:")):
            found.add("world")
    return next((kind for kind in _ENTITIES if kind.value in found), None)


def _learnt_name(end: FlowEndpoint) -> str:
    """The name that the identity of an outside end was made for."""
    names = (label for label in end.labels if label.startswith("fqdn:"))
    name = next(names, "").removeprefix("fqdn:").rstrip(".")
    return "" if "*" in name else name


def _workload(end: FlowEndpoint, labels: Mapping[str, str]) -> str:
    """The workload of a pod by its name; that of a user's own pod by its labels."""
    if end.workload and end.workload_kind not in ("", "Pod"):
        return end.workload
    if any(key in labels for key in _WORKSPACE_KEYS) and (name := labels.get("component")):
        return name
    return _workload_by_name(end.pod)


def _workload_by_name(pod: str) -> str:
    """A pod's name without what Kubernetes appended to its workload's."""
    for appended in _APPENDED:
        name, count = appended.subn("", pod)
        if count and name:
            return name
    return pod


def _plain_labels(end: FlowEndpoint) -> list[tuple[str, str]]:
    pairs = (label.removeprefix("k8s:").partition("=") for label in end.labels)
    return [(key, value) for key, _, value in pairs]


def _namespace_labels(end: FlowEndpoint) -> list[tuple[str, str]]:
    pairs = (
        label.removeprefix(_NAMESPACE_LABELS).partition("=")
        for label in end.labels
        if label.startswith(_NAMESPACE_LABELS)
    )
    return [(key, value) for key, _, value in pairs]


def _is_workspace(end: FlowEndpoint, name: str, labels: Mapping[str, str]) -> bool:
    if any(labels.get(key) == value for key, value in _WORKSPACE_LABELS):
        return True
    if any(key in labels for key in _WORKSPACE_KEYS):
        return True
    words = (name, end.pod, labels.get("app", ""))
    return any(map(_WORKSPACE_NAME.search, words)) and _SERVERS.isdisjoint(name.split("-"))
