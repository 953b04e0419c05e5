"""CiliumLocalRedirectPolicy: traffic for an address or a Service that stays on its node."""

from __future__ import annotations

import re
from collections.abc import Mapping

from app.core.cluster.tree import (
    BrokenObject,
    Tree,
    address,
    items,
    pairs,
    protocol,
    section,
    word,
    words,
)
from app.core.model.cluster import ContainerPort, LocalRedirect
from app.core.model.provenance import Manifest

_PORT = re.compile(r"[0-9]{1,5}", re.ASCII)


def read_redirect(manifest: Manifest) -> LocalRedirect:
    """Read a policy as the agent does; what it would refuse raises `BrokenObject`.

    Source: Cilium `pkg/loadbalancer/redirectpolicy/redirectpolicy.go`
    `getSanitizedLocalRedirectPolicy`.
    """
    spec, ref = section(manifest.body, "spec"), manifest.ref
    front, back = section(spec, "redirectFrontend"), section(spec, "redirectBackend")
    by_address, by_service = section(front, "addressMatcher"), section(front, "serviceMatcher")
    if bool(by_address) is bool(by_service):
        raise BrokenObject("spec.redirectFrontend", "either an addressMatcher or a serviceMatcher")
    ip = address(word(by_address, "ip")) if by_address else None
    if by_address and ip is None:
        raise BrokenObject("spec.redirectFrontend.addressMatcher.ip", "an address")
    service = word(by_service, "serviceName")
    if by_service and (not service or word(by_service, "namespace") != ref.namespace):
        raise BrokenObject("spec.redirectFrontend.serviceMatcher", "a Service of its own namespace")
    ports, targets = _ports(by_address or by_service), _ports(back)
    if by_address and not ports:
        raise BrokenObject("spec.redirectFrontend.addressMatcher.toPorts", "a list of ports")
    if len(ports) == 1 and targets and targets[0].protocol != ports[0].protocol:
        raise BrokenObject("spec.redirectBackend.toPorts", "of the protocol of the frontend's port")
    return LocalRedirect(
        namespace=ref.namespace,
        name=ref.name,
        selector=section(back, "localEndpointSelector"),
        backend_ports=targets,
        address=ip,
        service=service,
        frontend_ports=ports,
        skips_backends=spec.get("skipRedirectFromBackend") is True,
        source=manifest.source,
    )


def _ports(tree: Tree) -> tuple[ContainerPort, ...]:
    """Read `toPorts`, whose numbers are text."""
    found = []
    for item in items(tree, "toPorts"):
        if not _PORT.fullmatch(str(item.get("port"))):
            raise BrokenObject("port", "a port number", item)
        number = int(str(item["port"]))
        transport = protocol({**item, "protocol": word(item, "protocol", "TCP").upper()})
        found.append(ContainerPort(word(item, "name").lower(), number, transport))
    return tuple(found)


def selects(selector: Tree, labels: Mapping[str, str]) -> bool:
    """Say whether a LabelSelector holds a pod's own labels; an empty one holds every pod's.

    Source: Kubernetes `apimachinery/pkg/apis/meta/v1` `LabelSelectorAsSelector`.
    """
    wanted = pairs(selector, "matchLabels").items()
    return wanted <= labels.items() and all(
        _fits(item, labels) for item in items(selector, "matchExpressions")
    )


def _fits(item: Tree, labels: Mapping[str, str]) -> bool:
    key, values = word(item, "key"), words(item, "values")
    has, operator = key in labels, word(item, "operator")
    if operator == "In":
        return has and labels[key] in values
    if operator == "NotIn":
        return not has or labels[key] not in values
    return has if operator == "Exists" else operator == "DoesNotExist" and not has
