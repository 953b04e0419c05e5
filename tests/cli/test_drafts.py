"""A draft's whole life on a real repository: drafted, saved, merged, asked again, taken back."""

import asyncio
import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.testing.github_server import GitHubServer
from tests.cli.conftest import Ran, Run
from tests.cli.test_commands import DENIED, POLICY, WORKLOADS, git
from tests.testing.github_description import objections

EARLY = (datetime.now(UTC) - timedelta(days=30)).date().isoformat()


@pytest.fixture(name="checkout", params=["lf", "crlf"])
def _checkout(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    folder = tmp_path / "gitops"
    folder.mkdir()
    ends = "\r\n" if request.param == "crlf" else "\n"
    (folder / "policy.yaml").write_text(POLICY, newline=ends)
    (folder / "workloads.yaml").write_text(WORKLOADS)
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "config", "core.autocrlf", "false")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "start")
    return folder


def of(run: Run, checkout: Path, *words: str) -> Ran:
    return run(words, "--snapshot", str(checkout), "--set", "DOMAIN=tre.example.org")


def merge(checkout: Path, branch: str) -> None:
    git(checkout, "merge", "--quiet", "--no-ff", "-m", "merge", branch)


def branch_of(ran: Ran) -> str:
    assert ran.code == 0, ran.err
    return ran.out.rpartition("Branch     ")[2].split()[0]


def test_draft_when_saved_as_a_patch_then_git_am_applies_it_with_all_it_says(
    run: Run, checkout: Path, tmp_path: Path
) -> None:
    hostile = "for @boss\n---\ndiff --git a/workloads.yaml b/workloads.yaml\nFrom: mallory"
    file = tmp_path / "change.patch"
    ran = of(run, checkout, "draft", *DENIED, "--reason", hostile, "-o", str(file))
    assert ran.code == 0, ran.err
    assert git(checkout, "branch", "--list").split() == ["*", "main"]
    wanted = of(run, checkout, "draft", *DENIED, "--dry-run", "-o", "json").json
    git(checkout, "am", "--quiet", str(file))
    assert git(checkout, "log", "-1", "--format=%s").strip() == wanted["title"]
    text = git(checkout, "log", "-1", "--format=%B")
    for part in ("Why:\n    for @", "What changes:", "Effect (simulated):", "K8tre-Tui-Change: "):
        assert part in text
    changed = git(checkout, "show", "--format=", "--name-only", "HEAD").split()
    assert changed == ["policy.yaml"]
    raw = (checkout / "policy.yaml").read_bytes()
    assert b"8443" in raw
    assert raw.count(b"\r\n") in (0, raw.count(b"\n"))


def test_draft_when_only_shown_then_the_request_is_shown_whole(run: Run, checkout: Path) -> None:
    ran = of(run, checkout, "draft", *DENIED, "--dry-run", "--reason", "the mirror moved")
    for part in ("### What changes", "the mirror moved", "### Effect (simulated)", "### Undo"):
        assert part in ran.out
    assert "| From | To | Port | Becomes |" in ran.out


def test_branch_when_drafted_then_its_commit_says_what_a_request_would(
    run: Run, checkout: Path
) -> None:
    branch = branch_of(of(run, checkout, "draft", *DENIED, "--reason", "the mirror moved"))
    text = git(checkout, "log", "-1", "--format=%B", branch)
    for part in ("the mirror moved", "What changes:", "Checks:", "Undo:", "K8tre-Tui-Content: "):
        assert part in text


def test_branch_when_drafted_again_without_reason_on_a_new_base_then_the_reason_stays(
    run: Run, checkout: Path
) -> None:
    branch = branch_of(of(run, checkout, "draft", *DENIED, "--reason", "x", "--expires", "7d"))
    (checkout / "README.md").write_text("more\n")
    git(checkout, "add", ".")
    git(checkout, "commit", "--quiet", "-m", "more")
    assert branch_of(of(run, checkout, "draft", *DENIED)) == branch
    text = git(checkout, "log", "-1", "--format=%B", branch)
    assert "Why:\n    x\n" in text
    assert "K8tre-Tui-Expires: " in text


def test_key_when_in_another_clone_then_the_same_branch(
    run: Run, checkout: Path, tmp_path: Path
) -> None:
    other = tmp_path / "elsewhere"
    subprocess.run(["git", "clone", "--quiet", str(checkout), str(other)], check=True)
    first = branch_of(of(run, checkout, "draft", *DENIED))
    assert branch_of(of(run, other, "draft", *DENIED)) == first


def test_pull_request_when_the_forge_is_a_bare_repository_then_the_branch_is_there(
    run: Run, checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = tmp_path / "remote.git"
    subprocess.run(["git", "clone", "--quiet", "--bare", str(checkout), str(remote)], check=True)
    monkeypatch.setenv("K8TRE_TUI_REPO_REMOTE", str(remote))
    branch = branch_of(of(run, checkout, "draft", *DENIED, "--pr"))
    assert "8443" in git(remote, "show", f"{branch}:policy.yaml")
    assert git(checkout, "branch", "--list").split() == ["*", "main"]


def test_pull_request_without_a_forge_is_an_error_with_the_way_out(
    run: Run, checkout: Path
) -> None:
    ran = of(run, checkout, "draft", *DENIED, "--pr")
    assert ran.code == 2
    assert "set repo.gitea" in ran.err


def expired(checkout: Path, branch: str) -> None:
    """The draft as it looks a month later: the same commit, whose date has come."""
    from app.core.drafts.meta import read_meta

    text = git(checkout, "log", "-1", "--format=%B", branch)
    meta = read_meta(text)
    assert meta is not None
    from dataclasses import replace

    old = replace(meta, expires=EARLY)
    text = text.replace(meta.trailer, old.trailer).replace(meta.expires, EARLY)
    tree = git(checkout, "rev-parse", f"{branch}^{{tree}}").strip()
    made = git(checkout, "commit-tree", tree, "-p", f"{branch}^", "-m", text).strip()
    git(checkout, "update-ref", f"refs/heads/{branch}", made)


def states(ran: Ran) -> list[str]:
    assert ran.out, ran.err
    return [one["state"] for one in json.loads(ran.out)["items"]]


def test_drafts_when_merged_and_expired_then_due_takes_them_back_to_the_byte(
    run: Run, checkout: Path
) -> None:
    before = (checkout / "policy.yaml").read_bytes()
    branch = branch_of(of(run, checkout, "draft", *DENIED, "--expires", "7d"))
    assert states(of(run, checkout, "drafts", "-o", "json")) == ["open"]
    expired(checkout, branch)
    merge(checkout, branch)
    assert b"8443" in (checkout / "policy.yaml").read_bytes()
    (item,) = json.loads(of(run, checkout, "drafts", "-o", "json").out)["items"]
    assert (item["state"], item["due"], item["branch"]) == ("expired", EARLY, branch)
    shown = of(run, checkout, "drafts", "--due", "--dry-run")
    assert "would open k8tre-tui/netpol/lung-workspace-" in shown.out
    done = of(run, checkout, "drafts", "--due", "-o", "json")
    assert done.code == 0, done.err
    (found,) = [one for one in done.json["items"] if one["done"]]
    removal = found["done"].partition("removal: ")[2]
    assert of(run, checkout, "drafts", "--due").code == 0  # a second run finds it
    merge(checkout, removal)
    assert (checkout / "policy.yaml").read_bytes() == before
    assert sorted(states(of(run, checkout, "drafts", "-o", "json"))) == ["merged", "superseded"]


def test_drafts_when_the_line_changed_since_then_not_removed_and_said(
    run: Run, checkout: Path
) -> None:
    branch = branch_of(of(run, checkout, "draft", *DENIED, "--expires", "1d"))
    expired(checkout, branch)
    merge(checkout, branch)
    file = checkout / "policy.yaml"
    file.write_bytes(file.read_bytes().replace(b"8443", b"8444"))
    git(checkout, "commit", "--quiet", "-am", "other port")
    ran = of(run, checkout, "drafts", "--due")
    assert ran.code == 1
    assert "not removed: " in ran.out


def test_drafts_when_verified_then_the_question_is_asked_again(run: Run, checkout: Path) -> None:
    branch = branch_of(of(run, checkout, "draft", *DENIED))
    merge(checkout, branch)
    ran = of(run, checkout, "drafts", "--verify")
    assert (ran.code, "Now allowed: " in ran.out) == (0, True), ran.out + ran.err
    assert "no flow seen of it yet" in ran.out
    git(checkout, "revert", "--no-edit", "-m", "1", "HEAD")
    ran = of(run, checkout, "drafts", "--verify")
    assert ran.code == 1
    assert "Merged, still denied: " in ran.out


def test_drafts_when_there_are_none_then_said(run: Run, checkout: Path) -> None:
    ran = of(run, checkout, "drafts")
    assert (ran.code, ran.out) == (0, "")
    assert "no drafts of ours" in ran.err


@pytest.mark.parametrize("when", ["yesterday", "2020-01-01", "-3d", "99999999999d"])
def test_draft_when_its_end_is_no_time_then_wrong_usage(
    run: Run, checkout: Path, when: str
) -> None:
    assert of(run, checkout, "draft", *DENIED, f"--expires={when}").code == 2


async def _over_github(
    run: Run, checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, visibility: str
) -> tuple[Ran, GitHubServer]:
    """The whole command against the fake GitHub, whose repository is a clone of the checkout."""
    remote = tmp_path / "remote.git"
    subprocess.run(["git", "clone", "--quiet", "--bare", str(checkout), str(remote)], check=True)
    async with GitHubServer(remote, objections, visibility=visibility) as server:
        monkeypatch.setenv("K8TRE_TUI_REPO_GITHUB", "tre/gitops")
        monkeypatch.setenv("K8TRE_TUI_REPO_API", server.url)
        monkeypatch.setenv("K8TRE_TUI_GITHUB_TOKEN", server.token)
        monkeypatch.setenv("USER", "alice")
        words = ("draft", *DENIED, "--pr", "--reason", "the mirror moved", "--expires", "7d")
        ran = await asyncio.to_thread(of, run, checkout, *words)
        listed = await asyncio.to_thread(of, run, checkout, "drafts", "-o", "json")
        assert states(listed) == ["open"]
        return ran, server


async def test_pull_request_when_the_repository_is_private_then_all_is_said(
    run: Run, checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran, server = await _over_github(run, checkout, tmp_path, monkeypatch, "private")
    assert ran.code == 0, ran.err
    (pull,) = server.pulls
    assert pull["html_url"] in ran.out
    for part in ("the mirror moved", "| Asked by | `alice` |", "### Evidence", "| Expires |"):
        assert part in pull["body"]
    assert server.token not in ran.out + ran.err


@pytest.mark.parametrize("level", ["auto", "full"])
async def test_pull_request_when_everybody_reads_it_then_only_what_the_repository_holds(
    run: Run, checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, level: str
) -> None:
    monkeypatch.setenv("K8TRE_TUI_REPO_DISCLOSURE", level)
    ran, server = await _over_github(run, checkout, tmp_path, monkeypatch, "public")
    assert ran.code == 0, ran.err
    branch = server.pulls[0]["head"]["ref"]
    message = git(server.folder, "log", "-1", "--format=%B", branch)
    told = server.pulls[0]["title"] + server.pulls[0]["body"] + message + branch
    for part in ("the mirror moved", "alice", "jupyter-", "### Evidence"):
        assert (part in told) is (level == "full" and part != "jupyter-")
