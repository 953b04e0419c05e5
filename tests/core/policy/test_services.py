from typing import Any

import pytest

from app.core.model.cluster import ClusterConfig
from app.core.model.verdict import Verdict
from app.core.policy.selectors import Version
from tests.core.policy.build import (
    V118,
    V119,
    V120,
    V1196,
    Tree,
    ask,
    cnp,
    egress,
    make_engine,
    refused,
)


def _service(name: str = "web", selector: Tree | None = None, **labels: str) -> Tree:
    spec: Tree = {"ports": [{"port": 80}]} | ({"selector": selector} if selector else {})
    return {
        "kind": "Service",
        "metadata": {"name": name, "namespace": "a", "labels": labels},
        "spec": spec,
    }


def _slice(*addresses: str) -> Tree:
    labels = {"kubernetes.io/service-name": "web"}
    return {
        "kind": "EndpointSlice",
        "metadata": {"name": "web-1", "namespace": "a", "labels": labels},
        "endpoints": [{"addresses": list(addresses)}],
        "ports": [{"port": 80, "protocol": "TCP"}],
    }


def _to(*references: Tree, **extra: Any) -> Tree:
    return cnp(egress({"toServices": list(references), **extra}))


WEB: Tree = {"k8sService": {"serviceName": "web", "namespace": "a"}}


def _verdict(*bodies: Tree, end: str = "a/b", version: Version = V119) -> Verdict:
    engine = make_engine(*bodies, config=ClusterConfig(cilium_version=version))
    destination = end if "/" in end else engine.peer_of_address(_address(end))
    return engine.decide(ask(engine, "a/a", destination)).verdict


def _address(text: str) -> Any:
    from ipaddress import ip_address

    return ip_address(text)


def test_service_when_it_has_a_selector_then_means_its_pods() -> None:
    bodies = (_service(selector={"app": "b"}), _to(WEB))

    assert _verdict(*bodies) is Verdict.ALLOWED
    assert _verdict(*bodies, end="a/c") is Verdict.DENIED


def test_service_when_it_has_no_selector_then_means_outside_addresses() -> None:
    bodies = (_service(), _slice("192.0.2.1", "10.244.1.11"), _to(WEB))

    assert _verdict(*bodies, end="192.0.2.1") is Verdict.ALLOWED
    assert _verdict(*bodies, end="a/b") is Verdict.DENIED


def test_service_when_it_is_a_name_outside_then_is_no_peer() -> None:
    body = _service()
    body["spec"] |= {"type": "ExternalName", "externalName": "x.example"}

    assert _verdict(body, _to(WEB)) is Verdict.DENIED


def test_reference_when_its_namespace_differs_then_finds_nothing() -> None:
    reference: Tree = {"k8sService": {"serviceName": "web", "namespace": "b"}}

    assert _verdict(_service(selector={"app": "b"}), _to(reference)) is Verdict.DENIED


def _by_labels(selector: Tree, **extra: str) -> Tree:
    return {"k8sServiceSelector": {"selector": selector, **extra}}


@pytest.mark.parametrize(
    ("selector", "version", "verdict"),
    [
        ({"matchLabels": {"tier": "x"}}, V119, Verdict.ALLOWED),
        ({"matchLabels": {"tier": "y"}}, V119, Verdict.DENIED),
        ({"matchLabels": {"app.kubernetes.io/name": "w"}}, V119, Verdict.DENIED),
        ({"matchLabels": {"app.kubernetes.io/name": "w"}}, V1196, Verdict.ALLOWED),
        ({"matchLabels": {"app.kubernetes.io/name": "w"}}, V120, Verdict.ALLOWED),
        ({"matchLabels": {"foo:tier": "x"}}, V1196, Verdict.DENIED),
        ({"matchLabels": {"k8s:tier": "x"}}, V1196, Verdict.ALLOWED),
        ({"matchLabels": {"foo:tier": "x"}}, V120, Verdict.ALLOWED),
        ({"matchLabels": {"a:b": "x"}}, V119, Verdict.ALLOWED),
        ({"matchExpressions": [{"key": "tier", "operator": "Exists"}]}, V119, Verdict.ALLOWED),
        ({"matchExpressions": [{"key": "no", "operator": "DoesNotExist"}]}, V119, Verdict.ALLOWED),
        (
            {"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["x"]}]},
            V119,
            Verdict.DENIED,
        ),
        (
            {"matchExpressions": [{"key": "tier", "operator": "Gt", "values": ["x"]}]},
            V120,
            Verdict.ALLOWED,
        ),
    ],
)
def test_reference_by_labels_when_the_version_reads_it_then_finds_the_service(
    selector: Tree, version: Version, verdict: Verdict
) -> None:
    service = _service(selector={"app": "b"}, tier="x", **{"app.kubernetes.io/name": "w"})

    assert _verdict(service, _to(_by_labels(selector)), version=version) is verdict


def test_service_selector_when_dotted_then_1_18_misreads_it() -> None:
    pod: Tree = {"pod": "a/d", "labels": {"app.kubernetes.io/name": "d"}, "address": "10.244.1.30"}
    bodies = (pod, _service(selector={"app.kubernetes.io/name": "d"}), _to(WEB))

    assert _verdict(*bodies, end="a/d", version=V119) is Verdict.ALLOWED
    assert _verdict(*bodies, end="a/d", version=V118) is Verdict.DENIED


def test_service_selector_when_no_label_any_more_then_object_is_refused() -> None:
    engine = make_engine(_service(selector={"k" * 62: "x"}), _to(WEB))

    assert [str(policy.ref) for policy in engine.rejected] == ["CiliumNetworkPolicy/a/p"]


def test_deny_when_it_names_a_service_then_is_not_resolved() -> None:
    spec: Tree = {"endpointSelector": {}, "egress": [{"toEntities": ["all"]}]}
    spec["egressDeny"] = [{"toServices": [WEB]}]

    assert _verdict(_service(selector={"app": "b"}), cnp(spec)) is Verdict.ALLOWED


def test_empty_list_when_a_service_fills_it_then_is_not_empty_any_more() -> None:
    bodies = (_service(selector={"app": "b"}), _to(WEB, toEndpoints=[]))

    assert _verdict(*bodies) is Verdict.ALLOWED


def test_reference_when_its_parts_are_of_the_wrong_type_then_is_refused() -> None:
    refused(_to({"k8sService": []}))
