"""What was not read, and which answers it could change.

Whoever reads a source reports what it could not read as a `Notice` of severity `error`; they travel
in `Cluster.unread`, so that every question over a cluster can say what it does not know.
"""

from __future__ import annotations

from collections.abc import Iterable

from app.core.model.kinds import CCNP, CNP, KNP
from app.core.model.provenance import Notice, ObjectRef

UNREAD = "error"
"""The severity of a notice about something that was not read."""

_OF_NAMESPACE = frozenset(
    {
        "AuthorizationPolicy",
        "CiliumEnvoyConfig",
        "CiliumEndpoint",
        CNP,
        "CronJob",
        "DaemonSet",
        "Deployment",
        "EndpointSlice",
        "Endpoints",
        "Job",
        KNP,
        "Pod",
        "ReplicaSet",
        "Service",
        "StatefulSet",
    }
)
"""Kinds of which an object matters to connections from or to its own namespace only."""

_OF_CLUSTER = frozenset(
    {
        "AdminNetworkPolicy",
        "BaselineAdminNetworkPolicy",
        "CiliumCIDRGroup",
        CCNP,
        "CiliumEndpointSlice",
        "CiliumIdentity",
        "CiliumLocalRedirectPolicy",
        "CiliumNode",
        "ClusterNetworkPolicy",
        "GRPCRoute",
        "Gateway",
        "GatewayClass",
        "GlobalNetworkPolicy",
        "HTTPRoute",
        "Ingress",
        "IngressClass",
        "Namespace",
        "Node",
        "ReferenceGrant",
        "TLSRoute",
    }
)
_OF_GATEWAY = frozenset({"TCPRoute", "UDPRoute"})
"""Kinds that matter to connections with an end that is no pod: a gateway's address."""
_AGENT_CONFIG = "cilium-config"


def unread(notices: Iterable[Notice]) -> tuple[Notice, ...]:
    """Those of the notices that say that something was not read, each once."""
    return tuple(dict.fromkeys(one for one in notices if one.severity == UNREAD))


def decides(ref: ObjectRef) -> bool:
    """Whether an object could change any verdict at all."""
    if ref.kind == "ConfigMap":
        return ref.name in ("", _AGENT_CONFIG)
    return ref.kind in _OF_NAMESPACE | _OF_CLUSTER | _OF_GATEWAY


def could_decide(notice: Notice) -> bool:
    """Whether what was not read could change any verdict at all; what is unknown could."""
    return notice.ref is None or not notice.ref.kind or decides(notice.ref)


def could_change(notice: Notice, namespaces: frozenset[str] | None = None) -> bool:
    """Whether what was not read could change the verdict on a connection between `namespaces`.

    None means that an end is no pod, whose address anything might have.
    """
    if not could_decide(notice):
        return False
    ref = notice.ref
    if ref is not None and ref.kind in _OF_GATEWAY:
        return namespaces is None
    if ref is None or namespaces is None or not ref.namespace or ref.kind not in _OF_NAMESPACE:
        return True
    return ref.namespace in namespaces
