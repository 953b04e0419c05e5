"""The fault bank: a healthy cluster written short, and a small language of changes to it.

A change is one of `set`, `add`, `remove` (a path inside an object), `create`, `delete` (a whole
object) and `unmanaged` (pods that Cilium published no endpoint for). Objects are named
`Kind/NS/NAME`, paths as traces name them. An empty path means the object itself.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import msgspec
import yaml

from app.core.cluster.build import build_cluster
from app.core.diagnose.evidence import FlowEvidence
from app.core.diagnose.naming import parse_end, parse_port, parse_request
from app.core.model.asked import Asked
from app.core.model.flow import DnsInfo, Flow, FlowEndpoint, HttpInfo, L7Info
from app.core.model.provenance import Manifest, ObjectRef
from app.core.model.unread import unread
from app.core.policy.engine import Engine
from app.testing.clock import START_NS

FOLDER = Path(__file__).parents[2] / "cases" / "faults"
Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Fault:
    """One case of the bank, as written."""

    name: str
    ask: Mapping[str, Any]
    expect: Mapping[str, Any]
    change: tuple[Mapping[str, Any], ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    flows: tuple[Mapping[str, Any], ...] = ()
    lost: int = 0
    version: tuple[int, int, int] | None = None
    learned: Mapping[str, list[str]] = field(default_factory=dict)

    @property
    def asked(self) -> Asked:
        """The question."""
        ask = self.ask
        port = str(ask["port"]) if "port" in ask else ""
        request = parse_request(ask.get("http", ""), ask.get("dns", ""), ask.get("sni", ""))
        return Asked(
            parse_end(ask["from"]),
            parse_end(ask["to"]),
            parse_port(port) if port else None,
            request,
        )

    def manifests(self) -> list[Manifest]:
        """The base with this case's change."""
        return [to_manifest(body) for body in changed(base_objects(), self.change)]

    def engine(self) -> Engine:
        """The engine of the changed cluster."""
        found = build_cluster(self.manifests(), settings=self.settings)
        if self.version is not None:
            config = replace(found.config, cilium_version=self.version)
            found = build_cluster(self.manifests(), config)
        learned = {
            name: tuple(ip_address(one) for one in addresses)
            for name, addresses in self.learned.items()
        }
        return Engine.build(replace(found, unread=unread(found.notices), learned_names=learned))


def load_faults(folder: Path = FOLDER) -> tuple[Fault, ...]:
    """Every case of the bank, in order of file and position."""
    return tuple(
        Fault(
            f"{path.stem}/{case['name']}",
            case["ask"],
            case["expect"],
            tuple(case.get("change", ())),
            case.get("settings", {}),
            tuple(case.get("flows", ())),
            case.get("lost", 0),
            _version(case.get("version")),
            case.get("learned", {}),
        )
        for path in sorted(folder.glob("*.yaml"))
        if path.name != "base.yaml"
        for case in yaml.safe_load(path.read_text(encoding="utf-8"))
    )


def _version(numbers: list[int] | None) -> tuple[int, int, int] | None:
    if numbers is None:
        return None
    major, minor, patch = numbers
    return major, minor, patch


@cache
def _base_text() -> str:
    return (FOLDER / "base.yaml").read_text(encoding="utf-8")


def base_objects() -> list[Object]:
    """The healthy cluster as Kubernetes objects."""
    return copy.deepcopy(_expanded())


@cache
def _expanded() -> list[Object]:
    base = yaml.safe_load(_base_text())
    objects = [_namespace(name, labels) for name, labels in base["namespaces"].items()]
    objects += [_node(name, node) for name, node in base["nodes"].items()]
    objects += [_pod(key, pod) for key, pod in base["pods"].items()]
    objects += [_service(key, service) for key, service in base["services"].items()]
    objects += [_gateway(key, gateway) for key, gateway in base["gateways"].items()]
    objects += [_route(key, route) for key, route in base["routes"].items()]
    objects += _api_server(base["nodes"])
    policies: list[Object] = base["policies"]
    return objects + policies


def _namespace(name: str, labels: Mapping[str, str]) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def _node(name: str, node: Mapping[str, Any]) -> Object:
    address = {"type": "InternalIP", "address": node["ip"]}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name},
            "status": {"addresses": [address]}}  # fmt: skip


def _api_server(nodes: Mapping[str, Any]) -> list[Object]:
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"namespace": "default", "name": "kubernetes"},
        "spec": {
            "clusterIP": "10.43.0.1",
            "ports": [{"name": "https", "port": 443, "targetPort": 6443, "protocol": "TCP"}],
        },
    }
    endpoints = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "namespace": "default",
            "name": "kubernetes",
            "labels": {"kubernetes.io/service-name": "kubernetes"},
        },
        "addressType": "IPv4",
        "ports": [{"name": "https", "port": 6443, "protocol": "TCP"}],
        "endpoints": [
            {"addresses": [node["ip"]]} for node in nodes.values() if node.get("apiserver")
        ],
    }
    return [service, endpoints]


def _pod(key: str, pod: Mapping[str, Any]) -> Object:
    namespace, name = key.split("/")
    ports = [
        {"name": port, "containerPort": number, "protocol": protocol}
        for port, number, protocol in _ports(pod["ports"])
    ]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "namespace": namespace,
            "name": name,
            "labels": dict(pod["labels"]),
            "ownerReferences": _owners(pod),
        },
        "spec": {
            "nodeName": pod["node"],
            "hostNetwork": bool(pod.get("host")),
            "containers": [{"name": "main", "ports": ports}],
        },
        "status": {
            "phase": "Running",
            "podIP": pod["ip"],
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def _owners(pod: Mapping[str, Any]) -> list[Object]:
    if "owner" not in pod:
        return []
    kind, name = pod["owner"].split("/")
    return [{"apiVersion": "apps/v1", "kind": kind, "name": name, "controller": True}]


def _ports(ports: Mapping[str, Any]) -> Iterator[tuple[str, int, str]]:
    for name, text in ports.items():
        number, _, protocol = str(text).partition("/")
        yield name, int(number), protocol or "TCP"


def _service(key: str, service: Mapping[str, Any]) -> Object:
    namespace, name = key.split("/")
    ports = []
    for port, text in service["ports"].items():
        front, _, target = text.partition(" -> ")
        number, _, protocol = front.partition("/")
        ports.append({
            "name": port,
            "port": int(number),
            "targetPort": int(target) if target.isdigit() else target,
            "protocol": protocol or "TCP",
        })  # fmt: skip
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"clusterIP": service["ip"], "selector": dict(service["selects"]), "ports": ports},
    }


def _gateway(key: str, gateway: Mapping[str, Any]) -> Object:
    namespace, name = key.split("/")
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"listeners": [{"name": "https", "port": gateway["port"], "protocol": "HTTPS"}]},
        "status": {"addresses": [{"type": "IPAddress", "value": gateway["ip"]}]},
    }


def _route(key: str, route: Mapping[str, Any]) -> Object:
    namespace, name = key.split("/")
    gateway_namespace, gateway = route["gateway"].split("/")
    service, _, port = route["backend"].partition(":")
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {
            "hostnames": [route["host"]],
            "parentRefs": [{"namespace": gateway_namespace, "name": gateway}],
            "rules": [{"backendRefs": [{"name": service, "port": int(port)}]}],
        },
    }


def to_manifest(body: Object) -> Manifest:
    """An object without a file."""
    return Manifest(ref_of(body), body["apiVersion"], body)


def ref_of(body: Object) -> ObjectRef:
    """How an object is named."""
    metadata = body["metadata"]
    return ObjectRef(body["kind"], metadata.get("namespace", ""), metadata["name"])


def changed(objects: list[Object], changes: tuple[Mapping[str, Any], ...]) -> list[Object]:
    """Make every change, in order."""
    for change in changes:
        (verb, arguments), *rest = change.items()
        assert not rest, f"one change has one verb: {change}"
        objects = _VERBS[verb](objects, arguments)
    return objects


def _create(objects: list[Object], body: Object) -> list[Object]:
    return [*objects, copy.deepcopy(body)]


def _delete(objects: list[Object], name: str) -> list[Object]:
    target = _find(objects, name)
    return [body for body in objects if body is not target]


def _set(objects: list[Object], at: Mapping[str, Any]) -> list[Object]:
    parent, step = _parent(_find(objects, at["in"]), at["path"])
    parent[step] = copy.deepcopy(at["to"])
    return objects


def _add(objects: list[Object], at: Mapping[str, Any]) -> list[Object]:
    parent, step = _parent(_find(objects, at["in"]), at["path"])
    if isinstance(parent, dict):
        parent.setdefault(step, [])
    parent[step].append(copy.deepcopy(at["item"]))
    return objects


def _remove(objects: list[Object], at: Mapping[str, Any]) -> list[Object]:
    parent, step = _parent(_find(objects, at["in"]), at["path"])
    del parent[step]
    return objects


def _unmanaged(objects: list[Object], pods: list[str]) -> list[Object]:
    """Publish a CiliumEndpoint for every running pod but these."""
    published = []
    for body in objects:
        metadata = body["metadata"]
        if body["kind"] != "Pod" or f"{metadata['namespace']}/{metadata['name']}" in pods:
            continue
        address = {"ipv4": body["status"]["podIP"]}
        published.append({
            "apiVersion": "cilium.io/v2",
            "kind": "CiliumEndpoint",
            "metadata": {"namespace": metadata["namespace"], "name": metadata["name"]},
            "status": {"networking": {"addressing": [address]}},
        })  # fmt: skip
    return objects + published


_VERBS: dict[str, Callable[[list[Object], Any], list[Object]]] = {
    "create": _create,
    "delete": _delete,
    "set": _set,
    "add": _add,
    "remove": _remove,
    "unmanaged": _unmanaged,
}


def _find(objects: list[Object], name: str) -> Object:
    for body in objects:
        if str(ref_of(body)) == name:
            return body
    raise AssertionError(f"no object {name}")


def _parent(body: Object, path: str) -> tuple[Any, Any]:
    """The container of a path and its last step; `(…)` holds a step with dots in it."""
    steps = _steps(path)
    node: Any = body
    for step in steps[:-1]:
        node = node[step]
    return node, steps[-1]


def _steps(path: str) -> list[Any]:
    steps: list[Any] = []
    rest = path
    while rest:
        if rest.startswith("("):
            step, _, rest = rest[1:].partition(")")
            steps.append(step)
        elif rest.startswith("["):
            step, _, rest = rest[1:].partition("]")
            steps.append(int(step))
        else:
            end = min((i for i in (rest.find("."), rest.find("[")) if i > 0), default=len(rest))
            steps.append(rest[:end])
            rest = rest[end:]
        rest = rest.removeprefix(".")
    return steps


def flows_of(fault: Fault) -> FlowEvidence | None:
    """The case's flows as evidence; None when it has none, which is not the same as no drops."""
    if not fault.flows:
        return None
    places = {
        f"{ref.namespace}/{ref.name}": manifest.body["status"]["podIP"]
        for manifest in fault.manifests()
        if (ref := manifest.ref).kind == "Pod"
    }
    return FlowEvidence([_flow(flow, places) for flow in fault.flows], lost=fault.lost)


def _flow(flow: Mapping[str, Any], places: Mapping[str, str]) -> Flow:
    ends = [_seen(flow, "from", places), _seen(flow, "to", places)]
    ports = [40_000, flow["port"]]
    if flow.get("reply") or flow.get("answer"):  # of an answer dropped nothing says that it is one
        ends.reverse()
        ports.reverse()
    (source, source_ip), (destination, destination_ip) = ends
    return Flow(
        time_ns=START_NS + flow["at"] * 1_000_000_000,
        verdict=flow["verdict"],
        source=source,
        destination=destination,
        source_ip=source_ip,
        destination_ip=destination_ip,
        protocol=flow.get("protocol", "TCP"),
        source_port=ports[0],
        destination_port=ports[1],
        direction=flow["direction"],
        drop_reason=flow.get("reason", ""),
        is_reply=flow.get("reply", False),
        event=flow["event"],
        trace_point=flow.get("trace", ""),
        node=flow.get("node", ""),
        l7=_l7(flow),
        destination_names=tuple(flow.get("names", ())),
    )


def _seen(
    flow: Mapping[str, Any], side: str, places: Mapping[str, str]
) -> tuple[FlowEndpoint, str]:
    """An end with what Hubble saw of it beside its name: `from_as`, `to_as`, and its `cluster`."""
    end, ip = _end(flow[side], places)
    seen = {name: tuple(one) if isinstance(one, list) else one
            for name, one in flow.get(f"{side}_as", {}).items()}  # fmt: skip
    if end.pod and "cluster" in flow:
        seen["cluster"] = flow["cluster"]
    return msgspec.structs.replace(end, **seen), ip


def _end(text: str, places: Mapping[str, str]) -> tuple[FlowEndpoint, str]:
    if text not in places:
        return FlowEndpoint(identity=2, labels=("reserved:world",)), text
    namespace, name = text.split("/")
    return FlowEndpoint(identity=1000, namespace=namespace, pod=name), places[text]


def _l7(flow: Mapping[str, Any]) -> L7Info | None:
    kind = "RESPONSE" if flow.get("reply") else "REQUEST"
    if "dns" in flow:
        ips, cnames = tuple(flow.get("ips", ())), tuple(flow.get("cnames", ()))
        return L7Info(kind, dns=DnsInfo(query=flow["dns"], ips=ips, cnames=cnames))
    if "http" not in flow:
        return None
    method, url = flow["http"].split(" ", 1)
    headers = (("X-Request-Id", flow["id"]),) if "id" in flow else ()
    return L7Info(kind, http=HttpInfo(method, url, code=flow.get("code", 0), headers=headers))
