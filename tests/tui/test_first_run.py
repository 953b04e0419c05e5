"""Every screen says why it is empty, and what is not known is never shown as none."""

from __future__ import annotations

import pytest

from app.core.errors import SourceCause, SourceUnavailable
from app.services import connection
from app.services.workspace import Workspace
from app.testing.clock import FakeClock
from app.testing.sources import FakeCluster, FakeFlows
from app.tui.app import K8treApp
from app.tui.places import Place
from tests.tui.lab import make_app, policy_manifests, shown, ticked, until, with_ui


def files_only(start: str) -> K8treApp:
    """Policies in files: no pods, no namespaces, no flows."""
    clock = FakeClock()
    workspace = Workspace([FakeCluster.holding(policy_manifests(), "gitops")], [], clock=clock)
    settings = with_ui(glyphs="unicode")
    return K8treApp(workspace, settings, clock=clock, context="gitops", start=Place(start))


@pytest.mark.parametrize(
    ("screen", "says"),
    [
        ("policies", " ? "),
        ("flows", "There is no source of flows."),
        ("endpoints", "No pod and no workload was read."),
        ("boundaries", "check.boundaries"),
    ],
)
async def test_screen_when_only_policies_are_read_then_it_says_what_is_not_known(
    screen: str, says: str
) -> None:
    app = files_only(screen)
    async with app.run_test(size=(140, 30)) as pilot:
        await until(pilot, lambda: app.session.picture.revision > 0)
        await ticked(pilot, app)
        assert says in shown(app)


async def test_policies_when_no_pod_is_read_then_none_counts_as_selecting_nothing() -> None:
    app = files_only("policies")
    async with app.run_test(size=(140, 30)) as pilot:
        await until(pilot, lambda: app.session.picture.revision > 0)
        await ticked(pilot, app)
        assert "not known: no pod was read" in shown(app)
        await pilot.press("ctrl+z")
        await pilot.pause()
        text = shown(app)
        assert "refused" in text
        assert "mirror-in" not in text


@pytest.mark.parametrize("screen", ["policies", "endpoints"])
async def test_screen_when_nothing_can_be_read_then_it_says_why(
    screen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "FIRST_RETRY_S", connection.LAST_RETRY_S)
    cluster = FakeCluster(name="prod")
    cluster.refuse(
        SourceUnavailable("connection refused", source="prod", cause=SourceCause.REFUSED)
    )
    app = make_app(cluster, FakeFlows(name="hubble"), start=Place(screen))
    async with app.run_test(size=(140, 30)) as pilot:

        def refused() -> bool:
            state = app.session.picture.sources.get("prod")
            return state is not None and state.phase == "retrying"

        await until(pilot, refused)
        await ticked(pilot, app)
        await until(pilot, lambda: "connection refused" in shown(app))
