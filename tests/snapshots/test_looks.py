"""How every screen looks. `pytest tests/snapshots --snapshot-update` takes them anew."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import cast

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from app.core.drafts.choice import Plan
from app.core.errors import SourceCause, SourceUnavailable
from app.core.model.answer import (
    Cause,
    CauseCode,
    Evidence,
    Fix,
    NextStep,
    StepAnswer,
    StepStatus,
    WhyAnswer,
)
from app.core.model.flow import FlowBatch
from app.core.model.provenance import ObjectRef, RuleRef
from app.core.model.verdict import (
    Dimension,
    Direction,
    DirectionTrace,
    Effect,
    Match,
    Miss,
    Outcome,
    Verdict,
)
from app.ports import ClusterPicture, FileChange, ProposedChange, Right
from app.services import connection
from app.services.ask import Inquiry, make_question
from app.services.drafting import Draft, DraftRequest, Redo
from app.services.picture import empty_picture
from app.services.proof import Proof
from app.services.ways import Ways
from app.testing.sources import FakeCluster, FakeFlows
from app.tui.app import K8treApp
from app.tui.places import Place
from app.tui.screens.why import Why
from app.tui.themes import THEMES
from app.tui.views.draft import question
from tests.tui.lab import (
    batch,
    command,
    flows,
    make_app,
    objects,
    shown,
    ticked,
    until,
    with_ui,
)
from widgets.confirm import Confirm

Compare = Callable[..., bool]
SIZES = ((80, 24), (120, 36), (200, 60))

WORKSPACE = ObjectRef("CiliumNetworkPolicy", "project-lung", "workspace")
MIRROR_IN = ObjectRef("CiliumNetworkPolicy", "mirror", "mirror-in")
FILE = "projects/lung/workspace.yaml"
PATCH = """--- a/projects/lung/workspace.yaml
+++ b/projects/lung/workspace.yaml
@@ -21,5 +21,5 @@
     toPorts:
     - ports:
-      - port: "80"
+      - port: "8080"
         protocol: TCP
"""
FIX = Fix(
    'port "80" -> "8080" in egress[1] of `workspace`',
    "extend-rule",
    WORKSPACE,
    PATCH,
    "nothing else: mirror-1 is the only endpoint that rule names",
)
ANSWER = WhyAnswer(
    asked=make_question("project-lung/jupyter-alice", "svc:mirror/mirror:80"),
    port=8080,
    protocol="TCP",
    verdict=Verdict.DENIED,
    egress=DirectionTrace(
        Direction.EGRESS,
        Outcome.DENIED,
        Outcome.DENIED,
        default_deny=True,
        selected_by=(WORKSPACE,),
        missed=(
            Miss(
                RuleRef(WORKSPACE, "spec.egress[1]", FILE, 21),
                Dimension.PORT,
                "80/TCP",
                "8080/TCP",
                nearness=3,
            ),
        ),
    ),
    ingress=DirectionTrace(
        Direction.INGRESS,
        Outcome.ALLOWED,
        Outcome.ALLOWED,
        default_deny=True,
        selected_by=(MIRROR_IN,),
        matched=(Match(RuleRef(MIRROR_IN, "spec.ingress[0]", "mirror-in.yaml", 9), Effect.ALLOW),),
    ),
    cause=Cause(
        CauseCode.SERVICE_PORT_NOT_TARGET_PORT,
        "Rule 2 of `workspace` allows port 80, but policies see the pod's port: "
        "the Service sends 80 to 8080.",
        file=FILE,
        line=23,
        look_at='egress[1].toPorts[0].ports[0]: "80"',
    ),
    resolved_to="mirror/mirror-1",
    evidence=(Evidence("flow", "41 drops in the last 15 min, first 11:48:02, none lost"),),
    next=(NextStep("show the Service", "kubectl -n mirror get svc mirror"),),
    fixes=(FIX, Fix("do not allow it: use the mirror", "none")),
    not_known=("whether node-2 has realised generation 7",),
    steps=(StepAnswer("ends", "Are both ends known and ready?", StepStatus.FINE, "yes, both"),),
)
INQUIRY = Inquiry(empty_picture(), ANSWER, Ways())


async def settled(pilot: Pilot[None]) -> None:
    app = pilot.app
    assert isinstance(app, K8treApp)
    await until(pilot, lambda: app.session.has_read)
    await until(pilot, lambda: app.session.workspace.ring.seen > 0)
    await ticked(pilot, app)
    app.draw_frame()
    await pilot.pause()


def phase_of(app: K8treApp, source: str) -> str:
    state = app.session.picture.sources.get(source)
    return state.phase if state else ""


def after(*keys: str) -> Callable[[Pilot[None]], Awaitable[None]]:
    async def run(pilot: Pilot[None]) -> None:
        await settled(pilot)
        await pilot.press(*keys)
        for field in pilot.app.screen.query(Input):
            field.cursor_blink = False  # a cursor that comes and goes is no look
        await pilot.pause()

    return run


def policy(tab: str) -> Place:
    return Place("policy", (tab,), subject=(str(WORKSPACE), "policies/workspace.yaml", 1))


SCREENS = {
    "policies": (Place("policies"), ()),
    "policy_summary": (policy("summary"), ()),
    "policy_rules": (policy("rules"), ("j",)),
    "policy_yaml": (policy("yaml"), ()),
    "policy_selects": (policy("selects"), ()),
    "endpoints": (Place("endpoints"), ()),
    "endpoint": (Place("endpoint", ("project-lung/jupyter-alice",)), ()),
    "flows": (Place("flows"), ()),
    "flows_paused": (Place("flows", filter="verdict:dropped"), ("k",)),
    "flows_grouped": (Place("flows"), ("a",)),
    "flow_json": (Place("flow", ("json",), subject=flows()[-1]), ()),
    "why_how_to_ask": (Place("why"), ()),
    "sources": (Place("sources"), ()),
    "log": (Place("log"), ()),
    "doctor": (Place("doctor"), ()),
    "draft": (Place("draft", subject=(INQUIRY, FIX)), ()),
    "boundaries": (Place("boundaries"), ()),
    "matrix": (Place("matrix"), ()),
    "rights": (Place("can-i"), ()),
    "help": (Place("flows"), ("?",)),
    "command_line": (Place("policies"), (":", "f", "l")),
}


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_lint_looks_as_before(size: tuple[int, int], snap_compare: Compare) -> None:
    app = make_app(start=Place("policies"))

    async def linted(pilot: Pilot[None]) -> None:
        await settled(pilot)
        await command(pilot, app, ":lint")
        await until(pilot, lambda: "NP072" in shown(app))
        app.draw_frame()
        await pilot.pause()

    assert snap_compare(app, terminal_size=size, run_before=linted)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("screen", SCREENS)
def test_screen_looks_as_before(screen: str, size: tuple[int, int], snap_compare: Compare) -> None:
    place, keys = SCREENS[screen]
    app = make_app(start=place)
    assert snap_compare(app, terminal_size=size, run_before=after(*keys))


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("keys", [(), ("t",)], ids=("folded", "unfolded"))
def test_answer_looks_as_before(
    size: tuple[int, int],
    keys: tuple[str, ...],
    snap_compare: Compare,
) -> None:
    async def answered(pilot: Pilot[None]) -> None:
        await settled(pilot)
        screen = pilot.app.screen
        assert isinstance(screen, Why)
        screen.show_answer(ANSWER)
        await pilot.press(*keys)
        await pilot.pause()

    words = ("project-lung/jupyter-alice", "svc:mirror/mirror:80", "80/TCP")
    assert snap_compare(
        make_app(start=Place("why", words)), terminal_size=size, run_before=answered
    )


@pytest.mark.parametrize("theme", [name for name in THEMES if name != "k8tre-dark"])
def test_theme_looks_as_before(theme: str, snap_compare: Compare) -> None:
    app = make_app(start=Place("flows"), settings=with_ui(theme=theme))
    assert snap_compare(app, terminal_size=(120, 36), run_before=after())


def test_no_color_looks_as_before(snap_compare: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = make_app(start=Place("flows"))
    assert snap_compare(app, terminal_size=(80, 24), run_before=after("k"))


def test_ascii_looks_as_before(snap_compare: Compare) -> None:
    app = make_app(start=Place("flows"), settings=with_ui(glyphs="ascii"))
    assert snap_compare(app, terminal_size=(120, 24), run_before=after("k"))


def test_nothing_read_yet_looks_as_before(
    snap_compare: Compare, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "FIRST_RETRY_S", connection.LAST_RETRY_S)
    cluster = FakeCluster(name="prod")
    cluster.refuse(
        SourceUnavailable(
            "connection refused", hint="is the VPN up?", source="prod", cause=SourceCause.REFUSED
        )
    )

    async def refused(pilot: Pilot[None]) -> None:
        app = pilot.app
        assert isinstance(app, K8treApp)
        await until(pilot, lambda: phase_of(app, "prod") == "retrying")
        await ticked(pilot, app)
        app.draw_frame()
        await pilot.pause()

    app = make_app(cluster, FakeFlows(name="hubble"))
    assert snap_compare(app, terminal_size=(120, 24), run_before=refused)


def test_no_flows_yet_looks_as_before(snap_compare: Compare) -> None:
    async def read(pilot: Pilot[None]) -> None:
        app = pilot.app
        assert isinstance(app, K8treApp)
        await until(pilot, lambda: app.session.has_read)
        app.draw_frame()
        await pilot.pause()

    app = make_app(source=FakeFlows((FlowBatch(),), "hubble"), start=Place("flows"))
    assert snap_compare(app, terminal_size=(80, 24), run_before=read)


def test_denied_source_looks_as_before(snap_compare: Compare) -> None:
    cluster = FakeCluster.holding(objects(), "prod")

    async def denied(pilot: Pilot[None]) -> None:
        app = pilot.app
        assert isinstance(app, K8treApp)
        await settled(pilot)
        cluster.lose(
            SourceUnavailable(
                "token expired",
                hint="run `aws sso login`",
                source="prod",
                cause=SourceCause.UNAUTHENTICATED,
            )
        )
        await until(pilot, lambda: phase_of(app, "prod") == "denied")
        await command(pilot, app, ":sources")
        app.draw_frame()
        await pilot.pause()

    app = make_app(cluster, FakeFlows((batch(),), "hubble"))
    assert snap_compare(app, terminal_size=(80, 24), run_before=denied)


RIGHTS = (
    Right("pods", "list", allowed=True),
    Right("pods", "list", allowed=True, scope="mirror, jupyterhub"),
    Right("nodes", "list", allowed=False, cost="addresses of nodes stay unknown"),
    Right("ciliumcidrgroups", "list", allowed=None, cost="groups count as empty"),
)


def test_rights_look_as_before(snap_compare: Compare) -> None:
    class Limited(FakeCluster):
        async def read(self) -> ClusterPicture:
            return replace(await super().read(), rights=RIGHTS)

    app = make_app(Limited.holding(objects(), "lab"), start=Place("can-i"))
    assert snap_compare(app, terminal_size=(80, 24), run_before=after())


def test_confirmation_looks_as_before(snap_compare: Compare) -> None:
    change = ProposedChange(
        "k8tre-tui/netpol/project-lung-workspace-0123456789",
        "netpol(project-lung): port 8080",
        "",
        "",
        (FileChange(FILE, "", ""),),
    )
    draft = Draft(
        title="t",
        repository="tre-org/gitops",
        diff=PATCH,
        change=change,
        plan=cast("Plan", None),
        proof=cast("Proof", None),
        inquiry=INQUIRY,
        redo=cast("Redo", None),
        request=DraftRequest(),
        broadens=True,
    )

    async def asked(pilot: Pilot[None]) -> None:
        await settled(pilot)
        await pilot.app.push_screen(Confirm(question(draft, "Gitea")))
        await pilot.pause()

    assert snap_compare(make_app(), terminal_size=(80, 24), run_before=asked)
