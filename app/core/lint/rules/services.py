"""Services by name, and what takes their traffic elsewhere: local redirects and DNS caches."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_address

from app.core.cluster.redirects import selects
from app.core.lint.cover import holds_port
from app.core.lint.finding import Hit, Knowledge, Severity
from app.core.lint.rule import Book
from app.core.lint.rules.blocks import blocks_of
from app.core.lint.scope import Scope
from app.core.lint.view import View, mapping
from app.core.model.cluster import Endpoint, LocalRedirect
from app.core.model.verdict import Direction, Effect
from app.core.policy.rules import CidrSelector, GroupSelector, LabelSelector

BOOK = Book()

_CACHE_ADDRESS = "169.254.20.10"
"""Where node-local DNS listens by convention; from 1.17 on local addresses of the node are host."""

_METADATA = ip_address("169.254.169.254")
_USUAL_NETWORKS = {
    "10.42.0.0/16": "the pod network of K3s and RKE2",
    "10.43.0.0/16": "the Service network of K3s and RKE2",
    "10.96.0.0/12": "the Service network of kubeadm",
    "10.244.0.0/16": "the pod network of kubeadm's usual set-up",
}
_FROM_NODES = re.compile(r"\b(webhooks?|admission|metrics|prometheus|exporters?|scrape)\b")
_AGENT_PODS = re.compile(r"(kube2iam|kiam|gke-metadata-server|metadata-proxy|pod-identity)")


@BOOK.check(
    "NP066",
    "service-unresolved-opens-port",
    Severity.ERROR,
    needs=Knowledge.REPOSITORY,
    why="""A toServices that finds no Service, beside ports, is an item without a peer: the ports are
    open to everybody, and in a deny closed for everybody (issue 20067; asked of the engine: 116 to
    119).""",
    bad="""
    # with Services in namespace db, none of which is called postgres
    egress:
    - toServices: [{k8sService: {serviceName: postgres, namespace: db}}]
      toPorts: [{ports: [{port: "5432", protocol: TCP}]}]
    """,
    good="""
    egress:
    - toEndpoints: [{matchLabels: {app: postgres, k8s:io.kubernetes.pod.namespace: db}}]
      toPorts: [{ports: [{port: "5432", protocol: TCP}]}]
    """,
)
def service_unresolved(view: View, scope: Scope) -> Iterator[Hit]:
    """No Service was found, and ports are left."""
    spaces = {service.namespace for service in scope.cluster.services}
    for item in view.items:
        named = list(item.peers("Services"))
        if not named or not item.entries or item.entries[0].peers or not item.entries[0].ports:
            continue
        if not scope.whole and not scope.cluster.services:
            continue
        asked = {_space_of(one) for one, _ in named}
        sure = scope.has_pods or bool(asked & spaces)
        does = "denied to" if item.effect is Effect.DENY else "open to"
        yield Hit(
            f"{item.path}.toServices",
            f"no such Service was found: the ports are {does} everybody",
            "select the pods with toEndpoints",
            severity=None if sure else Severity.WARNING,
        )


def _space_of(reference: object) -> str:
    fields = mapping(reference)
    named = mapping(fields.get("k8sService") or fields.get("k8sServiceSelector"))
    return str(named.get("namespace") or "")


@BOOK.check(
    "NP131",
    "service-of-the-api-server",
    Severity.ERROR,
    why="""A Service without a selector becomes its addresses, as CIDR rules, and those never match
    nodes. `default/kubernetes` is such a Service (cilium issue 35459).""",
    bad="""
    egress:
    - toServices: [{k8sService: {serviceName: kubernetes, namespace: default}}]
    """,
    good="""
    egress:
    - toEntities: [kube-apiserver]
    """,
)
def service_of_api_server(view: View, _scope: Scope) -> Iterator[Hit]:
    """The Service `default/kubernetes`."""
    for item in view.items:
        for reference, path in item.peers("Services"):
            named = mapping(mapping(reference).get("k8sService"))
            if (named.get("serviceName"), named.get("namespace")) == ("kubernetes", "default"):
                yield Hit(
                    path,
                    "the API server's Service has no selector: its node addresses never match",
                    "write `toEntities: [kube-apiserver]`",
                )


@BOOK.check(
    "NP067",
    "service-with-dotted-labels",
    Severity.ERROR,
    needs=Knowledge.REPOSITORY,
    why="""Cilium 1.18, and 1.19 up to 1.19.5, misread label keys with dots in a Service's selector and
    in k8sServiceSelector: toServices finds no pod (issues 41151, 46732).""",
    bad="""
    # read by Cilium 1.19.3
    egress:
    - toServices: [{k8sServiceSelector: {selector: {matchLabels: {app.kubernetes.io/name: db}}, namespace: db}}]
    """,
    good="""
    # read by Cilium 1.19.3
    egress:
    - toEndpoints: [{matchLabels: {app.kubernetes.io/name: db, k8s:io.kubernetes.pod.namespace: db}}]
    """,
)
def dotted_service_labels(view: View, scope: Scope) -> Iterator[Hit]:
    """Dots in the keys that toServices goes by."""
    if not (1, 18, 0) <= scope.version < (1, 19, 6):
        return
    services = {service.key: service for service in scope.cluster.services}
    for item in view.items:
        for reference, path in item.peers("Services"):
            fields = mapping(reference)
            selector = mapping(mapping(fields.get("k8sServiceSelector")).get("selector"))
            keys = list(mapping(selector.get("matchLabels")))
            named = mapping(fields.get("k8sService"))
            service = services.get(f"{named.get('namespace')}/{named.get('serviceName')}")
            keys += list(service.selector) if service else []
            dotted = [key for key in map(str, keys) if "." in key]
            if dotted:
                yield Hit(
                    path,
                    f"this version misreads `{dotted[0]}`: the rule finds no pod",
                    "select the pods with toEndpoints",
                )


@BOOK.check(
    "NP128",
    "redirect-policy-bypasses-rule",
    Severity.WARNING,
    needs=Knowledge.REPOSITORY,
    why="""A CiliumLocalRedirectPolicy sends what goes to its address or Service to a pod of the same
    node before policy is asked: the peer is that pod, not the one that the rule names (issues 24654,
    20055).""",
    bad="""
    # with a CiliumLocalRedirectPolicy for 169.254.169.254 to the pods app=proxy
    egress:
    - toCIDR: [169.254.169.254/32]
    """,
    good="""
    egress:
    - toEndpoints: [{matchLabels: {app: proxy, k8s:io.kubernetes.pod.namespace: kube-system}}]
    """,
)
def redirect_bypasses(view: View, scope: Scope) -> Iterator[Hit]:
    """A rule for what a local redirect policy takes away."""
    for one in scope.cluster.redirects:
        if _is_dns_service(one):
            continue  # NP010
        for peer, _ in blocks_of(view, Direction.EGRESS):
            if one.address and peer.block.num_addresses == 1 and one.address in peer.block:
                yield Hit(
                    peer.path,
                    f"{one.key} redirects {one.address} to pods of the node",
                    "allow those pods",
                )
        for item in view.items:
            for reference, path in item.peers("Services"):
                named = mapping(mapping(reference).get("k8sService"))
                space = named.get("namespace") or view.ref.namespace
                if one.service and (named.get("serviceName"), space) == (
                    one.service,
                    one.namespace,
                ):
                    yield Hit(path, f"{one.name} redirects this Service to pods of the node")


def _is_at(peer: CidrSelector, address: str) -> bool:
    try:
        return ip_address(address) in peer.block
    except ValueError:
        return False


def _backs(redirect: LocalRedirect, pod: Endpoint) -> bool:
    """Whether a pod of the policy's namespace is one that traffic is sent to, host network or not.

    Source: Cilium `pkg/loadbalancer/redirectpolicy/`, which asks for namespace and labels only.
    """
    return pod.namespace == redirect.namespace and selects(redirect.selector, pod.pod_labels)


def _is_dns_service(redirect: LocalRedirect) -> bool:
    return redirect.service in ("kube-dns", "coredns")


@BOOK.check(
    "NP010",
    "dns-is-redirected",
    Severity.WARNING,
    needs=Knowledge.REPOSITORY,
    why="""With a CiliumLocalRedirectPolicy for the DNS Service the peer is the node-local cache, not
    kube-dns, whose labels the rule asks for (issue 24654).""",
    bad="""
    # with a CiliumLocalRedirectPolicy for kube-dns to the pods k8s-app=node-local-dns
    egress:
    - toEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: kube-system, k8s-app: kube-dns}}]
      toPorts: [{ports: [{port: "53", protocol: ANY}]}]
    """,
    good="""
    egress:
    - toEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: kube-system}}]
      toPorts: [{ports: [{port: "53", protocol: ANY}]}]
    """,
)
def dns_redirected(view: View, scope: Scope) -> Iterator[Hit]:
    """DNS is allowed to kube-dns by its labels, and the local cache is nowhere."""
    for one in filter(_is_dns_service, scope.cluster.redirects):
        pods = [pod for pod in scope.cluster.endpoints if _backs(one, pod)]
        if pods and all(pod.host_network for pod in pods):
            yield from _without_cache(view, scope, None, "a local redirect policy sends DNS to")
            continue
        labels = mapping(one.selector.get("matchLabels"))
        pairs = {str(key): str(value) for key, value in labels.items()}
        yield from _without_cache(view, scope, pairs, "a local redirect policy sends DNS to")


@BOOK.check(
    "NP129",
    "node-local-dns-not-named",
    Severity.WARNING,
    needs=Knowledge.REPOSITORY,
    why="""Pods ask the cache on their own node, at 169.254.20.10 in the host network: the peer is
    `host`, and a rule for kube-dns does not hold it (issue 44064).""",
    bad="""
    # with a DaemonSet node-local-dns in the host network
    egress:
    - toEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: kube-system, k8s-app: kube-dns}}]
      toPorts: [{ports: [{port: "53", protocol: ANY}]}]
    """,
    good="""
    # with a DaemonSet node-local-dns in the host network
    egress:
    - toEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: kube-system, k8s-app: kube-dns}}]
      toPorts: [{ports: [{port: "53", protocol: ANY}]}]
    - toEntities: [host]
      toPorts: [{ports: [{port: "53", protocol: ANY}]}]
    """,
)
def node_local_dns(view: View, scope: Scope) -> Iterator[Hit]:
    """DNS is allowed to kube-dns only and a cache runs on every node, or it is named by address."""
    for peer, _ in blocks_of(view, Direction.EGRESS) if scope.version >= (1, 17, 0) else ():
        if peer.block.num_addresses == 1 and _is_at(peer, _CACHE_ADDRESS):
            yield Hit(
                peer.path,
                f"`{peer.text}` is an address of the node itself: its identity is host",
                "write `toEntities: [host]`",
            )
    caches = [
        one
        for one in scope.cluster.endpoints
        if one.host_network
        and (one.pod_labels.get("k8s-app") == "node-local-dns" or "node-local-dns" in one.name)
    ]
    if caches and not any(map(_is_dns_service, scope.cluster.redirects)):
        yield from _without_cache(view, scope, None, "pods ask")


def _without_cache(
    view: View, scope: Scope, labels: dict[str, str] | None, said: str
) -> Iterator[Hit]:
    for entry in view.entries:
        if entry.direction is Direction.INGRESS or entry.effect is Effect.DENY:
            continue
        names_dns = any(
            isinstance(peer, LabelSelector)
            and any(one.key == "k8s-app" and "kube-dns" in one.values for one in peer.requirements)
            for peer in entry.peers or ()
        )
        if not names_dns or not holds_port(entry, 53, "UDP"):
            continue
        others = [
            other
            for other in (entry, *scope.sharing(entry, Direction.EGRESS))
            if holds_port(other, 53, "UDP")
        ]
        if not any(_holds_cache(peer, labels) for other in others for peer in other.peers or ()):
            what = (
                ", ".join(f"{k}={v}" for k, v in labels.items()) if labels else "the node's cache"
            )
            yield Hit(entry.rule.path, f"{said} {what}, which no rule allows", "allow it too")
            return


def _holds_cache(peer: object, labels: dict[str, str] | None) -> bool:
    if isinstance(peer, GroupSelector | CidrSelector) or not isinstance(peer, LabelSelector):
        return False
    if not peer.requirements:
        return True
    if labels is None:
        return any(one.source == "reserved" and one.key == "host" for one in peer.requirements)
    asked = {one.key: one.values for one in peer.requirements if one.source != "reserved"}
    if any(one.source == "reserved" for one in peer.requirements):
        return False
    own = {key: values for key, values in asked.items() if not key.startswith("io.")}
    return all(labels.get(key) in values for key, values in own.items())
