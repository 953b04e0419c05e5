"""`/metrics` and `/healthz` as Prometheus and a probe see them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.core.errors import SourceUnavailable
from app.ports import HistorySpan
from app.services.recorder import Reading
from app.services.resuming import Missed
from integrations.metrics.server import MetricsServer

READING = Reading(
    flows={"DROPPED": 3, "FORWARDED": 40},
    lost={"HUBBLE_RING_BUFFER": 7, "queue": 0, "history": 1},
    drops={("egress-default-deny", 'project-"lung"\n', "outside"): 2},
    alerts={("violation", "high"): 1},
    phases={"cluster": "live"},
    newest_age_s=1.5,
    objects_age_s=None,
    stored=HistorySpan(flows=43, size=9_000, dropped=1),
    missed=Missed(1, 60.0),
    unreadable=0,
    caught=0,
)


@pytest.fixture
def served() -> Iterator[tuple[MetricsServer, list[Reading]]]:
    readings = [READING]
    server = MetricsServer("127.0.0.1", 0, lambda: readings[-1])
    yield server, readings
    server.close()


Served = tuple[MetricsServer, list[Reading]]


def samples(server: MetricsServer) -> dict[str, dict[tuple[str, ...], float]]:
    answer = httpx.get(f"http://{server.address}/metrics")
    assert answer.status_code == 200
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(answer.text):
        for one in family.samples:
            found.setdefault(one.name, {})[tuple(one.labels.values())] = one.value
    return found


def test_metrics_when_read_by_prometheus_own_parser_then_are_what_was_counted(
    served: Served,
) -> None:
    found = samples(served[0])
    assert found["k8tre_tui_flows_total"] == {("DROPPED",): 3, ("FORWARDED",): 40}
    assert found["k8tre_tui_lost_events_total"][("HUBBLE_RING_BUFFER",)] == 7
    assert list(found["k8tre_tui_drops_total"].values()) == [2]
    assert found["k8tre_tui_missed_seconds_total"] == {(): 60.0}
    assert ("objects",) not in found["k8tre_tui_age_seconds"], "what is not known is no zero"


def test_metrics_when_hostile_names_are_labels_then_no_line_is_forged(served: Served) -> None:
    labels = next(iter(samples(served[0])["k8tre_tui_drops_total"]))
    assert 'project-"lung"\n' in labels


def test_dashboard_when_compared_then_asks_for_metrics_that_are_there(served: Served) -> None:
    dashboard = json.loads(Path("deploy/grafana-dashboard.json").read_text(encoding="utf-8"))
    asked = {
        name
        for panel in dashboard["panels"]
        for target in panel["targets"]
        for name in re.findall(r"k8tre_tui_\w+", target["expr"])
    }
    assert asked
    assert asked <= set(samples(served[0]))


def test_health_when_a_source_is_away_then_is_503_with_the_reason(served: Served) -> None:
    server, readings = served
    url = f"http://{server.address}/healthz"
    assert httpx.get(url).status_code == 200
    readings.append(replace(READING, phases={"cluster": "live", "hubble": "retrying"}))
    answer = httpx.get(url)
    assert answer.status_code == 503
    assert answer.json() == {"healthy": False, "reasons": ["hubble is retrying"]}
    readings.append(replace(READING, stored=HistorySpan(failure="disk full")))
    assert "disk full" in httpx.get(url).text
    readings.append(replace(READING, stored=HistorySpan(writing=False)))
    assert httpx.get(url).status_code == 503


def test_server_when_asked_for_anything_else_then_says_404(served: Served) -> None:
    assert httpx.get(f"http://{served[0].address}/secret").status_code == 404
    assert httpx.post(f"http://{served[0].address}/metrics").status_code == 501


def test_server_when_the_address_is_taken_then_the_error_says_so(served: Served) -> None:
    port = int(served[0].address.rpartition(":")[2])
    with pytest.raises(SourceUnavailable, match="cannot listen"):
        MetricsServer("127.0.0.1", port, lambda: READING)
