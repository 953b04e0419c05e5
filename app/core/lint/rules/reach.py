"""Who can reach whom: what policies open, leave open, or close at the other end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from app.core.lint.cover import is_every_port
from app.core.lint.finding import Hit, Knowledge, Severity
from app.core.lint.projects import is_project
from app.core.lint.rule import Book
from app.core.lint.scope import Scope
from app.core.lint.view import Item, View
from app.core.model.cluster import Endpoint
from app.core.model.verdict import Direction, Effect, Outcome, Protocol, Question
from app.core.policy.rules import CidrSelector, Entry, LabelSelector

BOOK = Book()

_OPEN_SERVICES = {
    2049: "NFS",
    2375: "the Docker API",
    2379: "etcd",
    5984: "CouchDB",
    6379: "Redis",
    7077: "Spark",
    8500: "Consul",
    8786: "Dask",
    9200: "Elasticsearch",
    10255: "the kubelet's read-only port",
    11211: "memcached",
    27017: "MongoDB",
}
"""Ports whose usual service asks nobody who they are."""

_SYSTEM = ("kube-", "cilium", "kubernetes-dashboard")
_SAMPLES = 6


def _is_world(peer: object) -> bool:
    if isinstance(peer, CidrSelector):
        return peer.block.prefixlen == 0
    if isinstance(peer, LabelSelector):
        return not peer.requirements or any(
            one.source == "reserved" and one.key == "world" for one in peer.requirements
        )
    return False


def _every_port(entry: Entry) -> bool:
    return not entry.ports or any(
        is_every_port(spec) for rule in entry.ports for spec in rule.ports
    )


@BOOK.check(
    "NP108",
    "opens-the-internet",
    Severity.WARNING,
    why="""Every port to (or from) the whole world: nothing stops data that leaves, or a scan that
    comes in.""",
    bad="""
    endpointSelector: {matchLabels: {app: web}}
    egress: [{toEntities: [world]}]
    """,
    good="""
    endpointSelector: {matchLabels: {app: web}}
    egress:
    - toEntities: [world]
      toPorts: [{ports: [{port: "443", protocol: TCP}]}]
    """,
)
def opens_internet(view: View, _scope: Scope) -> Iterator[Hit]:
    """World, on every port."""
    for item in view.items:
        if item.effect is Effect.DENY:
            continue
        open_entries = [one for one in item.entries if one.peers and _every_port(one)]
        worlds = [peer for one in open_entries for peer in one.peers or () if _is_world(peer)]
        holes = [peer for peer in worlds if isinstance(peer, CidrSelector) and peer.excepted]
        if not worlds or any(one.node for one in item.entries):
            continue
        way = "out to" if item.direction is Direction.EGRESS else "in from"
        tail = " but the excepted blocks" if len(holes) == len(worlds) else ""
        yield Hit(
            _peer_path(item, worlds[0]),
            f"every port {way} the whole world{tail}",
            "name the ports, and the peers that are needed",
        )


def _peer_path(item: Item, peer: object) -> str:
    return getattr(peer, "path", "") or item.path


@BOOK.survey(
    "NP109",
    "namespace-without-policy",
    Severity.INFO,
    why="""No policy selects any pod of the namespace: everybody may reach them, and they everybody,
    while other namespaces are closed.""",
    bad="""
    # with pods in namespace b, and policies in a only
    ingress: [{}]
    """,
    good="""
    # with a policy in each namespace that has pods
    ingress: [{}]
    """,
)
def without_policy(scope: Scope) -> Iterator[Hit]:
    """A namespace with pods of which none is restricted, where others are; a project's always."""
    spaces = {one.ref.name: one for one in scope.of_kind.get("Namespace", ())}
    subjects = {
        name: found
        for name, endpoints in sorted(scope.endpoints_in.items())
        if not name.startswith(_SYSTEM) and (found := [one for one in endpoints if _has_own(one)])
    }
    free = [
        name
        for name, found in subjects.items()
        if not any(scope.engine.policies_selecting(one) for one in found)
    ]
    usual = len(free) * 2 <= len(subjects)
    for name in free:
        namespace = scope.cluster.namespaces.get(name)
        project = namespace is not None and is_project(name, namespace.labels)
        manifest = spaces.get(name) or scope.object_of(subjects[name][0])
        if manifest is None or not (project or usual):
            continue
        number = len(subjects[name])
        pods = "its pod" if number == 1 else f"any of its {number} pods"
        yield Hit(
            "metadata",
            f"no policy selects {pods}: namespace {name} is open both ways",
            "add a default deny and what is needed",
            severity=Severity.WARNING if project else None,
            manifest=manifest,
        )


def _has_own(endpoint: Endpoint) -> bool:
    return endpoint.managed and not endpoint.host_network


@BOOK.check(
    "NP110",
    "project-isolation-broken",
    Severity.ERROR,
    needs=Knowledge.REPOSITORY,
    why="""Projects of a research environment must not reach each other. Pods of two project
    namespaces may connect, and this rule is what allows it.""",
    bad="""
    # with pods in project-a and project-b, and a rule like this in both
    ingress: [{fromEntities: [cluster]}]
    egress: [{toEntities: [cluster]}]
    """,
    good="""
    ingress: [{fromEndpoints: [{}]}]
    egress: [{toEndpoints: [{}]}]
    """,
)
def isolation_broken(view: View, scope: Scope) -> Iterator[Hit]:
    """A rule by which one project's pods let another's in."""
    for path, words in scope.project_leaks.get(view.ref, {}).items():
        yield Hit(path, f"it lets another project in: {words}", "name the own project only")


@BOOK.check(
    "NP111",
    "exposed-unauthenticated-service",
    Severity.WARNING,
    why="""What usually listens on this port asks nobody who they are: whoever can connect can read
    and change everything in it.""",
    bad="""
    endpointSelector: {matchLabels: {app: redis}}
    ingress:
    - fromEntities: [world]
      toPorts: [{ports: [{port: "6379", protocol: TCP}]}]
    """,
    good="""
    endpointSelector: {matchLabels: {app: redis}}
    ingress:
    - fromEndpoints: [{matchLabels: {app: web}}]
      toPorts: [{ports: [{port: "6379", protocol: TCP}]}]
    """,
)
def exposed_service(view: View, scope: Scope) -> Iterator[Hit]:
    """A port of such a service, open to the world or the whole cluster."""
    for entry in view.entries:
        if entry.direction is Direction.EGRESS or entry.effect is Effect.DENY or entry.node:
            continue
        everybody = entry.peers == () and bool(entry.ports)
        world = everybody or any(map(_is_world, entry.peers or ()))
        cluster = any(getattr(one, "text", "") == "entity cluster" for one in entry.peers or ())
        if not world and not cluster:
            continue
        who = "the world" if world else "every pod of the cluster"
        for spec in (spec for rule in entry.ports for spec in rule.ports):
            name = _OPEN_SERVICES.get(spec.number)
            if name and not spec.name and "TCP" in spec.protocols:
                yield Hit(spec.path, f"{name} ({spec.number}) is open to {who}")
        if not entry.ports and world:
            for endpoint in scope.endpoints_of(entry):
                found = [one.port for one in endpoint.ports if one.port in _OPEN_SERVICES]
                if found:
                    yield Hit(
                        entry.rule.path,
                        f"{_OPEN_SERVICES[found[0]]} ({found[0]}) of {endpoint.key} is open to "
                        f"{who}",
                    )
                    break


@BOOK.check(
    "NP062",
    "other-end-denies",
    Severity.WARNING,
    needs=Knowledge.CLUSTER,
    why="""A connection needs both ends: the egress policy of who opens it and the ingress policy of who
    takes it. This rule allows its side, and the other side denies every pod that it means.""",
    bad="""
    # with another policy that closes app=db to everybody
    endpointSelector: {matchLabels: {app: web}}
    egress:
    - toEndpoints: [{matchLabels: {app: db}}]
      toPorts: [{ports: [{port: "5432", protocol: TCP}]}]
    """,
    good="""
    # with another policy that lets app=web in to app=db
    endpointSelector: {matchLabels: {app: web}}
    egress:
    - toEndpoints: [{matchLabels: {app: db}}]
      toPorts: [{ports: [{port: "5432", protocol: TCP}]}]
    """,
)
def other_end_denies(view: View, scope: Scope) -> Iterator[Hit]:
    """Every pair of pods that a rule means is denied at the other end."""
    if not scope.has_pods:
        return
    for entry in view.entries:
        if entry.effect is Effect.DENY or entry.node or not entry.ports or not entry.peers:
            continue
        if not all(isinstance(peer, LabelSelector) and peer.requirements and
                   not any(one.source == "reserved" for one in peer.requirements)
                   for peer in entry.peers):  # fmt: skip
            continue
        denied = _denied_pair(entry, scope)
        if denied:
            yield Hit(entry.rule.path, f"it allows its side only: {denied}")


def _denied_pair(entry: Entry, scope: Scope) -> str:
    """Say which pair is denied at the other end; empty when one of them may connect."""
    subjects = scope.endpoints_of(entry)[:_SAMPLES]
    peers = [
        one
        for one in scope.cluster.endpoints
        if one.managed
        and not one.host_network
        and any(isinstance(peer, LabelSelector) and peer.selects_labels(one.labels)
                for peer in entry.peers or ())
    ][:_SAMPLES]  # fmt: skip
    outward = entry.direction is Direction.EGRESS
    words = ""
    for subject in subjects:
        for peer in peers:
            source, destination = (subject, peer) if outward else (peer, subject)
            for port, protocol in _asked(entry, subject, scope):
                if source.key == destination.key:
                    continue
                decision = scope.engine.decide(
                    Question(
                        scope.engine.peer_of(source),
                        scope.engine.peer_of(destination),
                        port,
                        Protocol(protocol),
                    )
                )
                other = decision.ingress if outward else decision.egress
                if other.outcome is not Outcome.DENIED:
                    return ""
                end, way = (destination, "ingress") if outward else (source, "egress")
                words = words or f"{way} of {end.key} denies {port}/{protocol}"
    return words


def _asked(entry: Entry, subject: Endpoint, scope: Scope) -> list[tuple[int, str]]:
    return [
        (number, protocol)
        for rule in entry.ports
        for spec in rule.ports
        for protocol in spec.protocols[:1]
        if protocol in ("TCP", "UDP")
        for number in scope.engine.numbers_of(spec, entry, subject, protocol)[:1]
        if number
    ]


@BOOK.check(
    "NP068",
    "gateway-cut-off",
    Severity.ERROR,
    why="""Traffic through the gateway needs three things: the ingress endpoint's own policy must let
    the client in and itself out to the backend, and the backend must admit the entity `ingress`. A
    clusterwide policy that selects `reserved:ingress` closes what it does not name: 403 Access
    denied, or 503 (issues 28254, 24536, 30073).""",
    bad="""
    kind: CiliumClusterwideNetworkPolicy
    metadata: {name: p}
    spec:
      endpointSelector: {}
      ingress: [{fromEndpoints: [{}]}]
    """,
    good="""
    kind: CiliumClusterwideNetworkPolicy
    metadata: {name: p}
    spec:
      endpointSelector:
        matchExpressions: [{key: k8s:io.kubernetes.pod.namespace, operator: Exists}]
      ingress: [{fromEndpoints: [{}]}]
    """,
)
def gateway_cut_off(view: View, scope: Scope) -> Iterator[Hit]:
    """The ingress endpoint lets nobody in, or a backend does not admit it."""
    used = bool(scope.cluster.routes or scope.of_kind.get("Gateway"))
    for hit in _closes_reserved(view, scope, "ingress", ("world", "all", "cluster")):
        if used or not scope.has_pods:
            yield hit if used else replace(hit, severity=Severity.WARNING)
    if not scope.cluster.routes:
        return
    backends = scope.route_backends
    gateway = scope.engine.peer_of_entity("ingress")
    for entry in view.entries:
        if entry.direction is Direction.EGRESS or not entry.default_deny or entry.node:
            continue
        for endpoint in scope.endpoints_of(entry):
            for port, host in backends.get(endpoint.key, ()):
                question = Question(gateway, scope.engine.peer_of(endpoint), port, Protocol.TCP)
                if scope.engine.decide(question).ingress.outcome is Outcome.DENIED:
                    yield Hit(
                        entry.rule.path,
                        f"{endpoint.key} serves {host} through the gateway, which may not reach it "
                        f"on {port}",
                        "add `fromEntities: [ingress]`",
                    )
                    return


def _closes_reserved(view: View, scope: Scope, name: str, wanted: tuple[str, ...]) -> Iterator[Hit]:
    """A clusterwide rule that selects a reserved endpoint, which nothing then lets anybody reach."""
    if not view.is_clusterwide:
        return
    labels = scope.engine.peer_of_entity(name).labels
    for entry in view.entries:
        if entry.direction is Direction.EGRESS or not entry.default_deny or entry.node:
            continue
        if not entry.selects_subject(labels, ""):
            continue
        allowing = [
            other
            for other in scope.nearby("", Direction.INGRESS, Effect.ALLOW)
            if other.selects_subject(labels, "") and other.peers is not None
        ]
        texts = {getattr(peer, "text", "") for other in allowing for peer in other.peers or ()}
        opened = any(f"entity {one}" in texts for one in wanted) or "everyone" in texts
        opened = opened or any(_is_world(peer) for other in allowing for peer in other.peers or ())
        opened = opened or any(not other.peers and other.ports for other in allowing)
        if not opened:
            yield Hit(
                entry.subject.path or entry.rule.path,
                f"it also selects reserved:{name}, which then admits nobody that it has to",
                f"leave it out: `reserved:{name}` with operator DoesNotExist, or require a namespace",
            )
        return


@BOOK.check(
    "NP070",
    "health-endpoint-cut-off",
    Severity.WARNING,
    why="""A clusterwide policy for everything also selects cilium-health's endpoint on each node. If
    nothing admits `health` and `remote-node` there, node health checks fail (issue 226 of
    ionfury/homelab).""",
    bad="""
    kind: CiliumClusterwideNetworkPolicy
    metadata: {name: p}
    spec:
      endpointSelector: {}
      ingress: [{fromEndpoints: [{}]}]
    """,
    good="""
    kind: CiliumClusterwideNetworkPolicy
    metadata: {name: p}
    spec:
      endpointSelector:
        matchExpressions: [{key: reserved:health, operator: DoesNotExist}]
      ingress: [{fromEntities: [cluster, world]}]
    """,
)
def health_cut_off(view: View, scope: Scope) -> Iterator[Hit]:
    """The health endpoint is selected, and other nodes may not reach it."""
    yield from _closes_reserved(view, scope, "health", ("remote-node", "cluster", "all"))


@BOOK.survey(
    "NP074",
    "policy-audit-mode",
    Severity.WARNING,
    needs=Knowledge.CLUSTER,
    why="""With `policy-audit-mode` what policies deny is only reported: everything works, until it is
    switched off.""",
    bad="""
    kind: ConfigMap
    metadata: {name: cilium-config, namespace: kube-system}
    data: {policy-audit-mode: "true"}
    """,
    good="""
    kind: ConfigMap
    metadata: {name: cilium-config, namespace: kube-system}
    data: {policy-audit-mode: "false"}
    """,
)
def audit_mode(scope: Scope) -> Iterator[Hit]:
    """Nothing is enforced."""
    for one in scope.of_kind.get("ConfigMap", ()):
        if one.ref.name == "cilium-config" and scope.cluster.config.audit_mode:
            yield Hit("data", "policies are audited only: nothing is denied", manifest=one)


@BOOK.check(
    "NP076",
    "gateway-egress-asks-backend",
    Severity.WARNING,
    why="""What a pod sends to the gateway of its own cluster is judged by Envoy against the pod behind
    the route and that pod's port, not against the entity `ingress`: allowing `ingress` alone opens
    nothing (upstream test pod-to-ingress-service).""",
    bad="""
    egress:
    - toEntities: [ingress]
      toPorts: [{ports: [{port: "443", protocol: TCP}]}]
    """,
    good="""
    egress:
    - toEndpoints: [{matchLabels: {app: web, k8s:io.kubernetes.pod.namespace: web}}]
      toPorts: [{ports: [{port: "8080", protocol: TCP}]}]
    """,
)
def gateway_egress(view: View, scope: Scope) -> Iterator[Hit]:
    """`ingress` as the only peer inside that a pod may reach."""
    for item in view.items:
        names = {str(name) for name, _ in item.peers("Entities")}
        if item.direction is Direction.INGRESS or item.effect is Effect.DENY or not item.entries:
            continue
        if names != {"ingress"}:
            continue
        entry = item.entries[0]
        inside = [
            other
            for other in scope.sharing(entry, Direction.EGRESS)
            if other is not entry and any(_may_be_backend(peer) for peer in other.peers or ())
        ]
        if not inside:
            yield Hit(
                f"{item.path}.toEntities",
                "the gateway asks about the pod behind the route, which no rule allows",
                "allow the backend's pods and port",
            )


def _may_be_backend(peer: object) -> bool:
    """Whether a peer can be a pod behind a route: any pod but the DNS server."""
    if not isinstance(peer, LabelSelector):
        return False
    if any(one.source == "reserved" for one in peer.requirements):
        return False
    return not any(one.key == "k8s-app" and "kube-dns" in one.values for one in peer.requirements)


@BOOK.check(
    "NP057",
    "ping-blocked",
    Severity.INFO,
    needs=Knowledge.FLOWS,
    why="""`toPorts`, also with protocol ANY, is TCP, UDP and SCTP. ICMP needs an item without ports, or
    `icmps`.""",
    bad="""
    # with flows in which an ICMP echo of app=web is dropped
    endpointSelector: {matchLabels: {app: web}}
    egress:
    - toEntities: [cluster]
      toPorts: [{ports: [{port: "443", protocol: TCP}]}]
    """,
    good="""
    endpointSelector: {matchLabels: {app: web}}
    egress:
    - toEntities: [cluster]
      toPorts: [{ports: [{port: "443", protocol: TCP}]}]
    - toEntities: [cluster]
      icmps: [{fields: [{type: 8}]}]
    """,
)
def ping_blocked(view: View, scope: Scope) -> Iterator[Hit]:
    """ICMP to a peer that a rule with ports means was dropped."""
    dropped = {
        (flow.source.namespace, flow.source.pod, flow.destination.namespace, flow.destination.pod)
        for flow in (scope.flows.flows if scope.flows else ())
        if flow.protocol.startswith("ICMP")
        and flow.verdict == "DROPPED"
        and flow.drop_reason.startswith("POLICY_DEN")
        and flow.direction == "EGRESS"
    }
    pods = {(one.namespace, one.name): one for one in scope.cluster.endpoints} if dropped else {}
    for entry in view.entries if dropped else ():
        if entry.direction is Direction.INGRESS or entry.effect is Effect.DENY or not entry.ports:
            continue
        subjects = {(one.namespace, one.name) for one in scope.endpoints_of(entry)}
        for space, pod, other_space, other in dropped:
            peer = pods.get((other_space, other))
            if (space, pod) not in subjects or peer is None:
                continue
            identity = scope.engine.identity_of(scope.engine.peer_of(peer))
            if any(one.selects(identity) for one in entry.peers or ()):
                yield Hit(
                    entry.rule.path,
                    f"ICMP from {space}/{pod} to {peer.key} is dropped: ports hold no ICMP",
                    "add an item with `icmps`",
                )
                break
