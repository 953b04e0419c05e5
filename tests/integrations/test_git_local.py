from dataclasses import replace
from pathlib import Path

import pytest

from app.core.drafts.diff import unified_diff
from app.core.errors import DraftRejected, NotFound, SourceUnavailable
from app.ports import FileChange, ProposedChange
from integrations.git.local import LocalGit
from integrations.git.patch_only import PatchOnly
from tests.integrations.git_repository import POLICY, bare, commit, git

PATH = "apps/lung/web.yaml"
BRANCH = "k8tre-tui/netpol/lung-web-0123456789"
EDITED = POLICY + "        - host\n"
CHANGE = ProposedChange(
    branch=BRANCH,
    title="netpol(lung): allow the host",
    body="body",
    commit_message="netpol(lung): allow the host\n\nK8tre-Tui-Change: 0123\n",
    files=(FileChange(PATH, POLICY, EDITED),),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return bare(tmp_path / "repo.git", {PATH: POLICY, "apps/lung/other.yaml": "a: 1\n"})


async def test_propose_when_new_then_branch_with_one_commit_and_only_that_file(
    folder: Path,
) -> None:
    proposal = await LocalGit(folder).propose(CHANGE)
    assert (proposal.branch, proposal.existed) == (BRANCH, False)
    assert git(folder, "rev-list", "--count", f"main..{BRANCH}").strip() == "1"
    diff = git(folder, "diff", "--no-color", "main", BRANCH)
    assert diff.splitlines()[5:] == unified_diff(PATH, POLICY, EDITED).splitlines()[4:]
    assert "K8tre-Tui-Change: 0123" in git(folder, "log", "-1", "--format=%B", BRANCH)


async def test_propose_when_asked_twice_then_the_same_commit(folder: Path) -> None:
    await LocalGit(folder).propose(CHANGE)
    first = git(folder, "rev-parse", BRANCH)
    assert (await LocalGit(folder).propose(CHANGE)).existed
    assert git(folder, "rev-parse", BRANCH) == first


async def test_propose_when_base_moved_then_rebuilt_on_the_new_base(folder: Path) -> None:
    await LocalGit(folder).propose(CHANGE)
    base = commit(folder, {"apps/lung/other.yaml": "a: 2\n"})
    assert (await LocalGit(folder).propose(CHANGE)).existed
    assert git(folder, "rev-parse", f"{BRANCH}^").strip() == base


async def test_propose_when_somebody_committed_to_the_branch_then_refused(folder: Path) -> None:
    await LocalGit(folder).propose(CHANGE)
    theirs = commit(folder, {"apps/lung/other.yaml": "a: 3\n"}, BRANCH, "by hand")
    with pytest.raises(DraftRejected, match="commits of others"):
        await LocalGit(folder).propose(CHANGE)
    assert git(folder, "rev-parse", BRANCH).strip() == theirs


async def test_propose_when_file_changed_since_then_conflict(folder: Path) -> None:
    commit(folder, {PATH: POLICY + "# moved\n"})
    with pytest.raises(SourceUnavailable, match="not what the draft was made from"):
        await LocalGit(folder).propose(CHANGE)


async def test_propose_when_the_change_is_there_already_then_refused(folder: Path) -> None:
    same = replace(CHANGE, files=(FileChange(PATH, POLICY, POLICY),))
    with pytest.raises(DraftRejected, match="on `HEAD` already"):
        await LocalGit(folder).propose(same)


async def test_propose_when_new_file_then_added(folder: Path) -> None:
    change = replace(CHANGE, files=(FileChange("apps/new/a.yaml", None, "a: 1\n"),))
    await LocalGit(folder, "main").propose(change)
    assert git(folder, "show", f"{BRANCH}:apps/new/a.yaml") == "a: 1\n"


async def test_propose_when_a_file_goes_then_only_that_one(folder: Path) -> None:
    change = replace(CHANGE, files=(FileChange(PATH, POLICY, None),))
    await LocalGit(folder, "main").propose(change)
    names = git(folder, "ls-tree", "-r", "--name-only", BRANCH).split()
    assert names == ["apps/lung/other.yaml"]
    assert (await LocalGit(folder, "main").propose(change)).existed


async def test_propose_when_the_file_that_goes_is_another_than_it_was_then_conflict(
    folder: Path,
) -> None:
    change = replace(CHANGE, files=(FileChange(PATH, POLICY + "# theirs\n", None),))
    with pytest.raises(SourceUnavailable, match="not what the draft was made from"):
        await LocalGit(folder, "main").propose(change)


async def test_propose_when_work_tree_is_dirty_then_untouched(tmp_path: Path) -> None:
    work = tmp_path / "work"
    git(tmp_path, "clone", "--quiet", str(bare(tmp_path / "o.git", {PATH: POLICY})), "work")
    (work / PATH).write_text("dirty\n")
    await LocalGit(work).propose(CHANGE)
    assert (work / PATH).read_text() == "dirty\n"
    assert git(work, "diff", "--cached", "--name-only") == ""
    assert git(work, "show", f"{BRANCH}:{PATH}") == EDITED


async def test_propose_when_branch_is_checked_out_then_refused(tmp_path: Path) -> None:
    work = tmp_path / "work"
    git(tmp_path, "clone", "--quiet", str(bare(tmp_path / "o.git", {PATH: POLICY})), "work")
    await LocalGit(work, "main").propose(CHANGE)
    git(work, "checkout", "--quiet", BRANCH)
    other = replace(CHANGE, files=(FileChange(PATH, POLICY, EDITED + "# more\n"),))
    with pytest.raises(DraftRejected, match="is checked out"):
        await LocalGit(work, "main").propose(other)


async def test_propose_when_hooks_are_set_then_they_do_not_run(folder: Path) -> None:
    hook = folder / "hooks" / "reference-transaction"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\ntouch ran\nexit 1\n")
    hook.chmod(0o755)
    await LocalGit(folder).propose(CHANGE)
    assert not (folder / "ran").exists()


@pytest.mark.parametrize(
    "branch", ["-x", "a..b", "a b", "a.lock", "a/", "@{u}", "a~1", "a" * 101, ""]
)
async def test_propose_when_branch_name_is_bad_then_refused(folder: Path, branch: str) -> None:
    with pytest.raises(DraftRejected, match="not a branch name"):
        await LocalGit(folder).propose(replace(CHANGE, branch=branch))


@pytest.mark.parametrize(
    "path",
    [
        ".github/workflows/a.yaml",
        "../a.yaml",
        "/etc/a.yaml",
        "a/../b.yaml",
        "a//b.yaml",
        "a.txt",
        "-a.yaml",
        "a\nb.yaml",
        "x" * 500 + ".yaml",
    ],
)
async def test_propose_when_path_is_not_for_drafts_then_refused(folder: Path, path: str) -> None:
    change = replace(CHANGE, files=(FileChange(path, None, "a: 1\n"),))
    with pytest.raises(DraftRejected):
        await LocalGit(folder).propose(change)


async def test_propose_when_path_is_a_link_then_refused(folder: Path) -> None:
    blob = git(folder, "hash-object", "-w", "--stdin", stdin="/etc/passwd").strip()
    git(folder, "update-index", "--add", "--cacheinfo", f"120000,{blob},apps/l.yaml")
    tree = git(folder, "write-tree").strip()
    sha = git(folder, "commit-tree", tree, "-m", "link").strip()
    git(folder, "update-ref", "refs/heads/main", sha)
    change = replace(CHANGE, files=(FileChange("apps/l.yaml", None, "a: 1\n"),))
    with pytest.raises(DraftRejected, match="leads out of the repository"):
        await LocalGit(folder).propose(change)
    with pytest.raises(DraftRejected, match="leads out of the repository"):
        await LocalGit(folder).read_file("apps/l.yaml")


async def test_read_file_when_committed_then_its_text(folder: Path) -> None:
    assert await LocalGit(folder).read_file(PATH) == POLICY
    assert LocalGit(folder).name == str(folder)


async def test_read_file_when_absent_then_not_found(folder: Path) -> None:
    with pytest.raises(NotFound):
        await LocalGit(folder).read_file("apps/none.yaml")


async def test_read_file_when_not_utf8_then_bad_input(tmp_path: Path) -> None:
    folder = bare(tmp_path / "r.git", {"a.yaml": "x"})
    (tmp_path / "raw").write_bytes(b"\xff\xfe")
    blob = git(folder, "hash-object", "-w", str(tmp_path / "raw")).strip()
    git(folder, "update-index", "--add", "--cacheinfo", f"100644,{blob},a.yaml")
    sha = git(folder, "commit-tree", git(folder, "write-tree").strip(), "-m", "m").strip()
    git(folder, "update-ref", "refs/heads/main", sha)
    with pytest.raises(DraftRejected, match="not UTF-8"):
        await LocalGit(folder).read_file("a.yaml")


async def test_local_when_base_is_missing_then_says_which(folder: Path) -> None:
    with pytest.raises(SourceUnavailable, match="no commit `release`"):
        await LocalGit(folder, "release").read_file(PATH)


async def test_local_when_no_repository_then_unavailable(tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable):
        await LocalGit(tmp_path).read_file(PATH)


async def test_patch_only_when_reading_then_files_and_no_links_out(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.yaml").write_bytes(b"a: 1\r\n")
    (tmp_path / "out.yaml").write_text("b: 1\n")
    (tmp_path / "in" / "l.yaml").symlink_to(tmp_path / "out.yaml")
    repo = PatchOnly(tmp_path / "in")
    assert await repo.read_file("a.yaml") == "a: 1\r\n"
    for path in ("l.yaml", "none.yaml"):
        with pytest.raises(NotFound):
            await repo.read_file(path)
    with pytest.raises(DraftRejected, match="no git repository"):
        await repo.propose(CHANGE)
