from dataclasses import replace
from pathlib import Path

import pytest

from app.bootstrap.drafts import placing
from app.core.diagnose.boundaries import Boundary, Must
from app.core.errors import DraftRejected, NotFound, SourceCause, SourceUnavailable
from app.core.model.asked import Asked
from app.ports import Proposal, ProposedChange
from app.services.ask import Inquiry, inquire, make_question, why
from app.services.drafting import Draft, Drafter, DraftRequest
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


def _ask(root: Path, asked: Asked = ASKED, **sets: str) -> Inquiry:
    return inquire(_picture(root, **sets), None, asked)


async def _draft(
    root: Path, repo: FakeRepo | None = None, *, fix: int = 1, request: DraftRequest | None = None
) -> Draft:
    inquiry = _ask(root)
    return await _drafter(root, repo).draft(inquiry, inquiry.ways.numbered(fix), request)


async def test_draft_when_denied_then_patch_of_the_right_file_and_effect(root: Path) -> None:
    draft = await _draft(root)
    (file,) = draft.change.files
    assert draft.files == ("lung/workspace.yaml",)
    assert file.after == WORKSPACE + ADDED
    assert draft.opens == "holds for every pod of lung/notebook and mirror/db"
    assert not draft.broadens
    assert all(holds for _, holds in draft.checks)
    assert draft.title == "netpol(lung): allow notebook → mirror/db:5432/TCP"
    assert draft.change.branch.startswith("k8tre-tui/netpol/lung-workspace-")


async def test_draft_when_asked_twice_then_the_same_branch_and_body(root: Path) -> None:
    one = await _draft(root)
    two = await _draft(root)
    assert one.change == two.change


async def test_draft_when_second_fix_then_new_file_and_its_line_in_the_kustomization(
    root: Path,
) -> None:
    draft = await _draft(root, fix=2)
    new, kustomization = draft.change.files
    assert new.path == "lung/netpol-allow-notebook-to-db-5432.yaml"
    assert new.before is None
    assert kustomization.after == (KUSTOMIZATION + "  - netpol-allow-notebook-to-db-5432.yaml\n")


async def test_draft_when_the_fix_does_not_exist_then_refused(root: Path) -> None:
    with pytest.raises(DraftRejected, match="2 ways to allow this"):
        await _draft(root, fix=9)


async def test_draft_when_reason_is_given_then_fenced_in_the_body(root: Path) -> None:
    request = DraftRequest("for @team\n```", "U12")
    draft = await _draft(root, request=request)
    assert "````\nfor @team\n```\n````" in draft.change.body
    assert "@\u200bteam" in draft.change.commit_message
    assert draft.change.commit_message.endswith("Requested-by: U12\n")


def test_ways_when_each_breaks_a_boundary_then_none_and_which(root: Path) -> None:
    apart = Boundary("projects-apart", ("lung/notebook-alice",), ("mirror/db-0",), Must.DENY)
    inquiry = inquire(replace(_picture(root), boundaries=(apart,)), None, ASKED)
    assert [fix.title for fix in inquiry.answer.fixes] == [
        "none offered: any rule that allows it breaks `projects-apart`"
    ]
    with pytest.raises(DraftRejected, match="`projects-apart`"):
        inquiry.ways.numbered(1)


async def test_draft_when_a_boundary_holds_then_that_is_a_check(root: Path) -> None:
    open_ = Boundary("mirror-open", ("ns:lung",), ("mirror/db-0",), Must.ALLOW)
    inquiry = inquire(replace(_picture(root), boundaries=(open_,)), None, ASKED)
    draft = await _drafter(root).draft(inquiry, inquiry.ways.numbered(1))
    assert ("no boundary is broken", True) in draft.checks


async def test_draft_when_name_ends_in_a_placeholders_value_then_written_with_it(
    tmp_path: Path,
) -> None:
    text = WORKSPACE.replace("pypi.org", "hub.${DOMAIN}")
    root = write(tmp_path, FILES | {"lung/workspace.yaml": text})
    repo = FakeRepo(FILES | {"lung/workspace.yaml": text})
    asked = make_question("lung/notebook-alice", "git.tre.example.org", "443")
    drafter = _drafter(root, repo, DOMAIN="tre.example.org")
    inquiry = _ask(root, asked, DOMAIN="tre.example.org")
    draft = await drafter.draft(inquiry, inquiry.ways.numbered(1))
    assert "+        - matchName: git.${DOMAIN}\n" in draft.diff


async def test_draft_when_file_and_cluster_differ_at_a_counted_rule_then_refused(
    root: Path,
) -> None:
    other = WORKSPACE.replace("    # packages", "    - toEntities:\n        - host\n    # packages")
    repo = FakeRepo(FILES | {"lung/workspace.yaml": other})
    asked = make_question("lung/notebook-alice", "cran.r-project.org", "443")
    inquiry = _ask(root, asked)
    with pytest.raises(DraftRejected, match="not in force as its file has it"):
        await _drafter(root, repo).draft(inquiry, inquiry.ways.numbered(1))


async def test_draft_when_file_is_not_in_the_repository_then_not_found(root: Path) -> None:
    with pytest.raises(NotFound):
        await _draft(root, FakeRepo())


async def test_draft_when_by_the_key_of_a_fix_then_what_its_patch_says(root: Path) -> None:
    drafter = _drafter(root)
    asked = make_question("lung/notebook-alice", "svc:mirror/mirror:80")
    inquiry = _ask(root, asked)
    fix = (await drafter.patched(inquiry)).fixes[0]
    draft = await drafter.draft(inquiry, inquiry.ways.keyed(fix.key))
    assert draft.diff == fix.patch
    assert draft.diff == (await drafter.draft(inquiry, inquiry.ways.numbered(1))).diff
    assert '+            - port: "8080"\n' in draft.diff


async def test_draft_when_a_request_was_refused_then_it_is_for_that_request(root: Path) -> None:
    files = {
        "lung/only-get.yaml": ONLY_GET,
        "lung/kustomization.yaml": f"{KUSTOMIZATION}  - only-get.yaml\n",
    }
    drafter = _drafter(write(root, files), FakeRepo(files))
    asked = make_question("mirror/mirror-1", "mirror/db-0", "5432", http="POST /up")
    inquiry = _ask(root, asked)
    again = _ask(root, inquiry.answer.asked)
    key = inquiry.answer.fixes[0].key
    draft = await drafter.draft(again, again.ways.keyed(key))
    assert "+              - method: POST" in draft.diff


async def test_keys_when_two_fixes_have_one_title_then_they_differ(root: Path) -> None:
    fixes = _ask(root).answer.fixes
    assert len({fix.key for fix in fixes}) == len(fixes) > 1


def test_key_when_policies_changed_since_then_refused(root: Path) -> None:
    key = _ask(root).answer.fixes[0].key
    (root / "lung/workspace.yaml").write_text(WORKSPACE.replace("name: workspace", "name: other"))
    with pytest.raises(DraftRejected, match="have changed since"):
        _ask(root).ways.keyed(key)


def test_ways_when_nothing_is_denied_then_no_fix_and_no_draft(root: Path) -> None:
    inquiry = _ask(root, make_question("mirror/mirror-1", "mirror/db-0", "5432"))
    assert inquiry.answer.fixes == ()
    with pytest.raises(DraftRejected, match="allow this already"):
        inquiry.ways.numbered(1)
    assert [fix.change for fix in _ask(root).answer.fixes] == ["add-rule", "new-policy"]


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
    await _drafter(root, repo).submit(await _draft(root, repo))
    assert repo.proposed[0].files[0].after == "# moved\n" + WORKSPACE + ADDED


async def test_submit_when_local_git_then_branch_and_verdict_changes_with_it(
    root: Path, tmp_path: Path
) -> None:
    git(root, "init", "--quiet", "--initial-branch=main")
    commit(root, FILES)
    drafter = _drafter(root, LocalGit(root, "main"))
    inquiry = _ask(root)
    draft = await drafter.draft(inquiry, inquiry.ways.numbered(1))
    proposal = await drafter.submit(draft)
    changed = git(root, "show", f"{proposal.branch}:lung/workspace.yaml")
    after = write(tmp_path / "after", FILES | {"lung/workspace.yaml": changed})
    assert why(_picture(after), None, ASKED).verdict == "allowed"
    assert why(_picture(root), None, ASKED).verdict == "denied"
    assert (await drafter.submit(draft)).existed
