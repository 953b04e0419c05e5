from dataclasses import replace
from pathlib import Path

import pytest

from app.core.drafts.change import ChangeKind
from app.core.drafts.choice import Plan, options, plans
from app.core.drafts.edits import Append, SetScalar
from app.core.errors import DraftRejected
from app.core.model.provenance import ObjectRef
from app.core.model.verdict import Direction, Question, Verdict
from app.core.policy.engine import Engine
from tests.core.drafts.cluster import WORKSPACE, engine_of, question, write

ALICE = "lung/notebook-alice"
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
    engine = _engine(tmp_path)
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
    without = WORKSPACE.replace("    # DNS\n", "").replace(
        WORKSPACE[WORKSPACE.index("    - toEndpoints") : WORKSPACE.index("    # the mirror")], ""
    )
    engine = _engine(tmp_path, workspace=without)
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
