"""Stops: where they lead, and that one comes back to where one was."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.core.model.provenance import Manifest, ObjectRef, RuleRef
from app.services.picture import Ingredients, make_picture
from app.testing.sources import FakeCluster
from app.tui.app import K8treApp
from app.tui.links import place_of, to_command, to_endpoint, to_file, to_policy, to_rule
from app.tui.places import Place
from app.tui.views.text_file import standing_at
from tests.tui.lab import command, driven, make_app, objects, press, said, shown, ticked, until
from tests.tui.lab import policy_manifests as policies

WORKSPACE = ObjectRef("CiliumNetworkPolicy", "project-lung", "workspace")
TEXT = """apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
# who asked for it: ticket 12
metadata: {name: workspace, namespace: project-lung}
spec:
  endpointSelector: {matchLabels: {app: jupyter}}
  egress:
  - toEndpoints: [{matchLabels: {app: mirror}}]
    # the mirror's Service port
    toPorts: [{ports: [{port: "80", protocol: TCP}]}]
  ingress:
  - fromEndpoints: [{}]
"""
LINES = {
    "spec": 5,
    "spec.egress": 8,
    "spec.egress[0]": 8,
    "spec.egress[0].toEndpoints": 8,
    "spec.egress[0].toPorts": 10,
    "spec.ingress": 12,
    "spec.ingress[0]": 12,
}


def written(one: Manifest) -> Manifest:
    """The lab's policy with the lines of the text above."""
    if one.ref != WORKSPACE or one.source is None:
        return one
    return replace(one, source=replace(one.source, lines=LINES))


def lines(file: str | None) -> tuple[str, ...]:
    return tuple(TEXT.splitlines()) if file == "policies/workspace.yaml" else ()


def app_with_files(start: Place) -> K8treApp:
    cluster = FakeCluster.holding([written(one) for one in objects()], "lab")
    return make_app(cluster, start=start, read_lines=lines)


PICTURE = make_picture(Ingredients(tuple(written(one) for one in objects())))


@pytest.mark.parametrize(
    ("target", "place"),
    [
        (to_file("a:b.yaml", 7), Place("file", ("a:b.yaml", "7"))),
        (to_endpoint("mirror/mirror-1"), Place("endpoint", ("mirror/mirror-1",))),
        (to_command("flows mirror /verdict:dropped"),
         Place("flows", (), "mirror", "verdict:dropped")),
        (to_rule(RuleRef(WORKSPACE, "spec.egress[0]", "a.yaml", 8)),
         Place("file", ("a.yaml", "8"))),
        (to_rule(RuleRef(WORKSPACE, "spec.egress[0]")),
         Place("policy", ("rules", "spec.egress[0]"))),
        (to_policy(WORKSPACE), Place("policy", ("rules", ""))),
    ],
)  # fmt: skip
def test_target_when_followed_then_its_place_is_given(target: str, place: Place) -> None:
    assert place_of(target, PICTURE) == place


@pytest.mark.parametrize(
    "target", ["", "fix:0", "spec.egress[0]", "go:no such", to_policy(ObjectRef("X", "y", "z"))]
)
def test_target_when_it_leads_nowhere_then_none(target: str) -> None:
    assert place_of(target, PICTURE) is None


def test_no_file_gives_no_stop() -> None:
    assert to_file(None) == ""


@pytest.mark.parametrize(("line", "first", "last"), [(8, 8, 10), (10, 8, 10), (12, 12, 12)])
def test_line_of_a_rule_when_looked_up_then_the_whole_rule(
    line: int, first: int, last: int
) -> None:
    found = standing_at(PICTURE, "policies/workspace.yaml", line)
    assert found is not None
    assert (found.manifest.ref, found.first, found.last) == (WORKSPACE, first, last)


def test_line_above_the_rules_when_looked_up_then_that_line_alone() -> None:
    found = standing_at(PICTURE, "policies/workspace.yaml", 4)
    assert found is not None
    assert (found.first, found.last) == (4, 4)
    assert standing_at(PICTURE, "policies/nothing.yaml", 4) is None


def test_every_lab_policy_has_a_file() -> None:
    assert all(one.file for one in policies())


async def test_drop_to_its_rule_takes_one_key_and_back_returns_to_the_drop() -> None:
    app = app_with_files(Place("flows", ("faults",)))
    async with driven(app) as pilot:
        await press(pilot, "s", "G")
        before = shown(app)
        await press(pilot, "r")
        text = shown(app)
        assert "file > policies/workspace.yaml:" in text
        assert ">   10     toPorts:" in text
        assert "9     # the mirror's Service port" in text
        await press(pilot, "escape")
        await ticked(pilot, app)
        assert shown(app) == before


async def test_file_when_enter_then_the_policy_that_stands_there() -> None:
    app = app_with_files(Place("file", ("policies/workspace.yaml", "12")))
    async with driven(app) as pilot:
        await press(pilot, "enter")
        assert "policies > CNP project-lung/workspace > rules" in shown(app)


async def test_file_when_it_cannot_be_read_then_says_so() -> None:
    app = make_app(start=Place("file", ("gone.yaml", "3")))
    async with driven(app) as pilot:
        assert "gone.yaml cannot be read here" in shown(app)
        await press(pilot, "enter")
        assert "no policy stands here" in said(app)


async def test_why_when_enter_on_a_rule_then_its_file_and_back_to_the_same_line() -> None:
    app = app_with_files(Place("why", ("project-lung/jupyter-alice", "svc:mirror/mirror:80")))
    async with driven(app) as pilot:
        await until(pilot, lambda: "Egress" in shown(app))
        await press(pilot, "escape", "t", "j", "j")
        before = shown(app)
        await press(pilot, "enter")
        assert "file > policies/" in shown(app)
        await press(pilot, "escape")
        await until(pilot, lambda: shown(app) == before)


async def test_rule_tree_when_enter_then_the_real_file_with_its_comments() -> None:
    app = app_with_files(Place("policies", filter="workspace"))
    async with driven(app) as pilot:
        await press(pilot, "enter", "j", "j", "enter")
        assert "# the mirror's Service port" in shown(app)


async def test_policy_without_a_file_when_enter_on_a_rule_then_its_yaml() -> None:
    bare = [replace(one, source=None) for one in objects()]
    app = make_app(FakeCluster.holding(bare, "lab"), start=Place("policies", filter="workspace"))
    async with driven(app) as pilot:
        await press(pilot, "enter", "j", "j", "enter")
        assert "workspace > yaml" in shown(app)


async def test_command_with_lint_finding_opens_the_policy_of_the_finding() -> None:
    app = app_with_files(Place("policies"))
    async with driven(app) as pilot:
        await command(pilot, app, ":lint")
        await until(pilot, lambda: "NP0" in shown(app))
        await press(pilot, "enter", "enter")
        assert "policies > " in shown(app)
