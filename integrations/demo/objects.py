"""The demo's Kubernetes objects, written out from its tables as the API server would give them.

Everything is derived from names alone, so two runs give the same pods, addresses, identities and
uids. The labels of an identity follow Cilium's default filter for the few labels used here.
Source: Cilium `pkg/k8s/apis/cilium.io/v2/types.go`, `pkg/labelsfilter/filter.go`; Kubernetes
`discovery.k8s.io/v1` and `gateway.networking.k8s.io/v1`.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from typing import Any

from integrations.demo.pods import (
    DemoPod,
    generated_suffix,
    namespace_labels,
    place_pods,
    template_hash,
)
from integrations.demo.topology import ServiceSpec, Topology, Workload

Body = dict[str, Any]

_CREATED = "2026-01-12T08:00:00Z"
_UIDS = uuid.UUID("6f3c2f0e-8f2b-5d0e-9b54-3f1d7f3c9a10")
_SERVICE_NETWORK = "10.9"
_OWNER_VERSIONS = {"Cluster": "postgresql.cnpg.io/v1", "Job": "batch/v1", "Node": "v1"}
"""API versions of owners that are not of `apps/v1`."""


def write_objects(topology: Topology) -> Iterator[Body]:
    """Give every object of the demo cluster except its policies."""
    pods = place_pods(topology)
    yield _config_map()
    yield _agent_daemon_set(topology)
    yield from _namespaces(topology)
    yield from _nodes(topology)
    for pod in pods:
        yield _pod(pod, topology)
        if _has_endpoint(pod.workload):
            yield _cilium_endpoint(pod, topology)
    yield from _services(topology, pods)
    yield from _gateway(topology)


def _has_endpoint(workload: Workload) -> bool:
    return workload.managed and not workload.host_network and workload.phase == "Running"


def uid_of(kind: str, namespace: str, name: str) -> str:
    """The uid the demo gives an object; policies in flows carry the same."""
    return str(uuid.uuid5(_UIDS, f"{kind}/{namespace}/{name}"))


def _meta(kind: str, namespace: str, name: str, **more: Any) -> Body:
    place = {"namespace": namespace} if namespace else {}
    return {
        "name": name,
        **place,
        "uid": uid_of(kind, namespace, name),
        "creationTimestamp": _CREATED,
        **more,
    }


def _config_map() -> Body:
    settings = {
        "cluster-name": "default",
        "enable-gateway-api": "true",
        "enable-hubble": "true",
        "enable-ipv4": "true",
        "enable-ipv6": "false",
        "enable-l7-proxy": "true",
        "enable-policy": "default",
        "kube-proxy-replacement": "true",
        "routing-mode": "tunnel",
        "tunnel-protocol": "vxlan",
    }
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _meta("ConfigMap", "kube-system", "cilium-config"),
        "data": settings,
    }


def _agent_daemon_set(topology: Topology) -> Body:
    labels = {"k8s-app": "cilium"}
    image = f"quay.io/cilium/cilium:v{topology.cilium_version}"
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": _meta("DaemonSet", "kube-system", "cilium", labels=labels),
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "hostNetwork": True,
                    "containers": [{"name": "cilium-agent", "image": image}],
                },
            },
        },
        "status": {"numberReady": len(topology.nodes)},
    }


def _namespaces(topology: Topology) -> Iterator[Body]:
    for name in topology.namespaces:
        labels = namespace_labels(topology, name)
        yield {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": _meta("Namespace", "", name, labels=labels),
            "status": {"phase": "Active"},
        }


def _nodes(topology: Topology) -> Iterator[Body]:
    for number, (name, address) in enumerate(topology.nodes.items(), start=1):
        labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}
        if name == topology.apiserver_node:
            labels["node-role.kubernetes.io/control-plane"] = ""
        yield {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": _meta("Node", "", name, labels=labels),
            "spec": {"podCIDR": f"10.8.{number}.0/24"},
            "status": {
                "addresses": [
                    {"type": "InternalIP", "address": address},
                    {"type": "Hostname", "address": name},
                ]
            },
        }
        yield {
            "apiVersion": "cilium.io/v2",
            "kind": "CiliumNode",
            "metadata": _meta("CiliumNode", "", name, labels=labels),
            "spec": {
                "addresses": [
                    {"type": "InternalIP", "ip": address},
                    {"type": "CiliumInternalIP", "ip": f"10.8.{number}.1"},
                ],
                "health": {"ipv4": f"10.8.{number}.250"},
                "ingress": {"ipv4": f"10.8.{number}.251"},
                "ipam": {"podCIDRs": [f"10.8.{number}.0/24"]},
            },
        }


def _owner(workload: Workload) -> list[Body]:
    if workload.kind == "Pod":
        return []
    kind, name = workload.kind, workload.name
    if kind == "Deployment":
        kind, name = "ReplicaSet", f"{workload.name}-{template_hash(workload)}"
    return [
        {
            "apiVersion": _OWNER_VERSIONS.get(kind, "apps/v1"),
            "kind": kind,
            "name": name,
            "uid": uid_of(kind, workload.namespace, name),
            "controller": True,
        }
    ]


def _pod(pod: DemoPod, topology: Topology) -> Body:
    workload = pod.workload
    image = f"registry.{topology.domain}/{workload.namespace}/{workload.name}:1"
    ports = [
        {"name": name, "containerPort": port, "protocol": "UDP" if name == "dns" else "TCP"}
        for name, port in workload.ports.items()
    ]
    more: Body = {"labels": dict(pod.labels)}
    if owners := _owner(workload):
        more["ownerReferences"] = owners
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": _meta("Pod", workload.namespace, pod.name, **more),
        "spec": {
            "nodeName": pod.node,
            "serviceAccountName": workload.account,
            "hostNetwork": workload.host_network,
            "containers": [{"name": workload.name, "image": image, "ports": ports}],
        },
        "status": {
            "phase": workload.phase,
            "podIP": pod.address,
            "podIPs": [{"ip": pod.address}],
            "hostIP": topology.nodes[pod.node],
            "conditions": [{"type": "Ready", "status": str(pod.ready)}],
        },
    }


def _cilium_endpoint(pod: DemoPod, topology: Topology) -> Body:
    workload = pod.workload
    named = [
        {"name": name, "port": port, "protocol": "UDP" if name == "dns" else "TCP"}
        for name, port in workload.ports.items()
    ]
    return {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumEndpoint",
        "metadata": _meta("CiliumEndpoint", workload.namespace, pod.name),
        "status": {
            "id": pod.endpoint_id,
            "identity": {"id": pod.identity, "labels": list(pod.identity_labels)},
            "networking": {
                "addressing": [{"ipv4": pod.address}],
                "node": topology.nodes[pod.node],
            },
            "named-ports": named,
            "state": "ready",
        },
    }


def _services(topology: Topology, pods: Iterable[DemoPod]) -> Iterator[Body]:
    running = [pod for pod in pods if pod.workload.phase == "Running"]
    for number, spec in enumerate(topology.service, start=1):
        backends = [
            pod
            for pod in running
            if pod.workload.namespace == spec.namespace
            and spec.selector.items() <= pod.labels.items()
        ]
        ports = [_service_port(spec, port, target) for port, target in spec.ports.items()]
        yield {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": _meta("Service", spec.namespace, spec.name),
            "spec": {
                "type": "ClusterIP",
                "clusterIP": f"{_SERVICE_NETWORK}.{number}.10",
                "clusterIPs": [f"{_SERVICE_NETWORK}.{number}.10"],
                "selector": dict(spec.selector),
                "ports": ports,
            },
        }
        if backends:
            yield _slice(spec, ports, backends)
    yield from _apiserver_service(topology)


def _service_port(spec: ServiceSpec, port: int, target: int | str) -> Body:
    name = target if isinstance(target, str) else f"port-{port}"
    protocol = "UDP" if port in spec.udp else "TCP"
    return {"name": name, "port": port, "targetPort": target, "protocol": protocol}


def _slice(spec: ServiceSpec, ports: list[Body], backends: list[DemoPod]) -> Body:
    declared = backends[0].workload.ports
    name = f"{spec.name}-{generated_suffix(spec.name, 5)}"
    labels = {"kubernetes.io/service-name": spec.name}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": _meta("EndpointSlice", spec.namespace, name, labels=labels),
        "addressType": "IPv4",
        "ports": [
            {
                "name": port["name"],
                "port": declared.get(str(port["targetPort"]), port["targetPort"]),
                "protocol": port["protocol"],
            }
            for port in ports
        ],
        "endpoints": [
            {
                "addresses": [pod.address],
                "conditions": {"ready": pod.ready, "serving": pod.ready},
                "nodeName": pod.node,
                "targetRef": {"kind": "Pod", "namespace": spec.namespace, "name": pod.name},
            }
            for pod in backends
        ],
    }


def _apiserver_service(topology: Topology) -> Iterator[Body]:
    labels = {"kubernetes.io/service-name": "kubernetes"}
    yield {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _meta("Service", "default", "kubernetes"),
        "spec": {
            "type": "ClusterIP",
            "clusterIP": f"{_SERVICE_NETWORK}.0.1",
            "ports": [{"name": "https", "port": 443, "targetPort": 6443, "protocol": "TCP"}],
        },
    }
    yield {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": _meta("EndpointSlice", "default", "kubernetes", labels=labels),
        "addressType": "IPv4",
        "ports": [{"name": "https", "port": 6443, "protocol": "TCP"}],
        "endpoints": [
            {
                "addresses": [topology.nodes[topology.apiserver_node]],
                "conditions": {"ready": True},
            }
        ],
    }


def _gateway(topology: Topology) -> Iterator[Body]:
    address = {"type": "IPAddress", "value": topology.gateway_address}
    yield {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": _meta("Gateway", "gateway", "tre"),
        "spec": {
            "gatewayClassName": "cilium",
            "listeners": [
                {
                    "name": "https",
                    "port": 443,
                    "protocol": "HTTPS",
                    "hostname": f"*.{topology.domain}",
                    "allowedRoutes": {"namespaces": {"from": "All"}},
                }
            ],
        },
        "status": {"addresses": [address]},
    }
    yield {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _meta("Service", "gateway", "cilium-gateway-tre"),
        "spec": {
            "type": "LoadBalancer",
            "clusterIP": f"{_SERVICE_NETWORK}.99.10",
            "ports": [{"name": "port-443", "port": 443, "targetPort": 443, "protocol": "TCP"}],
        },
        "status": {"loadBalancer": {"ingress": [{"ip": topology.gateway_address}]}},
    }
    for route in topology.route:
        yield {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": _meta("HTTPRoute", route.namespace, route.host),
            "spec": {
                "parentRefs": [{"name": "tre", "namespace": "gateway"}],
                "hostnames": [f"{route.host}.{topology.domain}"],
                "rules": [{"backendRefs": [{"name": route.service, "port": route.port}]}],
            },
        }
