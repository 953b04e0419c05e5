"""What lowers the confidence of an answer, and what is said beside it."""

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

from app.core.diagnose.certainty import lowered
from app.core.diagnose.doubts import COSTS, Doubt, Doubtful
from app.core.diagnose.why import diagnose
from app.core.model.answer import Cause, CauseCode, Confidence, WhyAnswer
from tests.core.diagnose.bank import Fault

HOST_FIREWALL: dict[str, Any] = {
    "apiVersion": "cilium.io/v2",
    "kind": "CiliumClusterwideNetworkPolicy",
    "metadata": {"name": "hostfw"},
    "spec": {"nodeSelector": {}, "ingress": [{"fromEntities": ["host"]}]},
}


def answer(fault: Fault) -> WhyAnswer:
    return diagnose(fault.asked, fault.engine())


def test_name_without_address_where_a_block_has_the_port_then_it_is_only_possible() -> None:
    ask = {"from": "lab/notebook-ann", "to": "db.example.org", "port": 5432}
    found = answer(Fault("x", ask, {}))
    assert found.cause.code is CauseCode.EGRESS_DEFAULT_DENY
    assert found.cause.confidence is Confidence.POSSIBLE
    assert any("which address db.example.org resolves to" in one for one in found.not_known)


def test_name_without_address_where_no_block_has_the_port_then_it_is_certain() -> None:
    ask = {"from": "lab/notebook-ann", "to": "db.example.org", "port": 9999}
    assert answer(Fault("x", ask, {})).cause.confidence is Confidence.CERTAIN


def test_host_firewall_where_no_node_was_read_then_what_it_decides_is_not_known() -> None:
    ask = {"from": "metrics/scraper-0", "to": "entity:host", "port": 9100}
    policy = {
        **HOST_FIREWALL,
        "spec": {**HOST_FIREWALL["spec"], "nodeSelector": {"matchLabels": {"tier": "a"}}},
    }
    gone = tuple({"delete": f"Node//{name}"} for name in ("control", "worker-1", "worker-2"))
    found = answer(
        Fault("x", ask, {}, (*gone, {"create": policy}), {"enable-host-firewall": "true"})
    )
    assert found.cause.confidence is Confidence.POSSIBLE
    assert any("no Node object was read" in one for one in found.not_known)


def test_audit_mode_is_said_of_what_policies_deny() -> None:
    ask = {"from": "lab/batch-1", "to": "metrics/store-0", "port": 9090}
    found = answer(Fault("x", ask, {}, settings={"policy-audit-mode": "true"}))
    assert found.verdict.value == "denied"
    assert found.cause.detail.endswith("is let through, and only logged.")


def test_policy_with_cloud_groups_up_to_1_19_then_what_it_decides_is_not_known() -> None:
    policy = {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNetworkPolicy",
        "metadata": {"namespace": "hub", "name": "cloud"},
        "spec": {
            "endpointSelector": {},
            "egress": [{"toGroups": [{"aws": {"securityGroupsIds": ["sg-1"]}}]}],
        },
    }
    ask = {"from": "hub/proxy-0", "to": "52.94.1.1", "port": 443}
    found = answer(Fault("x", ask, {}, ({"create": policy},)))
    assert found.cause.confidence is Confidence.POSSIBLE
    assert any(one.startswith("what `hub/cloud` decides") for one in found.not_known)


def test_every_doubt_has_its_cost_in_the_table() -> None:
    assert set(COSTS) == set(Doubt)
    assert all(cost.at_most is not Confidence.CERTAIN for cost in COSTS.values())


def test_doubts_when_several_then_the_dearest_counts() -> None:
    cause = Cause(CauseCode.EGRESS_DEFAULT_DENY, "no rule")
    assumed, unread = Doubtful(Doubt.DNS_SERVER), Doubtful(Doubt.UNREAD)
    assert lowered(cause, ()).confidence is Confidence.CERTAIN
    assert lowered(cause, (assumed,)).confidence is Confidence.LIKELY
    assert lowered(cause, (assumed, unread)).confidence is Confidence.POSSIBLE


def test_doubts_when_a_deny_decides_then_an_unread_policy_costs_nothing() -> None:
    cause = Cause(CauseCode.EGRESS_EXPLICIT_DENY, "denied")
    assert lowered(cause, (Doubtful(Doubt.UNREAD),)) == cause


def shared(*names: str) -> WhyAnswer:
    """Ask for a name of an address that has these names."""
    ask = {"from": "lab/notebook-ann", "to": "other.example.org", "port": 443}
    fault = Fault("x", ask, {})
    engine = fault.engine()
    learned = dict.fromkeys(names, (ip_address("203.0.113.9"),))
    return diagnose(fault.asked, engine.replace(replace(engine.cluster, learned_names=learned)))


def test_name_when_it_is_allowed_by_another_one_of_its_address_then_that_is_said() -> None:
    found = shared("other.example.org", "packages.example.org")
    assert found.cause.code is CauseCode.NONE
    assert "only as long as packages.example.org" in found.cause.detail


def test_name_when_no_rule_names_what_shares_its_address_then_it_is_denied() -> None:
    found = shared("other.example.org", "third.example.org")
    assert found.cause.code is CauseCode.EGRESS_DEFAULT_DENY


def test_backends_when_none_is_ready_then_policies_are_cleared_only_where_they_allow() -> None:
    unready = {"set": {"in": "Pod/auth/db-0", "path": "status.conditions",
                       "to": [{"type": "Ready", "status": "False"}]}}  # fmt: skip
    allowed = answer(Fault("x", {"from": "auth/keycloak-0", "to": "svc:auth/db"}, {}, (unready,)))
    assert "look at the pod's readiness, not at policies" in allowed.cause.summary
    denied = answer(Fault("x", {"from": "hub/hub-0", "to": "svc:auth/db"}, {}, (unready,)))
    assert "not at policies" not in denied.cause.summary
