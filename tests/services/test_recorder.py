from __future__ import annotations

from dataclasses import replace

from app.core.insights.alert import Alerts
from app.services.insights import alerts_of
from app.services.recorder import MOST_PAIRS, DropCounts
from app.testing.builders import namespace
from app.testing.pictures import picture_of, small_tre
from tests.core.insights.sights import Outside, Pod, refused

ALICE = Pod("project-lung", "jupyter-alice", "10.0.1.1")
PICTURE = picture_of((*small_tre(), namespace("project-lung")))


def test_drops_when_alerts_grow_then_counters_do_and_never_go_back() -> None:
    counts, flows = DropCounts(), refused(ALICE, Outside("203.0.113.9"), 443)
    first = counts.update(alerts_of(PICTURE, flows), PICTURE)
    key = ("flows-disagree", "project-lung", "outside")
    assert first == {key: 1} or list(first.values()) == [1]
    more = [*flows, *refused(ALICE, Outside("203.0.113.9"), 443, 1)]
    assert sum(counts.update(alerts_of(PICTURE, more), PICTURE).values()) == 2
    assert sum(counts.update(Alerts(), PICTURE).values()) == 2


def test_drops_when_pairs_are_very_many_then_the_rest_is_other() -> None:
    counts = DropCounts()
    (alert,) = alerts_of(PICTURE, refused(ALICE, Outside("203.0.113.9"), 443)).items
    projects = [f"project-{n}" for n in range(MOST_PAIRS + 5)]
    many = Alerts(
        tuple(replace(alert, id=name, source_namespace=name, count=1) for name in projects)
    )
    totals = counts.update(many, PICTURE)
    assert len(totals) == MOST_PAIRS + 1
    assert sum(totals.values()) == len(projects)
    assert totals[alert.cause.code, "other", "other"] == 5
