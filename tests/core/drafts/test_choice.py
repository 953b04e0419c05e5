from dataclasses import replace
from pathlib import Path

import pytest

from app.core.cluster.build import build_cluster
from app.core.drafts.change import ChangeKind
from app.core.drafts.choice import Plan, options, plans
from app.core.drafts.edits import Append, SetScalar
from app.core.errors import DraftRejected
from app.core.model.provenance import ObjectRef
from app.core.model.verdict import Direction, HttpRequest, Protocol, Question, SniRequest, Verdict
from app.core.policy.engine import Engine
from integrations.manifests.reader import load
from tests.core.drafts.cluster import WORKSPACE, engine_of, question, write

ALICE = "lung/notebook-alice"
WITHOUT_DNS = (
    WORKSPACE[: WORKSPACE.index("    # DNS")] + WORKSPACE[WORKSPACE.index("    # the mirror") :]
)
MIRROR_IN = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: mirror-in, namespace: mirror}
spec:
  podSelector: {matchLabels: {app: mirror}}
  policyTypes: [Ingress]
"""
DENY = """\
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: no-db, namespace: lung}
spec:
  endpointSelector: {}
  egressDeny:
    - toEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: mirror, app: db}}]
"""


def _engine(tmp_path: Path, **policies: str) -> Engine:
    files = {"workspace.yaml": WORKSPACE} | {
        f"{name}.yaml": text for name, text in policies.items()
    }
    return engine_of(write(tmp_path, files))


def _named(engine: Engine, name: str) -> Question:
    asked = question(engine, ALICE, "203.0.113.7", 443)
    return replace(asked, destination=replace(asked.destination, names=frozenset({name})))


def _items(plan: Plan) -> list[object]:
    return [
        edit.item for change in plan.changes for edit in change.edits if isinstance(edit, Append)
    ]


def test_plans_when_pod_is_not_in_any_rule_then_one_rule_with_stable_labels(
    tmp_path: Path,
) -> None:
    engine = _engine(tmp_path)
    best = plans(question(engine, ALICE, "mirror/db-0", 5432), engine)[0]
    (change,) = best.changes
    assert (change.kind, change.policy.name) == (ChangeKind.ADD_RULE, "workspace")
    assert _items(best) == [
        {
            "toEndpoints": [
                {"matchLabels": {"app": "db", "k8s:io.kubernetes.pod.namespace": "mirror"}}
            ],
            "toPorts": [{"ports": [{"port": "5432", "protocol": "TCP"}]}],
        }
    ]
    assert best.trace is not None
    assert best.trace.verdict is Verdict.ALLOWED
    assert best.opens == "holds for every pod of lung/notebook and mirror/db"
    assert not best.broadens


def test_plans_when_asked_for_the_services_port_then_the_wrong_port_is_corrected(
    tmp_path: Path,
) -> None:
    engine = _engine(tmp_path)
    asked = question(engine, ALICE, "mirror/mirror-1", 8080)
    (change,) = plans(asked, engine, service_port=80)[0].changes
    path = ("spec", "egress", 1, "toPorts", 0, "ports", 0, "port")
    assert change.edits == (SetScalar(path, "8080"),)


def test_plans_when_somebody_listens_on_the_other_port_then_it_is_not_taken_away(
    tmp_path: Path,
) -> None:
    engine = _engine(tmp_path)
    cluster = engine.cluster
    listening = tuple(
        replace(one, ports=(*one.ports, replace(one.ports[0], port=80)))
        if one.name == "mirror-1"
        else one
        for one in cluster.endpoints
    )
    engine = Engine.build(replace(cluster, endpoints=listening))
    asked = question(engine, ALICE, "mirror/mirror-1", 8080)
    (change,) = plans(asked, engine, service_port=80)[0].changes
    assert change.edits == (
        Append(("spec", "egress", 1, "toPorts", 0, "ports"), {"port": "8080", "protocol": "TCP"}),
    )


def test_plans_when_both_ends_deny_then_both_are_changed(tmp_path: Path) -> None:
    engine = _engine(tmp_path, mirror=MIRROR_IN)
    best = plans(question(engine, ALICE, "mirror/mirror-1", 8080), engine)[0]
    assert {change.policy.kind for change in best.changes} == {
        "CiliumNetworkPolicy",
        "NetworkPolicy",
    }
    assert best.trace is not None
    assert best.trace.verdict is Verdict.ALLOWED
    assert _items(best)[-1] == {
        "from": [
            {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "lung"}},
                "podSelector": {"matchLabels": {"app": "notebook"}},
            }
        ],
        "ports": [{"port": 8080, "protocol": "TCP"}],
    }


def test_plans_when_name_is_new_then_beside_the_others_and_dns_is_shown(tmp_path: Path) -> None:
    silent = WORKSPACE.replace("    # packages\n", "")
    engine = engine_of(write(tmp_path, {"workspace.yaml": silent}))
    best = plans(_named(engine, "cran.r-project.org"), engine)[0]
    (change,) = best.changes
    assert change.kind is ChangeKind.EXTEND_RULE
    assert _items(best) == [{"matchName": "cran.r-project.org"}]
    assert change.edits[1].path == ("spec", "egress", 0, "toPorts", 0)
    assert best.opens == "holds for every pod of lung/notebook"


def test_plans_when_name_is_allowed_but_not_seen_then_only_dns_is_changed(tmp_path: Path) -> None:
    engine = _engine(tmp_path)
    (change,) = plans(_named(engine, "pypi.org"), engine)[0].changes
    assert change.title == "show the DNS answers for pypi.org to Cilium"
    assert [type(edit).__name__ for edit in change.edits] == ["AddKey"]


def test_plans_when_dns_is_blocked_then_only_this_name_may_be_asked(tmp_path: Path) -> None:
    engine = _engine(tmp_path, workspace=WITHOUT_DNS)
    items = _items(plans(_named(engine, "pypi.org"), engine)[0])
    assert items[-1]["toPorts"][0]["rules"] == {  # type: ignore[index]  # a tree of YAML
        "dns": [{"matchName": "pypi.org"}]
    }


def test_options_when_sorted_then_the_one_that_opens_least_comes_first(tmp_path: Path) -> None:
    wide = WORKSPACE.replace("name: workspace", "name: everyone").replace(
        "\n    matchLabels:\n      app: notebook", " {}"
    )
    engine = _engine(tmp_path, wide=wide)
    found = options(question(engine, ALICE, "mirror/db-0", 5432), Direction.EGRESS, engine)
    weights = [sum(pair.source.size for pair in option.opened) for option in found]
    assert weights == sorted(weights)
    assert found[0].changes[0].policy.name != "everyone"


def test_plans_when_no_policy_can_be_changed_then_a_policy_of_its_own(tmp_path: Path) -> None:
    engine = _engine(tmp_path)
    kinds = [
        plan.changes[0].kind for plan in plans(question(engine, ALICE, "mirror/db-0", 5432), engine)
    ]
    assert kinds == [ChangeKind.ADD_RULE, ChangeKind.NEW_POLICY]
    new = plans(question(engine, ALICE, "mirror/db-0", 5432), engine)[1].changes[0]
    assert new.policy == ObjectRef("CiliumNetworkPolicy", "lung", "allow-notebook-to-db-5432")
    assert new.body is not None
    assert new.body["spec"]["endpointSelector"] == {"matchLabels": {"app": "notebook"}}


@pytest.mark.parametrize(
    ("destination", "port", "message"),
    [
        ("mirror/db-0", 5432, "denies it on purpose"),
        ("entity:world", 443, "would open the whole outside"),
    ],
)
def test_plans_when_it_must_not_be_written_then_refused(
    tmp_path: Path, destination: str, port: int, message: str
) -> None:
    engine = _engine(tmp_path, deny=DENY)
    with pytest.raises(DraftRejected, match=message):
        plans(question(engine, ALICE, destination, port), engine)


def test_plans_when_allowed_already_then_refused(tmp_path: Path) -> None:
    engine = _engine(tmp_path)
    with pytest.raises(DraftRejected, match="allow this already"):
        plans(question(engine, "mirror/mirror-1", "mirror/db-0", 5432), engine)


@pytest.mark.parametrize("name", ["localhost", "a..b", "*.pypi.org", "1.2.3.4", "x" * 64 + ".org"])
def test_plans_when_name_is_no_full_dns_name_then_refused(tmp_path: Path, name: str) -> None:
    engine = _engine(tmp_path)
    with pytest.raises(DraftRejected, match="not a full DNS name"):
        plans(_named(engine, name), engine)


HUB = """\
apiVersion: v1
kind: Pod
metadata: {name: hub-0, namespace: hub, labels: {app: hub, user: carol}}
spec: {nodeName: n1, containers: [{name: c, ports: [{containerPort: 8081}]}]}
status: {phase: Running, podIP: 10.0.1.1, podIPs: [{ip: 10.0.1.1}]}
---
apiVersion: v1
kind: Pod
metadata: {name: bare-0, namespace: hub, labels: {pod-template-hash: x}}
spec: {nodeName: n1, containers: [{name: c}]}
status: {phase: Running, podIP: 10.0.1.2, podIPs: [{ip: 10.0.1.2}]}
---
apiVersion: v1
kind: Node
metadata: {name: n2}
status: {addresses: [{type: InternalIP, address: 192.0.2.1}]}
"""
HUB_IN = """\
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: hub-in, namespace: hub}
specs:
  - endpointSelector: {matchLabels: {app: other}}
    ingress: [{}]
  - endpointSelector: {}
    ingress:
      - fromEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: lung, app: notebook}}]
        toPorts:
          - ports: [{port: "8000", protocol: TCP}]
            rules: {http: [{method: GET}]}
      - fromEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: mirror, app: db}}]
        toPorts: [{ports: [{port: "8081", protocol: TCP}, {port: "9000", protocol: TCP}]}]
"""


def _hub(tmp_path: Path) -> Engine:
    return engine_of(write(tmp_path, {"hub.yaml": HUB, "hub-in.yaml": HUB_IN}))


def test_options_when_every_port_has_layer_7_rules_then_a_port_item_without_them(
    tmp_path: Path,
) -> None:
    engine = _hub(tmp_path)
    asked = question(engine, ALICE, "hub/hub-0", 8081)
    edits = [
        edit for one in options(asked, Direction.INGRESS, engine) for edit in one.changes[0].edits
    ]
    assert (
        Append(
            ("specs", 1, "ingress", 0, "toPorts"),
            {"ports": [{"port": "8081", "protocol": "TCP"}]},
        )
        in edits
    )


def test_options_when_a_rule_has_more_ports_then_what_they_open_counts(tmp_path: Path) -> None:
    engine = _hub(tmp_path)
    asked = question(engine, "mirror/mirror-1", "hub/hub-0", 8081)
    found = options(asked, Direction.INGRESS, engine)
    by_kind = {option.changes[0].kind: option for option in found}
    opened = by_kind[ChangeKind.EXTEND_RULE].opened
    assert {(pair.port, pair.destination.peer.text) for pair in opened} >= {
        (9000, "pod hub/hub-0"),
        (8081, "pod hub/bare-0"),
    }
    assert found[0].changes[0].kind is ChangeKind.NEW_POLICY


def test_plans_when_more_is_opened_then_said_and_marked(tmp_path: Path) -> None:
    engine = _hub(tmp_path)
    asked = question(engine, "mirror/mirror-1", "hub/bare-0", 8081)
    best = plans(asked, engine)[0]
    assert best.broadens
    assert "also opens mirror/mirror → hub/hub:8081/TCP" in best.opens


def test_plans_when_subject_has_no_stable_label_then_no_policy_of_its_own(tmp_path: Path) -> None:
    engine = _hub(tmp_path)
    found = plans(question(engine, "mirror/mirror-1", "hub/bare-0", 8081), engine)
    assert ChangeKind.NEW_POLICY not in {plan.changes[0].kind for plan in found}


def test_plans_when_a_label_names_a_person_then_it_is_not_written(tmp_path: Path) -> None:
    engine = _hub(tmp_path)
    asked = question(engine, "mirror/mirror-1", "hub/hub-0", 8081)
    change = plans(asked, engine)[0].changes[0]
    assert change.body is not None
    assert change.body["spec"]["endpointSelector"] == {"matchLabels": {"app": "hub"}}


def test_plans_when_peer_is_a_node_then_its_entity(tmp_path: Path) -> None:
    engine = _hub(tmp_path)
    asked = question(engine, "ip:192.0.2.1", "hub/hub-0", 8081)
    items = [item for plan in plans(asked, engine) for item in _items(plan)]
    ports = {"toPorts": [{"ports": [{"port": "8081", "protocol": "TCP"}]}]}
    assert {"fromEntities": ["remote-node"], **ports} in items


def test_plans_when_peer_is_an_address_outside_then_its_block(tmp_path: Path) -> None:
    engine = _engine(tmp_path)
    items = _items(plans(question(engine, ALICE, "203.0.113.9", 22), engine)[0])
    assert items == [
        {"toCIDR": ["203.0.113.9/32"], "toPorts": [{"ports": [{"port": "22", "protocol": "TCP"}]}]}
    ]


def test_plans_when_address_outside_meets_a_network_policy_then_its_ip_block(
    tmp_path: Path,
) -> None:
    engine = engine_of(write(tmp_path, {"mirror.yaml": MIRROR_IN}))
    asked = question(engine, "203.0.113.9", "mirror/mirror-1", 8080)
    items = [item for plan in plans(asked, engine) for item in _items(plan)]
    assert {
        "from": [{"ipBlock": {"cidr": "203.0.113.9/32"}}],
        "ports": [{"port": 8080, "protocol": "TCP"}],
    } in items


def test_plans_when_icmp_then_by_type_and_never_in_a_network_policy(tmp_path: Path) -> None:
    engine = engine_of(write(tmp_path, {"mirror.yaml": MIRROR_IN}))
    asked = replace(question(engine, ALICE, "mirror/mirror-1", 8), protocol=Protocol.ICMP)
    (plan,) = plans(asked, engine)
    body = plan.changes[0].body
    assert body is not None
    assert body["spec"]["ingress"][0]["icmps"] == [{"fields": [{"family": "IPv4", "type": 8}]}]


def test_plans_when_a_policy_of_its_own_needs_dns_then_it_brings_the_rule(tmp_path: Path) -> None:
    text = WORKSPACE.replace("              protocol: UDP\n", "              protocol: UDP\n", 1)
    start, end = text.index("    # DNS"), text.index("    # the mirror")
    engine = _engine(tmp_path, workspace=text[:start] + text[end:])
    new = [
        one for one in plans(_named(engine, "cran.r-project.org"), engine) if one.changes[0].body
    ]
    body = new[0].changes[0].body
    assert body is not None
    assert [sorted(rule) for rule in body["spec"]["egress"]] == [
        ["toFQDNs", "toPorts"],
        ["toEndpoints", "toPorts"],
    ]


def test_plans_when_dns_is_allowed_by_another_policy_then_both_are_changed(tmp_path: Path) -> None:
    dns = WORKSPACE[: WORKSPACE.index("    # the mirror")].replace("name: workspace", "name: dns")
    engine = _engine(tmp_path, workspace=WITHOUT_DNS, dns=dns)
    best = plans(_named(engine, "cran.r-project.org"), engine)[0]
    assert [change.policy.name for change in best.changes] == ["workspace", "dns"]


def test_plans_when_the_name_is_taken_then_another_one(tmp_path: Path) -> None:
    taken = WORKSPACE.replace("name: workspace", "name: allow-notebook-to-db-5432")
    engine = _engine(tmp_path, taken=taken)
    found = plans(question(engine, ALICE, "mirror/db-0", 5432), engine)
    names = {change.policy.name for plan in found for change in plan.changes if change.body}
    assert names == {"allow-notebook-to-db-5432-2"}


def test_plans_when_the_only_policy_is_an_orphan_then_it_is_not_edited(tmp_path: Path) -> None:
    write(
        tmp_path, {"lung/workspace.yaml": WORKSPACE, "lung/kustomization.yaml": "resources: []\n"}
    )
    loaded = load([str(tmp_path)])
    engine = Engine.build(build_cluster((*loaded.manifests, *loaded.undeployed)))
    (plan,) = plans(question(engine, ALICE, "mirror/db-0", 5432), engine)
    assert plan.changes[0].kind is ChangeKind.NEW_POLICY


def test_plans_when_only_a_request_is_refused_then_the_rule_gets_no_more_than_it(
    tmp_path: Path,
) -> None:
    engine = _hub(tmp_path)
    asked = question(engine, ALICE, "hub/hub-0", 8000)
    asked = replace(asked, request=HttpRequest("POST", "/a.b?c", "hub.example"))
    plan, alone = plans(asked, engine)
    assert alone.changes[0].how == "one more rule, for this peer and this request alone"
    assert _items(plan) == [{"method": "POST", "path": r"/a\.b\?c", "host": r"hub\.example"}]
    assert plan.after.decide(asked).verdict is Verdict.ALLOWED
    for other in ("/a.b", "/axb?c", "/a.b?c/d"):
        same = replace(asked, request=HttpRequest("POST", other, "hub.example"))
        assert plan.after.decide(same).verdict is Verdict.DENIED
        assert alone.after.decide(same).verdict is Verdict.DENIED
    assert alone.after.decide(asked).verdict is Verdict.ALLOWED


def test_plans_when_the_request_is_of_a_kind_no_rule_lists_then_not_drafted(tmp_path: Path) -> None:
    engine = _hub(tmp_path)
    asked = question(engine, ALICE, "hub/hub-0", 8000)
    asked = replace(asked, request=SniRequest("hub.example"))
    with pytest.raises(DraftRejected, match="only the request is refused"):
        plans(asked, engine)
