"""What goes is taken out of its file, and out of the kustomization that lists the file."""

from pathlib import Path

import pytest

from app.core.drafts.wishes import removal
from app.core.errors import Ambiguous, DraftRejected, NotFound
from app.services.drafting import Draft, DraftRequest
from app.services.picture import Ingredients, make_picture
from app.services.risk import Level
from integrations.manifests.reader import load
from tests.core.drafts.cluster import KUSTOMIZATION, PODS, WORKSPACE, write
from tests.integrations.git_repository import commit, git
from tests.services.test_proof import drafter_of

FILES = {
    "kustomization.yaml": "resources: [pods.yaml, lung]\n",
    "lung/workspace.yaml": WORKSPACE,
    "lung/kustomization.yaml": KUSTOMIZATION,
}
PATCH = """\
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: workspace, namespace: lung}
spec: {egress: [{toEntities: [host]}]}
"""


async def _removed(root: Path, name: str, path: str = "", **files: str) -> Draft:
    placed = {**FILES, **{key.replace("__", "/") + ".yaml": text for key, text in files.items()}}
    write(root, placed)
    git(root, "init", "--quiet", "--initial-branch=main")
    commit(root, {**placed, "pods.yaml": PODS})
    picture = make_picture(Ingredients(load([str(root)]).manifests))
    drafter = drafter_of(root)
    draft = await drafter.make(picture, lambda at: removal(name, path, at.engine))
    accepted = DraftRequest("no longer needed", accept_risk=True)
    await drafter.submit(
        await drafter.make(picture, lambda at: removal(name, path, at.engine), accepted)
    )
    return draft


async def test_remove_when_a_rule_then_its_lines_and_comment(tmp_path: Path) -> None:
    draft = await _removed(tmp_path, "CNP:lung/workspace", "egress[1]")
    (file,) = draft.change.files
    start, end = WORKSPACE.index("    # the mirror"), WORKSPACE.index("    # packages")
    assert file.after == WORKSPACE[:start] + WORKSPACE[end:]
    assert draft.plan.closes == "closes lung/notebook → mirror/mirror:80/TCP"
    assert draft.opens == "opens nothing among the ends that are known"
    assert draft.risk.level is Level.LOW
    assert draft.title == "netpol(lung): remove egress[1] of workspace"


async def test_remove_when_a_policy_then_its_file_and_its_line(tmp_path: Path) -> None:
    draft = await _removed(tmp_path, "lung/workspace")
    gone, kustomization = draft.change.files
    assert (gone.path, gone.after) == ("lung/workspace.yaml", None)
    assert kustomization.after == KUSTOMIZATION.replace("\n  - workspace.yaml", " []")
    assert "it opens the outside on all ports" in draft.risk.reasons
    assert draft.broadens
    branch = draft.change.branch
    listed = git(tmp_path, "ls-tree", "-r", "--name-only", branch).split()
    assert "lung/workspace.yaml" not in listed


async def test_remove_when_the_file_holds_others_then_they_stay(tmp_path: Path) -> None:
    other = WORKSPACE.replace("name: workspace", "name: other")
    both = {"lung__workspace": f"{other}---\n{WORKSPACE}"}
    draft = await _removed(tmp_path, "workspace", **both)
    (file,) = draft.change.files
    assert file.after == other


async def test_remove_when_a_patch_writes_it_then_refused_with_its_place(tmp_path: Path) -> None:
    patched = KUSTOMIZATION + "patches: [{path: patch.yaml}]\n"
    files = {"lung__kustomization": patched, "lung__patch": PATCH}
    with pytest.raises(DraftRejected, match=r"is written by .*patch.yaml:4"):
        await _removed(tmp_path, "workspace", "egress[0]", **files)


async def test_remove_when_a_kustomization_still_patches_it_then_refused(tmp_path: Path) -> None:
    patched = KUSTOMIZATION + "patches: [{path: patch.yaml}]\n"
    files = {"lung__kustomization": patched, "lung__patch": PATCH}
    with pytest.raises(DraftRejected, match="with the edited files: "):
        await _removed(tmp_path, "workspace", **files)


def test_remove_when_there_is_no_such_policy_or_path_then_said(tmp_path: Path) -> None:
    root = write(tmp_path, {"lung/a.yaml": WORKSPACE})
    engine = make_picture(Ingredients(load([str(root)]).manifests)).engine
    with pytest.raises(NotFound, match="no policy `CCNP:workspace`"):
        removal("CCNP:workspace", "", engine)
    with pytest.raises(NotFound, match=r"has no `egress\[7\]`"):
        removal("workspace", "egress[7]", engine)
    with pytest.raises(DraftRejected, match="is the whole of what"):
        removal("workspace", "spec", engine)


def test_remove_when_two_policies_have_the_name_then_both_are_named(tmp_path: Path) -> None:
    other = WORKSPACE.replace("namespace: lung", "namespace: mirror", 1)
    root = write(tmp_path, {"lung/a.yaml": WORKSPACE, "lung/b.yaml": other})
    engine = make_picture(Ingredients(load([str(root)]).manifests)).engine
    with pytest.raises(Ambiguous) as caught:
        removal("workspace", "", engine)
    assert caught.value.choices == ("CNP:lung/workspace", "CNP:mirror/workspace")


def test_remove_when_nobody_is_selected_then_nothing_is_claimed(tmp_path: Path) -> None:
    empty = WORKSPACE.replace("app: notebook", "app: nobody")
    root = write(tmp_path, {"lung/a.yaml": empty})
    engine = make_picture(Ingredients(load([str(root)]).manifests)).engine
    plan = removal("workspace", "", engine)
    assert plan.opens == "what it opens is not known: workspace selects no pod that is known here"
