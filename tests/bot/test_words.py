import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.bot.words import MAX_CHARACTERS, MAX_WORDS, repair, split_words
from app.core.errors import UsageError
from app.core.text import is_clean


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("why a/b c/d 443", ("why", "a/b", "c/d", "443")),
        ("why \u2014from a/b \u2013\u2013to c/d", ("why", "--from", "a/b", "--to", "c/d")),
        ("why \u2014from=a/b", ("why", "--from=a/b")),
        ("why -\u2013from a/b", ("why", "--from", "a/b")),
        ("why ns/jupyter\u2013alice c/d", ("why", "ns/jupyter-alice", "c/d")),
        ("why --http \u201cGET /x\u201d", ("why", "--http", "GET /x")),
        ("why --http \u2018GET /x\u2019", ("why", "--http", "GET /x")),
        ("why a/b\u00a0c/d\u202f443", ("why", "a/b", "c/d", "443")),
        ("why a/\u200bb", ("why", "a/b")),
        ("why a/b <http://p.example.org|p.example.org>", ("why", "a/b", "p.example.org")),
        ("why a/b <HTTPS://P.example.org|P.example.org>", ("why", "a/b", "P.example.org")),
        ("why a/b <https://p.example.org/>", ("why", "a/b", "https://p.example.org/")),
        ("why a/b <https://p.example.org/x/y>", ("why", "a/b", "https://p.example.org/x/y")),
        ("why a/b <http://p.example.org/x|p.example.org/x>", ("why", "a/b", "p.example.org/x")),
        ("why `a/b` ``c/d`` 443", ("why", "a/b", "c/d", "443")),
        ("why --http \uff02GET /x\uff02", ("why", "--http", "GET /x")),
        ("`why a/b c/d`", ("why", "a/b", "c/d")),
        ("why it can\u2019t reach", ("why", "it", "can't", "reach")),
        ('why "it can\'t" reach', ("why", "it can't", "reach")),
        ('why "open', ("why", '"open')),
        ("x&amp;y", ("x&y",)),
        ("&amp;lt;", ("&lt;",)),
        ("", ()),
        ("   ", ()),
    ],
)
def test_words_are_those_that_were_meant(typed: str, words: tuple[str, ...]) -> None:
    assert split_words(typed) == words


def test_minus_between_numbers_stays_a_minus() -> None:
    assert repair("10.0.0.1 \u2212 5") == "10.0.0.1 - 5"


def test_control_characters_become_visible() -> None:
    assert split_words("why a\x1b[2Jb") == ("why", "a\u241b[2Jb")


@pytest.mark.parametrize("typed", ["x" * (MAX_CHARACTERS + 1), "x " * (MAX_WORDS + 1)])
def test_long_commands_are_refused(typed: str) -> None:
    with pytest.raises(UsageError, match="at most"):
        split_words(typed)


@given(st.text(max_size=300))
def test_any_text_gives_clean_words_or_a_usage_error(text: str) -> None:
    try:
        words = split_words(text)
    except UsageError:
        return
    assert all(is_clean(word) for word in words)
