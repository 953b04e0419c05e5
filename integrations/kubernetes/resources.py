"""What is read from the API server, why, and what is lost without it.

The table is the one source for the reader, for `doctor` and `:can-i`, and for `deploy/rbac.yaml`
(a test compares them), so the rights asked for are exactly the rights used.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.core.model.kinds import CCNP, CNP, KNP

CILIUM_NAMESPACE = "kube-system"
"""Where Cilium runs unless the settings say otherwise."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind. `versions` are tried in order; `cost` says what its absence costs.

    `name` limits the list to one object by field selector, which RBAC can grant by resource name.
    `namespace` pins a namespaced kind to one namespace.
    """

    kind: str
    group: str
    versions: tuple[str, ...]
    plural: str
    cost: str
    namespaced: bool = True
    name: str = ""
    namespace: str = ""

    def path(self, version: str, namespace: str | None = None) -> str:
        """The list path at the API server, for one namespace or all."""
        root = f"/apis/{self.group}/{version}" if self.group else f"/api/{version}"
        within = namespace or self.namespace
        return f"{root}/namespaces/{within}/{self.plural}" if within else f"{root}/{self.plural}"

    def api_version(self, version: str) -> str:
        """`group/version` as objects carry it."""
        return f"{self.group}/{version}" if self.group else version


_GATEWAY = "gateway.networking.k8s.io"

RESOURCES: tuple[Resource, ...] = (
    Resource(
        "Namespace",
        "",
        ("v1",),
        "namespaces",
        "namespace labels are unknown, so selectors on them cannot be judged",
        namespaced=False,
    ),
    Resource("Pod", "", ("v1",), "pods", "no endpoints: nothing can be asked about pods"),
    Resource("Service", "", ("v1",), "services", "Service questions and toServices rules"),
    Resource(
        "EndpointSlice",
        "discovery.k8s.io",
        ("v1",),
        "endpointslices",
        "backends of Services are guessed from selectors; readiness is unknown",
    ),
    Resource(
        "Node",
        "",
        ("v1",),
        "nodes",
        "node addresses look like the outside world",
        namespaced=False,
    ),
    Resource(
        KNP,
        "networking.k8s.io",
        ("v1",),
        "networkpolicies",
        "Kubernetes policies are missing: verdicts may be wrong",
    ),
    Resource(
        CNP,
        "cilium.io",
        ("v2",),
        "ciliumnetworkpolicies",
        "Cilium policies are missing: verdicts may be wrong",
    ),
    Resource(
        CCNP,
        "cilium.io",
        ("v2",),
        "ciliumclusterwidenetworkpolicies",
        "clusterwide policies are missing: verdicts may be wrong",
        namespaced=False,
    ),
    Resource(
        "CiliumCIDRGroup",
        "cilium.io",
        ("v2", "v2alpha1"),
        "ciliumcidrgroups",
        "rules that name CIDR groups match nothing",
        namespaced=False,
    ),
    Resource(
        "CiliumEndpoint",
        "cilium.io",
        ("v2",),
        "ciliumendpoints",
        "identities are derived from pod labels instead of read; unmanaged pods are not seen",
    ),
    Resource(
        "CiliumIdentity",
        "cilium.io",
        ("v2",),
        "ciliumidentities",
        "identity numbers in flows cannot be turned into labels",
        namespaced=False,
    ),
    Resource(
        "CiliumNode",
        "cilium.io",
        ("v2",),
        "ciliumnodes",
        "health and ingress addresses look like the outside world",
        namespaced=False,
    ),
    Resource(
        "CiliumLocalRedirectPolicy",
        "cilium.io",
        ("v2",),
        "ciliumlocalredirectpolicies",
        "where nodes send a Service or an address instead, as node-local DNS needs it",
    ),
    Resource(
        "Gateway", _GATEWAY, ("v1", "v1beta1"), "gateways", "the path through the own gateway"
    ),
    Resource(
        "HTTPRoute",
        _GATEWAY,
        ("v1", "v1beta1"),
        "httproutes",
        "host names behind the own gateway look like the outside world",
    ),
    Resource("GRPCRoute", _GATEWAY, ("v1",), "grpcroutes", "gRPC host names behind the gateway"),
    Resource(
        "TLSRoute",
        _GATEWAY,
        ("v1", "v1alpha3", "v1alpha2"),
        "tlsroutes",
        "TLS host names behind the gateway",
    ),
    Resource(
        "GatewayClass",
        _GATEWAY,
        ("v1", "v1beta1"),
        "gatewayclasses",
        "whose gateway serves a host name is told by the name of its class only",
        namespaced=False,
    ),
    Resource(
        "ReferenceGrant",
        _GATEWAY,
        ("v1", "v1beta1"),
        "referencegrants",
        "whether a route may use a Service of another namespace is taken for granted",
    ),
    Resource(
        "IngressClass",
        "networking.k8s.io",
        ("v1",),
        "ingressclasses",
        "whose Ingress serves a host name is told by the name of its class only",
        namespaced=False,
    ),
    Resource("Ingress", "networking.k8s.io", ("v1",), "ingresses", "host names behind an Ingress"),
    Resource("ReplicaSet", "apps", ("v1",), "replicasets", "a pod's Deployment is unknown"),
    Resource("Deployment", "apps", ("v1",), "deployments", "workloads without pods"),
    Resource("StatefulSet", "apps", ("v1",), "statefulsets", "workloads without pods"),
    Resource(
        "DaemonSet",
        "apps",
        ("v1",),
        "daemonsets",
        "workloads without pods, and Cilium's own version",
    ),
    Resource("Job", "batch", ("v1",), "jobs", "a pod's CronJob is unknown"),
    Resource("CronJob", "batch", ("v1",), "cronjobs", "workloads without pods"),
    Resource(
        "ConfigMap",
        "",
        ("v1",),
        "configmaps",
        "Cilium's settings are unknown: its defaults are assumed",
        name="cilium-config",
        namespace=CILIUM_NAMESPACE,
    ),
    Resource(
        "Application",
        "argoproj.io",
        ("v1alpha1",),
        "applications",
        "which Argo CD application deploys a policy",
    ),
)
