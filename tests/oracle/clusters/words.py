"""The small vocabulary that clusters are made of: few words, so that rules and pods meet."""

from __future__ import annotations

NAMESPACES = ("research", "portal", "ingest", "kube-system", "vault", "study-1")

APPS = ("notebook", "hub", "proxy", "store", "login", "mirror")
ROLES = ("front", "back", "data")
TEAMS = ("red", "blue")

POD_LABELS: dict[str, tuple[str, ...]] = {
    "app": APPS,
    "role": ROLES,
    "app.kubernetes.io/name": APPS,
    "example.org/part": ("a", "b"),
    "release": ("blue", "green"),
    "name": APPS,
    "team": TEAMS,
}
"""Labels that stay in an identity, with their usual values."""

ODD_POD_LABELS: dict[str, tuple[str, ...]] = {
    "pod-template-hash": ("5d8f",),
    "topology.kubernetes.io/zone": ("z1", "z2"),
    "kubernetes.io/metadata.name": NAMESPACES,
    "app.kubernetes.io": ("bare",),
    "apps.kubernetes.io/pod-index": ("0", "1"),
    "failure-domain.beta.kubernetes.io/zone": ("z1",),
    "annotation.example": ("x",),
    "io.kubernetes.pod.namespace": NAMESPACES,
    "io.cilium.k8s.policy.cluster": ("default", "other"),
    "io.cilium.k8s.policy.serviceaccount": ("default", "hub"),
    "io.cilium.k8s.namespace.labels.team": TEAMS,
    "k8s.app": ("dotted",),
    "controller-uid-x": ("1",),
    "batch.kubernetes.io/job-name": ("nightly",),
    "job-name": ("nightly",),
    "host": ("", "yes"),
    "init": ("",),
    "world": ("",),
    "empty": ("",),
    "an-unprefixed-label-name-of-exactly-sixty-characters-0123456": ("long",),
    "a-label-name-that-fills-all-of-the-sixty-three-characters-there": ("long",),
}
"""Labels that a filter drops, that Cilium owns, or that its selectors read in their own way."""

NAMESPACE_LABELS: dict[str, tuple[str, ...]] = {
    "team": TEAMS,
    "example.org/tier": ("trusted", "open"),
    "purpose": ("study", "shared"),
}
ODD_NAMESPACE_LABELS: dict[str, tuple[str, ...]] = {
    "a-namespace-label-name-past-28": ("long",),
    "a-namespace-label-of-28-char": ("long",),
    "empty": ("",),
}

SERVICE_ACCOUNTS = ("default", "hub", "runner")

NAMED_PORTS = {"http": 8080, "https": 8443, "web": 80, "dns": 53, "metrics": 9090}
PORTS = (53, 80, 443, 3000, 5432, 8000, 8080, 8443)
TRANSPORTS = ("TCP", "TCP", "TCP", "UDP", "SCTP")

BLOCKS = (
    "10.0.0.0/8",
    "10.1.0.0/16",
    "10.1.2.0/24",
    "10.1.2.3/32",
    "10.1.2.77/24",
    "192.168.0.0/16",
    "203.0.113.0/25",
    "203.0.113.7/32",
    "0.0.0.0/0",
)
BLOCKS_V6 = ("2001:db8::/32", "2001:db8:1::/48", "2001:db8:1::7/128", "::/0")
INSIDE: dict[str, tuple[str, ...]] = {
    "10.0.0.0/8": ("10.1.0.0/16", "10.1.2.3/32", "10.1.2.0/24"),
    "10.1.0.0/16": ("10.1.2.0/24", "10.1.0.0/16"),
    "10.1.2.0/24": ("10.1.2.3/32",),
    "0.0.0.0/0": ("10.0.0.0/8", "203.0.113.0/25"),
    "2001:db8::/32": ("2001:db8:1::/48",),
    "::/0": ("2001:db8::/32",),
}
"""Blocks to except from a block."""

ADDRESSES = (
    "10.1.2.3",
    "10.1.2.4",
    "10.1.9.9",
    "10.200.0.1",
    "192.168.7.7",
    "203.0.113.7",
    "203.0.113.200",
    "198.51.100.1",
)
ADDRESSES_V6 = ("2001:db8::1", "2001:db8:1::7", "2001:db8:2::1", "2606:4700::1")

NAMES = (
    "pypi.org",
    "files.pypi.org",
    "cran.r-project.org",
    "api.github.com",
    "github.com",
    "a.b.example.org",
    "b.example.org",
    "example.org",
    "_srv._tcp.example.org",
)
PATTERNS = (
    "*",
    "**",
    "*.",
    "*.pypi.org",
    "**.pypi.org",
    "*.example.org",
    "**.example.org",
    "***.example.org",
    "**example.org",
    "*hub.com",
    "git*.com",
    "*.*.example.org",
    "a.**.example.org",
    "cran.*.org",
    "PyPI.org",
    "files.*",
)

PEER_ENTITIES = ("host", "remote-node", "kube-apiserver", "health", "ingress", "unmanaged", "init")
"""Reserved identities that a connection can start at or lead to."""

RULE_ENTITIES = (
    "all",
    "world",
    "cluster",
    "host",
    "remote-node",
    "kube-apiserver",
    "health",
    "init",
    "ingress",
    "unmanaged",
    "world-ipv4",
    "world-ipv6",
    "none",
    "cluster-mesh",
)
