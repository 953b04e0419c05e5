from __future__ import annotations

from app.core.model.flow import Flow
from app.tui.causes import Causes
from app.tui.places import Place
from tests.tui.lab import driven, drop, forward, make_app, press, shown, ticked, until
from widgets.spans import plain


async def test_causes_when_a_row_is_drawn_then_hubbles_reason_first_then_the_engines_code() -> None:
    app = make_app(start=Place("policies"))
    async with driven(app):
        causes = Causes(app.session)
        causes.work()
        refused = drop()
        assert plain(causes.cell(refused)) == "Policy denied"
        assert causes.work()
        assert plain(causes.cell(refused)) == "service-port-not-target-port"
        assert not causes.work()


async def test_causes_when_policies_say_nothing_of_it_then_hubbles_word_stays() -> None:
    app = make_app(start=Place("policies"))
    async with driven(app):
        causes = Causes(app.session)
        causes.work()
        kept: list[Flow] = [drop(drop_reason="CT_MAP_INSERTION_FAILED"), forward()]
        before = [plain(causes.cell(one)) for one in kept]
        assert not causes.work()
        assert [plain(causes.cell(one)) for one in kept] == before
        assert before[1] == ""


async def test_flows_when_wide_then_each_drop_shows_its_cause_without_a_key() -> None:
    app = make_app(start=Place("flows"))
    async with driven(app, (200, 24)) as pilot:
        await until(pilot, lambda: "service-port-not" in shown(app))
        await press(pilot, "a")
        await ticked(pilot, app)
        assert "service-port-not" in shown(app)
