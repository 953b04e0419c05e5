"""Replies as Slack messages.

Text that anyone outside the bot's own code has chosen goes into `plain_text`, `rich_text` text
elements and table `raw_text` cells only: Slack shows those literally. What does not fit is cut,
with a word that it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from app.core.model.chat import Attachment, Choice, Fact, Reply, ReplyKind, Table
from app.core.text import clean
from integrations.slack.element_limits import BUTTON_TEXT_MAX
from integrations.slack.limits import (
    ACTIONS_MAX,
    ALL_TEXT_MAX,
    CONTEXT_ELEMENTS_MAX,
    HEADER_MAX,
    TEXT_MAX,
    URL_MAX,
    find_faults,
    texts_of,
)

CHOICE_ACTION = "choose"
BUTTON_ACTION = "ask"
MAX_FACT = 600
FOOTER_MAX = 300
MAX_CELL = 160
NOTHING = "-"
"""What stands for an empty text, which Slack refuses."""
_LABELS_BEFORE = {
    ReplyKind.REFUSAL: "Not here: ",
    ReplyKind.MISTAKE: "I did not understand: ",
    ReplyKind.FAILURE: "That did not work: ",
}

Block = dict[str, Any]


def render(
    reply: Reply, choice_ids: tuple[str, ...] = (), button_ids: tuple[str, ...] = ()
) -> dict[str, Any]:
    """The message for a reply; the ids are the opaque values of its choices and buttons, in order.

    Raises `ValueError` when Slack would refuse it, which is a defect of this module.
    """
    summary = _LABELS_BEFORE.get(reply.kind, "") + reply.summary
    tail = list(_tail(reply, choice_ids, button_ids))
    room = ALL_TEXT_MAX - 200 - sum(map(len, texts_of(tail)))
    return _message(summary, [*_fit(_head(reply, summary), room), *tail])


def render_attachment(attachment: Attachment) -> Iterator[dict[str, Any]]:
    """A long text as messages, cut between lines: each block of code is whole.

    Whoever sends them counts: what is not sent is in the file, or in the words of the last one.
    """
    pieces = list(_pieces(clean_lines(attachment.text)))
    for number, piece in enumerate(pieces, start=1):
        title = attachment.title if len(pieces) == 1 else f"{attachment.title} ({number})"
        parts = {"type": "rich_text_preformatted", "elements": [_text(piece)]}
        block = {"type": "rich_text", "elements": [parts]}
        yield _message(title, [{"type": "header", "text": _plain(title, HEADER_MAX)}, block])


def clean_lines(text: str) -> str:
    """A text of several lines, each literal."""
    return "\n".join(_literal(line, TEXT_MAX) if line else "" for line in text.splitlines())


def _pieces(text: str) -> Iterator[str]:
    piece: list[str] = []
    size = 0
    for line in text.splitlines() or [NOTHING]:
        if piece and size + len(line) + 1 > TEXT_MAX - 100:
            yield "\n".join(piece)
            piece, size = [], 0
        piece.append(line[: TEXT_MAX - 100])
        size += len(line) + 1
    yield "\n".join(piece) or NOTHING


def _message(text: str, blocks: list[Block]) -> dict[str, Any]:
    message = {
        "text": _fallback(text),
        "blocks": blocks,
        "parse": "none",
        "link_names": False,
        "unfurl_links": False,
        "unfurl_media": False,
    }
    if faults := find_faults(message):
        raise ValueError("; ".join(faults))
    return message


def _head(reply: Reply, summary: str) -> Iterator[Block]:
    yield {"type": "header", "text": _plain(summary, HEADER_MAX)}
    if len(summary) > HEADER_MAX:
        yield _rich([_text(_literal(summary, TEXT_MAX))])
    if reply.facts:
        yield _rich([part for fact in reply.facts for part in _fact(fact)])
    if reply.link:
        yield _rich([_link(reply.link)])
    if reply.table is not None:
        yield _table(reply.table)


def _tail(
    reply: Reply, choice_ids: tuple[str, ...], button_ids: tuple[str, ...]
) -> Iterator[Block]:
    """What always fits: what can be pressed, and where it comes from."""
    if choice_ids:
        yield _buttons("choices", CHOICE_ACTION, reply.choices, choice_ids)
    if button_ids:
        yield _buttons("buttons", BUTTON_ACTION, reply.buttons, button_ids)
    if reply.footer:
        elements = [_plain(one, FOOTER_MAX) for one in reply.footer[:CONTEXT_ELEMENTS_MAX]]
        yield {"type": "context", "elements": elements}


def _fit(blocks: Iterator[Block], room: int) -> Iterator[Block]:
    """Leave out what would make the message too long, and say so."""
    for block in blocks:
        size = sum(map(len, texts_of(block)))
        if size > room:
            yield {"type": "context", "elements": [_plain("The rest is too long for Slack", 150)]}
            return
        room -= size
        yield block


def _fallback(summary: str) -> str:
    """The notification's text: Slack reads it as markup, so its three characters are escaped."""
    text = clean(summary, TEXT_MAX // 6) or NOTHING
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _literal(text: str, limit: int) -> str:
    """Text that pages nobody, wherever it ends up: Slack's mentions start with `<!` or `<@`."""
    return clean(text, limit).replace("<!", "\u2039!").replace("<@", "\u2039@") or NOTHING


def _plain(text: str, limit: int) -> Block:
    return {"type": "plain_text", "text": _literal(text, limit), "emoji": False}


def _rich(elements: list[Block]) -> Block:
    section = {"type": "rich_text_section", "elements": elements}
    return {"type": "rich_text", "elements": [section]}


def _link(url: str) -> Block:
    """An address to follow, where it is one; else its text."""
    plain = url.isascii() and url.isprintable() and not set(url) & set(' <>|"`\\')
    if plain and url.startswith("https://") and len(url) <= URL_MAX:
        return {"type": "link", "url": url}
    return _text(_literal(url, HEADER_MAX * 2), code=True)


def _text(text: str, **style: bool) -> Block:
    return {"type": "text", "text": text, **({"style": style} if style else {})}


def _fact(fact: Fact) -> Iterator[Block]:
    yield _text(f"{_literal(fact.label, HEADER_MAX)}  ", bold=True)
    text = _literal(fact.text, MAX_FACT)
    yield _text(text, code=True) if fact.code else _text(text)
    yield _text("\n")


def _table(table: Table) -> Block:
    rows = [table.head, *table.rows]
    return {
        "type": "table",
        "rows": [
            [{"type": "raw_text", "text": _literal(cell, MAX_CELL)} for cell in row] for row in rows
        ],
        "column_settings": [{"is_wrapped": True} for _ in table.head],
    }


def _buttons(
    block_id: str, action: str, choices: tuple[Choice, ...], ids: tuple[str, ...]
) -> Block:
    return {
        "type": "actions",
        "block_id": block_id,
        "elements": [
            {
                "type": "button",
                "action_id": f"{action}.{number}",
                "text": _plain(choice.label, BUTTON_TEXT_MAX),
                "value": choice_id,
            }
            for number, (choice, choice_id) in enumerate(
                list(zip(choices, ids, strict=True))[:ACTIONS_MAX]
            )
        ],
    }
