"""Messages: within Slack's limits, and nobody's text does anything but be read."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.model.chat import (
    Attachment,
    Choice,
    Fact,
    Field,
    FieldKind,
    Form,
    Reply,
    ReplyKind,
    Table,
)
from integrations.slack.blocks import render, render_attachment
from integrations.slack.element_limits import OPTION_TEXT_MAX, check_options
from integrations.slack.limits import (
    ALL_TEXT_MAX,
    BLOCKS_MAX,
    MENTIONS,
    find_faults,
    find_view_faults,
    texts_of,
)
from integrations.slack.modals import Meant, command_with, given_in, meant_by, options_of, view_of

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
    st.lists(st.builds(Choice, texts, texts), max_size=30).map(tuple),
    st.booleans(),
    st.one_of(st.none(), st.builds(Attachment, texts, texts)),
    st.none(),
    st.one_of(texts, st.just("https://git.example.org/pr/1"), st.just("javascript:alert(1)")),
)


@settings(max_examples=60, deadline=None)
@given(reply=replies)
def test_any_reply_is_a_message_that_slack_takes(reply: Reply) -> None:
    choices = tuple(f"c{number}" for number, _ in enumerate(reply.choices))
    buttons = tuple(f"b{number}" for number, _ in enumerate(reply.buttons))
    message = render(reply, choices, buttons)
    assert find_faults(message) == []
    assert len(json.dumps(message)) < 250_000
    assert all(one == reply.link for one in links_in(message))
    for piece in render_attachment(reply.attachment) if reply.attachment else ():
        assert find_faults(piece) == []
        assert not any(one in json.dumps(piece) for one in MENTIONS)


def links_in(tree: Any) -> list[str]:
    """Everything that can be followed."""
    if isinstance(tree, dict):
        own = [tree["url"]] if "url" in tree else []
        return own + [one for value in tree.values() for one in links_in(value)]
    return [one for item in tree for one in links_in(item)] if isinstance(tree, list) else []


names = st.sampled_from(["from", "to", "port", "in", "reason", "expires"])
form_fields = st.builds(
    Field,
    names,
    texts,
    st.sampled_from(FieldKind),
    texts,
    texts,
    st.lists(texts, min_size=1, max_size=6).map(tuple),
    st.booleans(),
)


@settings(max_examples=60, deadline=None)
@given(
    title=texts,
    fields=st.lists(form_fields, min_size=1, max_size=6, unique_by=lambda one: one.name),
    channel=st.text("C0123456789", max_size=12),
)
def test_any_form_is_a_modal_that_slack_takes(
    title: str, fields: list[Field], channel: str
) -> None:
    meant = Meant("c1.y", channel, "c1.x")
    view = view_of(Form(title, "why-blocked", tuple(fields)), meant)
    assert find_view_faults(view) == []
    assert meant_by(view) == meant
    assert "why-blocked" not in json.dumps(view) or "why-blocked" in title


@given(choices=st.lists(st.builds(Choice, texts, st.text(min_size=1, max_size=400)), max_size=130))
def test_any_choices_are_options_that_slack_takes(choices: list[Choice]) -> None:
    options = options_of(choices)
    assert len(options) <= 100
    assert not options or list(check_options(options, 100)) == []
    assert all(len(one["text"]["text"]) <= OPTION_TEXT_MAX for one in options)


def test_values_of_a_modal_become_flags_that_shells_could_not_misread() -> None:
    values = {
        "a": {"x": {"value": "it's; rm -rf"}},
        "b": {"y": {"selected_option": {"value": "ns/pod"}}},
        "c": {"z": {"selected_option": None, "value": None}},
    }
    given_values = given_in({"state": {"values": values}})
    assert given_values == {"a": "it's; rm -rf", "b": "ns/pod"}
    command = command_with("why", given_values)
    assert command == "why '--a=it'\"'\"'s; rm -rf' --b=ns/pod"


def test_long_text_is_cut_between_lines() -> None:
    lines = [f"line {number} {'x' * 90}" for number in range(200)]
    pieces = list(render_attachment(Attachment("Lines", "\n".join(lines))))
    shown = "\n".join(list(texts_of(one["blocks"]))[1] for one in pieces)
    assert shown.splitlines() == lines
    assert len(pieces) > 3


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


def select(**changes: Any) -> dict[str, Any]:
    option = {"text": {"type": "plain_text", "text": "x", "emoji": False}, "value": "x"}
    return {"type": "static_select", "action_id": "s", "options": [option], **changes}


def input_of(element: dict[str, Any], **changes: Any) -> dict[str, Any]:
    label = {"type": "plain_text", "text": "x", "emoji": False}
    return {"type": "input", "block_id": "b", "label": label, "element": element, **changes}


def modal(*blocks: dict[str, Any], **changes: Any) -> dict[str, Any]:
    title = {"type": "plain_text", "text": "x", "emoji": False}
    return {"type": "modal", "title": title, "submit": title, "blocks": list(blocks), **changes}


def plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text, "emoji": False}


TEXT = {"type": "plain_text_input", "action_id": "t"}


@pytest.mark.parametrize(
    ("view", "fault"),
    [
        (modal(title=plain("x" * 25)), "longer than 24"),
        (modal(submit=plain("x" * 25)), "longer than 24"),
        (modal(input_of(TEXT, label=plain("x" * 2001))), "2000"),
        (modal(input_of(TEXT, hint=plain("x" * 2001))), "2000"),
        (modal(input_of({**TEXT, "max_length": 3001})), "3000"),
        (modal(input_of({**TEXT, "initial_value": "x" * 9, "max_length": 8})), "longer than"),
        (modal(input_of(select(options=[]))), "0 options"),
        (modal(input_of(select(options=select()["options"] * 101))), "101 options"),
        (modal(input_of(select(placeholder=plain("x" * 151)))), "150"),
        (modal(input_of(select(type="overflow", options=select()["options"] * 6))), "6 options"),
        (modal(input_of(select(type="radio_buttons", options=select()["options"] * 11))), "11"),
        (modal(input_of(select(option_groups=[]))), "0 groups"),
        (modal(input_of({"type": "rocket", "action_id": "r"})), "'rocket'"),
        (modal(*[{"type": "divider"}] * 101), "100 blocks"),
        (modal({"type": "table", "rows": [[cell()]]}), "table does not stand in modals"),
        (modal(private_metadata="x" * 3001), "3000"),
        (modal(callback_id="x" * 256), "callback_id"),
        (modal(header("<@U1>")), "<@ in a text"),
        (modal(*[header("x" * 140)] * 70), "in all"),
    ],
)
def test_what_slack_refuses_of_a_modal_is_found(view: dict[str, Any], fault: str) -> None:
    assert any(fault in one for one in find_view_faults(view))


def test_modal_without_anything_to_send_it_is_found() -> None:
    view = modal(input_of(TEXT))
    del view["submit"]
    assert any("nothing to send" in one for one in find_view_faults(view))


@pytest.mark.parametrize(
    ("blocks", "fault"),
    [
        ([{"type": "alert", "text": plain("x")}], "modals only"),
        ([{"type": "section", "fields": [plain("x")] * 11}], "10 fields"),
        ([{"type": "section", "fields": [plain("x" * 2001)]}], "2000"),
        ([{"type": "section", "text": plain("x" * 3001)}], "3000"),
        ([{"type": "actions", "elements": [button(confirm={"title": plain("x")})]}], "confirm"),
        ([{"type": "data_table", "rows": [[cell()]]}], "1 rows"),
        ([{"type": "container", "children": [{}] * 11}], "11 children"),
        ([{"type": "carousel", "elements": [{}] * 11}], "11 elements"),
        ([{"type": "markdown", "text": "x" * 12_001}], "Markdown"),
        ([{"type": "rich_text", "elements": []}], "no elements"),
        ([header("x", emoji=False), *[{"type": "divider", "block_id": "d"}] * 2], "occurs twice"),
    ],
)
def test_other_limits_of_messages_are_found_too(blocks: list[dict[str, Any]], fault: str) -> None:
    assert any(fault in one for one in find_faults({"text": "x", "blocks": blocks}))
