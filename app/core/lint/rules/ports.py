"""Ports: numbers, names and ranges, and what Services make of them."""

from __future__ import annotations

from collections.abc import Iterator

from app.core.lint.finding import Hit, Knowledge, Severity
from app.core.lint.rule import Book
from app.core.lint.scope import Scope
from app.core.lint.view import View, mapping
from app.core.model.cluster import Endpoint, Service
from app.core.model.verdict import Direction, Effect
from app.core.policy.layer4 import MAX_PORTS
from app.core.policy.ports import is_service_name, parse_number
from app.core.policy.rules import Entry, LabelSelector, PortSpec

BOOK = Book()

_FTP = 21


@BOOK.check(
    "NP051",
    "service-port-not-target-port",
    Severity.ERROR,
    needs=Knowledge.REPOSITORY,
    why="""Policy sees the connection after the Service was translated: the port that counts is the
    pods' own (`targetPort`), not the Service's (issue 1299).""",
    bad="""
    # with a Service 80 → 8080 for the pods app=web
    ingress:
    - fromEntities: [cluster]
      toPorts: [{ports: [{port: "80", protocol: TCP}]}]
    """,
    good="""
    # with a Service 80 → 8080 for the pods app=web
    ingress:
    - fromEntities: [cluster]
      toPorts: [{ports: [{port: "8080", protocol: TCP}]}]
    """,
)
def service_port(view: View, scope: Scope) -> Iterator[Hit]:
    """A number that a Service has and its pods do not."""
    for entry in view.entries:
        if entry.effect is Effect.DENY or not entry.ports or entry.node:
            continue
        pods = _meant_pods(entry, scope)
        services = _services_of(pods, scope)
        for spec in (spec for rule in entry.ports for spec in rule.ports):
            found = _only_service(spec, pods, services)
            if found is not None and not _is_dns(found):
                service, port, target = found
                yield Hit(
                    spec.path,
                    f"{port} is the port of Service {service.key}; its pods listen on {target}",
                    f"write `{target}`",
                )


@BOOK.check(
    "NP011",
    "dns-server-listens-elsewhere",
    Severity.ERROR,
    needs=Knowledge.REPOSITORY,
    why="""The DNS Service has port 53, but its pods listen on another, which is the one that policy
    sees (OpenShift: 5353; issue 13308).""",
    bad="""
    # with a DNS Service 53 → 5353
    egress:
    - toEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: openshift-dns}}]
      toPorts: [{ports: [{port: "53", protocol: UDP}]}]
    """,
    good="""
    # with a DNS Service 53 → 5353
    egress:
    - toEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: openshift-dns}}]
      toPorts: [{ports: [{port: "5353", protocol: UDP}]}]
    """,
)
def dns_target_port(view: View, scope: Scope) -> Iterator[Hit]:
    """53 is allowed, the pods of the DNS Service listen elsewhere."""
    for entry in view.entries:
        if entry.direction is Direction.INGRESS or entry.effect is Effect.DENY:
            continue
        pods = _meant_pods(entry, scope)
        services = _services_of(pods, scope)
        for spec in (spec for rule in entry.ports for spec in rule.ports):
            found = _only_service(spec, pods, services)
            if found is not None and _is_dns(found):
                service, _, target = found
                yield Hit(
                    spec.path,
                    f"the pods of DNS Service {service.key} listen on {target}, not on 53",
                    f"write `{target}`",
                )
                break


def _is_dns(found: tuple[Service, int, int]) -> bool:
    return found[1] == 53  # noqa: PLR2004  # DNS


def _meant_pods(entry: Entry, scope: Scope) -> tuple[Endpoint, ...]:
    """The pods at whose port an entry's ports are looked for."""
    if entry.direction is Direction.INGRESS:
        return scope.endpoints_of(entry)
    chosen = [peer for peer in entry.peers or () if isinstance(peer, LabelSelector)]
    if not chosen or any(not peer.requirements for peer in chosen):
        return ()
    return tuple(
        endpoint
        for endpoint in scope.cluster.endpoints
        if any(peer.selects_labels(endpoint.labels) for peer in chosen)
    )


def _services_of(pods: tuple[Endpoint, ...], scope: Scope) -> tuple[Service, ...]:
    spaces = {pod.namespace for pod in pods}
    return tuple(
        service
        for service in scope.cluster.services
        if service.namespace in spaces
        and service.selector
        and any(
            pod.namespace == service.namespace
            and service.selector.items() <= pod.pod_labels.items()
            for pod in pods
        )
    )


def _only_service(
    spec: PortSpec, pods: tuple[Endpoint, ...], services: tuple[Service, ...]
) -> tuple[Service, int, int] | None:
    """The Service whose port a number is, when no pod behind it listens there."""
    if spec.name or not spec.number or spec.end > spec.number or not services:
        return None
    declared = {one.port for pod in pods for one in pod.ports}
    if spec.number in declared:
        return None
    targets: list[tuple[Service, int, int]] = []
    for service in services:
        for port in service.ports:
            target = _target(port.target, pods)
            if target == spec.number:
                return None
            if port.port == spec.number and port.protocol in spec.protocols and target:
                targets.append((service, port.port, target))
    return targets[0] if targets else None


def _target(target: int | str, pods: tuple[Endpoint, ...]) -> int:
    if isinstance(target, int):
        return target
    return next((one.port for pod in pods for one in pod.ports if one.name == target), 0)


@BOOK.check(
    "NP052",
    "more-than-40-ports",
    Severity.ERROR,
    refusal=True,
    why="""An element of `toPorts` holds at most 40 ports and `icmps` 40 fields; with more the object is
    refused (Cilium pkg/policy/api/rule_validation.go, maxPorts).""",
    bad=f"""
    ingress:
    - toPorts: [{{ports: [{", ".join(f'{{port: "{8000 + n}"}}' for n in range(41))}]}}]
    """,
    good="""
    ingress:
    - fromEntities: [cluster]
      toPorts: [{ports: [{port: "8000", endPort: 8040, protocol: TCP}]}]
    """,
)
def too_many_ports(view: View, _scope: Scope) -> Iterator[Hit]:
    """Longer lists than the schema takes."""
    for item in view.items if not view.is_kubernetes else ():
        for rule, path in item.port_rules():
            ports = mapping(rule).get("ports")
            if isinstance(ports, list) and len(ports) > MAX_PORTS:
                yield Hit(
                    f"{path}.ports",
                    f"{len(ports)} ports in one list; at most {MAX_PORTS} fit",
                    "use a range, or several elements of toPorts",
                )


@BOOK.check(
    "NP053",
    "reversed-port-range",
    Severity.ERROR,
    why="""A range whose end lies below its start is the single port `port` to Cilium; a NetworkPolicy
    is refused.""",
    bad="""
    ingress:
    - fromEntities: [cluster]
      toPorts: [{ports: [{port: "8090", endPort: 8080, protocol: TCP}]}]
    """,
    good="""
    ingress:
    - fromEntities: [cluster]
      toPorts: [{ports: [{port: "8080", endPort: 8090, protocol: TCP}]}]
    """,
)
def reversed_range(view: View, _scope: Scope) -> Iterator[Hit]:
    """A range whose end is below its start."""
    for item in view.items:
        for port, path in item.ports():
            start, end = mapping(port).get("port"), mapping(port).get("endPort")
            number = parse_number(str(start)) if start is not None else None
            if number and isinstance(end, int) and 0 < end < number:
                yield Hit(
                    f"{path}.endPort",
                    f"the range ends below its start: only {number} is meant by it",
                    "exchange the two",
                )


@BOOK.check(
    "NP054",
    "named-port-unresolved",
    Severity.ERROR,
    needs=Knowledge.REPOSITORY,
    why="""A port name stands for the number that the subject's own containers declare (ingress), or
    that all pods of the cluster agree on (egress up to 1.19). Without one the rule is silently
    without effect.""",
    bad="""
    # with pods app=web that declare the port web (8080)
    endpointSelector: {matchLabels: {app: web}}
    ingress:
    - fromEntities: [cluster]
      toPorts: [{ports: [{port: http, protocol: TCP}]}]
    """,
    good="""
    # with pods app=web that declare the port web (8080)
    endpointSelector: {matchLabels: {app: web}}
    ingress:
    - fromEntities: [cluster]
      toPorts: [{ports: [{port: web, protocol: TCP}]}]
    """,
)
def named_port(view: View, scope: Scope) -> Iterator[Hit]:
    """A name that stands for nothing, in an allow."""
    yield from _unresolved(view, scope, Effect.ALLOW)


@BOOK.check(
    "NP055",
    "named-port-deny-without-effect",
    Severity.ERROR,
    needs=Knowledge.REPOSITORY,
    why="""A deny by a port name that stands for no number denies nothing: what it was to close is
    open.""",
    bad="""
    # with pods app=web that declare the port web (8080)
    endpointSelector: {matchLabels: {app: web}}
    ingress: [{fromEntities: [cluster]}]
    ingressDeny:
    - fromEntities: [cluster]
      toPorts: [{ports: [{port: admin, protocol: TCP}]}]
    """,
    good="""
    endpointSelector: {matchLabels: {app: web}}
    ingress: [{fromEntities: [cluster]}]
    ingressDeny:
    - fromEntities: [cluster]
      toPorts: [{ports: [{port: "9000", protocol: TCP}]}]
    """,
)
def named_port_deny(view: View, scope: Scope) -> Iterator[Hit]:
    """A name that stands for nothing, in a deny."""
    yield from _unresolved(view, scope, Effect.DENY)


def _unresolved(view: View, scope: Scope, effect: Effect) -> Iterator[Hit]:
    for entry in view.entries:
        if entry.effect is not effect or entry.node:
            continue
        subjects = scope.endpoints_of(entry)
        for spec in (spec for rule in entry.ports for spec in rule.ports if spec.name):
            why = (
                _of_ingress(spec, entry, subjects, scope)
                if entry.direction is Direction.INGRESS
                else _of_egress(spec, entry, scope)
            )
            if why:
                does = "nothing is denied" if effect is Effect.DENY else "nothing is allowed"
                yield Hit(spec.path, f"{why}: {does}", "write the number")


def _of_ingress(spec: PortSpec, entry: Entry, subjects: tuple[Endpoint, ...], scope: Scope) -> str:
    declaring = [one for one in subjects if one.ports]
    if not subjects or len(declaring) < len(subjects):
        return ""  # a pod that declares no port at all is more often a template than a mistake
    for protocol in spec.protocols:
        if any(scope.engine.numbers_of(spec, entry, one, protocol) for one in subjects):
            return ""
    return f"no container of {subjects[0].key} declares a port `{spec.name}`"


def _of_egress(spec: PortSpec, entry: Entry, scope: Scope) -> str:
    pods = _meant_pods(entry, scope)
    declaring = [one for one in pods if one.ports]
    if not pods or len(declaring) < len(pods):
        return ""
    for protocol in spec.protocols:
        if scope.engine.numbers_of(spec, entry, None, protocol):
            return ""
    numbers = {
        one.port
        for pod in scope.cluster.endpoints
        for one in pod.ports
        if one.name == spec.name and one.protocol in spec.protocols
    }
    if len(numbers) > 1:
        listed = " and ".join(map(str, sorted(numbers)[:3]))
        return f"`{spec.name}` is {listed} on different pods, so up to Cilium 1.19 it is nothing"
    return f"no pod declares a port `{spec.name}`"


@BOOK.check(
    "NP056",
    "protocol-with-second-connection",
    Severity.WARNING,
    why="""There are no helpers for protocols that open a second connection: FTP's data connection is
    one of its own, on a port that this rule does not name.""",
    bad="""
    egress:
    - toFQDNs: [{matchName: ftp.ncbi.nlm.nih.gov}]
      toPorts: [{ports: [{port: "21", protocol: TCP}]}]
    - toEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: kube-system}}]
      toPorts: [{ports: [{port: "53", protocol: ANY}], rules: {dns: [{matchPattern: "*"}]}}]
    """,
    good="""
    egress:
    - toFQDNs: [{matchName: ftp.ncbi.nlm.nih.gov}]
      toPorts: [{ports: [{port: "21", protocol: TCP}, {port: "49152", endPort: 65535, protocol: TCP}]}]
    - toEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: kube-system}}]
      toPorts: [{ports: [{port: "53", protocol: ANY}], rules: {dns: [{matchPattern: "*"}]}}]
    """,
)
def second_connection(view: View, _scope: Scope) -> Iterator[Hit]:
    """FTP's control port, and no range for its data."""
    specs = [
        (spec, entry)
        for entry in view.entries
        if entry.effect is Effect.ALLOW
        for rule in entry.ports
        for spec in rule.ports
    ]
    for spec, entry in specs:
        if spec.number != _FTP or spec.end > _FTP or "TCP" not in spec.protocols or spec.name:
            continue
        ranges = any(
            other.direction is entry.direction and one.end > one.number for one, other in specs
        )
        whole = any(not one.ports and one.peers == entry.peers for one in view.entries)
        if not ranges and not whole:
            yield Hit(
                spec.path,
                "FTP opens its data connection on another port, which is not allowed",
                "allow the server's passive range too",
            )


@BOOK.check(
    "NP115",
    "end-port-on-named-port",
    Severity.ERROR,
    why="""Cilium 1.19 starts a range at the number that the name stands for and ends it at endPort;
    1.20 does so on ingress only. A NetworkPolicy with it is refused (asked of the engine).""",
    bad="""
    ingress:
    - fromEntities: [cluster]
      toPorts: [{ports: [{port: http, endPort: 9000, protocol: TCP}]}]
    """,
    good="""
    ingress:
    - fromEntities: [cluster]
      toPorts: [{ports: [{port: http, protocol: TCP}]}]
    """,
)
def end_port_on_name(view: View, _scope: Scope) -> Iterator[Hit]:
    """A range that starts at a name."""
    for item in view.items:
        for port, path in item.ports():
            fields = mapping(port)
            name = fields.get("port")
            if isinstance(name, str) and is_service_name(name) and fields.get("endPort"):
                end = fields["endPort"]
                yield Hit(
                    f"{path}.endPort",
                    f"`{name}` to {end} is a range that starts at whatever `{name}` is",
                    "write numbers",
                )


@BOOK.check(
    "NP116",
    "octal-port",
    Severity.ERROR,
    why="""A port text that begins with 0 is read as octal: `"0120"` is port 80, and `"080"` voids the
    object (Go strconv.ParseUint with base 0; asked of the engine: 262, 263).""",
    bad="""
    ingress:
    - fromEntities: [cluster]
      toPorts: [{ports: [{port: "0443", protocol: TCP}]}]
    """,
    good="""
    ingress:
    - fromEntities: [cluster]
      toPorts: [{ports: [{port: "443", protocol: TCP}]}]
    """,
    refusal=True,
)
def octal_port(view: View, _scope: Scope) -> Iterator[Hit]:
    """A port with a leading zero."""
    for item in view.items if not view.is_kubernetes else ():
        for port, path in item.ports():
            written = mapping(port).get("port")
            if isinstance(written, str) and written.isdigit() and written.strip("0") != written:
                if written[0] != "0" or not written.strip("0"):
                    continue
                read_as = parse_number(written)
                said = f"is read as octal, port {read_as}" if read_as else "voids the object"
                yield Hit(f"{path}.port", f"`{written}` {said}", f'write "{written.lstrip("0")}"')
