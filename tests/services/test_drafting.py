from collections.abc import Sequence
from pathlib import Path

import pytest

from app.bootstrap.drafts import placing
from app.core.errors import DraftRejected, NotFound, SourceCause, SourceUnavailable
from app.core.policy.engine import Engine
from app.ports import Proposal, ProposedChange
from app.services.ask import make_question, why
from app.services.drafting import Drafter, DraftRequest, offer
from app.services.picture import Ingredients, Picture, make_picture
from app.testing.repo import FakeRepo
from integrations.git.local import LocalGit
from integrations.manifests.reader import load
from tests.core.drafts.cluster import KUSTOMIZATION, WORKSPACE, write
from tests.integrations.git_repository import commit, git

ASKED = make_question("lung/notebook-alice", "mirror/db-0", "5432")
ADDED = """\
    - toEndpoints:
        - matchLabels:
            app: db
            k8s:io.kubernetes.pod.namespace: mirror
      toPorts:
        - ports:
            - port: "5432"
              protocol: TCP
"""
ONLY_GET = """\
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata:
  name: only-get
  namespace: mirror
spec:
  endpointSelector: {matchLabels: {app: db}}
  ingress:
    - toPorts:
        - ports:
            - port: "5432"
              protocol: TCP
          rules:
            http:
              - method: GET
"""
FILES = {"lung/workspace.yaml": WORKSPACE, "lung/kustomization.yaml": KUSTOMIZATION}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write(tmp_path / "repo", FILES)


def _picture(root: Path, **sets: str) -> Picture:
    return make_picture(Ingredients(load([str(root)], sets).manifests))


def _drafter(root: Path, repo: FakeRepo | LocalGit | None = None, **sets: str) -> Drafter:
    return Drafter(repo or FakeRepo(dict(FILES)), placing(root.resolve()), sets=sets)


async def test_draft_when_denied_then_patch_of_the_right_file_and_effect(root: Path) -> None:
    draft = await _drafter(root).draft(_picture(root), ASKED)
    (file,) = draft.change.files
    assert draft.files == ("lung/workspace.yaml",)
    assert file.after == WORKSPACE + ADDED
    assert draft.opens == "holds for every pod of lung/notebook and mirror/db"
    assert not draft.broadens
    assert all(holds for _, holds in draft.checks)
    assert draft.title == "netpol(lung): allow notebook → mirror/db:5432/TCP"
    assert draft.change.branch.startswith("k8tre-tui/netpol/lung-workspace-")


async def test_draft_when_asked_twice_then_the_same_branch_and_body(root: Path) -> None:
    one = await _drafter(root).draft(_picture(root), ASKED)
    two = await _drafter(root).draft(_picture(root), ASKED)
    assert one.change == two.change


async def test_draft_when_second_fix_then_new_file_and_its_line_in_the_kustomization(
    root: Path,
) -> None:
    draft = await _drafter(root).draft(_picture(root), ASKED, fix=2)
    new, kustomization = draft.change.files
    assert new.path == "lung/netpol-allow-notebook-to-db-5432.yaml"
    assert new.before is None
    assert kustomization.after == (KUSTOMIZATION + "  - netpol-allow-notebook-to-db-5432.yaml\n")


async def test_draft_when_the_fix_does_not_exist_then_refused(root: Path) -> None:
    with pytest.raises(DraftRejected, match="2 ways to allow this"):
        await _drafter(root).draft(_picture(root), ASKED, fix=9)


async def test_draft_when_reason_is_given_then_fenced_in_the_body(root: Path) -> None:
    request = DraftRequest("for @team\n```", "U12")
    draft = await _drafter(root).draft(_picture(root), ASKED, request=request)
    assert "````\nfor @team\n```\n````" in draft.change.body
    assert "@\u200bteam" in draft.change.commit_message
    assert draft.change.commit_message.endswith("Requested-by: U12\n")


async def test_draft_when_a_boundary_breaks_then_refused_and_offered_without_patch(
    root: Path,
) -> None:
    def apart(before: Engine, after: Engine) -> Sequence[str]:
        assert before is not after
        return ["projects-apart"]

    drafter = Drafter(FakeRepo(dict(FILES)), placing(root.resolve()), boundaries=apart)
    with pytest.raises(DraftRejected, match="`projects-apart`"):
        await drafter.draft(_picture(root), ASKED)
    assert {fix.patch for fix in await drafter.fixes(_picture(root), ASKED)} == {None}


async def test_draft_when_name_ends_in_a_placeholders_value_then_written_with_it(
    tmp_path: Path,
) -> None:
    text = WORKSPACE.replace("pypi.org", "hub.${DOMAIN}")
    root = write(tmp_path, FILES | {"lung/workspace.yaml": text})
    repo = FakeRepo(FILES | {"lung/workspace.yaml": text})
    asked = make_question("lung/notebook-alice", "git.tre.example.org", "443")
    drafter = _drafter(root, repo, DOMAIN="tre.example.org")
    draft = await drafter.draft(_picture(root, DOMAIN="tre.example.org"), asked)
    assert "+        - matchName: git.${DOMAIN}\n" in draft.diff


async def test_draft_when_file_and_cluster_differ_at_a_counted_rule_then_refused(
    root: Path,
) -> None:
    other = WORKSPACE.replace("    # packages", "    - toEntities:\n        - host\n    # packages")
    repo = FakeRepo(FILES | {"lung/workspace.yaml": other})
    asked = make_question("lung/notebook-alice", "cran.r-project.org", "443")
    with pytest.raises(DraftRejected, match="not in force as its file has it"):
        await _drafter(root, repo).draft(_picture(root), asked)


async def test_draft_when_file_is_not_in_the_repository_then_not_found(root: Path) -> None:
    with pytest.raises(NotFound):
        await _drafter(root, FakeRepo()).draft(_picture(root), ASKED)


async def test_prepare_when_fix_of_an_answer_then_the_same_draft(root: Path) -> None:
    picture, drafter = _picture(root), _drafter(root)
    asked = make_question("lung/notebook-alice", "svc:mirror/mirror:80")
    answer = why(picture, None, asked)
    fix = (await drafter.fixes(picture, asked))[0]
    draft = await drafter.prepare(picture, answer, fix)
    assert draft.diff == fix.patch
    assert draft.diff == (await drafter.draft(picture, asked)).diff
    assert '+            - port: "8080"\n' in draft.diff


async def test_prepare_when_a_request_was_refused_then_the_draft_is_for_that_request(
    root: Path,
) -> None:
    files = {
        "lung/only-get.yaml": ONLY_GET,
        "lung/kustomization.yaml": f"{KUSTOMIZATION}  - only-get.yaml\n",
    }
    picture, drafter = _picture(write(root, files)), _drafter(root, FakeRepo(files))
    asked = make_question("mirror/mirror-1", "mirror/db-0", "5432", http="POST /up")
    answer = why(picture, None, asked)
    fix = (await drafter.fixes(picture, asked))[0]
    draft = await drafter.prepare(picture, answer, fix)
    assert draft.diff == fix.patch
    assert "+              - method: POST" in draft.diff


async def test_prepare_when_policies_changed_since_then_refused(root: Path) -> None:
    picture, drafter = _picture(root), _drafter(root)
    answer = why(picture, None, ASKED)
    fix = (await drafter.fixes(picture, ASKED))[0]
    (root / "lung/workspace.yaml").write_text(WORKSPACE.replace("name: workspace", "name: other"))
    with pytest.raises(DraftRejected, match="have changed since"):
        await drafter.prepare(_picture(root), answer, fix)


def test_offer_when_nothing_is_denied_then_nothing(root: Path) -> None:
    asked = make_question("mirror/mirror-1", "mirror/db-0", "5432")
    assert offer(_picture(root), asked) == ()
    assert [fix.change for fix in offer(_picture(root), ASKED)] == ["add-rule", "new-policy"]


class MovingRepo(FakeRepo):
    """Somebody else commits to the file just before the first proposal."""

    async def propose(self, change: ProposedChange) -> Proposal:
        present = self.files["lung/workspace.yaml"]
        if change.files[0].before != present or not present.startswith("# moved"):
            self.files["lung/workspace.yaml"] = "# moved\n" + WORKSPACE
            raise SourceUnavailable("moved", cause=SourceCause.CONFLICT)
        return await FakeRepo.propose(self, change)


async def test_submit_when_the_file_moved_then_spliced_again(root: Path) -> None:
    repo = MovingRepo(dict(FILES))
    drafter = _drafter(root, repo)
    await drafter.submit(await drafter.draft(_picture(root), ASKED))
    assert repo.proposed[0].files[0].after == "# moved\n" + WORKSPACE + ADDED


async def test_submit_when_local_git_then_branch_and_verdict_changes_with_it(
    root: Path, tmp_path: Path
) -> None:
    git(root, "init", "--quiet", "--initial-branch=main")
    commit(root, FILES)
    drafter = _drafter(root, LocalGit(root, "main"))
    proposal = await drafter.submit(await drafter.draft(_picture(root), ASKED))
    changed = git(root, "show", f"{proposal.branch}:lung/workspace.yaml")
    after = write(tmp_path / "after", FILES | {"lung/workspace.yaml": changed})
    assert why(_picture(after), None, ASKED).verdict == "allowed"
    assert why(_picture(root), None, ASKED).verdict == "denied"
    assert (await drafter.submit(await drafter.draft(_picture(root), ASKED))).existed
