"""How drafts of ours stand: by what they say of themselves, and what their forge says."""

import pytest

from app.core.drafts.body import BEGIN, END
from app.core.drafts.meta import Meta
from app.core.drafts.undo import pack, undo_of
from app.core.errors import DraftRejected, UsageError
from app.core.flows.times import parse_time
from app.ports import KeptDraft
from app.services.drafts import OwnDraft, Remover, own_drafts, parse_due
from app.testing.repo import FakeRepo

NOW = parse_time("2026-11-29T14:00:00Z")
KEY, OTHER = "0123456789abcdef", "fedcba9876543210"
BEFORE, AFTER = "a: 1\nb: 2\n", "a: 1\nnew: 1\nb: 2\n"


def kept(state: str, meta: Meta, **more: str) -> KeptDraft:
    text = f"{BEGIN}\n{meta.comment}\n{END}"
    branch = more.get("branch", f"k8tre-tui/netpol/lung-web-{meta.key[:10]}")
    return KeptDraft(branch, "main", state, text=text)


async def states(*drafts: KeptDraft) -> list[str]:
    return [one.state for one in await own_drafts(FakeRepo(kept=list(drafts)), NOW)]


async def test_state_when_merged_then_expired_from_its_date_on() -> None:
    for date, state in (("2026-11-29", "expired"), ("2026-11-30", "merged"), ("", "merged")):
        assert await states(kept("merged", Meta(KEY, expires=date))) == [state]
    assert await states(kept("open", Meta(KEY, expires="2026-01-01"))) == ["open"]


async def test_state_when_asked_again_after_it_was_declined_then_superseded() -> None:
    meta = Meta(KEY)
    assert await states(kept("open", meta), kept("declined", meta)) == ["open", "superseded"]
    assert await states(kept("declined", meta)) == ["declined"]


@pytest.mark.parametrize(
    ("removal", "state"), [("open", "expired"), ("declined", "expired"), ("merged", "superseded")]
)
async def test_state_when_it_is_taken_back_then_superseded_once_that_is_merged(
    removal: str, state: str
) -> None:
    ended = Meta(KEY, expires="2026-11-01")
    found = await states(kept(removal, Meta(OTHER, undoes=KEY)), kept("merged", ended))
    assert found == [removal, state]


async def test_draft_when_it_says_another_key_than_its_branch_then_not_ours() -> None:
    stray = kept("open", Meta(KEY), branch=f"k8tre-tui/netpol/x-{OTHER[:10]}")
    assert await states(stray, KeptDraft("k8tre-tui/netpol/y", "main", "open", text="hello")) == []


async def test_remove_when_others_changed_the_file_then_only_ours_goes() -> None:
    meta = Meta(
        KEY,
        policy="CiliumNetworkPolicy/lung/web",
        expires="2026-11-01",
        undo=pack([undo_of("p.yaml", BEFORE, AFTER)]),
    )
    repo = FakeRepo({"p.yaml": f"# theirs\n{AFTER}"})
    draft = OwnDraft(kept("merged", meta), meta, "expired")
    await Remover(repo).remove(draft)
    (change,) = repo.proposed
    assert change.files[0].after == f"# theirs\n{BEFORE}"
    assert "2026-11-01" in change.title + change.body
    (found,) = await own_drafts(repo, NOW)
    assert found.meta.undoes == KEY


async def test_remove_when_it_keeps_no_way_back_then_refused() -> None:
    meta = Meta(KEY)
    with pytest.raises(DraftRejected, match="does not keep how"):
        await Remover(FakeRepo()).remove(OwnDraft(kept("merged", meta), meta, "expired"))


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("7d", "2026-12-06"),
        ("12h", "2026-11-30"),
        ("1h", "2026-11-30"),
        ("2026-11-29", "2026-11-29"),
        ("2027-01-31", "2027-01-31"),
    ],
)
def test_due_when_a_duration_or_a_date_then_a_day(text: str, date: str) -> None:
    assert parse_due(text, NOW) == date


@pytest.mark.parametrize("text", ["", "soon", "2026-11-28", "-1d", "9" * 20 + "d"])
def test_due_when_it_is_none_then_wrong_usage(text: str) -> None:
    with pytest.raises(UsageError):
        parse_due(text, NOW)
