"""Every screen says why it is empty, and what is not known is never shown as none."""

from __future__ import annotations

import pytest

from app.core.errors import SourceCause, SourceUnavailable
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


@pytest.mark.parametrize("screen", ["policies", "endpoints", "flows"])
async def test_screen_when_nothing_can_be_read_then_it_says_why_and_which_key_helps(
    screen: str,
) -> None:
    cluster = FakeCluster(name="prod")
    cluster.refuse(
        SourceUnavailable("connection refused", source="prod", cause=SourceCause.REFUSED)
    )
    app = make_app(cluster, FakeFlows(name="hubble"), start=Place(screen))
    async with app.run_test(size=(140, 30)) as pilot:
        await until(pilot, lambda: app.is_running and app.frame is not None)
        await ticked(pilot, app)
        assert ":sources" in shown(app)
