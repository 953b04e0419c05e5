from app.core.model.provenance import Manifest, ObjectRef, Source
from app.services.rule_tree import (
    NodeKind,
    RuleNode,
    rule_items,
    rule_tree,
    selector_text,
    written_directions,
)
from app.testing.builders import manifests

CNP = """
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: workspace, namespace: lung}
spec:
  endpointSelector: {matchLabels: {app: jupyter}}
  egress:
  - toEndpoints:
    - matchLabels: {app: hub}
    - matchLabels: {"k8s:io.kubernetes.pod.namespace": kube-system}
    toPorts:
    - ports: [{port: "8081", protocol: TCP}]
    - ports: [{port: "53"}, {port: "5353", endPort: 5355, protocol: UDP}]
      rules: {dns: [{matchPattern: "*"}]}
  - toFQDNs: [{matchName: pypi.org}, {matchPattern: "*.pypi.org"}]
  - toCIDRSet: [{cidr: 10.0.0.0/8, except: [10.1.0.0/16]}, {cidrGroupRef: vpc}]
  - toEntities: [world]
    icmps: [{fields: [{type: 8}]}]
  - toEndpoints: []
  - toPorts: [{ports: [{port: "443"}], serverNames: [pypi.org]}]
  - toServices: [{k8sService: {serviceName: web, namespace: apps}}]
  ingressDeny:
  - fromEndpoints: [{}]
"""

KNP = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: kc}
spec:
  podSelector: {}
  ingress:
  - from:
    - podSelector: {matchLabels: {app: kc}}
    - namespaceSelector: {}
      podSelector: {matchExpressions: [{key: role, operator: In, values: [a, b]}]}
    - ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}
    ports: [{port: 5432, protocol: TCP}]
  - {}
  egress: []
"""


def only(text: str) -> Manifest:
    (policy,) = manifests(text)
    return policy


def texts(nodes: tuple[RuleNode, ...], kind: NodeKind) -> list[str]:
    found = []
    for node in nodes:
        if node.kind is kind:
            found.append(node.text)
        found += texts(node.children, kind)
    return found


def test_tree_names_every_kind_of_peer() -> None:
    assert texts(rule_tree(only(CNP)), NodeKind.PEER) == [
        "from every pod in lung",
        "to pods app=hub in lung",
        "to pods k8s:io.kubernetes.pod.namespace=kube-system",
        "to name pypi.org",
        "to name *.pypi.org",
        "to CIDR 10.0.0.0/8 except 10.1.0.0/16",
        "to CIDR group vpc",
        "to entity world",
        "to nobody: toEndpoints is empty",
        "to any peer",
        "to Service apps/web",
    ]


def test_ports_and_layer_7_stay_under_their_own_rule() -> None:
    tree = rule_tree(only(CNP))
    egress = next(node for node in tree if node.text == "egress")
    first = egress.children[0]
    ports = [node for node in first.children if node.kind is NodeKind.PORT]
    assert [node.text for node in ports] == ["on 8081/TCP", "on 53/ANY, 5353-5355/UDP"]
    assert [node.text for node in ports[1].children] == ["dns matchPattern *"]
    assert not [node for node in egress.children[1].children if node.kind is NodeKind.PORT]


def test_icmp_and_server_names_are_shown() -> None:
    tree = rule_tree(only(CNP))
    assert "on ICMP 8 (IPv4)" in texts(tree, NodeKind.PORT)
    assert "TLS server name pypi.org" in texts(tree, NodeKind.L7)


def test_deny_rules_say_so() -> None:
    tree = rule_tree(only(CNP))
    deny = next(node for node in tree if node.text == "ingressDeny")
    assert [node.text for node in deny.children] == ["rule 1: deny"]


def test_kubernetes_policy_keeps_its_own_meaning_of_missing_fields() -> None:
    tree = rule_tree(only(KNP))
    assert tree[0].text == "every one of the pods in kc"
    assert texts(tree, NodeKind.PEER) == [
        "from pods app=kc in kc",
        "from pods role in (a,b) in every namespace",
        "from CIDR 10.0.0.0/8 except 10.1.0.0/16",
        "from any peer",
    ]
    assert texts(tree, NodeKind.PORT) == ["on 5432/TCP", "on every port"]
    assert texts(tree, NodeKind.DIRECTION) == ["ingress", "egress: no rule, so nothing is allowed"]


def test_nodes_know_their_path_and_line() -> None:
    policy = only(CNP)
    source = Source("a.yaml", 1, lines={"spec.egress[1]": 12})
    placed = Manifest(policy.ref, policy.api_version, policy.body, source)
    egress = next(node for node in rule_tree(placed) if node.text == "egress")
    assert (egress.children[1].path, egress.children[1].line) == ("spec.egress[1]", 12)
    assert egress.children[1].children[0].path == "spec.egress[1].toFQDNs[0]"


def test_every_spec_of_specs_is_in_the_tree() -> None:
    ref = ObjectRef("CiliumNetworkPolicy", "a", "b")
    specs: list[object] = [
        {"endpointSelector": {}, "egress": [{}]},
        {"endpointSelector": {}, "ingress": [{}]},
    ]
    policy = Manifest(ref, "cilium.io/v2", {"specs": specs})
    assert [path for _, path, _ in rule_items(policy)] == [
        "specs[0].egress[0]",
        "specs[1].ingress[0]",
    ]


def test_written_directions_follow_each_kind() -> None:
    assert written_directions(only(CNP)) == ("ingress", "egress")
    assert written_directions(only(KNP)) == ("ingress", "egress")
    plain = Manifest(ObjectRef("NetworkPolicy", "a", "b"), "", {"spec": {"podSelector": {}}})
    assert written_directions(plain) == ("ingress",)
    types = {"spec": {"podSelector": {}, "policyTypes": ["Egress"]}}
    typed = Manifest(ObjectRef("NetworkPolicy", "a", "b"), "", types)
    assert written_directions(typed) == ("egress",)


def test_junk_in_a_refused_policy_does_no_harm() -> None:
    spec = {"endpointSelector": 3, "egress": [None, "x", {"toPorts": [7, {"ports": "no"}]}]}
    policy = Manifest(ObjectRef("CiliumNetworkPolicy", "a", "b"), "", {"spec": spec})
    assert texts(rule_tree(policy), NodeKind.RULE) == [f"rule {n}: allow" for n in (1, 2, 3)]


def test_selector_text_speaks_as_kubectl() -> None:
    expressions = [
        {"key": "a", "operator": "In", "values": ["x", "y"]},
        {"key": "b", "operator": "NotIn", "values": ["z"]},
        {"key": "c", "operator": "Exists"},
        {"key": "d", "operator": "DoesNotExist"},
    ]
    selector = {"matchLabels": {"app": "web"}, "matchExpressions": expressions}
    assert selector_text(selector) == "app=web,a in (x,y),b notin (z),c,!d"
