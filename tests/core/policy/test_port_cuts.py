from app.core.model.verdict import Direction, Protocol
from app.core.policy.port_cuts import LAST_PORT, cut, named_spans, unnamed_port
from app.testing.pictures import picture_of, small_tre

POLICY = """
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: p, namespace: lung}
spec:
  endpointSelector: {}
  ingress:
  - toPorts:
    - ports:
      - {port: "80", protocol: TCP}
      - {port: "7000", endPort: 7005, protocol: UDP}
      - {port: https, protocol: TCP}
  egress:
  - icmps: [{fields: [{type: 8}]}]
"""


def test_spans_are_the_numbers_of_one_direction() -> None:
    (policy,) = picture_of(small_tre(), POLICY).engine.policies
    assert sorted(named_spans(policy, Direction.INGRESS)) == [
        (Protocol.TCP, (80, 80)),
        (Protocol.UDP, (7000, 7005)),
    ]
    assert list(named_spans(policy, Direction.EGRESS)) == [(Protocol.ICMP, (8, 8))]


def test_unnamed_port_lies_in_no_piece() -> None:
    assert unnamed_port((), Protocol.TCP) == 1
    assert unnamed_port(((1, 5), (6, 6), (9, 9)), Protocol.TCP) == 7
    assert unnamed_port((), Protocol.ICMP) == 8
    assert unnamed_port(((8, 8),), Protocol.ICMP) == 9


def test_no_port_is_unnamed_when_rules_name_every_one() -> None:
    assert unnamed_port(cut([(1, LAST_PORT)]), Protocol.TCP) is None
