"""What would change, asked on screen: without a policy, or with a draft file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from app.bootstrap.drafts import load_drafts
from app.bootstrap.sources import Sources
from app.core.errors import UsageError
from app.services.drafting import Drafter
from app.testing.sources import FakeCluster
from app.tui.places import Place, parse_command
from tests.tui.lab import (
    command,
    driven,
    make_app,
    objects,
    policy_manifests,
    press,
    repository,
    shown,
    until,
)

OPEN = """
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: workspace, namespace: project-lung}
spec:
  endpointSelector: {matchLabels: {app: jupyter}}
  egress: [{toEntities: [all]}]
"""


async def test_policy_if_it_were_gone_shows_pairs_flows_and_where_to_remove_it() -> None:
    app = make_app()
    async with driven(app) as pilot:
        await press(pilot, "N", "G", "W")
        await until(pilot, lambda: "newly allowed" in shown(app))
        text = shown(app)
        assert "Without    CNP project-lung/workspace  policies/workspace.yaml:1" in text
        assert "of 3 connections seen in 55 s 0 would be newly allowed" in text
        assert "+ mirror/mirror-1 → project-lung/jupyter-alice TCP *\n" in text
        assert "+ jupyterhub/hub-0 → project-lung/jupyter-alice TCP * with exceptions" in text
        assert "pairs newly denied\n   not known" in text
        assert (
            "Not known  whether agents still enforce an older, valid version of `refused`" in text
        )


async def test_policy_that_is_open_is_asked_about_by_the_same_key() -> None:
    app = make_app()
    async with driven(app) as pilot:
        await press(pilot, "N", "G", "enter", "W")
        await until(pilot, lambda: "Without    CNP project-lung/workspace" in shown(app))


async def test_draft_file_takes_the_place_of_the_policy_of_its_name(tmp_path: Path) -> None:
    file = tmp_path / "a draft.yaml"
    file.write_text(OPEN, encoding="utf-8")
    app = make_app()
    app.session.read_drafts = lambda path: load_drafts((path,), Sources())
    async with driven(app) as pilot:
        await command(pilot, app, f":what-if -f '{file}'")
        await until(pilot, lambda: "newly allowed" in shown(app))
        text = shown(app)
        assert "As in " in text
        assert "+ project-lung/jupyter-alice → entity:world TCP *" in text


async def test_draft_file_that_is_not_yaml_is_named_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "draft.yaml"
    file.write_text("a: [", encoding="utf-8")
    app = make_app()
    app.session.read_drafts = lambda path: load_drafts((path,), Sources())
    async with driven(app) as pilot:
        await command(pilot, app, f":what-if {file}")
        await until(pilot, lambda: "draft.yaml" in shown(app) and "Asking" not in shown(app))
        assert "newly" not in shown(app)


async def test_policy_that_is_not_there_is_said() -> None:
    app = make_app(start=Place("what-if", ("nobody",)))
    async with driven(app) as pilot:
        await until(pilot, lambda: "no policy is called `nobody`" in shown(app))


async def test_policies_that_change_meanwhile_are_said_and_compared_on_enter() -> None:
    cluster = FakeCluster.holding(objects(), "lab")
    app = make_app(cluster, start=Place("what-if", ("workspace",)))
    async with driven(app) as pilot:
        await until(pilot, lambda: "newly allowed" in shown(app))
        first = policy_manifests()[0]
        spec = {"endpointSelector": {"matchLabels": {"app": "none"}}, "egress": [{}]}
        cluster.change(upserts=(replace(first, body={**first.body, "spec": spec}),))
        await until(pilot, lambda: "changed meanwhile" in shown(app))
        await press(pilot, "enter")
        await until(pilot, lambda: "selects no endpoint that is known here" in shown(app))
        assert "changed meanwhile" not in shown(app)


async def test_draft_shows_every_pair_it_opens() -> None:
    question = Place("why", ("project-lung/jupyter-alice", "svc:mirror/mirror:80", ""))
    app = make_app(start=question, drafter=Drafter(repository(), str))
    async with driven(app, (120, 60)) as pilot:
        await until(pilot, lambda: "Opens:" in shown(app))
        await press(pilot, "e")
        await until(pilot, lambda: "newly allowed" in shown(app))
        assert "+ project-lung/jupyter-alice → mirror/mirror-1 TCP 8080" in shown(app)
        assert "would be newly allowed" in shown(app)


@pytest.mark.parametrize(
    ("text", "args"),
    [
        ("what-if /srv/a.yaml", ("/srv/a.yaml",)),
        ("what-if -f 'a b.yaml' --delete CNP/a/b", ("a b.yaml", "CNP/a/b")),
        ("effect x@y", ("x@y",)),
    ],
)
def test_command_about_files_takes_paths_as_they_are(text: str, args: tuple[str, ...]) -> None:
    assert parse_command(text) == Place("what-if", args)


@pytest.mark.parametrize("text", ["what-if", "what-if 'a"])
def test_command_about_files_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_command(text)
