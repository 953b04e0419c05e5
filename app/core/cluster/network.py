"""Services and their backends, and CIDR groups."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from ipaddress import ip_network

from app.core.cluster.tree import (
    Tree,
    addresses,
    blocks_of,
    items,
    pairs,
    port,
    protocol,
    section,
    word,
    words,
)
from app.core.model.cluster import (
    BackendAddress,
    CidrGroup,
    ContainerPort,
    Network,
    Service,
    ServicePort,
)
from app.core.model.provenance import Manifest, Notice

SERVICE_NAME_LABEL = "kubernetes.io/service-name"
API_SERVER_SERVICE = ("default", "kubernetes")
"""Source: Cilium `pkg/k8s/watchers/endpoint_slice.go`: its addresses are `kube-apiserver`."""

_NUMBER = re.compile(r"[0-9]{1,9}", re.ASCII)

ServiceKey = tuple[str, str]
Backends = dict[ServiceKey, list[BackendAddress]]


def read_service(manifest: Manifest) -> Service:
    """Read a Service, without its backends."""
    spec = section(manifest.body, "spec")
    balancer = section(manifest.body, "status", "loadBalancer")
    assigned = [word(item, "ip") for item in items(balancer, "ingress")]
    return Service(
        namespace=manifest.ref.namespace,
        name=manifest.ref.name,
        type=word(spec, "type", "ClusterIP"),
        selector=pairs(spec, "selector"),
        ports=tuple(_read_service_port(item) for item in items(spec, "ports")),
        cluster_ips=addresses([word(spec, "clusterIP"), *words(spec, "clusterIPs")]),
        external_ips=addresses(
            [*words(spec, "externalIPs"), word(spec, "loadBalancerIP"), *assigned]
        ),
        external_name=word(spec, "externalName") if word(spec, "type") == "ExternalName" else "",
        source=manifest.source,
        labels=pairs(section(manifest.body, "metadata"), "labels"),
        publishes_unready=spec.get("publishNotReadyAddresses") is True,
        is_node_local=word(spec, "internalTrafficPolicy") == "Local",
        is_headless=word(spec, "clusterIP") == "None",
        external_is_local=word(spec, "externalTrafficPolicy") == "Local",
        source_ranges=blocks_of(text.strip() for text in words(spec, "loadBalancerSourceRanges")),
        is_global=_is_global(pairs(section(manifest.body, "metadata"), "annotations")),
    )


def _is_global(annotations: Mapping[str, str]) -> bool:
    """Say whether a Service is shared with other clusters.

    Source: Cilium `pkg/annotation/k8s.go` `GlobalService`, `pkg/k8s/service.go`.
    """
    names = ("service.cilium.io/global", "io.cilium/global-service")
    return any(annotations.get(name, "").lower() == "true" for name in names)


def _read_service_port(item: Tree) -> ServicePort:
    number = port(item, "port")
    target = item.get("targetPort")
    known = target if isinstance(target, int | str) and not isinstance(target, bool) else number
    if isinstance(known, str) and _NUMBER.fullmatch(known):
        known = int(known)
    if isinstance(known, int):
        known = port({"targetPort": known}, "targetPort")
    return ServicePort(
        number,
        known or number,
        protocol(item),
        word(item, "name"),
        port(item, "nodePort"),
    )


def read_endpoint_slice(manifest: Manifest, backends: Backends) -> None:
    """Add the backends of an EndpointSlice; without conditions they are ready."""
    body = manifest.body
    name = pairs(section(body, "metadata"), "labels").get(SERVICE_NAME_LABEL)
    if not name or word(body, "addressType", "IPv4") == "FQDN":
        return
    ports = _read_ports(body)
    found = backends.setdefault((manifest.ref.namespace, name), [])
    for item in items(body, "endpoints"):
        conditions = section(item, "conditions")
        ready = conditions.get("ready") is not False
        leaves = conditions.get("terminating") is True and conditions.get("serving") is True
        target = section(item, "targetRef")
        pod = word(target, "name") if word(target, "kind") == "Pod" else ""
        found += [
            BackendAddress(one, ports, ready, pod, leaves)
            for one in addresses(words(item, "addresses"))
        ]


def read_endpoints(manifest: Manifest, backends: Backends) -> None:
    """Add the backends of a legacy Endpoints object, unless slices gave them already."""
    key = (manifest.ref.namespace, manifest.ref.name)
    if backends.get(key):
        return
    found = backends.setdefault(key, [])
    for subset in items(manifest.body, "subsets"):
        ports = _read_ports(subset)
        for field, ready in (("addresses", True), ("notReadyAddresses", False)):
            for item in items(subset, field):
                pod = word(section(item, "targetRef"), "name")
                found += [
                    BackendAddress(one, ports, ready, pod) for one in addresses([word(item, "ip")])
                ]


def _read_ports(tree: Tree) -> tuple[ContainerPort, ...]:
    return tuple(
        ContainerPort(word(item, "name"), port(item, "port"), protocol(item))
        for item in items(tree, "ports")
    )


def with_backends(services: Iterable[Service], backends: Backends) -> tuple[Service, ...]:
    """Give every Service the backends that were read for it."""
    return tuple(
        replace(service, backends=tuple(backends[service.namespace, service.name]))
        if (service.namespace, service.name) in backends
        else service
        for service in services
    )


def read_cidr_group(manifest: Manifest) -> tuple[CidrGroup, list[Notice]]:
    """Read a CiliumCIDRGroup; the agent skips what is no block.

    It fixes the identity of 0.0.0.0/0 and ::/0. Source: Cilium `daemon/cmd/hostips-sync.go` `sync`.
    """
    blocks: list[Network] = []
    notices = []
    for index, text in enumerate(words(section(manifest.body, "spec"), "externalCIDRs")):
        try:
            if "/" not in text:
                raise ValueError  # noqa: TRY301  # one way out for both kinds of nonsense
            blocks.append(ip_network(text, strict=False))
            if blocks[-1].prefixlen:
                continue
            said = f"`{text}` keeps its own identity: rules that name the group do not mean it"
        except ValueError:
            said = f"`{text}` is no address block and is skipped"
        where = manifest.line_of(f"spec.externalCIDRs[{index}]")
        notices.append(Notice(f"{manifest.ref}: {said}", manifest.file, where, manifest.ref))
    labels = pairs(section(manifest.body, "metadata"), "labels")
    return CidrGroup(manifest.ref.name, tuple(blocks), labels), notices
