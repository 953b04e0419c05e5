import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.drafts.undo import pack, take_back, undo_of, unpack
from app.core.errors import DraftRejected

BEFORE = "a: 1\nlist:\n  - one\n  - two\nend: x\n"
AFTER = "a: 1\nlist:\n  - one\n  - added\n  - two\nend: x\n"
LINES = st.lists(st.sampled_from(["a\n", "b\r\n", "c\n", "- d\n", "", "e"]), max_size=12)


@given(LINES, LINES)
def test_take_back_when_nothing_else_changed_then_the_same_bytes(
    old: list[str], new: list[str]
) -> None:
    before, after = "".join(old), "".join(new)
    (undo,) = unpack(pack([undo_of("f.yaml", before, after)]))
    try:
        assert take_back(undo, after) == before
    except DraftRejected:
        assert len(set(new)) < len(new) or not after.strip()  # the same lines stand twice


def test_take_back_when_others_changed_more_then_theirs_stays() -> None:
    undo = undo_of("f.yaml", BEFORE, AFTER)
    later = "# new\n" + AFTER.replace("end: x", "end: y")
    assert take_back(undo, later) == "# new\n" + BEFORE.replace("end: x", "end: y")


@pytest.mark.parametrize(
    "later", [BEFORE, AFTER.replace("added", "other"), AFTER + AFTER, None], ids=str
)
def test_take_back_when_the_change_is_not_there_once_then_refused(later: str | None) -> None:
    with pytest.raises(DraftRejected):
        take_back(undo_of("f.yaml", BEFORE, AFTER), later)


def test_take_back_when_the_file_was_new_then_it_goes_unless_changed() -> None:
    undo = undo_of("f.yaml", None, AFTER)
    assert take_back(undo, AFTER) is None
    with pytest.raises(DraftRejected, match="changed since"):
        take_back(undo, AFTER + "more\n")


def test_take_back_when_the_file_went_then_it_comes_back() -> None:
    (undo,) = unpack(pack([undo_of("f.yaml", BEFORE, None)]))
    assert take_back(undo, None) == BEFORE
    with pytest.raises(DraftRejected, match="there again"):
        take_back(undo, BEFORE)


@pytest.mark.parametrize("text", ["", "!", "eJwDAAAAAAE", "eJyrVkrKTFGyqgUAE4wDLg"])
def test_unpack_when_it_is_none_of_ours_then_refused(text: str) -> None:
    with pytest.raises(DraftRejected):
        unpack(text)


def test_pack_when_the_change_is_long_then_it_is_not_kept() -> None:
    import hashlib

    noise = "".join(f"{hashlib.sha256(str(at).encode()).hexdigest()}\n" for at in range(2000))
    assert pack([undo_of("f.yaml", None, noise)]) == ""
