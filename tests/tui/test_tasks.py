"""What operators do most, by keys alone: each task has a limit of keys (docs/tasks.md)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest
from textual.pilot import Pilot

from app.core.diagnose.boundaries import parse_boundaries
from app.core.model.provenance import Manifest, ObjectRef, Source
from app.services.contexts import Contexts
from app.services.drafting import Drafter
from app.services.workspace import Workspace
from app.testing.builders import namespace, pod
from app.testing.clock import FakeClock
from app.testing.sources import FakeCluster, FakeFlows
from app.tui.app import K8treApp
from app.tui.palette import Palette
from app.tui.places import Place
from tests.tui.lab import (
    batch,
    driven,
    objects,
    press,
    repository,
    said,
    shown,
    typed,
    until,
    with_ui,
)

BOUNDARIES = parse_boundaries(
    """
[[boundary]]
name = "lung and heart apart"
must = "deny"
from = "ns:project-lung"
to = "ns:project-heart"
""",
    "boundaries.toml",
)
KEYCLOAK: dict[str, object] = {
    "apiVersion": "cilium.io/v2",
    "kind": "CiliumNetworkPolicy",
    "metadata": {"name": "sign-in", "namespace": "keycloak"},
    "spec": {
        "endpointSelector": {"matchLabels": {"app": "keycloak"}},
        "ingress": [{"fromEntities": ["cluster"]}],
    },
}
NOBODY: dict[str, object] = {
    **KEYCLOAK,
    "metadata": {"name": "left-over", "namespace": "keycloak"},
    "spec": {"endpointSelector": {"matchLabels": {"app": "gone"}}, "ingress": [{}]},
}


def policy(body: dict[str, object]) -> Manifest:
    meta = cast("dict[str, str]", body["metadata"])
    ref = ObjectRef("CiliumNetworkPolicy", meta["namespace"], meta["name"])
    return Manifest(ref, "cilium.io/v2", body, Source(f"policies/{ref.name}.yaml", 1))


def site() -> K8treApp:
    """A site with a repository, boundaries, two clusters and flows; it starts at the flows."""
    manifests = [
        *objects(),
        namespace("keycloak"),
        pod("keycloak/keycloak-0", "10.0.4.40", labels={"app": "keycloak"}),
        policy(KEYCLOAK),
        policy(NOBODY),
    ]
    clock = FakeClock()
    repo = repository()

    def workspace(_name: str = "prod") -> Workspace:
        return Workspace(
            [FakeCluster.holding(manifests, "lab")],
            [FakeFlows((batch(),), "hubble")],
            clock=clock,
            boundaries=BOUNDARIES,
            jitter=lambda: 1.0,
        )

    return K8treApp(
        workspace(),
        with_ui(glyphs="unicode"),
        clock=clock,
        context="prod",
        contexts=Contexts(lambda: ("prod", "staging"), workspace),
        start=Place("flows"),
        make_drafter=lambda: Drafter(repo, str),
        read_lines=lambda path: tuple(repo.files.get(path or "", "").splitlines()),
    )


@dataclass(frozen=True)
class Task:
    """What is to be done, by which keys, with how many at most, and what is then on screen."""

    what: str
    keys: str
    limit: int
    shows: tuple[str, ...]

    @property
    def pressed(self) -> list[str]:
        return [key for word in self.keys.split() for key in keys_of(word)]


def keys_of(word: str) -> list[str]:
    """A word of the page: `<enter>` is a key, anything else is typed."""
    return [word[1:-1]] if word.startswith("<") else list(typed(word))


TASKS = (
    Task(
        "Why is the mirror blocked for a project?",
        "/mirror <enter> x",
        12,
        ("✗ DENIED  project-lung/jupyter-alice", "service-port-not-target-port"),
    ),
    Task("Which policies select keycloak?", "<ctrl+p> ak-0 <enter>", 8, ("keycloak-0", "sign-in")),
    Task(
        "Live drops of a project, by cause",
        "<ctrl+z> /lung <enter> a <shift+left> <shift+left>",
        10,
        ("CAUSE ↑", "service-port-not-target"),
    ),
    Task("From a drop to the rule", "<ctrl+z> r", 4, ("workspace.yaml:", "endpointSelector")),
    Task(
        "What would deleting a policy open?",
        "<ctrl+p> rror-i <enter> W",
        10,
        ("what-if > CiliumNetworkPolicy/mirror/mirror-in", "newly allowed"),
    ),
    Task(
        "Draft the fix of a drop",
        "<ctrl+z> x 1 e",
        14,
        ("+      - port: '8080'", "branch k8tre-tui"),
    ),
    Task("Are two projects apart?", ":bd <enter>", 6, ("✓ holds", "lung and heart apart")),
    Task("Policies that select nothing", ":pol <enter> <ctrl+z>", 6, ("left-over", "refused")),
    Task("Export what is on screen", "<ctrl+s> <enter>", 3, ("saved ",)),
    Task("Go to another cluster", "<ctrl+p> @s <enter>", 5, ("ctx staging",)),
)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.what)
async def test_task_when_done_by_keys_then_in_as_few_as_promised(
    task: Task, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    app = site()
    async with driven(app, (160, 45)) as pilot:
        for key in task.pressed:
            await press(pilot, key)
            await palette_found(pilot, app, key)
        await until(pilot, is_shown(app, task))
    assert len(task.pressed) <= task.limit


def is_shown(app: K8treApp, task: Task) -> Callable[[], bool]:
    def found() -> bool:
        app.tick()
        text = f"{shown(app)}\n{said(app)}"
        return all(words in text for words in task.shows)

    return found


async def palette_found(pilot: Pilot[None], app: K8treApp, key: str) -> None:
    """Let the palette find what was typed, as a person would before pressing enter."""
    if isinstance(app.screen, Palette) and len(key) == 1:
        await pilot.pause(0.3)


def test_page_when_compared_then_it_tells_these_tasks() -> None:
    page = Path("docs/tasks.md").read_text(encoding="utf-8")
    for task in TASKS:
        shown_keys = " ".join(f"`{word.strip('<>')}`" for word in task.keys.split())
        assert f"| {task.what} | {shown_keys} | {len(task.pressed)} |" in page
