from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from app.config import Secret
from app.core.drafts.body import BEGIN, END
from app.core.errors import (
    ConfigError,
    DraftRejected,
    NotFound,
    SourceCause,
    SourceUnavailable,
)
from app.ports import FileChange, ProposedChange
from app.testing.github_server import GitHubServer, Intercept
from integrations.git.github import GitHub
from integrations.git.http import check_base_url
from tests.integrations.git_repository import POLICY, bare, commit, git
from tests.testing.github_description import objections

PATH = "apps/lung/web.yaml"
BRANCH = "k8tre-tui/netpol/lung-web-0123456789"
EDITED = POLICY + "        - host\n"
CHANGE = ProposedChange(
    branch=BRANCH,
    title="netpol(lung): allow the host",
    body=f"{BEGIN}\nallow\n{END}",
    commit_message="netpol(lung): allow the host\n\nK8tre-Tui-Change: 0123\n",
    files=(FileChange(PATH, POLICY, EDITED),),
)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[GitHubServer]:
    folder = bare(tmp_path / "repo.git", {PATH: POLICY, "apps/lung/other.yaml": "a: 1\n"})
    async with GitHubServer(folder, objections) as running:
        yield running


class Sleeper:
    """Sleeps in no time and remembers how long it should have been."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.slept.append(seconds)


def _repo(server: GitHubServer, sleep: Sleeper | None = None, token: str = "") -> GitHub:
    secret = Secret(token or server.token, "test")
    return GitHub("tre/gitops", secret, api=server.url, sleep=sleep or Sleeper())


def _asked(server: GitHubServer, method: str, part: str) -> int:
    return sum(one.method == method and part in one.path for one in server.requests)


async def test_propose_when_new_then_branch_commit_and_draft_pull_request(
    server: GitHubServer,
) -> None:
    proposal = await _repo(server).propose(CHANGE)
    (pull,) = server.pulls
    assert proposal.url == pull["html_url"]
    assert not proposal.existed
    assert (pull["title"], pull["draft"], pull["base"]["ref"]) == (CHANGE.title, True, "main")
    assert pull["labels"] == ["network-policy", "k8tre-tui"]
    assert git(server.folder, "show", f"{BRANCH}:{PATH}") == EDITED
    assert git(server.folder, "rev-list", "--count", f"main..{BRANCH}").strip() == "1"


async def test_propose_when_committing_then_no_author_is_sent(server: GitHubServer) -> None:
    await _repo(server).propose(CHANGE)
    (body,) = [one.body for one in server.requests if one.path.endswith("/git/commits")]
    assert set(body) == {"message", "tree", "parents"}


async def test_propose_when_a_file_goes_then_only_that_one(server: GitHubServer) -> None:
    change = replace(CHANGE, files=(FileChange(PATH, POLICY, None),))
    await _repo(server).propose(change)
    names = git(server.folder, "ls-tree", "-r", "--name-only", BRANCH).split()
    assert names == ["apps/lung/other.yaml"]
    assert (await _repo(server).propose(change)).existed


async def test_propose_when_asked_twice_then_the_open_one_and_nothing_written(
    server: GitHubServer,
) -> None:
    first = await _repo(server).propose(CHANGE)
    server.requests.clear()
    second = await _repo(server).propose(CHANGE)
    assert second == replace(first, existed=True)
    assert not _asked(server, "PATCH", "")
    assert not _asked(server, "POST", "/pulls")
    assert not _asked(server, "POST", "/commits")


async def test_propose_when_base_moved_then_rebuilt_and_own_words_of_people_kept(
    server: GitHubServer,
) -> None:
    await _repo(server).propose(CHANGE)
    server.pulls[0]["body"] += "\nLooks fine to me."
    server.pulls[0]["title"] = "ours now"
    base = commit(server.folder, {"apps/lung/other.yaml": "a: 2\n"})
    again = replace(CHANGE, body=f"{BEGIN}\nallow, rebuilt\n{END}")
    assert (await _repo(server).propose(again)).existed
    assert git(server.folder, "rev-parse", f"{BRANCH}^").strip() == base
    assert server.pulls[0]["body"] == f"{BEGIN}\nallow, rebuilt\n{END}\nLooks fine to me."
    assert server.pulls[0]["title"] == "ours now"


async def test_propose_when_the_base_is_another_than_proved_for_then_conflict(
    server: GitHubServer,
) -> None:
    repo = _repo(server)
    proved = replace(CHANGE, base=await repo.base())
    commit(server.folder, {"apps/lung/other.yaml": "a: 2\n"})
    with pytest.raises(SourceUnavailable, match="was proved for") as caught:
        await repo.propose(proved)
    assert caught.value.cause is SourceCause.CONFLICT
    assert server.pulls == []


async def test_export_when_a_checkout_is_near_then_its_files_and_those_it_lacks(
    server: GitHubServer, tmp_path: Path
) -> None:
    mirror = tmp_path / "mirror"
    (mirror / PATH).parent.mkdir(parents=True)
    (mirror / PATH).write_text(POLICY)
    (mirror / "apps/lung/other.yaml").write_text("a: 9\n")
    secret = Secret(server.token, "test")
    repo = GitHub("tre/gitops", secret, api=server.url, sleep=Sleeper(), mirror=mirror)
    await repo.export(await repo.base(), tmp_path / "out")
    assert (tmp_path / "out" / PATH).read_text() == POLICY
    assert (tmp_path / "out" / "apps/lung/other.yaml").read_text() == "a: 1\n"
    assert _asked(server, "GET", "/git/blobs/") == 1


async def test_propose_when_somebody_committed_to_the_branch_then_refused(
    server: GitHubServer,
) -> None:
    await _repo(server).propose(CHANGE)
    theirs = commit(server.folder, {"apps/lung/other.yaml": "a: 3\n"}, BRANCH, "by hand")
    with pytest.raises(DraftRejected, match="commits of others"):
        await _repo(server).propose(CHANGE)
    assert git(server.folder, "rev-parse", BRANCH).strip() == theirs


async def test_propose_when_declined_before_then_refused_unless_again(
    server: GitHubServer,
) -> None:
    await _repo(server).propose(CHANGE)
    server.pulls[0]["state"] = "closed"
    with pytest.raises(DraftRejected, match="#1 for the same change was closed") as caught:
        await _repo(server).propose(CHANGE)
    assert "--again" in caught.value.hint
    await _repo(server).propose(replace(CHANGE, again=True))
    assert [pull["state"] for pull in server.pulls] == ["closed", "open"]


async def test_propose_when_merged_before_and_wanted_again_then_opened(
    server: GitHubServer,
) -> None:
    await _repo(server).propose(CHANGE)
    server.pulls[0] |= {"state": "closed", "merged_at": "2025-01-01T00:00:00Z"}
    await _repo(server).propose(CHANGE)
    assert len(server.pulls) == 2


async def test_propose_when_the_change_is_there_already_then_refused(server: GitHubServer) -> None:
    same = replace(CHANGE, files=(FileChange(PATH, POLICY, POLICY),))
    with pytest.raises(DraftRejected, match="on `main` already"):
        await _repo(server).propose(same)


async def test_propose_when_file_changed_since_then_conflict(server: GitHubServer) -> None:
    commit(server.folder, {PATH: POLICY + "# moved\n"})
    with pytest.raises(SourceUnavailable) as caught:
        await _repo(server).propose(CHANGE)
    assert caught.value.cause is SourceCause.CONFLICT
    assert not _asked(server, "POST", "")


async def test_propose_when_base_moves_meanwhile_then_done_again(server: GitHubServer) -> None:
    moves = ["a: 4\n"]

    def move_base(request: web.Request) -> None:
        if moves and request.method == "POST" and request.path.endswith("/git/commits"):
            commit(server.folder, {"apps/lung/other.yaml": moves.pop()})

    server.intercept = move_base
    await _repo(server).propose(CHANGE)
    assert git(server.folder, "show", f"{BRANCH}:apps/lung/other.yaml") == "a: 4\n"
    assert len(server.pulls) == 1


async def test_propose_when_labels_are_forbidden_then_nothing_else_is_lost(
    server: GitHubServer,
) -> None:
    def forbid(request: web.Request) -> web.Response | None:
        if request.path.endswith("/labels"):
            return web.json_response({"message": "Resource not accessible"}, status=403)
        return None

    server.intercept = forbid
    assert (await _repo(server).propose(CHANGE)).url


async def test_propose_when_the_answer_to_opening_is_lost_then_looked_up_not_repeated(
    server: GitHubServer,
) -> None:
    def lose(request: web.Request) -> web.Response | None:
        if request.method == "POST" and request.path.endswith("/pulls"):
            server.pulls.append(
                {
                    "number": 1,
                    "state": "open",
                    "merged_at": None,
                    "html_url": "https://github.example.org/1",
                    "head": {"label": f"tre:{BRANCH}"},
                    "base": {"ref": "main"},
                }
            )
            return web.Response(status=502)
        return None

    server.intercept = lose
    assert (await _repo(server).propose(CHANGE)).url == "https://github.example.org/1"
    assert _asked(server, "POST", "/pulls") == 1


@pytest.mark.parametrize(
    ("headers", "status", "waited"),
    [
        ({"Retry-After": "7"}, 429, 7.0),
        ({"Retry-After": "7"}, 403, 7.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1"}, 403, 1.0),
        ({}, 429, 60.0),
    ],
)
async def test_request_when_throttled_then_waits_as_told(
    server: GitHubServer, headers: dict[str, str], status: int, waited: float
) -> None:
    server.failures.append(lambda _: web.json_response({}, status=status, headers=headers))
    sleep = Sleeper()
    assert await _repo(server, sleep).read_file(PATH) == POLICY
    assert sleep.slept == [waited]


async def test_request_when_told_to_wait_an_hour_then_gives_up(server: GitHubServer) -> None:
    server.failures.append(
        lambda _: web.json_response(
            {"message": "slow down"}, status=429, headers={"Retry-After": "3600"}
        )
    )
    sleep = Sleeper()
    with pytest.raises(SourceUnavailable, match="slow down") as caught:
        await _repo(server, sleep).read_file(PATH)
    assert caught.value.cause is SourceCause.OVERLOADED
    assert not sleep.slept


async def test_request_when_server_errors_then_reading_is_tried_again(server: GitHubServer) -> None:
    server.failures += [lambda _: web.Response(status=502), lambda _: web.Response(status=503)]
    assert await _repo(server).read_file(PATH) == POLICY


@pytest.mark.parametrize(
    ("response", "message"),
    [
        (lambda _: web.Response(status=302, headers={"Location": "http://x.org"}), "redirect"),
        (lambda _: web.Response(text="<html>"), "not JSON"),
        (lambda _: web.Response(body=b"1" * (6 << 20)), "too large"),
    ],
)
async def test_request_when_the_answer_is_odd_then_refused(
    server: GitHubServer, response: Intercept, message: str
) -> None:
    server.failures.append(response)
    with pytest.raises(SourceUnavailable, match=message):
        await _repo(server).read_file(PATH)


async def test_read_file_when_absent_then_not_found(server: GitHubServer) -> None:
    with pytest.raises(NotFound):
        await _repo(server).read_file("apps/none.yaml")


async def test_repo_when_token_is_wrong_then_unauthenticated_and_token_nowhere(
    server: GitHubServer,
) -> None:
    with pytest.raises(SourceUnavailable) as caught:
        await _repo(server, token="ghp_wrong").read_file(PATH)
    assert caught.value.cause is SourceCause.UNAUTHENTICATED
    assert "ghp_wrong" not in f"{caught.value!r} {caught.value.hint}"


@pytest.mark.parametrize("right", ["archived", "push"])
async def test_repo_when_it_cannot_be_written_then_forbidden(
    server: GitHubServer, right: str
) -> None:
    setattr(server, right, right == "archived")
    with pytest.raises(SourceUnavailable) as caught:
        await _repo(server).propose(CHANGE)
    assert caught.value.cause is SourceCause.FORBIDDEN


async def test_repo_when_host_is_not_there_then_refused() -> None:
    repo = GitHub("a/b", Secret("x", "t"), api="http://127.0.0.1:1", sleep=Sleeper())
    with pytest.raises(SourceUnavailable) as caught:
        await repo.read_file(PATH)
    assert caught.value.cause is SourceCause.REFUSED


@pytest.mark.parametrize("name", ["", "a", "a/b/c", "/b"])
def test_repo_when_name_is_not_owner_and_name_then_config_error(name: str) -> None:
    with pytest.raises(ConfigError):
        GitHub(name, Secret("x", "t"))


@pytest.mark.parametrize(
    "url",
    [
        "http://api.github.com",
        "https://user:pw@api.github.com",
        "https://169.254.169.254/x",
        "ftp://x",
        "https://",
        "https://x/?a=b",
    ],
)
def test_check_base_url_when_not_safe_then_config_error(url: str) -> None:
    with pytest.raises(ConfigError):
        check_base_url(url)


def test_check_base_url_when_enterprise_then_without_the_final_slash() -> None:
    assert check_base_url("https://ghe.example.org/api/v3/") == "https://ghe.example.org/api/v3"
