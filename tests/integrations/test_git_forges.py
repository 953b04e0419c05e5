"""One contract of pull requests, kept on every forge: fakes, and the real Gitea of the testbed."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from app.core.drafts.body import BEGIN, END
from app.core.errors import DraftRejected, SourceCause, SourceUnavailable
from app.ports import FileChange, KeptDraft
from tests.integrations.forges import (
    BRANCH,
    CHANGE,
    EDITED,
    FILES,
    OTHER,
    PATH,
    Forge,
    RealGitea,
    fake_github,
    fake_gitlab,
)
from tests.integrations.git_repository import POLICY
from tests.testbed.binaries import require
from tests.testbed.gitea.server import Server, running

_numbers = count(1)


@pytest.fixture(scope="module")
def gitea(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    binaries = require("gitea", "gitea-static")
    with running(binaries, tmp_path_factory.mktemp("gitea")) as started:
        yield started


@pytest.fixture(params=["github", "gitlab", pytest.param("gitea", marks=pytest.mark.testbed)])
async def forge(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Forge]:
    if request.param == "gitea":
        server: Server = request.getfixturevalue("gitea")
        yield RealGitea(server, server.repository(f"gitops-{next(_numbers)}", FILES))
        return
    if request.param == "gitlab":
        async with fake_gitlab(tmp_path) as gitlab:
            yield gitlab
        return
    async with fake_github(tmp_path) as github:
        yield github


async def test_propose_when_new_then_one_commit_and_a_labelled_draft(forge: Forge) -> None:
    proposal = await forge.repo().propose(CHANGE)
    (request,) = forge.requests()
    assert not proposal.existed
    assert (request.title, request.body, request.draft) == (CHANGE.title, CHANGE.body, True)
    assert sorted(request.labels) == ["k8tre-tui", "network-policy"]
    assert forge.text(PATH, BRANCH) == EDITED
    assert forge.parents(BRANCH) == [forge.head("main")] == [proposal.base]


async def test_propose_when_asked_twice_then_the_same_commit_and_request(forge: Forge) -> None:
    first = await forge.repo().propose(CHANGE)
    head = forge.head(BRANCH)
    second = await forge.repo().propose(CHANGE)
    assert second == replace(first, existed=True)
    assert forge.head(BRANCH) == head
    assert len(forge.requests()) == 1


async def test_propose_when_base_moved_then_rebuilt_and_words_and_reason_kept(
    forge: Forge,
) -> None:
    why = (
        "netpol(lung): allow the host\n\nWhy:\n    for the\n\n    night\n\nK8tre-Tui-Change: 0123\n"
    )
    await forge.repo().propose(replace(CHANGE, commit_message=why))
    (request,) = forge.requests()
    forge.change(request.number, title="ours now", body=f"{request.body}\nLooks fine.")
    base = forge.commit({OTHER: "a: 2\n"})
    again = replace(CHANGE, body=f"{BEGIN}\nallow, rebuilt\n{END}")
    assert (await forge.repo().propose(again)).existed
    assert forge.parents(BRANCH) == [base]
    (request,) = forge.requests()
    assert request.title == "ours now"
    assert request.body == f"{BEGIN}\nallow, rebuilt\n{END}\nLooks fine."
    assert "Why:\n    for the\n\n    night\n\nK8tre-Tui-Change" in forge.message(BRANCH)


async def test_propose_when_somebody_committed_to_the_branch_then_refused(forge: Forge) -> None:
    await forge.repo().propose(CHANGE)
    theirs = forge.commit({OTHER: "a: 3\n"}, BRANCH)
    forge.commit({OTHER: "a: 2\n"})
    with pytest.raises(DraftRejected, match="commits of others"):
        await forge.repo().propose(CHANGE)
    assert forge.head(BRANCH) == theirs


async def test_propose_when_somebody_amended_our_commit_then_refused(forge: Forge) -> None:
    await forge.repo().propose(CHANGE)
    forge.amend({PATH: EDITED + "        - health\n"})
    theirs = forge.head(BRANCH)
    forge.commit({OTHER: "a: 2\n"})
    with pytest.raises(DraftRejected, match="commits of others"):
        await forge.repo().propose(CHANGE)
    assert forge.head(BRANCH) == theirs


async def test_propose_when_declined_before_then_refused_unless_again(forge: Forge) -> None:
    await forge.repo().propose(CHANGE)
    forge.change(1, state="closed")
    with pytest.raises(DraftRejected, match="#1 for the same change was closed") as caught:
        await forge.repo().propose(CHANGE)
    assert "--again" in caught.value.hint
    await forge.repo().propose(replace(CHANGE, again=True))
    assert [one.state for one in forge.requests()] == ["open", "closed"]


async def test_propose_when_base_is_not_the_one_proved_for_then_conflict(forge: Forge) -> None:
    repo = forge.repo()
    proved = replace(CHANGE, base=await repo.base())
    forge.commit({OTHER: "a: 2\n"})
    with pytest.raises(SourceUnavailable, match="was proved for") as caught:
        await repo.propose(proved)
    assert caught.value.cause is SourceCause.CONFLICT
    assert forge.requests() == []


async def test_propose_when_the_file_is_another_then_conflict_and_no_branch(forge: Forge) -> None:
    forge.commit({PATH: POLICY + "# moved\n"})
    with pytest.raises(SourceUnavailable, match="not what the draft was made from") as caught:
        await forge.repo().propose(CHANGE)
    assert caught.value.cause is SourceCause.CONFLICT
    assert forge.requests() == []


async def test_propose_when_files_come_and_go_then_rebuilt_as_ours(forge: Forge) -> None:
    files = (FileChange(OTHER, "a: 1\n", None), FileChange("apps/lung/new.yaml", None, "b: 1\n"))
    change = replace(CHANGE, files=files)
    await forge.repo().propose(change)
    assert forge.text("apps/lung/new.yaml", BRANCH) == "b: 1\n"
    base = forge.commit({PATH: POLICY + "# moved\n"})
    assert (await forge.repo().propose(change)).existed
    assert forge.parents(BRANCH) == [base]


async def test_propose_when_labels_were_taken_off_then_they_stay_off(forge: Forge) -> None:
    await forge.repo().propose(CHANGE)
    if isinstance(forge, RealGitea):
        forge.server.api("DELETE", f"{forge.place}/issues/1/labels")
    else:
        forge.server.pulls[0]["labels"].clear()  # type: ignore[attr-defined]
    await forge.repo().propose(CHANGE)
    assert forge.requests()[0].labels == []


async def test_propose_when_a_template_is_there_then_ours_stands_in_it(forge: Forge) -> None:
    template = "## What\n\nSay it.\n"
    forge.commit(
        {
            "PULL_REQUEST_TEMPLATE.md": template,
            ".gitlab/merge_request_templates/Default.md": template,
        }
    )
    await forge.repo().propose(CHANGE)
    assert forge.requests()[0].body == f"## What\n\n{CHANGE.body}\n\nSay it."
    await forge.repo().propose(replace(CHANGE, body=f"{BEGIN}\nmore\n{END}"))
    assert forge.requests()[0].body == f"## What\n\n{BEGIN}\nmore\n{END}\n\nSay it."


async def test_drafts_when_opened_and_closed_then_listed_with_their_state(forge: Forge) -> None:
    assert await forge.repo().drafts() == ()
    await forge.repo().propose(CHANGE)
    (kept,) = await forge.repo().drafts()
    assert (kept.branch, kept.base, kept.state, kept.number) == (BRANCH, "main", "open", 1)
    assert kept.text == CHANGE.body
    forge.change(1, state="closed")
    (kept,) = await forge.repo().drafts()
    assert kept.state == "declined"


async def test_comment_when_said_twice_then_once(forge: Forge) -> None:
    await forge.repo().propose(CHANGE)
    draft = KeptDraft(BRANCH, "main", "open", number=1)
    assert await forge.repo().comment(draft, "now allowed")
    assert not await forge.repo().comment(draft, "now allowed")
    assert forge.comments(1) == ["now allowed"]


async def test_export_when_a_checkout_is_near_then_its_files_and_those_it_lacks(
    forge: Forge, tmp_path: Path
) -> None:
    mirror = tmp_path / "mirror"
    (mirror / PATH).parent.mkdir(parents=True)
    (mirror / PATH).write_text(POLICY)
    (mirror / OTHER).write_text("a: 9\n")
    repo = forge.repo(mirror=mirror)
    await repo.export(await repo.base(), tmp_path / "out")
    assert (tmp_path / "out" / PATH).read_text() == POLICY
    assert (tmp_path / "out" / OTHER).read_text() == "a: 1\n"
    assert not await repo.is_public() or isinstance(forge, RealGitea)
