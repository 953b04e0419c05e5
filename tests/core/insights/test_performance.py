from __future__ import annotations

import pytest
from msgspec import structs

from app.core.insights.performance import MOST_PAIRS, Performance
from app.core.model.flow import Flow, HttpInfo, L7Info
from tests.core.insights.sights import Pod, answered, asked, flow, refused

ALICE = Pod("project-lung", "jupyter-alice", "10.0.1.1", labels=("k8s:app=jupyter",))
MIRROR = Pod("mirror", "mirror-0", "10.0.2.1")


def request(at_s: float, code: int, latency_ms: float) -> list[Flow]:
    """An HTTP request and its answer, as Envoy writes them down."""
    common = {"event": 129, "tcp_flags": ""}
    sent = L7Info("REQUEST", http=HttpInfo("GET", "http://mirror/"))
    got = L7Info(
        "RESPONSE", int(latency_ms * 1e6), http=HttpInfo("GET", "http://mirror/", code=code)
    )
    back = {
        "source": MIRROR.remote, "destination": ALICE.local, "source_ip": MIRROR.ip,
        "destination_ip": ALICE.ip, "source_port": 8080, "destination_port": 40_000,
        "is_reply": True,
    }  # fmt: skip
    return [
        flow(ALICE, MIRROR, 8080, at_s, l7=sent, **common),
        structs.replace(flow(ALICE, MIRROR, 8080, at_s, l7=got, **common), **back),
    ]


def test_http_when_measured_by_the_agent_then_percentiles_are_within_one_percent() -> None:
    measured = Performance()
    for n in range(1, 101):
        measured.add(request(n, 500 if n <= 10 else 404 if n <= 15 else 200, float(n)))
    (pair,) = measured.pairs()
    assert (pair.requests, pair.errors, pair.client_errors) == (100, 10, 5)
    assert pair.http is not None
    assert pair.http.p50_ms == pytest.approx(50, rel=0.02)
    assert pair.http.p99_ms == pytest.approx(99, rel=0.02)
    assert pair.error_share == 0.1
    assert pair.request_rate == pytest.approx(100 / 99, rel=0.01)
    assert pair.tcp is None


def test_tcp_when_one_node_saw_both_directions_then_the_handshake_is_measured_once() -> None:
    measured = Performance()
    measured.add(answered(ALICE, MIRROR, 8080))
    (pair,) = measured.pairs()
    assert pair.tcp is not None
    assert pair.tcp.count == 1
    assert pair.tcp.p50_ms == pytest.approx(2, rel=0.02)
    assert pair.connections == 1


def test_tcp_when_the_answer_was_seen_elsewhere_then_nothing_is_measured() -> None:
    (syn, _, answer, _) = answered(ALICE, MIRROR, 8080)
    measured = Performance()
    measured.add([syn, structs.replace(answer, node="node-2")])
    (pair,) = measured.pairs()
    assert pair.tcp is None


def test_tcp_when_a_syn_was_repeated_then_nothing_is_measured() -> None:
    (syn, _, answer, _) = answered(ALICE, MIRROR, 8080)
    again = structs.replace(syn, time_ns=syn.time_ns + 1_000_000_000)
    late = structs.replace(answer, time_ns=answer.time_ns + 1_000_000_000)
    measured = Performance()
    measured.add([syn, again, late])
    (pair,) = measured.pairs()
    assert (pair.tcp, pair.connections) == (None, 1)


def test_dns_when_answered_then_is_measured_and_a_missing_name_is_no_error() -> None:
    measured = Performance()
    for at, rcode in enumerate((0, 3, 2)):
        measured.add(asked(ALICE, "pypi.org", at, rcode=rcode))
    (pair,) = measured.pairs()
    assert pair.dns is not None
    assert (pair.dns.count, pair.requests, pair.errors) == (3, 3, 1)
    assert pair.dns.p50_ms == pytest.approx(1, rel=0.02)


def test_pair_when_only_refused_then_counts_it_and_measures_nothing() -> None:
    measured = Performance()
    measured.add(refused(ALICE, MIRROR, 22))
    (pair,) = measured.pairs()
    assert pair.refused == 1
    assert (pair.http, pair.dns, pair.tcp, pair.request_rate) == (None, None, None, None)


def test_pairs_when_there_are_too_many_then_the_quietest_go_and_are_counted() -> None:
    measured = Performance()
    measured.add(flow(Pod("prj", f"p{n}", "10.0.0.1"), MIRROR, 1, n) for n in range(MOST_PAIRS + 1))
    assert measured.forgotten == MOST_PAIRS // 10
