"""Messages: within Slack's limits, and nobody's text does anything but be read."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.model.chat import Choice, Fact, Reply, ReplyKind, Table
from integrations.slack.blocks import render
from integrations.slack.limits import ALL_TEXT_MAX, BLOCKS_MAX, find_faults, texts_of

HOSTILE = "<!channel> <@U1> *bold* `code` [/] \x1b[2J \u202e<https://x|y> :bomb: & >"

texts = st.one_of(st.text(max_size=4000), st.just(HOSTILE), st.just(""))
rows = st.lists(st.lists(texts, min_size=3, max_size=3).map(tuple), max_size=12).map(tuple)
replies = st.builds(
    Reply,
    st.sampled_from(ReplyKind),
    texts,
    st.lists(st.builds(Fact, texts, texts, st.booleans()), max_size=12).map(tuple),
    st.one_of(st.none(), st.builds(Table, st.tuples(texts, texts, texts), rows)),
    st.lists(st.builds(Choice, texts, texts), max_size=30).map(tuple),
    st.lists(texts, max_size=12).map(tuple),
)


@settings(max_examples=60, deadline=None)
@given(reply=replies)
def test_any_reply_is_a_message_that_slack_takes(reply: Reply) -> None:
    message = render(reply, tuple(f"c{number}" for number, _ in enumerate(reply.choices)))
    assert find_faults(message) == []
    assert len(json.dumps(message)) < 250_000


def reply(**changes: Any) -> Reply:
    return Reply(**{"kind": ReplyKind.ANSWER, "summary": "fine", **changes})


def test_verdict_comes_first_then_facts_table_choices_footer() -> None:
    message = render(
        reply(
            facts=(Fact("Cause", "x"),),
            table=Table(("A",), (("b",),)),
            choices=(Choice("one", "why one"),),
            footer=("demo",),
        ),
        ("c1",),
    )
    kinds = [block["type"] for block in message["blocks"]]
    assert kinds == ["header", "rich_text", "table", "actions", "context"]
    assert message["blocks"][3]["elements"][0]["value"] == "c1"


def test_hostile_text_pages_nobody_and_is_shown_literally() -> None:
    message = render(reply(summary=HOSTILE, facts=(Fact(HOSTILE, HOSTILE),), footer=(HOSTILE,)))
    wire = json.dumps(message, ensure_ascii=False)
    assert "<!" not in wire
    assert "<@" not in wire
    assert "\x1b" not in wire
    assert "\u202e" not in wire
    assert "mrkdwn" not in wire
    shown = list(texts_of(message["blocks"]))
    assert any("*bold* `code` [/]" in text for text in shown)


def test_message_unfurls_nothing() -> None:
    message = render(reply())
    assert (message["parse"], message["link_names"]) == ("none", False)
    assert (message["unfurl_links"], message["unfurl_media"]) == (False, False)


def test_long_reply_is_cut_and_says_so() -> None:
    message = render(
        reply(
            facts=tuple(Fact(f"F{number}", "x" * 600) for number in range(10)),
            table=Table(("A",), tuple(("y" * 150,) for _ in range(40))),
        )
    )
    assert [block["type"] for block in message["blocks"]] == ["header", "rich_text", "context"]
    assert "too long" in message["blocks"][-1]["elements"][0]["text"]


def test_choice_reads_nothing_from_its_button() -> None:
    message = render(
        reply(kind=ReplyKind.CHOICES, choices=(Choice("x", "why secret/pod"),)), ("c1",)
    )
    assert "secret/pod" not in json.dumps(message)


def header(text: str = "x", **changes: Any) -> dict[str, Any]:
    plain = {"type": "plain_text", "text": text, "emoji": False, **changes}
    return {"type": "header", "text": plain}


def button(number: int = 0, **changes: Any) -> dict[str, Any]:
    text = {"type": "plain_text", "text": "x", "emoji": False}
    return {"type": "button", "action_id": f"a{number}", "text": text, **changes}


def cell(kind: str = "raw_text") -> dict[str, Any]:
    return {"type": kind, "text": "x"}


@pytest.mark.parametrize(
    ("blocks", "fault"),
    [
        ([header()] * (BLOCKS_MAX + 1), "blocks"),
        ([header("x" * 151)], "longer than 150"),
        ([header(type="mrkdwn")], "plain_text"),
        ([header(emoji=True)], "pictures"),
        ([header("")], "empty text"),
        ([header("<!here>")], "<!here"),
        ([{"type": "image", "image_url": "x"}], "unknown type"),
        ([{"type": "section", "text": {"type": "mrkdwn", "text": "x"}}], "mrkdwn"),
        ([{"type": "context", "elements": []}], "0 elements"),
        ([{"type": "actions", "elements": []}], "0 elements"),
        ([{"type": "actions", "elements": [button(), button()]}], "action_id occurs twice"),
        ([{"type": "actions", "elements": [button(url="https://x")]}], "address"),
        ([{"type": "actions", "elements": [button(value="x" * 2001)]}], "2000"),
        ([{"type": "actions", "elements": [button(action_id="")]}], "action_id is empty"),
        ([{"type": "actions", "elements": [cell()]}], "among the elements"),
        ([{"type": "table", "rows": []}], "0 rows"),
        ([{"type": "table", "rows": [[cell()]] * 101}], "101 rows"),
        ([{"type": "table", "rows": [[cell()], [cell(), cell()]]}], "cells"),
        ([{"type": "table", "rows": [[cell()] * 21]}], "cells"),
        ([{"type": "table", "rows": [[cell("mrkdwn")]]}], "neither"),
        ([{"type": "rich_text", "elements": [{"type": "link", "text": "x"}]}], "rich text"),
        ([header("x" * 140)] * (ALL_TEXT_MAX // 140 + 1), "in all"),
    ],
)
def test_what_slack_refuses_is_found(blocks: list[dict[str, Any]], fault: str) -> None:
    assert any(fault in one for one in find_faults({"text": "x", "blocks": blocks}))


@pytest.mark.parametrize(
    ("text", "fault"), [("", "no text"), ("x" * 3001, "longer"), ("<!channel>", "<!channel")]
)
def test_fallback_text_is_checked_too(text: str, fault: str) -> None:
    assert any(fault in one for one in find_faults({"text": text, "blocks": [header()]}))
