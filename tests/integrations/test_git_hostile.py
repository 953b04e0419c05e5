"""Checkouts that want to run something, or to move something: nothing runs, nothing moves."""

import asyncio
import os
import re
import stat
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from app.cli import main
from app.core.errors import DraftRejected, K8treError, SourceCause, SourceUnavailable
from app.ports import FileChange, ProposedChange
from integrations.git.command import borrowed
from integrations.git.local import LocalGit
from integrations.git.storage import open_storage
from tests.integrations.git_repository import POLICY, bare, commit, git

PATH = "apps/lung/web.yaml"
BRANCH = "k8tre-tui/netpol/lung-web-0123456789"
CHANGE = ProposedChange(
    branch=BRANCH,
    title="netpol(lung): allow the host",
    body="body",
    commit_message="netpol(lung): allow the host\n\nK8tre-Tui-Change: 0123\n",
    files=(FileChange(PATH, POLICY, POLICY + "        - host\n"),),
)
MARK = "it-ran"


def _program(folder: Path) -> Path:
    """A program that leaves a mark beside the repository."""
    program = folder.parent / "evil"
    program.write_text(f"#!/bin/sh\ntouch '{folder.parent / MARK}'\nsleep 60\n")
    program.chmod(0o755)
    return program


def _config(folder: Path, **values: str) -> None:
    for key, value in values.items():
        git(folder, "config", key.replace("__", "."), value)


def signed_commit(folder: Path, program: Path) -> None:
    """`log` asks `gpg.program` about the signed commit that the branch is at."""
    parent = git(folder, "rev-parse", "main").strip()
    tree = git(folder, "rev-parse", "main^{tree}").strip()
    who = "op <op@example.org> 1700000000 +0000"
    text = f"tree {tree}\nparent {parent}\nauthor {who}\ncommitter {who}\n"
    text += "gpgsig -----BEGIN PGP SIGNATURE-----\n \n wsB=\n -----END PGP SIGNATURE-----\n"
    text += "\nnetpol\n\nK8tre-Tui-Change: 0123\n"
    made = git(folder, "hash-object", "-w", "-t", "commit", "--stdin", stdin=text).strip()
    git(folder, "update-ref", f"refs/heads/{BRANCH}", made)
    git(folder, "config", "log.showSignature", "true")
    git(folder, "config", "gpg.program", str(program))


def promisor(folder: Path, program: Path) -> None:
    """A missing object is fetched from a promisor remote by a program of its choice."""
    git(folder, "config", "core.repositoryformatversion", "1")
    git(folder, "config", "extensions.partialClone", "origin")
    git(folder, "config", "remote.origin.promisor", "true")
    git(folder, "config", "remote.origin.url", str(folder))
    git(folder, "config", "remote.origin.uploadpack", str(program))
    blob = git(folder, "rev-parse", f"main:{PATH}").strip()
    loose = folder / "objects" / blob[:2] / blob[2:]
    loose.unlink()


def hooks(folder: Path, program: Path) -> None:
    """Hooks of every name that plumbing knows."""
    for name in ("reference-transaction", "post-index-change", "post-checkout", "pre-auto-gc"):
        hook = folder / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.symlink_to(program)


def monitor(folder: Path, program: Path) -> None:
    """A file system monitor, a pager, an editor, an ssh command, a credential helper."""
    for key in ("core.fsmonitor", "core.pager", "core.editor", "core.sshCommand"):
        git(folder, "config", key, str(program))
    git(folder, "config", "credential.helper", f"!{program}")
    git(folder, "config", "pager.log", str(program))


def filters(folder: Path, program: Path) -> None:
    """Filters and text conversion, by attributes of the repository."""
    (folder / "info").mkdir(exist_ok=True)
    (folder / "info" / "attributes").write_text("* filter=evil diff=evil\n")
    for key in ("filter.evil.clean", "filter.evil.smudge", "filter.evil.process"):
        git(folder, "config", key, str(program))
    git(folder, "config", "diff.evil.textconv", str(program))


def aliases(folder: Path, program: Path) -> None:
    """Aliases for what is run, and a file of settings included from elsewhere."""
    other = folder / "more"
    other.write_text(f"[log]\n\tshowSignature = true\n[gpg]\n\tprogram = {program}\n")
    git(folder, "config", "include.path", str(other))
    for word in ("log", "ls-tree", "cat-file"):
        git(folder, "config", f"alias.{word}", f"!{program}")


@pytest.mark.parametrize("trap", [signed_commit, promisor, hooks, monitor, filters, aliases])
async def test_propose_when_the_repository_names_programs_then_none_runs(
    trap: Callable[[Path, Path], None], tmp_path: Path
) -> None:
    folder = bare(tmp_path / "repo.git", {PATH: POLICY, "apps/other.yaml": "a: 1\n"})
    trap(folder, _program(folder))
    before = git(folder, "rev-parse", "main")
    repo = LocalGit(folder)
    try:
        async with asyncio.timeout(20):
            await repo.export(await repo.base(), tmp_path / "out")
            await repo.propose(CHANGE)
    except SourceUnavailable:
        assert trap is promisor  # what is missing stays missing
    assert not (tmp_path / MARK).exists()
    assert git(folder, "rev-parse", "main") == before


async def test_propose_when_the_branch_is_a_symref_then_refused_and_main_stays(
    tmp_path: Path,
) -> None:
    folder = bare(tmp_path / "repo.git", {PATH: POLICY})
    git(folder, "symbolic-ref", f"refs/heads/{BRANCH}", "refs/heads/main")
    before = git(folder, "rev-parse", "main")
    with pytest.raises(DraftRejected, match="stands for another ref"):
        await LocalGit(folder).propose(CHANGE)
    assert git(folder, "rev-parse", "main") == before


@pytest.mark.parametrize("link", ["refs", "refs/heads", f"refs/heads/{BRANCH}"])
async def test_propose_when_refs_are_links_then_nothing_is_written_through_them(
    link: str, tmp_path: Path
) -> None:
    folder = bare(tmp_path / "repo.git", {PATH: POLICY})
    other = bare(tmp_path / "other.git", {PATH: POLICY})
    before = git(other, "for-each-ref")
    inner = folder / link
    if inner.is_dir():
        inner.rename(tmp_path / "aside")
    inner.parent.mkdir(parents=True, exist_ok=True)
    target = other / link if (other / link).exists() else other / "refs/heads/main"
    inner.symlink_to(target)
    with pytest.raises(K8treError):
        await LocalGit(folder).propose(CHANGE)
    assert git(other, "for-each-ref") == before


@pytest.mark.parametrize("name", ["HEAD", "config", "packed-refs", "shallow", "commondir"])
async def test_base_when_a_file_of_the_repository_is_a_pipe_then_an_answer_at_once(
    name: str, tmp_path: Path
) -> None:
    folder = bare(tmp_path / "repo.git", {PATH: POLICY})
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    async with asyncio.timeout(10):
        if name == "HEAD":
            with pytest.raises(SourceUnavailable, match="no commit `HEAD`"):
                await LocalGit(folder).base()
        else:
            assert await LocalGit(folder).base()


async def test_open_when_dot_git_names_a_repository_that_does_not_know_it_then_refused(
    tmp_path: Path,
) -> None:
    victim = bare(tmp_path / "victim.git", {PATH: POLICY})
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    (checkout / ".git").write_text(f"gitdir: {victim}\n")
    with pytest.raises(SourceUnavailable, match="does not say that it is this work tree's"):
        await LocalGit(checkout).propose(CHANGE)
    (checkout / ".git").unlink()
    (checkout / ".git").symlink_to(victim)
    with pytest.raises(SourceUnavailable, match="is a link"):
        await LocalGit(checkout).propose(CHANGE)
    assert BRANCH not in git(victim, "for-each-ref")


async def test_propose_when_a_work_tree_of_its_own_then_the_common_repository_has_the_branch(
    tmp_path: Path,
) -> None:
    folder = bare(tmp_path / "repo.git", {PATH: POLICY})
    git(folder, "worktree", "add", "--quiet", "-b", "mine", str(tmp_path / "tree"), "main")
    proposal = await LocalGit(tmp_path / "tree").propose(CHANGE)
    assert git(folder, "rev-parse", f"{proposal.branch}^") == git(folder, "rev-parse", "mine")


async def test_propose_when_objects_are_named_by_sha256_then_as_with_sha1(tmp_path: Path) -> None:
    folder = tmp_path / "repo.git"
    folder.mkdir()
    git(folder, "init", "--quiet", "--bare", "--initial-branch=main", "--object-format=sha256")
    commit(folder, {PATH: POLICY})
    proposal = await LocalGit(folder).propose(CHANGE)
    assert "- host" in git(folder, "show", f"{proposal.branch}:{PATH}")
    assert git(folder, "fsck", "--strict") == ""


async def test_propose_when_refs_are_packed_and_history_shallow_then_as_ever(
    tmp_path: Path,
) -> None:
    origin = bare(tmp_path / "origin.git", {PATH: POLICY})
    commit(origin, {"apps/other.yaml": "a: 2\n"})
    git(tmp_path, "clone", "--quiet", "--bare", "--depth=1", f"file://{origin}", "clone.git")
    clone = tmp_path / "clone.git"
    await LocalGit(clone).propose(CHANGE)
    git(clone, "pack-refs", "--all")
    assert (await LocalGit(clone).propose(CHANGE)).existed
    more = replace(CHANGE, files=(FileChange(PATH, POLICY, POLICY + "# more\n"),))
    assert (await LocalGit(clone).propose(more)).existed
    assert git(clone, "show", f"{BRANCH}:{PATH}").endswith("# more\n")


async def test_move_when_somebody_else_was_faster_then_conflict(tmp_path: Path) -> None:
    folder = bare(tmp_path / "repo.git", {PATH: POLICY})
    head = git(folder, "rev-parse", "main").strip()
    with pytest.raises(SourceUnavailable) as caught:
        open_storage(folder).move("main", head, "0" * 40)
    assert caught.value.cause is SourceCause.CONFLICT
    assert not list(folder.rglob("*.lock"))


async def test_run_when_git_takes_too_long_then_it_and_its_children_end(tmp_path: Path) -> None:
    folder = bare(tmp_path / "repo.git", {PATH: POLICY})
    pids = tmp_path / "pids"
    async with borrowed(open_storage(folder), limit_s=1.0) as lent:
        script = f"!sleep 60 & echo $! >> {pids}; echo $$ >> {pids}; wait"
        with pytest.raises(SourceUnavailable, match="longer than 1 s"):
            await lent.run("-c", f"alias.hang={script}", "hang")
    await asyncio.sleep(0.1)
    for pid in pids.read_text().split():
        state = subprocess.run(["ps", "-o", "stat=", "-p", pid], capture_output=True, check=False)
        assert state.stdout.strip() in (b"", b"Z"), state.stdout


async def test_export_when_names_and_links_lead_out_then_left_out(tmp_path: Path) -> None:
    folder = bare(tmp_path / "repo.git", {PATH: POLICY})
    index = folder / "i"
    link = git(folder, "hash-object", "-w", "--stdin", stdin="/etc/passwd").strip()
    inner = git(folder, "hash-object", "-w", "--stdin", stdin="web.yaml").strip()
    blob = git(folder, "rev-parse", f"main:{PATH}").strip()
    env = {**os.environ, "GIT_INDEX_FILE": str(index)}
    for mode, name, path in (
        ("120000", link, "apps/lung/out.yaml"),
        ("120000", inner, "apps/lung/same.yaml"),
        ("100755", blob, "apps/lung/run.yaml"),
        ("100644", blob, PATH),
    ):
        entry = ["git", "update-index", "--add", "--cacheinfo", f"{mode},{name},{path}"]
        subprocess.run(entry, cwd=folder, env=env, check=True)
    tree = subprocess.run(
        ["git", "write-tree"], cwd=folder, env=env, check=True, capture_output=True
    ).stdout.decode()
    sha = git(folder, "commit-tree", tree.strip(), "-m", "m").strip()
    await LocalGit(folder).export(sha, tmp_path / "out")
    lung = tmp_path / "out" / "apps" / "lung"
    assert sorted(one.name for one in lung.iterdir()) == ["run.yaml", "same.yaml", "web.yaml"]
    assert (lung / "same.yaml").read_text() == POLICY
    assert stat.S_ISREG((lung / "run.yaml").lstat().st_mode)


# The whole program over a hostile checkout


def attributes(folder: Path, program: Path) -> None:
    """Filters and text conversion that the tree itself asks for, and merge drivers."""
    filters(folder / ".git", program)
    (folder / ".gitattributes").write_text("* filter=evil diff=evil merge=evil\n")
    git(folder, "config", "merge.evil.driver", f"{program} %A")


def pipes(folder: Path, program: Path) -> None:
    """A pipe and a device among the files, and a folder that is a link to everything."""
    del program
    os.mkfifo(folder / "apps" / "pipe.yaml")
    (folder / "apps" / "zero.yaml").symlink_to("/dev/zero")
    (folder / "apps" / "root").symlink_to("/")


def symref(folder: Path, program: Path) -> None:
    """The predictable branch stands for `main`."""
    del program
    branch = _predictable(folder)
    git(folder, "symbolic-ref", f"refs/heads/{branch}", "refs/heads/main")


def signed_branch(folder: Path, program: Path) -> None:
    """`log` would ask `gpg.program` about the signed commit on the predictable branch."""
    signed_commit(folder, program)
    made = git(folder, "rev-parse", f"refs/heads/{BRANCH}").strip()
    git(folder, "update-ref", f"refs/heads/{_predictable(folder)}", made)


def _predictable(folder: Path) -> str:
    """The branch of the draft, as an attacker finds it out: by drafting in a clone."""
    clone = folder.parent / "clone"
    subprocess.run(["git", "clone", "--quiet", str(folder), str(clone)], check=True)
    main([*QUESTION, "--snapshot", str(clone)])
    (branch,) = re.findall(r"k8tre-tui/netpol/\S+", git(clone, "branch", "--list"))
    return str(branch)


def _on_git_folder(trap: Callable[[Path, Path], None]) -> Callable[[Path, Path], None]:
    def set_in(folder: Path, program: Path) -> None:
        trap(folder / ".git", program)

    return set_in


QUESTION = ("draft", "label:lung/app=web", "ip:203.0.113.9", "443/TCP")
TRAPS = {
    "hooks": _on_git_folder(hooks),
    "monitor": _on_git_folder(monitor),
    "aliases": _on_git_folder(aliases),
    "attributes": attributes,
    "pipes": pipes,
    "symref": symref,
    "signed": signed_branch,
    "promisor": _on_git_folder(promisor),
}


@pytest.mark.parametrize("trap", TRAPS)
def test_draft_when_a_checkout_is_hostile_then_nothing_runs_and_nothing_moves(
    trap: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    folder = tmp_path / "checkout"
    (folder / "apps" / "lung").mkdir(parents=True)
    git(folder, "init", "--quiet", "--initial-branch=main")
    (folder / PATH).write_text(POLICY)
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "m")
    TRAPS[trap](folder, _program(folder))
    before = git(folder, "rev-parse", "main")
    capsys.readouterr()
    where = ("--snapshot", str(folder))
    patch = ("-o", str(tmp_path / "a.patch"))
    codes = [
        main([*QUESTION, *where, "--dry-run"]),
        main([*QUESTION, *where, *patch]),
        main([*QUESTION, *where]),
        main(["drafts", "--due", *where]),
    ]
    said = capsys.readouterr()
    assert 70 not in codes, said.err
    if trap not in ("symref", "signed", "promisor"):
        assert codes == [0, 0, 0, 0], said.err
    assert not (tmp_path / MARK).exists()
    assert git(folder, "rev-parse", "main") == before
    if trap == "pipes":
        assert "pipe.yaml" in said.err
    if trap == "symref":
        assert "stands for another ref" in said.err
