"""A draft is worked out, edited and proved on one commit, whatever the work tree holds."""

from dataclasses import replace
from pathlib import Path

import pytest

from app.bootstrap.drafts import Checkout, build_drafter, placing
from app.bootstrap.sources import Sources
from app.config import Settings
from app.core.diagnose.boundaries import Boundary, Must
from app.core.drafts.choice import NothingDenied
from app.core.errors import DraftRejected
from app.services.ask import Inquiry, inquire, make_question
from app.services.drafting import Draft, Drafter
from app.services.picture import Ingredients, Picture, make_picture
from integrations.git.local import LocalGit
from integrations.manifests.reader import load
from tests.core.drafts.cluster import KUSTOMIZATION, PODS, WORKSPACE, write
from tests.integrations.git_repository import commit, git

FILE = "lung/workspace.yaml"
FILES = {FILE: WORKSPACE, "lung/kustomization.yaml": KUSTOMIZATION}
ASKED = make_question("lung/notebook-alice", "mirror/db-0", "5432")
WIDE = WORKSPACE.replace("    matchLabels:\n      app: notebook\n", "    matchLabels: {}\n")
APART = Boundary("airlock-apart", ("lung/airlock-0",), ("mirror/db-0",), Must.DENY)


def _checkout(root: Path, files: dict[str, str]) -> Path:
    """A work tree with its files committed on `main`."""
    write(root, files)
    git(root, "init", "--quiet", "--initial-branch=main")
    commit(root, {**files, "pods.yaml": PODS})
    return root


def drafter_of(root: Path) -> Drafter:
    """What drafts for the checkout at `root`, with its files committed on `main`."""
    sources = Sources(snapshots=(str(root),))
    place = placing(root.resolve())
    checkout = Checkout(LocalGit(root, "main"), place, writable=True, root=root.resolve())
    return build_drafter(checkout, sources, Settings())


def _picture(root: Path, *boundaries: Boundary) -> Picture:
    picture = make_picture(Ingredients(load([str(root)]).manifests))
    return replace(picture, boundaries=boundaries)


def _shown(root: Path, *boundaries: Boundary) -> Inquiry:
    """What is asked of the work tree, as a screen that shows it does."""
    return inquire(_picture(root, *boundaries), None, ASKED)


async def _draft(root: Path, drafter: Drafter) -> Draft:
    inquiry = await drafter.ask(_picture(root), None, ASKED)
    return await drafter.draft(inquiry, inquiry.ways.numbered(1))


async def test_ask_when_the_work_tree_is_narrower_then_the_boundary_that_the_commit_would_break(
    tmp_path: Path,
) -> None:
    root = _checkout(tmp_path / "repo", {**FILES, FILE: WIDE})
    (root / FILE).write_text(WORKSPACE)
    assert not _shown(root, APART).ways.refusal
    inquiry = await drafter_of(root).ask(_picture(root, APART), None, ASKED)
    assert inquiry.commit == git(root, "rev-parse", "main").strip()
    for plan in inquiry.ways.plans:
        assert FILE not in {change.source.file for change in plan.changes if change.source}
    shown = _shown(root, APART)
    with pytest.raises(DraftRejected, match=r"airlock-apart|not those of commit"):
        await drafter_of(root).draft(shown, shown.ways.numbered(1))


async def test_draft_when_the_change_is_merged_already_then_said_and_nothing_drafted(
    tmp_path: Path,
) -> None:
    root = _checkout(tmp_path / "repo", FILES)
    drafter = drafter_of(root)
    merged = (await _draft(root, drafter)).change.files[0].after or ""
    commit(root, {FILE: merged})
    shown = _shown(root)
    with pytest.raises(NothingDenied, match="already there: the policies at commit"):
        await drafter.draft(shown, shown.ways.numbered(1))


async def test_draft_when_made_then_its_commit_is_in_checks_body_and_proposal(
    tmp_path: Path,
) -> None:
    root = _checkout(tmp_path / "repo", FILES)
    drafter = drafter_of(root)
    head = git(root, "rev-parse", "main").strip()
    draft = await _draft(root, drafter)
    assert draft.proof.commit == draft.change.base == head
    assert f"| Holds for | commit `{head}` |" in draft.change.body
    assert all(f"(at {head[:10]})" in name for name, _ in draft.checks)
    assert (await drafter.submit(draft)).base == head
    sources = [one.file or "" for one in draft.proof.after.cluster.policies]
    assert all(file.startswith(str(root)) for file in sources)


async def test_submit_when_the_base_moved_then_made_and_proved_again_there(tmp_path: Path) -> None:
    root = _checkout(tmp_path / "repo", FILES)
    drafter = drafter_of(root)
    draft = await _draft(root, drafter)
    head = commit(root, {FILE: "# moved\n" + WORKSPACE})
    proposal = await drafter.submit(draft)
    assert proposal.base == head
    text = git(root, "show", f"{proposal.branch}:{FILE}")
    assert text.startswith("# moved\n")
    assert "5432" in text
    assert head in (await _draft(root, drafter)).change.body


async def test_submit_when_the_base_has_it_meanwhile_then_already_there(tmp_path: Path) -> None:
    root = _checkout(tmp_path / "repo", FILES)
    drafter = drafter_of(root)
    draft = await _draft(root, drafter)
    commit(root, {FILE: draft.change.files[0].after or ""})
    with pytest.raises(NothingDenied, match="already there"):
        await drafter.submit(draft)
    assert "k8tre-tui" not in git(root, "for-each-ref")


async def test_submit_when_the_base_is_wider_meanwhile_then_the_boundary_holds(
    tmp_path: Path,
) -> None:
    root = _checkout(tmp_path / "repo", FILES)
    drafter = drafter_of(root)
    inquiry = await drafter.ask(_picture(root, APART), None, ASKED)
    draft = await drafter.draft(inquiry, inquiry.ways.numbered(1))
    commit(root, {FILE: WIDE})
    with pytest.raises(DraftRejected):
        await drafter.submit(draft)
    assert "k8tre-tui" not in git(root, "for-each-ref")
