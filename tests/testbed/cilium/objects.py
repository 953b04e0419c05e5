"""Kubernetes objects as controllers, the kubelet and people would write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

KubernetesObject = dict[str, Any]

POLICIES = ("NetworkPolicy", "CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy")

_COLLECTIONS = {
    "Namespace": "api/v1/namespaces",
    "Pod": "api/v1/namespaces/{ns}/pods",
    "Node": "api/v1/nodes",
    "Service": "api/v1/namespaces/{ns}/services",
    "ConfigMap": "api/v1/namespaces/{ns}/configmaps",
    "EndpointSlice": "apis/discovery.k8s.io/v1/namespaces/{ns}/endpointslices",
    "NetworkPolicy": "apis/networking.k8s.io/v1/namespaces/{ns}/networkpolicies",
    "CiliumNetworkPolicy": "apis/cilium.io/v2/namespaces/{ns}/ciliumnetworkpolicies",
    "CiliumClusterwideNetworkPolicy": "apis/cilium.io/v2/ciliumclusterwidenetworkpolicies",
    "CiliumLocalRedirectPolicy": "apis/cilium.io/v2/namespaces/{ns}/ciliumlocalredirectpolicies",
    "CiliumCIDRGroup": "apis/cilium.io/v2/ciliumcidrgroups",
}


@dataclass(slots=True)
class PodSpec:
    """A pod to make. Each port is one that it declares by name, `p80` or `u80`, and answers on."""

    namespace: str
    name: str
    node: int = 1
    labels: Mapping[str, str] = field(default_factory=dict)
    tcp: Sequence[int] = ()
    udp: Sequence[int] = ()
    host_network: bool = False
    containers: Sequence[KubernetesObject] | None = None
    service_account: str = ""

    @property
    def key(self) -> str:
        """`NAMESPACE/NAME`."""
        return f"{self.namespace}/{self.name}"


def collection(body: KubernetesObject) -> str:
    """The path of the list that an object belongs to."""
    namespace = body["metadata"].get("namespace", "")
    return "/" + _COLLECTIONS[body["kind"]].format(ns=namespace)


def pod_object(spec: PodSpec, node: str) -> KubernetesObject:
    """A pod as a controller makes it, bound to a node."""
    ports: list[KubernetesObject] = [
        *({"containerPort": port, "name": f"p{port}"} for port in spec.tcp),
        *({"containerPort": port, "name": f"u{port}", "protocol": "UDP"} for port in spec.udp),
    ]
    containers = spec.containers or [{"name": "main", "image": "none", "ports": ports}]
    body: KubernetesObject = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": spec.name, "namespace": spec.namespace, "labels": dict(spec.labels)},
        "spec": {"nodeName": node, "containers": list(containers)},
    }
    if spec.host_network:
        body["spec"]["hostNetwork"] = True
    if spec.service_account:
        body["spec"]["serviceAccountName"] = spec.service_account
    return body


def running_status(addresses: Sequence[str], host: str) -> KubernetesObject:
    """The status that a kubelet gives a pod with addresses."""
    return {
        "phase": "Running",
        "podIP": addresses[0],
        "podIPs": [{"ip": one} for one in addresses],
        "hostIP": host,
        "hostIPs": [{"ip": host}],
        "conditions": [{"type": "Ready", "status": "True"}],
    }


def endpoint_slice(
    service: str, namespace: str, ports: Sequence[KubernetesObject], endpoints: Sequence[Any]
) -> KubernetesObject:
    """An EndpointSlice; each endpoint is an address or written out."""
    ready = {"ready": True}
    written: list[KubernetesObject] = [
        {"addresses": [one], "conditions": ready} if isinstance(one, str) else one
        for one in endpoints
    ]
    first = written[0]["addresses"][0] if written else ""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": service if service == "kubernetes" else f"{service}-1",
            "namespace": namespace,
            "labels": {"kubernetes.io/service-name": service},
        },
        "addressType": "IPv6" if ":" in first else "IPv4",
        "ports": list(ports),
        "endpoints": written,
    }


def service_objects(
    words: Mapping[str, Any], pods: Mapping[str, PodSpec], addresses: Mapping[str, Sequence[str]]
) -> list[KubernetesObject]:
    """A Service with its EndpointSlice.

    `words`: `name` (NS/NAME), `cluster` (its address), `ports` (`{PORT: TARGET/PROTOCOL}`),
    `backends` (pods by key) or `endpoints` (addresses), `ready`, `node_port`, `spec` (more of it).
    """
    namespace, _, name = words["name"].partition("/")
    ports = [_service_port(number, str(target)) for number, target in words["ports"].items()]
    if "node_port" in words:
        ports[0]["nodePort"] = words["node_port"]
    backends = [pods[key] for key in words.get("backends", ())]
    spec = {"ports": ports, **words.get("spec", {})}
    if "cluster" in words:
        spec["clusterIP"] = words["cluster"]
        spec["ipFamilies"] = ["IPv6" if ":" in words["cluster"] else "IPv4"]
    if backends and "selector" not in spec:
        spec["selector"] = dict(backends[0].labels)
    service: KubernetesObject = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }
    ready, family = words.get("ready", True), 1 if ":" in words.get("cluster", "") else 0
    endpoints = words.get("endpoints") or [
        {
            "addresses": [addresses[one.key][family]],
            "conditions": {"ready": ready, "serving": ready},
            "nodeName": f"node{one.node}",
            "targetRef": {"kind": "Pod", "namespace": one.namespace, "name": one.name},
        }
        for one in backends
    ]
    targets = [
        {"name": one["name"], "port": _number(one["targetPort"]), "protocol": one["protocol"]}
        for one in ports
    ]
    return [service, endpoint_slice(name, namespace, targets, endpoints)]


def _service_port(number: object, target: str) -> KubernetesObject:
    port, _, protocol = target.partition("/")
    return {
        "name": f"p{number}",
        "port": int(str(number)),
        "targetPort": int(port) if port.isdigit() else port,
        "protocol": protocol or "TCP",
    }


def _number(target: int | str) -> int:
    """The number of a target port; the name of a pod's port is `p` and its number."""
    return target if isinstance(target, int) else int(target.removeprefix("p"))


def ready_backends(endpoints: KubernetesObject) -> int:
    """How many endpoints of an EndpointSlice are ready."""
    return sum(bool(one["conditions"]["ready"]) for one in endpoints["endpoints"] or ())


def has_local_policy(service: KubernetesObject) -> bool:
    """Whether a Service has one of the traffic policies that keep to the own node."""
    spec = service["spec"]
    return "Local" in (spec.get("internalTrafficPolicy"), spec.get("externalTrafficPolicy"))
