from __future__ import annotations

from dataclasses import replace

from app.core.flows.times import NS_PER_S
from app.core.insights.alert import Alerts, AlertSeverity
from app.services.insights import AlertBook
from app.services.paging import MOST_PAGES, Paging
from app.testing.pagers import FakePager
from app.testing.pictures import picture_of, small_tre
from tests.core.insights.sights import START_NS, Outside, Pod, refused

ALICE = Pod("lung", "jupyter-alice", "10.0.1.1")
METADATA = Outside("169.254.169.254")
PICTURE = picture_of(small_tre())


def at(seconds: int) -> int:
    return START_NS + seconds * NS_PER_S


def book() -> AlertBook:
    made = AlertBook()
    from app.core.model.flow import FlowBatch

    made.take(FlowBatch(tuple(refused(ALICE, METADATA, 80))))
    return made


async def test_paging_when_nothing_changed_then_a_change_is_told_once() -> None:
    pager, seen = FakePager(), book()
    paging = Paging([pager], AlertSeverity.LOW)
    for seconds in (1, 2, 200):
        await paging.tell(seen.alerts(PICTURE, at(seconds)), at(seconds))
    assert [len(pages) for pages in pager.sent] == [1]
    await paging.tell(seen.alerts(PICTURE, at(400)), at(400))
    assert [page.ends_ns for pages in pager.sent for page in pages] == [0, at(0) + 1_000_000]


async def test_paging_when_a_pager_forgets_then_what_goes_on_is_repeated() -> None:
    pager, seen = FakePager(wants_repeats=True), book()
    paging = Paging([pager], AlertSeverity.LOW)
    for seconds in (1, 2, 30, 61, 62, 122):
        await paging.tell(seen.alerts(PICTURE, at(seconds)), at(seconds))
    assert len(pager.sent) == 3


async def test_paging_when_a_pager_is_down_then_it_is_told_later_and_others_at_once() -> None:
    down, up, seen = FakePager(is_down=True), FakePager(), book()
    paging = Paging([down, up], AlertSeverity.LOW)
    troubles = await paging.tell(seen.alerts(PICTURE, at(1)), at(1))
    assert troubles == ("fake pager: alerts were not delivered: down",)
    assert len(up.sent) == 1
    down.is_down = False
    assert not await paging.tell(seen.alerts(PICTURE, at(1)), at(1))
    assert not down.sent, "it waits before it tries again"
    await paging.tell(seen.alerts(PICTURE, at(60)), at(60))
    assert len(down.sent) == 1


async def test_paging_when_an_alert_is_milder_or_over_then_nobody_is_called() -> None:
    pager, seen = FakePager(), book()
    high = Paging([pager], AlertSeverity.HIGH)
    (alert,) = seen.alerts(PICTURE, at(1)).items
    mild = replace(alert, severity=AlertSeverity.LOW)
    await high.tell(Alerts((mild,)), at(1))
    await Paging([pager], AlertSeverity.LOW).tell(seen.alerts(PICTURE, at(900)), at(900))
    assert not pager.sent


async def test_paging_when_there_are_very_many_then_they_go_in_parts() -> None:
    pager = FakePager()
    (alert,) = book().alerts(PICTURE, at(1)).items
    many = Alerts(tuple(replace(alert, id=str(n)) for n in range(MOST_PAGES + 1)))
    paging = Paging([pager], AlertSeverity.LOW)
    for _ in range(3):
        await paging.tell(many, at(1))
    assert [len(pages) for pages in pager.sent] == [MOST_PAGES, 1]
