"""The adapter of Gitea held to a real one: one request a change, and people's work is theirs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import httpx
import pytest

from app.config import Secret
from app.core.drafts.body import BEGIN, END
from app.core.errors import DraftRejected, NotFound, SourceCause, SourceUnavailable
from app.ports import FileChange, ProposedChange
from integrations.git.gitea import Gitea
from tests.integrations.git_repository import POLICY
from tests.testbed.binaries import require
from tests.testbed.gitea.server import PASSWORD, Server, running

pytestmark = pytest.mark.testbed

PATH = "apps/lung/web.yaml"
EDITED = POLICY + "        - host\n"
CHANGE = ProposedChange(
    branch="k8tre-tui/netpol/lung-web-0123456789",
    title="netpol(lung): allow the host",
    body=f"{BEGIN}\nallow\n{END}",
    commit_message="netpol(lung): allow the host\n\nK8tre-Tui-Change: 0123\n",
    files=(FileChange(PATH, POLICY, EDITED), FileChange("apps/lung/new.yaml", None, "a: 1\n")),
)
_numbers = count(1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    binaries = require("gitea", "gitea-static")
    with running(binaries, tmp_path_factory.mktemp("gitea")) as started:
        yield started


@pytest.fixture
def place(server: Server) -> str:
    files = {PATH: POLICY, "apps/lung/other.yaml": "a: 1\n"}
    return server.repository(f"policies-{next(_numbers)}", files)


def _repo(server: Server, place: str, *, token: str = "", mirror: Path | None = None) -> Gitea:
    name = place.removeprefix("/repos/")
    secret = Secret(token or server.token, "test")
    return Gitea(name, secret, url=server.url, mirror=mirror)


async def test_propose_when_new_then_one_commit_and_a_draft_with_labels(
    server: Server, place: str
) -> None:
    proposal = await _repo(server, place).propose(CHANGE)
    (pull,) = server.pulls(place)
    assert proposal.url == pull["html_url"]
    assert not proposal.existed
    assert pull["title"] == f"WIP: {CHANGE.title}"
    assert pull["draft"]
    assert {one["name"] for one in pull["labels"]} == {"network-policy", "k8tre-tui"}
    assert server.text(place, PATH, CHANGE.branch) == EDITED
    assert server.text(place, "apps/lung/new.yaml", CHANGE.branch) == "a: 1\n"
    made = server.api("GET", f"{place}/git/commits/{server.head(place, CHANGE.branch)}")
    assert made["parents"][0]["sha"] == server.head(place, "main") == proposal.base
    assert "K8tre-Tui-Change: 0123" in made["commit"]["message"]


async def test_propose_when_a_file_goes_then_only_that_one(server: Server, place: str) -> None:
    change = replace(CHANGE, files=(FileChange(PATH, POLICY, None),))
    await _repo(server, place).propose(change)
    with pytest.raises(AssertionError, match="object does not exist"):
        server.text(place, PATH, change.branch)
    assert server.text(place, "apps/lung/other.yaml", change.branch) == "a: 1\n"
    assert (await _repo(server, place).propose(change)).existed


async def test_propose_when_asked_twice_then_the_open_one_and_no_new_commit(
    server: Server, place: str
) -> None:
    first = await _repo(server, place).propose(CHANGE)
    head = server.head(place, CHANGE.branch)
    second = await _repo(server, place).propose(CHANGE)
    assert second == replace(first, existed=True)
    assert server.head(place, CHANGE.branch) == head
    assert len(server.pulls(place)) == 1


async def test_propose_when_base_moved_then_rebuilt_and_words_of_people_kept(
    server: Server, place: str
) -> None:
    await _repo(server, place).propose(CHANGE)
    (pull,) = server.pulls(place)
    path = f"{place}/pulls/{pull['number']}"
    server.api("PATCH", path, {"title": "ours now", "body": pull["body"] + "\nLooks fine."})
    mine = server.api("POST", f"{place}/labels", {"name": "mine", "color": "#ff0000"})
    server.api("PUT", f"{place}/issues/{pull['number']}/labels", {"labels": [mine["id"]]})
    base = server.commit(place, {"apps/lung/other.yaml": "a: 2\n"})
    again = replace(CHANGE, body=f"{BEGIN}\nallow, rebuilt\n{END}")
    assert (await _repo(server, place).propose(again)).existed
    made = server.api("GET", f"{place}/git/commits/{server.head(place, CHANGE.branch)}")
    assert [one["sha"] for one in made["parents"]] == [base]
    (pull,) = server.pulls(place)
    assert pull["body"] == f"{BEGIN}\nallow, rebuilt\n{END}\nLooks fine."
    assert pull["title"] == "ours now"
    assert [one["name"] for one in pull["labels"]] == ["mine"]


async def test_propose_when_somebody_committed_to_the_branch_then_refused(
    server: Server, place: str
) -> None:
    await _repo(server, place).propose(CHANGE)
    theirs = server.commit(place, {"apps/lung/other.yaml": "a: 3\n"}, CHANGE.branch)
    with pytest.raises(DraftRejected, match="commits of others"):
        await _repo(server, place).propose(CHANGE)
    assert server.head(place, CHANGE.branch) == theirs


async def test_propose_when_declined_before_then_refused_unless_again(
    server: Server, place: str
) -> None:
    await _repo(server, place).propose(CHANGE)
    server.api("PATCH", f"{place}/pulls/1", {"state": "closed"})
    with pytest.raises(DraftRejected, match="#1 for the same change was closed") as caught:
        await _repo(server, place).propose(CHANGE)
    assert "--again" in caught.value.hint
    server.api("DELETE", f"{place}/branches/{CHANGE.branch}")
    with pytest.raises(DraftRejected, match="#1 for the same change was closed"):
        await _repo(server, place).propose(CHANGE)
    await _repo(server, place).propose(replace(CHANGE, again=True))
    assert [pull["state"] for pull in server.pulls(place)] == ["open", "closed"]


async def test_propose_when_a_branch_was_left_without_a_request_then_finished(
    server: Server, place: str
) -> None:
    await _repo(server, place).propose(CHANGE)
    server.api("PATCH", f"{place}/pulls/1", {"state": "closed"})
    await _repo(server, place).propose(replace(CHANGE, again=True))
    assert len(server.pulls(place)) == 2


async def test_propose_when_the_base_is_another_than_proved_for_then_conflict(
    server: Server, place: str
) -> None:
    repo = _repo(server, place)
    proved = replace(CHANGE, base=await repo.base())
    server.commit(place, {"apps/lung/other.yaml": "a: 2\n"})
    with pytest.raises(SourceUnavailable, match="was proved for") as caught:
        await repo.propose(proved)
    assert caught.value.cause is SourceCause.CONFLICT
    assert server.pulls(place) == []


async def test_propose_when_the_file_is_another_then_conflict_and_nothing_written(
    server: Server, place: str
) -> None:
    server.commit(place, {PATH: POLICY + "# moved\n"})
    with pytest.raises(SourceUnavailable, match="not what the draft was made from"):
        await _repo(server, place).propose(CHANGE)
    assert [one["name"] for one in server.api("GET", f"{place}/branches")] == ["main"]


async def test_propose_when_the_token_only_reads_then_forbidden(server: Server, place: str) -> None:
    user = {"username": "eve", "password": PASSWORD, "email": "eve@example.invalid"}
    server.api("POST", "/admin/users", {**user, "must_change_password": False})
    server.api("PUT", f"{place}/collaborators/eve", {"permission": "read"})
    made = httpx.post(
        f"{server.url}/api/v1/users/eve/tokens",
        json={"name": "t", "scopes": ["write:repository"]},
        auth=("eve", PASSWORD),
        trust_env=False,
    )
    with pytest.raises(SourceUnavailable) as caught:
        await _repo(server, place, token=made.json()["sha1"]).propose(CHANGE)
    assert caught.value.cause is SourceCause.FORBIDDEN


async def test_read_when_wrong_token_then_unauthenticated_and_the_token_unsaid(
    server: Server, place: str
) -> None:
    token = "0123456789abcdef" * 2
    with pytest.raises(SourceUnavailable) as caught:
        await _repo(server, place, token=token).base()
    assert caught.value.cause is SourceCause.UNAUTHENTICATED
    assert token not in repr(caught.value) + str(caught.value)


async def test_read_file_when_there_and_not_there(server: Server, place: str) -> None:
    repo = _repo(server, place)
    assert await repo.read_file(PATH) == POLICY
    with pytest.raises(NotFound):
        await repo.read_file("apps/none.yaml")


async def test_export_when_a_checkout_is_near_then_its_files_and_those_it_lacks(
    server: Server, place: str, tmp_path: Path
) -> None:
    mirror = tmp_path / "mirror"
    (mirror / PATH).parent.mkdir(parents=True)
    (mirror / PATH).write_text(POLICY)
    (mirror / "apps/lung/other.yaml").write_text("a: 9\n")
    repo = _repo(server, place, mirror=mirror)
    await repo.export(await repo.base(), tmp_path / "out")
    assert (tmp_path / "out" / PATH).read_text() == POLICY
    assert (tmp_path / "out" / "apps/lung/other.yaml").read_text() == "a: 1\n"
