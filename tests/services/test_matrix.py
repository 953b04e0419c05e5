from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.errors import UsageError
from app.core.model.verdict import Protocol, Question, Verdict
from app.core.policy.port_cuts import cut
from app.services import matrix as module
from app.services.matrix import By, MatrixRow, Party, find_parties, matrix
from app.services.picture import Picture
from app.testing.builders import manifest, pod
from app.testing.pictures import picture_of, small_tre
from tests.oracle.clusters.cases import make_case
from tests.oracle.ours import build_engine

MIRROR_IN = """
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: mirror-in, namespace: mirror}
spec:
  endpointSelector: {matchLabels: {app: mirror}}
  ingress:
  - fromEndpoints: [{matchLabels: {"k8s:io.kubernetes.pod.namespace": lung}}]
    toPorts:
    - ports: [{port: "8080", protocol: TCP}, {port: "9000", endPort: 9005, protocol: UDP}]
"""

WORKSPACE = """
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: workspace, namespace: lung}
spec:
  endpointSelector: {matchLabels: {app: jupyter}}
  egress:
  - toFQDNs: [{matchName: pypi.org}]
    toPorts: [{ports: [{port: "443", protocol: TCP}]}]
  - toCIDR: [203.0.113.0/24]
"""


def between(picture: Picture, source: str, destination: str) -> list[MatrixRow]:
    def wanted(one: Party, other: Party) -> bool:
        return one.name == source and other.name == destination

    return list(matrix(picture, By.IDENTITY, wanted))


def test_pair_without_policies_is_one_row() -> None:
    picture = picture_of(small_tre())
    (row,) = between(picture, "lung/jupyter-alice", "mirror/mirror-0")
    assert (row.protocol, row.ports, row.verdict) == ("ANY", "*", Verdict.ALLOWED)
    assert (row.egress_by, row.ingress_by) == ((), ())


def test_named_ports_have_rows_and_the_rest_has_one() -> None:
    picture = picture_of(small_tre(), MIRROR_IN)
    rows = between(picture, "lung/jupyter-alice", "mirror/mirror-0")
    assert [(row.protocol, row.ports, row.verdict.value) for row in rows] == [
        ("TCP", "8080", "allowed"),
        ("UDP", "9000-9005", "allowed"),
        ("ANY", "others", "denied"),
    ]
    assert [ref.name for ref in rows[0].ingress_by] == ["mirror-in"]


def test_pair_that_is_denied_on_everything_is_one_row() -> None:
    picture = picture_of(small_tre(), MIRROR_IN)
    (row,) = between(picture, "heart/jupyter-bob", "mirror/mirror-0")
    assert (row.protocol, row.ports, row.verdict) == ("ANY", "*", Verdict.DENIED)


def test_names_and_blocks_that_rules_name_are_parties() -> None:
    picture = picture_of(small_tre(), WORKSPACE)
    rows = between(picture, "lung/jupyter-alice", "fqdn:pypi.org")
    assert [(row.ports, row.verdict.value) for row in rows] == [
        ("443", "allowed"),
        ("others", "denied"),
    ]
    (block,) = between(picture, "lung/jupyter-alice", "ip:203.0.113.0")
    assert block.verdict is Verdict.ALLOWED
    (world,) = between(picture, "lung/jupyter-alice", "entity:world")
    assert world.verdict is Verdict.DENIED


def test_pods_of_one_identity_are_one_party() -> None:
    owner = [{"kind": "StatefulSet", "name": "db", "controller": True}]
    pods = [pod(f"lung/db-{at}", f"10.0.9.{at}", labels={"app": "db"}) for at in (1, 2)]
    for one in pods:
        one.body["metadata"]["ownerReferences"] = owner
    picture = picture_of(small_tre(), pods)
    names = [party.name for party in find_parties(picture, By.IDENTITY)]
    assert names.count("sts:lung/db") == 1
    assert "lung/jupyter-alice" in names


def test_workload_stands_for_all_its_identities() -> None:
    owner = [{"kind": "StatefulSet", "name": "db", "controller": True}]
    pods = [
        pod("lung/db-1", "10.0.9.1", labels={"app": "db"}),
        pod("lung/db-2", "10.0.9.2", labels={"app": "db", "role": "primary"}),
    ]
    for one in pods:
        one.body["metadata"]["ownerReferences"] = owner
    names = [party.name for party in find_parties(picture_of(pods), By.WORKLOAD)]
    assert names.count("sts:lung/db") == 2


def test_ports_of_a_service_are_asked_too() -> None:
    slice_ = manifest(
        "EndpointSlice",
        "mirror-x",
        "mirror",
        labels={"kubernetes.io/service-name": "mirror"},
        addressType="IPv4",
        endpoints=[{"addresses": ["10.0.2.1"], "conditions": {"ready": True}}],
        ports=[{"port": 8080, "protocol": "TCP"}],
    )
    service = manifest(
        "Service", "mirror", "mirror", spec={"selector": {"app": "mirror"}, "ports": [{"port": 80}]}
    )
    picture = picture_of(small_tre(), [slice_, service])
    (party,) = [one for one in find_parties(picture, By.IDENTITY) if one.namespace == "mirror"]
    assert (Protocol.TCP, 8080) in party.ports


def test_flood_of_pairs_is_refused_with_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_PAIRS", 10)
    with pytest.raises(UsageError) as caught:
        list(matrix(picture_of(small_tre()), By.IDENTITY, lambda _a, _b: True))
    assert "-n" in caught.value.hint


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(0, 9)), max_size=8))
def test_cut_covers_exactly_the_spans_without_overlap(starts: list[tuple[int, int]]) -> None:
    spans = [(first, first + length) for first, length in starts]
    pieces = cut(spans)
    inside = [port for first, last in pieces for port in range(first, last + 1)]
    assert inside == sorted({port for first, last in spans for port in range(first, last + 1)})


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(0, 9)), min_size=1, max_size=8))
def test_no_span_ends_inside_a_piece(starts: list[tuple[int, int]]) -> None:
    spans = [(first, first + length) for first, length in starts]
    for piece in cut(spans):
        for first, last in spans:
            covered = {port for port in range(piece[0], piece[1] + 1) if first <= port <= last}
            assert len(covered) in (0, piece[1] - piece[0] + 1)


def ports_of(row: MatrixRow) -> Iterator[tuple[Protocol, int]]:
    """A few ports that a row claims to speak for."""
    for protocol in (Protocol.TCP, Protocol.UDP):
        if row.protocol not in ("ANY", protocol.value):
            continue
        if row.ports in ("*", "others"):
            yield protocol, 12_345
        else:
            for part in row.ports.split(","):
                yield protocol, int(part.partition("-")[0])


def test_every_row_is_what_the_engine_says() -> None:
    picture = picture_of(small_tre(), MIRROR_IN, WORKSPACE)
    parties = {party.name: party for party in find_parties(picture, By.IDENTITY)}
    rows = list(matrix(picture, By.IDENTITY, lambda _a, _b: True))
    for row in rows:
        source, destination = parties[row.source], parties[row.destination]
        for protocol, port in ports_of(row):
            question = Question(source.peer, destination.peer, port, protocol)
            assert picture.engine.decide(question).verdict is row.verdict


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1_000_000), st.sampled_from(("1.18.4", "1.19.3", "1.20.2")))
def test_rows_that_are_let_through_are_those_of_the_whole_matrix(seed: int, version: str) -> None:
    engine = build_engine(make_case(seed, "x", with_requests=False), version)
    picture = Picture(engine.cluster, engine)
    let = (Verdict.ALLOWED, Verdict.REDIRECTED, Verdict.UNKNOWN)
    whole = matrix(picture, By.WORKLOAD, lambda *_: True)
    expected = [row for row in whole if row.verdict in let]

    assert list(matrix(picture, By.WORKLOAD, lambda *_: True, let)) == expected


def test_rows_that_are_let_through_are_found_where_all_pairs_would_be_too_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    picture = picture_of(small_tre(), MIRROR_IN)
    whole = [row for row in every(picture) if row.verdict is Verdict.ALLOWED]
    parties = len(find_parties(picture, By.WORKLOAD))
    monkeypatch.setattr(module, "MOST_PAIRS", parties**2 - 1)

    with pytest.raises(UsageError):
        every(picture)
    assert list(matrix(picture, By.WORKLOAD, lambda *_: True, (Verdict.ALLOWED,))) == whole


def every(picture: Picture) -> list[MatrixRow]:
    return list(matrix(picture, By.WORKLOAD, lambda *_: True))
