"""What a change opens beside what was asked for: names, blocks, protocols, pods of tomorrow."""

import pytest

from app.core.diagnose.ends import parse_end, resolve
from app.core.drafts.choice import Option, describe, options
from app.core.model.verdict import Direction, Protocol, Question
from app.core.policy.engine import Engine
from app.testing.pictures import picture_of, small_tre

OUT = """
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: out, namespace: lung}
spec:
  endpointSelector: {matchLabels: {app: jupyter}}
  egress:
  - toEndpoints: [{matchLabels: {"k8s:io.kubernetes.pod.namespace": kube-system}}]
    toPorts: [{ports: [{port: "53", protocol: ANY}], rules: {dns: [{matchPattern: "*"}]}}]
  - toFQDNs: [{matchName: a.example.com}, {matchName: b.example.com}, {matchPattern: "*.c.org"}]
    toPorts: [{ports: [{port: "443", protocol: TCP}]}]
  - toCIDR: [198.51.100.7/32]
    toPorts: [{ports: [{port: "53", protocol: UDP}, {port: "53", protocol: TCP}]}]
"""
IN = """
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: into, namespace: mirror}
spec:
  endpointSelector: {matchLabels: {app: mirror}}
  ingress:
  - fromEndpoints: [{matchLabels: {app: mirror}}]
    toPorts: [{ports: [{port: "80", protocol: TCP}, {port: "8080", protocol: TCP}]}]
"""


def ask(source: str, destination: str, port: int, protocol: Protocol) -> tuple[Engine, Question]:
    engine = picture_of(small_tre(), OUT, IN).engine
    first, second = (resolve(parse_end(text), engine)[0].peer for text in (source, destination))
    return engine, Question(first, second, port, protocol)


def opened(option: Option, question: Question) -> str:
    return describe(option.opened, (question,))


@pytest.mark.parametrize("port", [80, 8443, 8080])
def test_port_more_in_a_rule_opens_it_to_the_rules_other_names(port: int) -> None:
    engine, question = ask("lung/jupyter-alice", "a.example.com", port, Protocol.TCP)
    found = options(question, Direction.EGRESS, engine)
    wide = [one for one in found if len(one.opened) > 1]
    text = opened(wide[0], question)
    assert f"b.example.com:{port}/TCP" in text
    assert f"names of the pattern `*.c.org`:{port}/TCP" in text
    assert found[0].opened == ()


def test_block_more_in_a_rule_opens_its_other_protocol() -> None:
    engine, question = ask("lung/jupyter-alice", "ip:198.51.100.8", 53, Protocol.UDP)
    found = options(question, Direction.EGRESS, engine)
    assert found[0].opened == ()
    texts = [opened(one, question) for one in found]
    assert "also opens lung/jupyter → 198.51.100.8:53/TCP" in texts


def test_pod_of_tomorrow_is_let_in_by_no_more_than_its_port() -> None:
    engine, question = ask("label:heart/app=new", "mirror/mirror-0", 8080, Protocol.TCP)
    found = options(question, Direction.INGRESS, engine)
    assert found[0].opened == ()
    texts = [opened(one, question) for one in found]
    assert any("heart/new → mirror/mirror:80/TCP" in text for text in texts)


def test_rule_of_its_own_opens_nothing_else() -> None:
    engine, question = ask("lung/jupyter-alice", "ip:203.0.113.9", 8443, Protocol.TCP)
    best = options(question, Direction.EGRESS, engine)[0]
    assert opened(best, question) == "opens nothing else among the ends that are known"
