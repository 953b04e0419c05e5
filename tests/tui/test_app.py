from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest
from textual.events import Key
from textual.widgets import Input

from app.config import Settings, UiSettings
from app.core.errors import BadInput, ConfigError, SourceCause, SourceUnavailable
from app.core.model.flow import FlowBatch, NodeStatus
from app.core.model.provenance import Notice
from app.ports import ClusterPicture, FlowRequest, Right, SourceState
from app.services.contexts import Contexts
from app.services.workspace import Workspace
from app.testing.builders import namespace
from app.testing.clock import START_NS, FakeClock
from app.testing.sources import FakeCluster, FakeFlows
from app.tui.app import K8treApp, choose_marks
from app.tui.places import Place
from app.tui.screens.flows import Flows
from tests.tui.lab import (
    batch,
    command,
    driven,
    drop,
    flows,
    make_app,
    objects,
    press,
    said,
    shown,
    ticked,
    typed,
    until,
    with_ui,
)
from widgets.marks import ASCII, UNICODE


class Hung(FakeCluster):
    """Reads for ever."""

    async def read(self) -> ClusterPicture:
        await asyncio.Event().wait()
        raise AssertionError


def lost(cause: SourceCause = SourceCause.REFUSED) -> SourceUnavailable:
    return SourceUnavailable("nobody listens", hint="start it", source="lab", cause=cause)


async def test_quit_when_a_source_hangs_then_under_a_second() -> None:
    app = make_app(Hung(name="hung"))
    async with app.run_test() as pilot:
        await pilot.pause()
        began = time.monotonic()
        await pilot.press("ctrl+q")
    assert time.monotonic() - began < 1


async def test_policies_when_nothing_was_read_yet_then_unknown_is_not_zero() -> None:
    app = make_app(Hung(name="hung"), FakeFlows(name="quiet"))
    async with app.run_test(size=(120, 24)) as pilot:
        await pilot.pause()
        app.tick()
        text = shown(app)
        assert "? policies" in text
        assert "? drops/min" in text
        assert "Nothing has been read yet." in text


async def test_source_when_it_dies_then_its_data_stay_and_age() -> None:
    cluster, clock = FakeCluster.holding(objects(), "lab"), FakeClock()
    app = make_app(cluster, clock=clock)
    async with driven(app) as pilot:
        cluster.lose(lost())
        await until(pilot, lambda: "retrying" in shown(app))
        text = shown(app)
        assert "nobody listens, next try in" in text
        assert "workspace" in text
        for seconds, word in ((40, "stale 40 s"), (100, "stale 2 min")):
            clock.advance(seconds)
            app.draw_frame()
            await pilot.pause()
            assert word in shown(app)


async def test_source_when_refused_then_said_and_retried_by_key_only() -> None:
    cluster = FakeCluster.holding(objects(), "lab")
    cluster.refuse(lost(SourceCause.FORBIDDEN))
    app = make_app(cluster)
    async with app.run_test(size=(120, 24)) as pilot:
        await until(pilot, lambda: "✗ denied" in shown(app))
        await command(pilot, app, ":src")
        assert "To mend it: start it" in shown(app)
        await press(pilot, "ctrl+r")
        await until(pilot, lambda: "lab ● live" in shown(app))


async def test_flows_when_paused_and_the_ring_turns_over_then_the_rows_stand_still() -> None:
    source = FakeFlows((batch(),), "hubble")
    app = make_app(source=source, start=Place("flows"), keep=10)
    async with driven(app, (80, 16)) as pilot:
        await press(pilot, "k")
        before = shown(app).splitlines()[2:-2]
        source.push(FlowBatch(tuple(drop(at) for at in range(20))))
        await until(pilot, lambda: app.session.workspace.ring.seen == 28)
        await ticked(pilot, app)
        after = shown(app).splitlines()
        assert after[2:-2] == before
        assert "‖ PAUSED +20" in after[-2]
        assert "evicted" in after[-2]
        await press(pilot, "G")
        assert "PAUSED" not in shown(app)


async def test_flows_when_grouped_then_one_line_for_a_connection_with_its_count() -> None:
    app = make_app(start=Place("flows"))
    async with driven(app) as pilot:
        await press(pilot, "a")
        rows = [row for row in shown(app).splitlines() if "mirror-1" in row]
        assert len([row for row in rows if row.startswith("       3")]) == 1
        await press(pilot, "x")
        await until(pilot, lambda: "Cause" in shown(app))


async def test_flows_when_faults_only_then_forwarded_ones_are_left_out() -> None:
    app = make_app(start=Place("flows"))
    async with driven(app) as pilot:
        await press(pilot, "ctrl+z")
        text = shown(app)
        assert "[view faults]" in text
        assert "5/8 rows" in text


async def test_flows_when_a_window_is_chosen_then_older_flows_are_left_out() -> None:
    clock = FakeClock()
    app = make_app(start=Place("flows"), clock=clock)
    async with driven(app) as pilot:
        clock.advance(35)
        await press(pilot, "2")
        assert "[view last 60 s]" in shown(app)
        assert "3/8 rows" in shown(app)
        await press(pilot, "0")
        assert "8/8 rows" in shown(app)
        await press(pilot, "1")
        assert "PAUSED" in shown(app)


async def test_flows_when_losses_are_known_then_they_are_on_screen() -> None:
    app = make_app(start=Place("flows"))
    async with driven(app):
        assert "12 lost" in shown(app)


async def test_flows_when_ages_are_asked_for_then_they_stand_in_the_time_column() -> None:
    app = make_app(start=Place("flows"))
    async with driven(app) as pilot:
        await press(pilot, "t")
        assert " 5 s " in shown(app)


async def test_flows_when_cleared_then_says_how_to_see_them_again() -> None:
    app = make_app(start=Place("flows"))
    async with driven(app) as pilot:
        await press(pilot, "C")
        assert "No flow in this window." in shown(app)
        await press(pilot, "x")
        assert isinstance(app.screen, Flows)


async def test_flows_when_the_filter_is_wrong_then_said_and_the_old_one_stays() -> None:
    app = make_app(start=Place("flows", filter="port:8080"))
    async with driven(app) as pilot:
        await command(pilot, app, "/prot:53")
        assert "[view port:8080]" in shown(app)
        await press(pilot, "/", "ctrl+u", *typed("port:443"), "escape")
        assert "[view port:8080]" in shown(app)


async def test_flows_when_relay_is_asked_for_less_then_it_is_on_screen_until_taken_back() -> None:
    source = FakeFlows((batch(),), "hubble")
    app = make_app(source=source, start=Place("flows", namespace="lab", filter="verdict:dropped"))
    async with driven(app) as pilot:
        await press(pilot, "S")
        assert "only a live Hubble Relay" in said(app)
        app.session.workspace.can_narrow = True
        await press(pilot, "S")
        await until(pilot, lambda: len(source.asked) == 2)
        assert source.asked[1].allow
        await ticked(pilot, app)
        assert "[server ns:lab verdict:dropped]  [view verdict:dropped]" in shown(app)
        await command(pilot, app, ":sources")
        assert "only flows of `ns:lab verdict:dropped` are asked for" in shown(app)
        await command(pilot, app, ":flows")
        await press(pilot, "S")
        await until(pilot, lambda: len(source.asked) == 3)
        assert source.asked[2] == FlowRequest()
        await ticked(pilot, app)
        assert "[server" not in shown(app)
        assert "1 gap" in shown(app)


async def test_sources_when_a_node_is_away_then_it_is_named_with_the_reason() -> None:
    status = NodeStatus("NODE_ERROR", ("node-7",), "no route to host", START_NS)
    app = make_app(source=FakeFlows((batch(), FlowBatch(statuses=(status,))), "hubble"))
    async with driven(app) as pilot:
        await until(pilot, lambda: bool(app.session.workspace.ring.away))
        await command(pilot, app, ":flows")
        assert "1 node away" in shown(app)
        await command(pilot, app, ":sources")
        assert "node-7: error: no route to host" in shown(app)


def paste_keys(app: K8treApp, text: str) -> None:
    """Press keys faster than anything can happen between two of them."""
    for key, character in zip(typed(text), text, strict=True):
        app.post_message(Key(key, character))


async def test_prompt_when_keys_come_in_one_go_then_it_gets_all_but_the_first() -> None:
    app = make_app(start=Place("flows"))
    async with driven(app) as pilot:
        paste_keys(app, ":policies")
        await pilot.pause()
        assert app.screen.query_one("#prompt Input", Input).value == "policies"
        await press(pilot, "enter")
        paste_keys(app, "/mirror:/in")
        await pilot.pause()
        assert app.screen.query_one("#prompt Input", Input).value == "mirror:/in"


class Others:
    """Contexts `lab` and `other`; what was opened is kept."""

    def __init__(self) -> None:
        self.opened: list[Workspace] = []

    def open(self, name: str) -> Workspace:
        if name == "broken":
            raise ConfigError("no usable kubeconfig", hint="mend it")
        cluster = FakeCluster.holding([namespace("elsewhere")], name)
        workspace = Workspace([cluster], [FakeFlows((), "flows")], clock=FakeClock())
        self.opened.append(workspace)
        return workspace

    def contexts(self) -> Contexts:
        return Contexts(lambda: ("lab", "other", "broken"), self.open)


async def test_context_when_switched_then_nothing_of_the_old_cluster_is_left() -> None:
    others = Others()
    app = make_app(contexts=others.contexts(), start=Place("policies", namespace="lab"))
    async with driven(app) as pilot:
        assert "1/1 rows" in shown(app)
        old = app.session.workspace
        await command(pilot, app, ":ctx other")
        await until(pilot, lambda: app.session.has_read)
        await ticked(pilot, app)
        assert app.session.workspace is others.opened[0]
        assert "ctx other" in shown(app)
        assert "no flow has come yet" in shown(app)
        await command(pilot, app, ":policies")
        assert "0/0 rows" in shown(app)
        assert "<1> elsewhere" in shown(app)
        await press(pilot, "[", "[", "[")
        assert app.session.workspace is not old
        assert "ctx other" in shown(app)


async def test_context_when_named_behind_a_command_then_the_command_runs_there() -> None:
    others = Others()
    app = make_app(contexts=others.contexts())
    async with driven(app) as pilot:
        await command(pilot, app, ":sources @other")
        await until(pilot, lambda: app.session.has_read)
        await ticked(pilot, app)
        assert "ctx other" in shown(app)
        assert "Kept and lost" in shown(app)


async def test_context_when_it_cannot_be_opened_then_said_and_the_old_one_stays() -> None:
    app = make_app(contexts=Others().contexts())
    async with driven(app) as pilot:
        await command(pilot, app, ":ctx broken")
        await command(pilot, app, ":ctx nowhere")
        await command(pilot, app, ":ctx")
        assert "no usable kubeconfig; mend it" in said(app)
        assert "no context `nowhere`; there are: lab, other, broken" in said(app)
        assert "ctx lab" in shown(app)
        assert "other" in shown(app)
        await press(pilot, "G", "k", "enter")
        await until(pilot, lambda: "ctx other" in shown(app))


async def test_context_when_the_old_cluster_hangs_then_switching_does_not_wait() -> None:
    others = Others()
    app = make_app(Hung({}, "lab"), contexts=others.contexts())
    async with app.run_test() as pilot:
        await command(pilot, app, ":ctx other")
        await until(pilot, lambda: app.session.has_read)
        assert "ctx other" in shown(app)


async def test_flow_when_opened_then_the_verdict_comes_first_and_json_on_request() -> None:
    app = make_app(start=Place("flows"))
    async with driven(app) as pilot:
        await press(pilot, "G", "enter")
        lines = [row for row in shown(app).splitlines()[2:] if row.strip()]
        assert lines[0].strip().startswith("✗ DROPPED leaving project-lung/jupyter-alice")
        assert "Policies   ✗ DENIED" in shown(app)
        await press(pilot, "y")
        assert '"verdict": "DROPPED"' in shown(app)
        await press(pilot, "y", "x")
        await until(pilot, lambda: "why" in shown(app).splitlines()[-2])


async def test_flow_when_its_policy_is_opened_then_its_rules_show() -> None:
    app = make_app(start=Place("flow", subject=flows()[0]))
    async with driven(app) as pilot:
        await press(pilot, "j", "j", "j", "enter")
        assert "policies > CNP project-lung/workspace > rules" in shown(app)


async def test_policies_when_a_digit_is_pressed_then_that_namespace_only() -> None:
    app = make_app(settings=with_ui(favourites=("mirror",)))
    async with driven(app) as pilot:
        await press(pilot, "1")
        assert "policies > mirror" in shown(app)
        assert "3/3 rows" in shown(app)
        await press(pilot, "9")
        assert "no namespace on 9" in said(app)
        await press(pilot, "0")
        assert "5/5 rows" in shown(app)


async def test_policies_when_filtered_then_esc_clears_before_it_leaves() -> None:
    app = make_app()
    async with driven(app) as pilot:
        await command(pilot, app, "/hub")
        assert "1/5 rows" in shown(app)
        await press(pilot, "escape")
        assert "5/5 rows" in shown(app)
        await command(pilot, app, "/!hub")
        assert "4/5 rows" in shown(app)
        await command(pilot, app, "/zz")
        assert "None of 5 policies matches." in shown(app)
        await press(pilot, "enter")
        assert "there is no row" in said(app)


async def test_policies_when_sorted_and_reversed_then_the_header_says_so() -> None:
    app = make_app()
    async with driven(app) as pilot:
        await press(pilot, "N")
        assert "NAME ↑" in shown(app)
        await press(pilot, "O")
        assert "NAME ↓" in shown(app)
        await press(pilot, "shift+right", "shift+left", "P")
        assert "NAMESPACE ↑" in shown(app)


async def test_policies_when_faults_only_then_the_refused_one_is_there() -> None:
    app = make_app()
    async with driven(app) as pilot:
        await press(pilot, "ctrl+z")
        text = shown(app)
        assert "✗ refused" in text
        assert "hub-in" not in text


async def test_policy_when_a_rule_is_entered_then_the_yaml_is_at_it() -> None:
    app = make_app()
    async with driven(app, (120, 14)) as pilot:
        await command(pilot, app, "/workspace")
        await press(pilot, "enter", "j", "j", "j", "j", "enter")
        await pilot.pause()
        text = shown(app)
        assert "> yaml" in text
        assert "k8s:io.kubernetes.pod.namespace: jupyterhub" in text


async def test_policy_when_walked_through_then_every_tab_shows() -> None:
    app = make_app()
    async with driven(app) as pilot:
        await command(pilot, app, "/mirror-in")
        await press(pilot, "d")
        assert "who may read the package mirror" in shown(app)
        await press(pilot, "tab")
        assert "> rules" in shown(app)
        await press(pilot, "5")
        assert "mirror/mirror-1" in shown(app)
        await press(pilot, "enter")
        assert "endpoints > mirror/mirror-1" in shown(app)
        await press(pilot, "[", "shift+tab", "c")
        assert "clipboard" in said(app)
        await press(pilot, "6")
        assert "flows > mirror" in shown(app)
        assert "[view pod:mirror/mirror-1]" in shown(app)


async def test_policy_when_it_goes_while_one_looks_then_it_stays_and_is_marked() -> None:
    cluster = FakeCluster.holding(objects(), "lab")
    app = make_app(cluster)
    async with driven(app) as pilot:
        await command(pilot, app, "/mirror-in")
        await press(pilot, "enter")
        (ref,) = (one for one in cluster.objects if one.name == "mirror-in")
        cluster.change(deletes=(ref,))
        await until(pilot, lambda: "changed meanwhile" in shown(app))
        assert "rule 1" in shown(app)


async def test_endpoint_when_opened_then_default_deny_per_direction_and_its_policies() -> None:
    app = make_app(start=Place("endpoints"))
    async with driven(app) as pilot:
        await command(pilot, app, "/alice")
        row = next(row for row in shown(app).splitlines() if row.startswith(" project-lung"))
        assert row.count("✓ enforced") == 2
        await press(pilot, "enter")
        assert "CNP project-lung/workspace" in shown(app)
        await press(pilot, "j", "enter")
        assert "rules" in shown(app).splitlines()[-2]
        await press(pilot, "-", "l")
        assert "flows > project-lung  [view jupyter-alice]" in shown(app)


async def test_endpoint_when_no_policy_selects_it_then_said_in_words() -> None:
    app = make_app(start=Place("endpoint", ("project-heart/jupyter-bob",)))
    async with driven(app):
        assert "may" in shown(app) or "allowed" in shown(app)
        assert "Egress" in shown(app)


async def test_why_when_asked_in_its_fields_then_answers_and_unfolds() -> None:
    app = make_app(start=Place("why"))
    async with driven(app) as pilot:
        assert "Name both ends" in shown(app)
        await press(pilot, *typed("project-lung/jup"), "enter", *typed("svc:mirror/mirror:80"))
        await press(pilot, "enter")
        assert "✗ DENIED" in shown(app)
        assert "service-port-not-target-port" in shown(app)
        await press(pilot, "t")
        await press(pilot, "ctrl+f", "ctrl+f")
        assert "rule by rule" in shown(app)
        await press(pilot, "tab", "escape", "9")
        assert "there is no fix 9" in said(app)


async def test_why_when_an_end_is_unknown_then_the_error_has_its_way_out() -> None:
    app = make_app(start=Place("why", ("mirror/nobody", "pypi.org", "443")))
    async with driven(app):
        assert "nobody" in shown(app)
        assert "trace" in shown(app).splitlines()[-1]


async def test_sources_when_shown_then_states_losses_and_counts() -> None:
    app = make_app(start=Place("sources"))
    async with driven(app):
        text = shown(app)
        assert "12 events lost before they reached us" in text
        assert "Policies         5" in text


async def test_rights_when_the_reader_knows_them_then_each_with_its_cost() -> None:
    class Limited(FakeCluster):
        async def read(self) -> ClusterPicture:
            rights = (
                Right("pods", "list", allowed=True),
                Right("nodes", "list", allowed=False, cost="node addresses stay unknown"),
                Right("ciliumnetworkpolicies", "list", allowed=None),
                Right("services", "list", allowed=True, scope="mirror, jupyterhub"),
            )
            return replace(await super().read(), rights=rights)

    app = make_app(Limited.holding(objects(), "lab"), start=Place("can-i"))
    async with driven(app):
        text = shown(app)
        assert "✗ no   list  nodes" in text
        assert "node addresses stay unknown" in text
        assert "○ none" in text
        assert "in mirror, jupyterhub only" in text


async def test_log_when_something_was_caught_then_it_is_listed_with_notices() -> None:
    cluster = FakeCluster.holding(objects(), "lab")
    cluster.notices = (Notice("a thing to know", file="x.yaml", line=3),)
    app = make_app(cluster)
    async with driven(app) as pilot:
        await press(pilot, "!")
        assert "x.yaml:3: a thing to know" in shown(app)
        await press(pilot, "escape")
        assert "1 notice (!)" in shown(app)


async def test_doctor_when_shown_then_found_and_missing() -> None:
    app = make_app(start=Place("doctor"))
    async with driven(app):
        assert "✗ broken" in shown(app)
        assert "◌ missing" in shown(app)


async def test_palette_when_a_policy_is_typed_then_it_leads_there() -> None:
    app = make_app()
    async with driven(app) as pilot:
        await press(pilot, "ctrl+p")
        await press(pilot, *typed("CNP mirror/mirror-in"))
        await until(pilot, lambda: "CNP mirror/mirror-in" in shown(app))
        await pilot.pause(0.2)
        await press(pilot, "down", "enter")
        await until(pilot, lambda: "> summary" in shown(app))


async def test_help_when_open_then_lists_keys_and_closes() -> None:
    app = make_app()
    async with driven(app) as pilot:
        await press(pilot, "?")
        assert "Say what it does" in shown(app)
        await press(pilot, "G")
        assert ":quit" in shown(app)
        await press(pilot, "escape")
        assert "Say what it does" not in shown(app)
        await command(pilot, app, ":help")
        assert "Keys and commands" in shown(app)


async def test_commands_when_ns_theme_or_nonsense_then_done_or_said() -> None:
    app = make_app()
    async with driven(app) as pilot:
        await command(pilot, app, ":ns mirror")
        assert "3/3 rows" in shown(app)
        await command(pilot, app, ":theme k8tre-light")
        assert app.theme == "k8tre-light"
        await command(pilot, app, ":theme none")
        assert "no theme `none`" in said(app)
        await command(pilot, app, ":fly")
        assert "no command `fly`" in said(app)


async def test_history_when_wandering_then_places_come_back_with_their_row() -> None:
    app = make_app()
    async with driven(app) as pilot:
        await command(pilot, app, "/mirror")
        await press(pilot, "j", "enter", "[")
        assert "[view mirror]" in shown(app)
        await press(pilot, "]")
        assert "> rules" in shown(app)
        await press(pilot, "-", "escape")
        assert "5/5 rows" in shown(app)


async def test_header_when_folded_then_one_line() -> None:
    app = make_app()
    async with driven(app) as pilot:
        await press(pilot, "ctrl+e")
        assert "<0>" not in shown(app)
        assert "lab ● live" in shown(app).splitlines()[0]


async def test_interrupt_when_pressed_once_then_asks_and_twice_quits() -> None:
    app = make_app()
    async with driven(app) as pilot:
        await press(pilot, "ctrl+c")
        assert "press ctrl+c again" in said(app)
        await pilot.press("ctrl+c")
    assert app.return_code == 0


async def test_save_when_pressed_then_a_picture_is_written(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(str(tmp_path))
    app = make_app()
    async with driven(app) as pilot:
        await press(pilot, "ctrl+s", "enter")
        await until(pilot, lambda: "saved" in said(app))


async def test_narrow_when_under_120_columns_then_the_detail_folds() -> None:
    app = make_app()
    async with driven(app, (80, 24)):
        assert "State" not in shown(app)
    app = make_app()
    async with driven(app, (140, 24)):
        assert "State" in shown(app)


async def test_flows_when_narrow_then_v_shows_the_detail_all_the_same() -> None:
    app = make_app(start=Place("flows"))
    async with driven(app, (100, 24)) as pilot:
        assert "Seen at" not in shown(app)
        await press(pilot, "v")
        await pilot.pause()
        assert "Seen at" in shown(app)
        await press(pilot, "v")
        assert "Seen at" not in shown(app)


async def test_source_when_it_says_a_state_of_its_own_then_it_is_a_pill() -> None:
    cluster = FakeCluster.holding(objects(), "lab")
    app = make_app(cluster)
    async with driven(app) as pilot:
        cluster.report(SourceState("lab", "stale", "no bookmark for 70 s"))
        await until(pilot, lambda: "stale no bookmark for 70 s" in shown(app))


async def test_broken_file_when_a_source_refuses_then_the_ui_lives() -> None:
    cluster = FakeCluster.holding(objects(), "lab")
    cluster.refuse(*[BadInput("not YAML", file="x", line=3)] * 3)
    app = make_app(cluster)
    async with app.run_test(size=(120, 24)) as pilot:
        await until(pilot, lambda: "denied" in shown(app))


def test_marks_when_chosen_by_locale_then_ascii_without_utf8() -> None:
    assert choose_marks("auto", {"LANG": "C"}) is ASCII
    assert choose_marks("auto", {"LC_ALL": "en_GB.UTF-8", "LANG": "C"}) is UNICODE
    assert choose_marks("auto", {}) is UNICODE
    assert choose_marks("ascii", {"LANG": "en_GB.UTF-8"}) is ASCII
    assert choose_marks("unicode", {"LANG": "C"}) is UNICODE


async def test_ascii_when_asked_for_then_the_whole_screen_is_ascii() -> None:
    app = make_app(settings=Settings(ui=UiSettings(glyphs="ascii")), start=Place("flows"))
    async with driven(app, (80, 24)) as pilot:
        await press(pilot, "k")
        assert shown(app).isascii(), [row for row in shown(app).splitlines() if not row.isascii()]


async def test_screen_when_drawing_a_picture_fails_then_the_ui_lives_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster = FakeCluster.holding(objects(), "lab")
    app = make_app(cluster)
    async with driven(app) as pilot:

        def fail(_picture: object) -> None:
            raise ValueError("a bug")

        monkeypatch.setattr(app.screen, "show_picture", fail)
        cluster.change(deletes=(next(iter(cluster.objects)),))
        await until(pilot, lambda: bool(app.session.workspace.diagnostics))
        await press(pilot, "!")
        assert "screen: a bug" in shown(app)


async def test_filter_when_a_key_is_begun_then_it_is_completed() -> None:
    app = make_app(start=Place("flows"))
    async with driven(app):
        screen = app.screen
        assert isinstance(screen, Flows)
        assert screen.complete_filter("verd") == "verdict:"
        assert screen.complete_filter("port:53 !verd") == "port:53 !verdict:"
        assert screen.complete_filter("zz") is None
        assert screen.complete_filter("") is None


async def test_text_screens_when_searched_wrapped_and_scrolled_then_obey() -> None:
    app = make_app(start=Place("endpoint", ("project-lung/jupyter-alice",)))
    async with driven(app, (60, 12)) as pilot:
        await press(pilot, "n")
        assert "`/` begins" in said(app)
        await command(pilot, app, "/ingress")
        await press(pilot, "n", "N", "w", "ctrl+d", "ctrl+u", "right", "h")
        await command(pilot, app, "/nowhere-at-all")
        assert "is not in this text" in said(app)
        await press(pilot, "x")
        assert "to" in shown(app)


async def test_rows_when_copied_then_name_namespace_and_command() -> None:
    for start, name in (("policies", "no-metadata"), ("endpoints", "jupyterhub/hub-0")):
        app = make_app(start=Place(start))
        async with driven(app) as pilot:
            await press(pilot, "c", "n", "ctrl+y", "ctrl+w", "ctrl+w")
            assert app.clipboard.startswith("kubectl")
            assert name.rpartition("/")[2] in app.clipboard


async def test_flows_when_copied_and_their_ends_opened_then_they_lead_on() -> None:
    app = make_app(start=Place("flows"))
    async with driven(app) as pilot:
        await press(pilot, "k", "c", "n", "ctrl+y")
        assert app.clipboard.startswith("hubble observe")
        await press(pilot, "u")
        assert "endpoints > project-lung/jupyter-alice" in shown(app)
        await press(pilot, "[", "G", "J")
        assert "endpoints > project-lung/jupyter-alice" in shown(app)


async def test_why_when_it_leads_to_flows_then_they_are_of_its_ends() -> None:
    app = make_app(start=Place("why", ("project-lung/jupyter-alice", "mirror/mirror-1", "8080")))
    async with driven(app) as pilot:
        await press(pilot, "ctrl+y")
        assert app.clipboard.startswith("k8tre-tui why project-lung/jupyter-alice")
        await press(pilot, "l")
        assert isinstance(app.screen, Flows)
        assert app.screen.filter_text == "from:project-lung/jupyter-alice to:mirror/mirror-1"
