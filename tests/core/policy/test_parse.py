from typing import Any

import pytest

from app.core.model.cluster import ClusterConfig
from app.core.model.provenance import ObjectRef, Source
from app.core.model.verdict import Direction, Effect
from app.core.policy.context import ParseContext
from app.core.policy.parse import is_enabled, parse_policy
from app.core.policy.rules import CidrSelector, GroupSelector, LabelSelector, RejectedPolicy
from tests.core.policy.build import (
    TCP80,
    V117,
    V118,
    V119,
    V120,
    V1196,
    Tree,
    accepted,
    ccnp,
    cnp,
    egress,
    ingress,
    knp,
    manifest,
    ports,
    refused,
)

HOLE = "198.51.100.0/28"
NODES_ON = ClusterConfig(node_selector_labels=True)


def _item(**fields: Any) -> Tree:
    return fields


def _to_ports(**extra: Any) -> Tree:
    return ports(TCP80, **extra)


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        (ingress(_item(fromCIDR=["10.0.0.0/33"])), "spec.ingress[0].fromCIDR[0]"),
        (ingress(_item(fromCIDR=["10.0.0.0%x/8"])), "spec.ingress[0].fromCIDR[0]"),
        (ingress(_item(fromEntities=["x"])), "spec.ingress[0].fromEntities[0]"),
        (ingress(_item(fromNodes=[{}])), "spec.ingress[0].fromNodes"),
        (ingress(_item(fromCIDRSet=[{}])), "spec.ingress[0].fromCIDRSet[0]"),
        (
            ingress(_item(fromCIDRSet=[{"cidr": "1.2.3.4"}])),
            "spec.ingress[0].fromCIDRSet[0].cidr",
        ),
        (
            ingress(_item(fromCIDRSet=[{"cidrGroupRef": "g", "except": ["x"]}])),
            "spec.ingress[0].fromCIDRSet[0].except[0]",
        ),
        (ingress(ports({"port": ""})), "spec.ingress[0].toPorts[0].ports[0]"),
        (ingress(ports({"port": "a b"})), "spec.ingress[0].toPorts[0].ports[0]"),
        (ingress(ports({"port": "80", "protocol": "GRE"})), "spec.ingress[0].toPorts[0].ports[0]"),
        (ingress(ports({"port": "5", "protocol": "VRRP"})), "spec.ingress[0].toPorts[0].ports[0]"),
        (ingress(ports(TCP80, listener={"name": "x"})), "spec.ingress[0].toPorts[0].listener"),
        (
            egress(ports(TCP80, listener={"name": "x"}, rules={"http": [{}]})),
            "spec.egress[0].toPorts[0]",
        ),
        (egress(ports(rules={"dns": [{"matchName": "a"}]})), "spec.egress[0].toPorts[0]"),
        (
            egress(ports(TCP80, rules={"http": [{"method": "("}]})),
            "spec.egress[0].toPorts[0].rules.http[0].method",
        ),
        (
            egress(ports(TCP80, rules={"http": [{"headerMatches": [{}]}]})),
            "spec.egress[0].toPorts[0].rules.http[0].headerMatches[0]",
        ),
        (
            egress(
                ports(TCP80, rules={"http": [{"headerMatches": [{"name": "x", "mismatch": "X"}]}]})
            ),
            "spec.egress[0].toPorts[0].rules.http[0].headerMatches[0].mismatch",
        ),
        (
            egress(
                ports(TCP80, rules={"http": [{"headerMatches": [{"name": "x", "secret": {}}]}]})
            ),
            "spec.egress[0].toPorts[0].rules.http[0].headerMatches[0].secret",
        ),
        (egress(ports(TCP80, rules={"l7": [{"a": "b"}]})), "spec.egress[0].toPorts[0].rules"),
        (
            egress(ports(TCP80, rules={"l7proto": "x", "l7": [{}], "http": [{}]})),
            "spec.egress[0].toPorts[0].rules",
        ),
        (egress(_item(icmps=[{"fields": [{}]}])), "spec.egress[0].icmps[0].fields[0]"),
        (egress(_item(icmps=[{"fields": [{"type": "x"}]}])), "spec.egress[0].icmps[0].fields[0]"),
    ],
)
def test_rule_when_the_agent_does_not_take_it_then_says_where(spec: Tree, path: str) -> None:
    policy = refused(cnp(spec))

    assert policy.path == path
    assert policy.refused_by == "agent"
    assert policy.reason


def test_rule_when_refused_in_a_file_then_has_its_line() -> None:
    body = cnp(ingress(_item(fromEntities=["x"])))
    source = Source("p.yaml", 1, lines={"spec.ingress[0]": 7})

    policy = parse_policy(manifest(body, source), ParseContext())

    assert isinstance(policy, RejectedPolicy)
    assert (policy.file, policy.line) == ("p.yaml", 7)


def test_object_when_it_has_no_name_then_is_refused() -> None:
    assert refused(cnp(ingress({}), name="")).path == "metadata.name"


@pytest.mark.parametrize(
    ("spec", "config"),
    [
        (egress(_item(icmps=[{"fields": [{"type": 8}]}])), ClusterConfig(icmp_rules=False)),
        (egress(ports(TCP80, rules={"http": [{}]})), ClusterConfig(l7_proxy=False)),
    ],
)
def test_rule_when_its_option_is_off_then_is_refused(spec: Tree, config: ClusterConfig) -> None:
    accepted(cnp(spec))

    refused(cnp(spec), config)


def test_nodes_when_their_option_is_on_then_select_remote_nodes_of_the_cluster() -> None:
    (entry,) = accepted(
        cnp(egress(_item(toNodes=[{"matchLabels": {"zone": "a"}}]))), NODES_ON
    ).entries

    (peer,) = entry.peers or ()
    assert isinstance(peer, LabelSelector)
    assert {str(item) for item in peer.requirements} == {
        "zone=a",
        "reserved:remote-node Exists",
        "k8s:io.cilium.k8s.policy.cluster=default",
    }


@pytest.mark.parametrize(
    ("items", "reason"),
    [
        (ingress(ports(TCP80, rules={"http": [{}]})), "layer 7"),
        (egress(ports(TCP80, rules={"http": [{}]})), "only DNS"),
    ],
)
def test_host_policy_when_it_has_http_rules_then_is_refused(items: Tree, reason: str) -> None:
    spec = {key: value for key, value in items.items() if key != "endpointSelector"}

    assert reason in refused(ccnp(spec | {"nodeSelector": {}})).reason


def test_host_policy_when_it_has_dns_rules_then_is_taken() -> None:
    rules = ports({"port": "53"}, rules={"dns": [{"matchPattern": "*"}]})

    (entry,) = accepted(ccnp({"nodeSelector": {}, "egress": [rules]})).entries

    assert entry.node


def test_extended_protocols_when_switched_on_then_need_no_port() -> None:
    config = ClusterConfig(extended_ip_protocols=True)

    (entry,) = accepted(cnp(egress(ports({"protocol": "VRRP"}))), config).entries
    assert entry.ports[0].ports[0].protocols == ("VRRP",)
    refused(cnp(egress(ports({"port": "1", "protocol": "VRRP"}))), config)
    modern = ClusterConfig(cilium_version=V120, extended_ip_protocols=True)
    accepted(cnp(egress(ports({"protocol": "GRE"}))), modern)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (ingress(_item(toFQDNs=[{"matchName": "x"}])), "`toFQDNs`"),
        (egress(_item(toFQDNs=[{}])), "matchName and matchPattern"),
        (egress(_item(toFQDNs=[{"matchName": ".org"}])), "dots"),
        (ingress(_item(fromEntities=["world-ipv4"])), "world-ipv4"),
        (ingress(_item(fromCIDR=["1.2.3.4"])), "without a length"),
        (ingress(_item(fromCIDRSet=[{"cidrGroupRef": "A_b"}])), "A_b"),
        (
            ingress(_item(fromCIDRSet=[{"cidrGroupRef": "g", "except": ["10.0.0.0/8"]}])),
            "except beside a group",
        ),
        (ingress(ports({"port": "80", "protocol": "tcp"})), "capitals"),
        (ingress(ports({"port": "80", "endPort": 70000})), "endPort: 70000"),
        (ingress(ports({"port": "0120"})), "octal"),
        (ingress(ports({"port": "0"}, serverNames=["x"])), "not enforced"),
        (ingress(_item(icmps=[{"fields": [{"type": 0}]}])), "every type"),
        (egress(ports({"port": "53"}, rules={"dns": [{}]})), "exactly one"),
        (ingress(ports(TCP80, rules={"http": [{"host": "("}]})), "host expression"),
        (ingress(ports(TCP80, rules={"http": [{"path": "/" + "a" * 200}]})), "program size"),
        (
            {
                "endpointSelector": {"matchLabels": {"k8s:io.kubernetes.pod.namespace": "b"}},
                "ingress": [{}],
            },
            "replaced",
        ),
    ],
)
def test_rule_when_only_the_api_server_minds_then_is_taken_with_a_warning(
    spec: Tree, said: str
) -> None:
    policy = accepted(cnp(spec))

    assert any(said in warning.text for warning in policy.warnings)


def test_requires_when_removed_then_selectors_are_refused() -> None:
    body = cnp(ingress({"fromEntities": ["world"], "fromRequires": [{"matchLabels": {}}]}))

    rejected = refused(body)

    assert rejected.path == "spec.ingress[0].fromRequires"
    assert rejected.reason == "`fromRequires` was removed in Cilium 1.19"
    accepted(body, ClusterConfig(cilium_version=V118))
    accepted(cnp(ingress({"fromEntities": ["world"], "fromRequires": ["text"]})))


@pytest.mark.parametrize("field", ["matchName", "matchPattern"])
def test_name_when_it_has_other_characters_then_is_refused(field: str) -> None:
    rejected = refused(cnp(egress(_item(toFQDNs=[{field: "a b"}]))))

    assert rejected.path == f"spec.egress[0].toFQDNs[0].{field}"


def test_groups_of_a_cloud_when_agent_is_old_then_object_is_left_to_the_operator() -> None:
    spec = egress(_item(toGroups=[{"aws": {"labels": {"a": "b"}}}]))

    for body in (cnp(spec), cnp(None, specs=[spec])):
        policy = accepted(body)
        assert policy.entries == ()
        assert "operator" in policy.warnings[-1].text


def test_soft_rule_when_soft_rules_are_switched_off_then_is_hard() -> None:
    spec = ingress({}, enableDefaultDeny={"ingress": False})

    assert not accepted(cnp(spec)).entries[0].default_deny
    assert (
        accepted(cnp(spec), ClusterConfig(non_default_deny_policies=False)).entries[0].default_deny
    )


def test_entries_when_all_lists_are_there_then_come_in_the_agents_order() -> None:
    lists: Tree = {name: [{}] for name in ("egressDeny", "egress", "ingressDeny", "ingress")}

    entries = accepted(cnp({"endpointSelector": {}, **lists})).entries

    assert [(entry.direction, entry.effect) for entry in entries] == [
        (Direction.INGRESS, Effect.ALLOW),
        (Direction.INGRESS, Effect.DENY),
        (Direction.EGRESS, Effect.ALLOW),
        (Direction.EGRESS, Effect.DENY),
    ]
    assert accepted(cnp({"endpointSelector": {}, **lists})).directions == set(Direction)


def test_tls_when_two_contexts_are_equal_then_are_one_text() -> None:
    tls = {"secret": {"namespace": "a", "name": "s"}}
    rules = ports(TCP80, terminatingTLS=tls, originatingTLS=tls, rules={"http": [{}]})

    (entry,) = accepted(cnp(egress(rules))).entries

    layer7 = entry.ports[0].layer7
    assert layer7.terminating_tls == layer7.originating_tls != ""


def test_listener_when_named_then_is_the_parser() -> None:
    listener = {
        "envoyConfig": {"kind": "CiliumEnvoyConfig", "name": "c"},
        "name": "l",
        "priority": 5,
    }

    (entry,) = accepted(cnp(egress(ports(TCP80, listener=listener)))).entries

    layer7 = entry.ports[0].layer7
    assert (layer7.parser("TCP"), layer7.listener_priority) == ("crd", 5)


def test_kafka_when_agent_does_not_know_it_then_is_a_plain_allow_with_a_warning() -> None:
    body = cnp(ingress(ports(TCP80, rules={"kafka": [{"topic": "x"}]})))

    assert accepted(body).entries[0].ports[0].layer7.parser("TCP") == "kafka"
    policy = accepted(body, ClusterConfig(cilium_version=V120))
    assert policy.entries[0].ports[0].layer7.parser("TCP") == ""
    assert "`kafka`" in policy.warnings[0].text


def test_generic_protocol_when_written_then_is_its_own_parser() -> None:
    (entry,) = accepted(cnp(ingress(ports(TCP80, rules={"l7proto": "memcache"})))).entries

    assert entry.ports[0].layer7.parser("TCP") == "memcache"
    assert entry.ports[0].layer7.parser("UDP") == ""


@pytest.mark.parametrize(
    ("peer", "refused_by"),
    [
        ({}, "api-server"),
        ({"unknownSelector": {}}, "api-server"),
        ({"ipBlock": {"cidr": "10.0.0.0/8"}, "podSelector": {}}, "api-server"),
        ({"ipBlock": {"cidr": "x"}}, "api-server"),
        ({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["x"]}}, "api-server"),
    ],
)
def test_networkpolicy_peer_when_the_api_server_refuses_it_then_is_no_empty_peer(
    peer: Tree, refused_by: str
) -> None:
    policy = refused(knp({"podSelector": {}, "ingress": [{"from": [peer]}]}))

    assert policy.refused_by == refused_by


@pytest.mark.parametrize("port", [{"protocol": "ICMP"}, {"port": 1.5}, {"port": "a b"}])
def test_networkpolicy_port_when_not_valid_then_is_refused(port: Tree) -> None:
    refused(knp({"podSelector": {}, "ingress": [{"ports": [port]}]}))


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"ingress": [{"ports": [{"endPort": 90}]}]}, "numeric port"),
        ({"ingress": [{"ports": [{"port": 90, "endPort": 80}]}]}, "below the port"),
        ({"egress": [{}], "policyTypes": ["Ingress"]}, "although policyTypes"),
    ],
)
def test_networkpolicy_when_kubernetes_reads_it_otherwise_then_warns(spec: Tree, said: str) -> None:
    policy = accepted(knp({"podSelector": {}, **spec}))

    assert any(said in warning.text for warning in policy.warnings)


def test_networkpolicy_label_when_too_long_for_1_19_then_selector_is_broken() -> None:
    body = knp({"podSelector": {"matchLabels": {"k" * 60: "x"}}, "ingress": []})

    (entry,) = accepted(body).entries
    assert entry.subject.broken
    assert not entry.subject.requirements
    (entry,) = accepted(body, ClusterConfig(cilium_version=V120)).entries
    assert not entry.subject.broken


def test_networkpolicy_when_it_has_no_namespace_then_lands_in_default() -> None:
    policy = accepted(knp({"podSelector": {}}, namespace=""))

    assert policy.ref == ObjectRef("NetworkPolicy", "default", "p")


def test_networkpolicy_key_when_it_names_a_source_then_1_20_keeps_it() -> None:
    body = knp({"podSelector": {"matchLabels": {"any:a": "x"}}})

    (entry,) = accepted(body, ClusterConfig(cilium_version=V120)).entries

    assert "a=x" in {str(item) for item in entry.subject.requirements}


def test_block_peer_when_single_address_then_is_that_address() -> None:
    body = knp(
        {
            "podSelector": {},
            "egress": [{"to": [{"ipBlock": {"cidr": "192.0.2.1", "except": ["192.0.2.1"]}}]}],
        }
    )

    (peer,) = accepted(body).entries[1].peers or ()

    assert isinstance(peer, CidrSelector)
    assert str(peer.block) == "192.0.2.1/32"


def test_peers_when_namespace_labels_are_asked_for_then_own_namespace_is_not_implied() -> None:
    label = "k8s:io.cilium.k8s.namespace.labels.team"
    body = cnp(ingress(_item(fromEndpoints=[{"matchLabels": {label: "x"}}])))

    (peer,) = accepted(body, ClusterConfig(cilium_version=V117)).entries[0].peers or ()

    assert peer.text == "namespace label team=x"


def test_clusterwide_peers_when_subject_is_starting_then_need_not_be_pods() -> None:
    spec: Tree = {"ingress": [{"fromEndpoints": [{}]}]}
    config = ClusterConfig(cilium_version=V117)
    starting = ccnp(spec | {"endpointSelector": {"matchLabels": {"reserved:init": ""}}})

    (peer,) = accepted(starting, config).entries[0].peers or ()
    (other,) = accepted(ccnp(spec | {"endpointSelector": {}}), config).entries[0].peers or ()

    assert (peer.text, other.text) == ("everyone", "every pod")


def test_peers_when_default_local_cluster_is_off_then_any_cluster_is_meant() -> None:
    body = cnp(ingress(_item(fromEndpoints=[{}])))

    (peer,) = accepted(body, ClusterConfig(cilium_version=V117)).entries[0].peers or ()

    assert peer.text == "every pod in namespace a"


def test_group_selector_when_labelled_then_knows_its_version() -> None:
    body = cnp(egress(_item(toCIDRSet=[{"cidrGroupSelector": {"matchLabels": {"env": "x"}}}])))

    (old,) = accepted(body, ClusterConfig(cilium_version=V119)).entries[0].peers or ()
    (new,) = (
        accepted(body, ClusterConfig(cilium_version=V120, dual_stack=True)).entries[0].peers or ()
    )

    assert isinstance(old, GroupSelector)
    assert isinstance(new, GroupSelector)
    assert (old.by_pairs, old.world_only) == (False, False)
    assert (new.by_pairs, new.world_only) == (True, True)


def test_service_selector_when_unparsable_then_only_the_fixed_1_19_refuses() -> None:
    item = _item(toServices=[{"k8sServiceSelector": {"selector": {"matchLabels": {"a/b/c": "b"}}}}])

    accepted(cnp(egress(item)), ClusterConfig(cilium_version=V119))
    refused(cnp(egress(item)), ClusterConfig(cilium_version=V1196))


def test_kinds_when_switched_off_then_are_not_read() -> None:
    off = ClusterConfig(
        enable_k8s_policy=False,
        enable_cilium_policy=False,
        enable_cilium_clusterwide_policy=False,
    )

    assert is_enabled("CiliumNetworkPolicy", ClusterConfig())
    for kind in ("NetworkPolicy", "CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy", "Pod"):
        assert not is_enabled(kind, off)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"policyTypes": ["ingress"]}, "policyTypes but Ingress and Egress"),
        ({"ingress": [{"ports": [{"port": "8080"}]}]}, "a port in quotes"),
        (
            {"ingress": [{"from": [{"ipBlock": {"cidr": "192.0.2.0/24", "except": [HOLE]}}]}]},
            "an except outside `192.0.2.0/24`",
        ),
    ],
)
def test_kubernetes_policy_when_the_api_server_would_refuse_it_then_said(
    spec: Tree, words: str
) -> None:
    policy = accepted(knp({"podSelector": {}, **spec}))
    assert any(words in notice.text for notice in policy.warnings)


@pytest.mark.parametrize(("status", "is_refused"), [("False", True), ("True", False)])
def test_policy_when_its_status_says_so_then_it_is_not_in_force(
    status: str, *, is_refused: bool
) -> None:
    condition = {"type": "Valid", "status": status, "message": "no such\x1b[2J thing"}
    body = cnp({"endpointSelector": {}, "ingress": [{}]}) | {"status": {"conditions": [condition]}}
    if not is_refused:
        accepted(body)
        return
    reason = refused(body).reason
    assert "its status says that it is not valid: no such" in reason
    assert "\x1b" not in reason
