"""A policy's rules as a tree for people: direction → rule → peers, ports, layer 7.

It is drawn from the object as written, not from the normal form, so that a policy that Cilium
refuses can be read too, and every port stays under the rule (and the `toPorts` entry) it belongs
to. Each node knows its path and, where the object came from a file, its line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from app.core.model.kinds import KNP
from app.core.model.provenance import Manifest

CILIUM_LISTS = ("ingress", "ingressDeny", "egress", "egressDeny")
NAMESPACE_KEYS = ("io.kubernetes.pod.namespace", "io.cilium.k8s.namespace.labels.")


class NodeKind(StrEnum):
    """What a node of the tree is."""

    SUBJECT = "subject"
    DIRECTION = "direction"
    RULE = "rule"
    PEER = "peer"
    PORT = "port"
    L7 = "l7"


@dataclass(frozen=True, slots=True)
class RuleNode:
    """One line of the tree; `path` as `spec.egress[1].toPorts[0]`."""

    kind: NodeKind
    text: str
    path: str
    line: int | None = None
    children: tuple[RuleNode, ...] = ()


def rule_tree(policy: Manifest) -> tuple[RuleNode, ...]:
    """The tree of every spec of `policy`: its subject, then its directions."""
    nodes: list[RuleNode] = []
    for path, spec in specs_of(policy):
        tree = _Tree(policy, path)
        nodes.append(tree.subject(spec))
        nodes += tree.directions(spec)
    return tuple(nodes)


def specs_of(policy: Manifest) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each rule block with its path: `spec`, then each of `specs`."""
    if spec := _mapping(policy.body.get("spec")):
        yield "spec", spec
    for at, spec in enumerate(_list(policy.body.get("specs"))):
        yield f"specs[{at}]", _mapping(spec)


def rule_items(policy: Manifest) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Each rule as (list name, path, item), over every spec."""
    names = ("ingress", "egress") if policy.ref.kind == KNP else CILIUM_LISTS
    for path, spec in specs_of(policy):
        for name in names:
            for at, item in enumerate(_list(spec.get(name))):
                yield name, f"{path}.{name}[{at}]", _mapping(item)


def written_directions(policy: Manifest) -> tuple[str, ...]:
    """The directions the object speaks of, `ingress` first.

    For a NetworkPolicy these are its `policyTypes`, or Kubernetes' default for them: always
    ingress, egress when there are egress rules. Source: Kubernetes `pkg/apis/networking/types.go`.
    """
    found: set[str] = set()
    for _, spec in specs_of(policy):
        if policy.ref.kind != KNP:
            found |= {name.removesuffix("Deny") for name in CILIUM_LISTS if _says(spec, name)}
        elif types := _list(spec.get("policyTypes")):
            found |= {str(one).lower() for one in types}
        else:
            found |= {"ingress"} | ({"egress"} if _says(spec, "egress") else set())
    return tuple(name for name in ("ingress", "egress") if name in found)


def selector_text(selector: Any) -> str:
    """A label selector in kubectl's words: `app=web,tier in (a,b),!debug`."""
    selector = _mapping(selector)
    parts = [f"{key}={value}" for key, value in _mapping(selector.get("matchLabels")).items()]
    parts += [_requirement(_mapping(one)) for one in _list(selector.get("matchExpressions"))]
    return ",".join(parts)


@dataclass(frozen=True, slots=True)
class _Tree:
    policy: Manifest
    spec_path: str

    def subject(self, spec: Mapping[str, Any]) -> RuleNode:
        for name in ("endpointSelector", "podSelector", "nodeSelector"):
            if name in spec:
                where = f" in {self.policy.ref.namespace}" if self.policy.ref.namespace else ""
                what = "nodes" if name == "nodeSelector" else "pods"
                words = selector_text(spec[name])
                text = f"{what} {words}{where}" if words else f"every one of the {what}{where}"
                return self._node(NodeKind.SUBJECT, text, f"{self.spec_path}.{name}")
        return self._node(NodeKind.SUBJECT, "no selector", self.spec_path)

    def directions(self, spec: Mapping[str, Any]) -> Iterator[RuleNode]:
        kubernetes = self.policy.ref.kind == KNP
        for name in ("ingress", "egress") if kubernetes else CILIUM_LISTS:
            if not _says(spec, name):
                continue
            path = f"{self.spec_path}.{name}"
            make = self._kubernetes_rule if kubernetes else self._cilium_rule
            rules = tuple(
                make(name, at, f"{path}[{at}]", _mapping(item))
                for at, item in enumerate(_list(spec.get(name)))
            )
            title = name if rules else f"{name}: no rule, so nothing is allowed"
            yield self._node(NodeKind.DIRECTION, title, path, rules)

    def _cilium_rule(self, name: str, at: int, path: str, item: Mapping[str, Any]) -> RuleNode:
        way = "from" if name.startswith("ingress") else "to"
        children = [*self._cilium_peers(way, path, item), *self._cilium_ports(path, item)]
        if not any(key.startswith(way) and key != "toPorts" for key in item):
            children.insert(0, self._node(NodeKind.PEER, f"{way} any peer", path))
        verb = "deny" if name.endswith("Deny") else "allow"
        return self._node(NodeKind.RULE, f"rule {at + 1}: {verb}", path, tuple(children))

    def _cilium_peers(self, way: str, path: str, item: Mapping[str, Any]) -> Iterator[RuleNode]:
        for key, value in item.items():
            if not key.startswith(way) or key == "toPorts":
                continue
            entries = _list(value)
            if not entries:
                text = f"{way} nobody: {key} is empty"
                yield self._node(NodeKind.PEER, text, f"{path}.{key}")
            for at, entry in enumerate(entries):
                text = f"{way} {self._cilium_peer(key.removeprefix(way), entry)}"
                yield self._node(NodeKind.PEER, text, f"{path}.{key}[{at}]")

    def _cilium_peer(self, kind: str, entry: Any) -> str:
        if kind == "Endpoints":
            return self._endpoints(entry)
        if kind == "Entities":
            return f"entity {entry}"
        if kind == "CIDR":
            return f"CIDR {entry}"
        if kind in _PEER_WORDS:
            return _PEER_WORDS[kind](_mapping(entry))
        return f"{kind} {entry}"

    def _endpoints(self, selector: Any) -> str:
        words = selector_text(selector)
        named = any(key in words for key in NAMESPACE_KEYS) or "reserved:" in words
        namespace = self.policy.ref.namespace
        where = f" in {namespace}" if namespace and not named else ""
        return f"pods {words}{where}" if words else f"every pod{where}"

    def _cilium_ports(self, path: str, item: Mapping[str, Any]) -> Iterator[RuleNode]:
        for at, entry in enumerate(_list(item.get("toPorts"))):
            here = f"{path}.toPorts[{at}]"
            rules = tuple(self._layer7(here, _mapping(entry)))
            ports = _list(_mapping(entry).get("ports"))
            words = ", ".join(_port(_mapping(port)) for port in ports) or "every port"
            yield self._node(NodeKind.PORT, f"on {words}", here, rules)
        for at, entry in enumerate(_list(item.get("icmps"))):
            for index, one in enumerate(_list(_mapping(entry).get("fields"))):
                text = (
                    f"on ICMP {_mapping(one).get('type')} ({_mapping(one).get('family', 'IPv4')})"
                )
                yield self._node(NodeKind.PORT, text, f"{path}.icmps[{at}].fields[{index}]")

    def _layer7(self, path: str, entry: Mapping[str, Any]) -> Iterator[RuleNode]:
        for kind, rules in _mapping(entry.get("rules")).items():
            for at, rule in enumerate(_list(rules)):
                words = " ".join(f"{key} {value}" for key, value in _mapping(rule).items())
                text = f"{kind} {words or 'anything'}"
                yield self._node(NodeKind.L7, text, f"{path}.rules.{kind}[{at}]")
        for at, name in enumerate(_list(entry.get("serverNames"))):
            yield self._node(NodeKind.L7, f"TLS server name {name}", f"{path}.serverNames[{at}]")

    def _kubernetes_rule(self, name: str, at: int, path: str, item: Mapping[str, Any]) -> RuleNode:
        way = "from" if name == "ingress" else "to"
        peers = [
            self._node(NodeKind.PEER, f"{way} {self._kubernetes_peer(entry)}", f"{path}.{way}[{n}]")
            for n, entry in enumerate(_list(item.get(way)))
        ] or [self._node(NodeKind.PEER, f"{way} any peer", path)]
        ports = [
            self._node(NodeKind.PORT, f"on {_port(_mapping(port))}", f"{path}.ports[{n}]")
            for n, port in enumerate(_list(item.get("ports")))
        ] or [self._node(NodeKind.PORT, "on every port", path)]
        return self._node(NodeKind.RULE, f"rule {at + 1}: allow", path, (*peers, *ports))

    def _kubernetes_peer(self, entry: Any) -> str:
        peer = _mapping(entry)
        if "ipBlock" in peer:
            return _cidr_set({**_mapping(peer["ipBlock"])})
        pods = selector_text(peer.get("podSelector"))
        what = f"pods {pods}" if pods else "every pod"
        if "namespaceSelector" not in peer:
            return f"{what} in {self.policy.ref.namespace}"
        spaces = selector_text(peer["namespaceSelector"])
        return f"{what} in namespaces {spaces}" if spaces else f"{what} in every namespace"

    def _node(
        self, kind: NodeKind, text: str, path: str, children: tuple[RuleNode, ...] = ()
    ) -> RuleNode:
        return RuleNode(kind, text, path, self.policy.line_of(path), children)


def _cidr_set(entry: Mapping[str, Any]) -> str:
    if group := entry.get("cidrGroupRef"):
        what = f"CIDR group {group}"
    elif "cidrGroupSelector" in entry:
        what = f"CIDR groups {selector_text(entry['cidrGroupSelector']) or 'of any label'}"
    else:
        what = f"CIDR {entry.get('cidr')}"
    holes = ", ".join(map(str, _list(entry.get("except"))))
    return f"{what} except {holes}" if holes else what


def _fqdn(entry: Mapping[str, Any]) -> str:
    return f"name {entry.get('matchName') or entry.get('matchPattern')}"


def _service(entry: Mapping[str, Any]) -> str:
    if named := _mapping(entry.get("k8sService")):
        return f"Service {named.get('namespace', '')}/{named.get('serviceName', '')}"
    chosen = _mapping(entry.get("k8sServiceSelector"))
    return f"Services {selector_text(chosen.get('selector'))} in {chosen.get('namespace') or 'all'}"


def _nodes(entry: Mapping[str, Any]) -> str:
    return f"nodes {selector_text(entry)}"


_PEER_WORDS = {"CIDRSet": _cidr_set, "FQDNs": _fqdn, "Services": _service, "Nodes": _nodes}


def _port(port: Mapping[str, Any]) -> str:
    number = port.get("port", "every port")
    end = f"-{port['endPort']}" if port.get("endPort") else ""
    return f"{number}{end}/{port.get('protocol') or 'ANY'}"


def _requirement(one: Mapping[str, Any]) -> str:
    key, operator = one.get("key"), str(one.get("operator"))
    values = ",".join(map(str, _list(one.get("values"))))
    words = {"In": f"{key} in ({values})", "NotIn": f"{key} notin ({values})"}
    words |= {"Exists": f"{key}", "DoesNotExist": f"!{key}"}
    return words.get(operator, f"{key} {operator} ({values})")


def _says(spec: Mapping[str, Any], name: str) -> bool:
    return spec.get(name) is not None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, Sequence) and not isinstance(value, str) else ()
