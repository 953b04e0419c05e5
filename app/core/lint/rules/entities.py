"""Entities: the host and other nodes, the API server, and rules for nodes themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_address
from typing import TypeGuard

from app.core.drafts.edits import Append, parse_path
from app.core.lint.cover import holds_port, span
from app.core.lint.finding import Hit, Knowledge, Severity
from app.core.lint.rule import Book
from app.core.lint.scope import Scope
from app.core.lint.view import Item, View, keys_of, mapping, nodes
from app.core.model.verdict import Direction, Effect, Protocol
from app.core.policy.rules import Entry, LabelSelector, PeerSelector

BOOK = Book()

_NODE_PORTS = {10250: "the kubelet", 9100: "a node exporter"}

_METADATA = ip_address("169.254.169.254")
_USUAL_NETWORKS = {
    "10.42.0.0/16": "the pod network of K3s and RKE2",
    "10.43.0.0/16": "the Service network of K3s and RKE2",
    "10.96.0.0/12": "the Service network of kubeadm",
    "10.244.0.0/16": "the pod network of kubeadm's usual set-up",
}
_FROM_NODES = re.compile(r"\b(webhooks?|admission|metrics|prometheus|exporters?|scrape)\b")
_AGENT_PODS = re.compile(r"(kube2iam|kiam|gke-metadata-server|metadata-proxy|pod-identity)")


def _entities(item: Item) -> tuple[str, ...]:
    return tuple(str(name) for name, _ in item.peers("Entities"))


@BOOK.check(
    "NP040",
    "api-server-on-service-port",
    Severity.WARNING,
    why="""`kubernetes.default` is port 443 of a Service; the API server behind it listens on 6443 with
    K3s and kubeadm, and that is the port policy sees (issues 31434, 1299).""",
    bad="""
    egress:
    - toEntities: [kube-apiserver]
      toPorts: [{ports: [{port: "443", protocol: TCP}]}]
    """,
    good="""
    egress:
    - toEntities: [kube-apiserver]
      toPorts: [{ports: [{port: "6443", protocol: TCP}]}]
    """,
)
def api_server_port(view: View, scope: Scope) -> Iterator[Hit]:
    """443 for the API server, and its real port nowhere."""
    real = _api_ports(scope)
    if 443 in real:  # noqa: PLR2004  # the Service's port
        return
    for item in view.items:
        if item.direction is Direction.INGRESS or item.effect is Effect.DENY:
            continue
        if "kube-apiserver" not in _entities(item) or not item.entries:
            continue
        entry = item.entries[0]
        numbers = [span(spec) for rule in entry.ports for spec in rule.ports if not spec.name]
        if not numbers or any(low != high or low != 443 for low, high in numbers):  # noqa: PLR2004
            continue
        if any(
            "kube-apiserver" in str(peer.text)
            and any(holds_port(other, port, "TCP") for port in real)
            for other in scope.sharing(entry, Direction.EGRESS)
            for peer in other.peers or ()
        ):
            continue
        known = "" if _known_api_ports(scope) else " with K3s and kubeadm"
        yield Hit(
            entry.ports[0].ports[0].path,
            f"the API server listens on {min(real)}{known}: 443 is its Service's port",
            f"write `{min(real)}`",
            severity=Severity.ERROR if _known_api_ports(scope) else None,
        )


def _known_api_ports(scope: Scope) -> frozenset[int]:
    return frozenset(
        port.port
        for service in scope.cluster.services
        if service.key == "default/kubernetes"
        for backend in service.backends or ()
        for port in backend.ports
    )


def _api_ports(scope: Scope) -> frozenset[int]:
    return _known_api_ports(scope) or frozenset((6443,))


@BOOK.check(
    "NP041",
    "calls-from-more-than-kube-apiserver",
    Severity.INFO,
    why="""Calls of the API server (webhooks) arrive as `kube-apiserver` only where its address is
    known as such. On managed control planes they come from konnectivity pods or other nodes, with
    several control planes also as remote-node or host (issues 31711, 27967).""",
    bad="""
    ingress:
    - fromEntities: [kube-apiserver]
      toPorts: [{ports: [{port: "9443", protocol: TCP}]}]
    """,
    good="""
    ingress:
    - fromEntities: [kube-apiserver, remote-node, host]
      toPorts: [{ports: [{port: "9443", protocol: TCP}]}]
    """,
)
def calls_from_api_server(view: View, scope: Scope) -> Iterator[Hit]:
    """kube-apiserver alone may call in."""
    servers = scope.cluster.apiserver_addresses
    if len(servers) == 1 and scope.is_node(servers[0]):
        return
    for item in view.items:
        if item.direction is Direction.EGRESS or item.effect is Effect.DENY or not item.entries:
            continue
        if set(_entities(item)) != {"kube-apiserver"}:
            continue
        entry = item.entries[0]
        if not _admits(entry, "remote-node", scope):
            yield Hit(
                f"{item.path}.fromEntities",
                "only kube-apiserver may call: on managed control planes the calls come from "
                "elsewhere",
                "add remote-node, or the konnectivity pods",
            )


def _admits(entry: Entry, reserved: str, scope: Scope) -> bool:
    return any(
        isinstance(peer, LabelSelector)
        and (not peer.requirements or any(one.key == reserved for one in peer.requirements))
        for other in (entry, *scope.sharing(entry, entry.direction))
        for peer in other.peers or ()
    )


@BOOK.check(
    "NP043",
    "host-without-remote-node",
    Severity.WARNING,
    why="""`host` is the node that the pod itself runs on. Every other node is `remote-node`: the
    rule works only while both happen to share a node.""",
    bad="""
    description: scrape the node exporters
    egress:
    - toEntities: [host]
      toPorts: [{ports: [{port: "9100", protocol: TCP}]}]
    """,
    good="""
    description: scrape the node exporters
    egress:
    - toEntities: [host, remote-node]
      toPorts: [{ports: [{port: "9100", protocol: TCP}]}]
    """,
)
def host_alone(view: View, scope: Scope) -> Iterator[Hit]:
    """`host` where traffic with other nodes must be meant."""
    for item in view.items:
        if item.effect is Effect.DENY or set(_entities(item)) != {"host"} or not item.entries:
            continue
        entry = item.entries[0]
        dns = bool(entry.ports) and holds_port(entry, 53, "UDP")
        if dns or entry.node or _admits(entry, "remote-node", scope):
            continue
        if item.direction is Direction.INGRESS and not _FROM_NODES.search(_said_of(view)):
            continue  # the kubelet's probes come from the own node
        yield Hit(
            f"{item.path}.{item.word}Entities",
            "`host` is the pod's own node only",
            "add remote-node",
            edits=(Append(parse_path(f"{item.path}.{item.word}Entities"), "remote-node"),),
        )


def _said_of(view: View) -> str:
    """What the author calls the policy and its pods, in lower case."""
    values = (
        " ".join(values) for one, path in view.subjects() for _, _, values, _ in keys_of(one, path)
    )
    return " ".join((view.words, *values)).lower().replace("-", " ")


@BOOK.check(
    "NP044",
    "deny-hits-the-kubelet",
    Severity.WARNING,
    why="""The own node may always connect, for the kubelet's probes, unless a deny matches `host`: a
    deny wins over that too (Cilium 1.19).""",
    bad="""
    enableDefaultDeny: {ingress: false}
    ingressDeny: [{fromEntities: [all]}]
    """,
    good="""
    enableDefaultDeny: {ingress: false}
    ingressDeny: [{fromEntities: [world]}]
    """,
)
def deny_hits_kubelet(view: View, scope: Scope) -> Iterator[Hit]:
    """An ingress deny that holds the host, on a port that pods declare or on all."""
    for entry in view.entries:
        if entry.effect is Effect.ALLOW or entry.direction is Direction.EGRESS or entry.node:
            continue
        if entry.peers is None or (not entry.peers and not entry.ports):
            continue
        hits = not entry.peers or any(
            isinstance(peer, LabelSelector)
            and (not peer.requirements or any(one.key == "host" and one.source == "reserved"
                                              for one in peer.requirements))
            for peer in entry.peers
        )  # fmt: skip
        probed = not entry.ports or any(
            scope.engine.fits_port(entry, endpoint, port.port, Protocol.TCP)
            for endpoint in scope.endpoints_of(entry)
            for port in endpoint.ports
            if port.protocol == "TCP"
        )
        if hits and probed:
            yield Hit(entry.rule.path, "it denies the own node too: the kubelet's probes fail")


@BOOK.check(
    "NP079",
    "api-server-by-remote-node",
    Severity.WARNING,
    why="""A control plane on the pod's own node is `host`, not `remote-node`: pods on server nodes
    cannot reach it. `kube-apiserver` holds both.""",
    bad="""
    egress:
    - toEntities: [remote-node]
      toPorts: [{ports: [{port: "6443", protocol: TCP}]}]
    """,
    good="""
    egress:
    - toEntities: [kube-apiserver]
      toPorts: [{ports: [{port: "6443", protocol: TCP}]}]
    """,
)
def api_server_by_node(view: View, scope: Scope) -> Iterator[Hit]:
    """remote-node alone, on the API server's port."""
    for item in view.items:
        names = set(_entities(item))
        if item.direction is Direction.INGRESS or "remote-node" not in names or not item.entries:
            continue
        entry = item.entries[0]
        if names & {"host", "kube-apiserver", "cluster", "all"} or not entry.ports or entry.node:
            continue
        if holds_port(entry, 6443, "TCP") and not _admits(entry, "kube-apiserver", scope):
            yield Hit(
                f"{item.path}.toEntities",
                "the API server on the pod's own node is `host`, not `remote-node`",
                "write kube-apiserver",
            )


@BOOK.check(
    "NP071",
    "node-policy-without-host-firewall",
    Severity.WARNING,
    why="""A nodeSelector policy takes effect only with the host firewall (`hostFirewall.enabled`,
    default off). With it, it can lock the node out (issue 24415).""",
    bad="""
    kind: CiliumClusterwideNetworkPolicy
    metadata: {name: p}
    spec:
      nodeSelector: {matchLabels: {tier: node}}
      ingress: [{fromEntities: [cluster]}]
    """,
    good="""
    kind: CiliumClusterwideNetworkPolicy
    metadata: {name: p}
    spec:
      endpointSelector: {matchLabels: {tier: node}}
      ingress: [{fromEntities: [cluster]}]
    """,
)
def node_policy(view: View, scope: Scope) -> Iterator[Hit]:
    """A host policy, and a host firewall that is off as far as is known."""
    if scope.cluster.config.host_firewall:
        return
    known = any(one.ref.name == "cilium-config" for one in scope.of_kind.get("ConfigMap", ()))
    for rule, path in view.rules:
        if rule.get("nodeSelector") is not None and view.is_clusterwide:
            yield Hit(
                f"{path}.nodeSelector",
                "the host firewall is off: the policy has no effect"
                if known
                else "it has an effect only where the host firewall is on",
                severity=Severity.ERROR if known else Severity.INFO,
            )


@BOOK.check(
    "NP132",
    "node-service-by-pod-selector",
    Severity.WARNING,
    why="""The kubelet (10250) and node exporters (9100) listen in the host network: they are the
    entities host and remote-node, which no pod selector holds (issue 3415).""",
    bad="""
    egress:
    - toEndpoints: [{}]
      toPorts: [{ports: [{port: "10250", protocol: TCP}]}]
    """,
    good="""
    egress:
    - toEntities: [host, remote-node]
      toPorts: [{ports: [{port: "10250", protocol: TCP}]}]
    """,
)
def node_service_by_selector(view: View, scope: Scope) -> Iterator[Hit]:
    """A port of every node, asked of pods."""
    for entry in view.entries:
        if entry.direction is Direction.INGRESS or entry.effect is Effect.DENY or not entry.peers:
            continue
        pods = [one for one in entry.peers if _is_of_pods(one)]
        if len(pods) < len(entry.peers):
            continue
        for spec in (spec for rule in entry.ports for spec in rule.ports):
            if spec.number not in _NODE_PORTS or spec.end > spec.number or spec.name:
                continue
            served = any(
                port.port == spec.number and peer.selects_labels(endpoint.labels)
                for endpoint in scope.cluster.endpoints
                if not endpoint.host_network
                for port in endpoint.ports
                for peer in pods
            )
            if not served and not _reaches_nodes(entry, spec.number, scope):
                yield Hit(
                    spec.path,
                    f"{_NODE_PORTS[spec.number]} ({spec.number}) is in the host network: "
                    "no pod selector holds it",
                    "use the entities host and remote-node",
                )


def _is_of_pods(peer: PeerSelector) -> TypeGuard[LabelSelector]:
    if not isinstance(peer, LabelSelector) or not peer.requirements:
        return False
    return not any(one.source == "reserved" for one in peer.requirements)


def _reaches_nodes(entry: Entry, port: int, scope: Scope) -> bool:
    return any(
        holds_port(other, port, "TCP")
        and any(
            isinstance(peer, LabelSelector)
            and (
                not peer.requirements or any(one.key == "remote-node" for one in peer.requirements)
            )
            for peer in other.peers or ()
        )
        for other in scope.sharing(entry, Direction.EGRESS)
    )


@BOOK.check(
    "NP133",
    "deny-of-world-hits-api-server",
    Severity.ERROR,
    needs=Knowledge.CLUSTER,
    why="""An API server that runs outside of the cluster (a managed one) is `world` as well as
    `kube-apiserver`, and a deny wins: a deny of the world cuts its calls to webhooks off (cozystack
    issue 3983).""",
    bad="""
    # with an API server at an address that is no node's
    enableDefaultDeny: {ingress: false}
    ingressDeny:
    - fromEntities: [world]
      toPorts: [{ports: [{port: "8443", protocol: TCP}]}]
    """,
    good="""
    # with an API server on a node
    enableDefaultDeny: {ingress: false}
    ingressDeny:
    - fromEntities: [world]
      toPorts: [{ports: [{port: "8443", protocol: TCP}]}]
    """,
)
def deny_hits_api_server(view: View, scope: Scope) -> Iterator[Hit]:
    """A deny of the world on the port of a webhook, and an API server outside."""
    outside = [one for one in scope.cluster.apiserver_addresses if not scope.is_node(one)]
    if not outside or not scope.cluster.nodes:
        return
    for entry in view.entries:
        if entry.effect is Effect.ALLOW or entry.direction is Direction.EGRESS:
            continue
        world = any(
            isinstance(peer, LabelSelector)
            and any(one.source == "reserved" and one.key == "world" for one in peer.requirements)
            for peer in entry.peers or ()
        )
        hooked = any(holds_port(entry, port, "TCP") for port in _webhook_ports(entry, scope))
        if world and hooked:
            yield Hit(
                entry.rule.path,
                f"the API server ({outside[0]}) is outside, so this denies its calls too",
                "deny the blocks that are meant instead",
            )


def _webhook_ports(entry: Entry, scope: Scope) -> frozenset[int]:
    """The ports of the subject's pods that webhook configurations lead to."""
    found: set[int] = set()
    pods = scope.endpoints_of(entry)
    services = {service.key: service for service in scope.cluster.services}
    for kind in ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"):
        for one in scope.of_kind.get(kind, ()):
            for hook, _ in nodes(one.body, "webhooks", ""):
                place = mapping(mapping(mapping(hook).get("clientConfig")).get("service"))
                service = services.get(f"{place.get('namespace')}/{place.get('name')}")
                for pod in pods if service is not None else ():
                    port = place.get("port", 443)
                    found.add(scope.port_behind(service, int(port), pod))
    names = {port.name: port.port for pod in pods for port in pod.ports}
    found |= {number for name, number in names.items() if "webhook" in name}
    return frozenset(found - {0})
