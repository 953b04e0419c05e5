from __future__ import annotations

import pytest

from app.core.cluster.build import build_cluster
from app.core.diagnose.ends import resolve
from app.core.diagnose.instead import go_betweens
from app.core.diagnose.naming import parse_end
from app.core.model.verdict import Question
from app.core.policy.engine import Engine
from app.testing.builders import manifests, namespace, pod

SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: mirror, namespace: tools}
spec:
  selector: {app: mirror}
  ports: [{port: 80, targetPort: 8080}]
"""
WORKSPACE = """
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: workspace, namespace: lab}
spec:
  endpointSelector: {}
  egress:
    - toEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: tools}}]
"""
MIRROR = """
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: mirror-out, namespace: tools}
spec:
  endpointSelector: {matchLabels: {app: mirror}}
  egress:
    - toFQDNs: [{matchName: pypi.org}]
"""
CLOSED = WORKSPACE.replace("tools}}]", "elsewhere}}]")


def asked(*policies: str, to: str = "fqdn:pypi.org=203.0.113.7") -> tuple[Question, Engine]:
    objects = [
        *(namespace(name) for name in ("lab", "tools")),
        pod("lab/notebook", "10.0.0.1"),
        pod("tools/mirror-0", "10.0.0.2", labels={"app": "mirror"}),
        *manifests("---".join([SERVICE, *policies])),
    ]
    engine = Engine.build(build_cluster(objects))
    source, destination = (resolve(parse_end(end), engine)[0].peer for end in ("lab/notebook", to))
    return Question(source, destination, 443), engine


def found(*policies: str, to: str = "fqdn:pypi.org=203.0.113.7") -> list[str]:
    return [f"{one.service.key}:{one.port.port}" for one in go_betweens(*asked(*policies, to=to))]


def test_service_that_may_go_there_by_a_rule_is_offered() -> None:
    assert found(WORKSPACE, MIRROR) == ["tools/mirror:80"]


@pytest.mark.parametrize(
    ("policies", "to"),
    [
        ((WORKSPACE,), "fqdn:pypi.org=203.0.113.7"),  # nothing restricts it, so nothing vouches
        ((CLOSED, MIRROR), "fqdn:pypi.org=203.0.113.7"),  # the pod may not reach it
        ((WORKSPACE, MIRROR), "fqdn:crates.io=203.0.113.8"),  # it may not go there itself
        ((WORKSPACE, MIRROR), "tools/mirror-0"),  # the destination is inside
    ],
)
def test_service_is_not_offered_otherwise(policies: tuple[str, ...], to: str) -> None:
    assert found(*policies, to=to) == []
