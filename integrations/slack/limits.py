"""What Slack accepts in a message, checked before it is sent.

Slack publishes no schema of Block Kit and its SDK lets most of these through, so every message
passes here, in production too. Numbers: Slack's Block Kit reference; the sum of all texts is not
documented, 13,200 characters were measured to be too many.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

BLOCKS_MAX = 50
TEXT_MAX = 3000
ALL_TEXT_MAX = 9000
SECTION_MAX = 3000
HEADER_MAX = 150
CONTEXT_ELEMENTS_MAX = 10
ACTIONS_MAX = 25
BUTTON_TEXT_MAX = 75
BUTTON_VALUE_MAX = 2000
ID_MAX = 255
TABLE_ROWS_MAX = 100
TABLE_COLUMNS_MAX = 20
TABLE_CELLS = frozenset({"raw_text", "rich_text"})
MENTIONS = ("<!channel", "<!here", "<!everyone", "<!subteam", "<@")

Json = Mapping[str, Any]


def find_faults(message: Json) -> list[str]:
    """Everything that Slack would refuse or a stranger's text must not cause; empty when fine."""
    blocks = message.get("blocks", [])
    faults = [*_text_faults(message), *_count_faults(blocks)]
    for number, block in enumerate(blocks):
        check = _CHECKS.get(block.get("type", ""))
        if check is None:
            faults.append(f"blocks[{number}]: unknown type {block.get('type')!r}")
            continue
        faults += [f"blocks[{number}]: {fault}" for fault in check(block)]
    return faults


def _text_faults(message: Json) -> Iterator[str]:
    text = message.get("text", "")
    if not text:
        yield "no text to fall back to"
    if len(text) > TEXT_MAX:
        yield f"text is longer than {TEXT_MAX}"
    shown = (text, *texts_of(message.get("blocks", [])))
    yield from (f"{one} in a text" for one in MENTIONS if any(one in text for text in shown))


def _count_faults(blocks: Sequence[Json]) -> Iterator[str]:
    if len(blocks) > BLOCKS_MAX:
        yield f"more than {BLOCKS_MAX} blocks"
    if sum(map(len, texts_of(blocks))) > ALL_TEXT_MAX:
        yield f"more than {ALL_TEXT_MAX} characters in all"
    for name in ("block_id", "action_id"):
        ids = list(_values(blocks, name))
        if len(ids) != len(set(ids)):
            yield f"a {name} occurs twice"
        if any(not 0 < len(one) <= ID_MAX for one in ids):
            yield f"a {name} is empty or longer than {ID_MAX}"
    if any(not text for text in texts_of(blocks)):
        yield "an empty text"
    if any(one.get("type") == "mrkdwn" for one in _objects(blocks)):
        yield "mrkdwn, which has no escape for * _ ~ `"


def _header(block: Json) -> Iterator[str]:
    yield from _plain(block.get("text"), HEADER_MAX)


def _section(block: Json) -> Iterator[str]:
    yield from _plain(block.get("text"), SECTION_MAX)


def _context(block: Json) -> Iterator[str]:
    elements = block.get("elements", [])
    if not 0 < len(elements) <= CONTEXT_ELEMENTS_MAX:
        yield f"{len(elements)} elements, not 1 to {CONTEXT_ELEMENTS_MAX}"
    for element in elements:
        yield from _plain(element, SECTION_MAX)


def _actions(block: Json) -> Iterator[str]:
    elements = block.get("elements", [])
    if not 0 < len(elements) <= ACTIONS_MAX:
        yield f"{len(elements)} elements, not 1 to {ACTIONS_MAX}"
    for element in elements:
        if element.get("type") != "button":
            yield f"{element.get('type')!r} among the actions"
        if len(element.get("value", "")) > BUTTON_VALUE_MAX:
            yield f"a button's value is longer than {BUTTON_VALUE_MAX}"
        if "url" in element:
            yield "a button with an address"
        yield from _plain(element.get("text"), BUTTON_TEXT_MAX)


def _rich_text(block: Json) -> Iterator[str]:
    kinds = {one.get("type") for one in _objects(block.get("elements", []))}
    if unknown := kinds - _RICH_PARTS:
        yield f"{sorted(map(str, unknown))} in rich text"


def _table(block: Json) -> Iterator[str]:
    rows = block.get("rows", [])
    if not 0 < len(rows) <= TABLE_ROWS_MAX:
        yield f"{len(rows)} rows, not 1 to {TABLE_ROWS_MAX}"
    widths = {len(row) for row in rows}
    if len(widths) > 1 or any(width > TABLE_COLUMNS_MAX for width in widths):
        yield f"rows of {sorted(widths)} cells"
    if any(cell.get("type") not in TABLE_CELLS for row in rows for cell in row):
        yield "a cell that is neither raw_text nor rich_text"


def _divider(_block: Json) -> Iterator[str]:
    return iter(())


def _plain(text: Any, limit: int) -> Iterator[str]:
    if not isinstance(text, Mapping) or text.get("type") != "plain_text":
        yield "a text that is not plain_text"
        return
    if text.get("emoji") is not False:
        yield "plain_text that turns :words: into pictures"
    if len(text.get("text", "")) > limit:
        yield f"a text longer than {limit}"


_CHECKS = {
    "header": _header,
    "section": _section,
    "context": _context,
    "actions": _actions,
    "rich_text": _rich_text,
    "table": _table,
    "divider": _divider,
}
_RICH_PARTS = frozenset({"rich_text_section", "rich_text_preformatted", "text"})


def _objects(tree: Any) -> Iterator[Json]:
    if isinstance(tree, Mapping):
        if "type" in tree:
            yield tree
        for value in tree.values():
            yield from _objects(value)
    elif isinstance(tree, list):
        for item in tree:
            yield from _objects(item)


def texts_of(tree: Any) -> Iterator[str]:
    """Every text shown, in order."""
    for one in _objects(tree):
        if isinstance(one.get("text"), str):
            yield one["text"]


def _values(tree: Any, name: str) -> Iterator[str]:
    for one in _objects(tree):
        if name in one:
            yield str(one[name])
