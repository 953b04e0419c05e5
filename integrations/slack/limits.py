"""What Slack accepts in a message or a modal, checked before it is sent.

Slack publishes no schema of Block Kit and its SDK lets most of these through, so everything that is
sent passes here, in production too. Numbers: Slack's Block Kit reference; the sum of all texts is
not documented, 13,200 characters were measured to be too many.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from integrations.slack.element_limits import check_element, check_text

BLOCKS_MAX = 50
MODAL_BLOCKS_MAX = 100
MODAL_BYTES_MAX = 250_000
TITLE_MAX = 24
METADATA_MAX = 3000
TEXT_MAX = 3000
ALL_TEXT_MAX = 9000
SECTION_MAX = 3000
FIELDS_MAX = 10
FIELD_MAX = 2000
HEADER_MAX = 150
LABEL_MAX = 2000
CONTEXT_ELEMENTS_MAX = 10
ACTIONS_MAX = 25
ID_MAX = 255
TABLE_ROWS_MAX = 100
TABLE_COLUMNS_MAX = 20
DATA_ROWS_MIN = 2
DATA_TEXT_MAX = 20_000
MARKDOWN_MAX = 12_000
ALERT_MAX = 200
URL_MAX = 3000
CHILDREN_MAX = 10
ATTACHMENTS_MAX = 100
TABLE_CELLS = frozenset({"raw_text", "rich_text"})
MENTIONS = ("<!channel", "<!here", "<!everyone", "<!subteam", "<@")
IN_MODALS = frozenset(
    {
        *("actions", "alert", "card", "context", "divider", "header", "image", "input"),
        *("rich_text", "section", "video"),
    }
)
_IDS = ("block_id", "action_id", "callback_id", "external_id")

Json = Mapping[str, Any]


def find_faults(message: Json) -> list[str]:
    """Everything that Slack would refuse or a stranger's text must not cause; empty when fine."""
    blocks = message.get("blocks", [])
    faults = [*_text_faults(message), *_count_faults(blocks), *_block_faults(blocks)]
    if len(message.get("attachments", ())) > ATTACHMENTS_MAX:
        faults.append(f"more than {ATTACHMENTS_MAX} attachments")
    if len(blocks) > BLOCKS_MAX:
        faults.append(f"more than {BLOCKS_MAX} blocks")
    faults += [
        f"{number}: an alert stands in modals only"
        for number, block in enumerate(blocks)
        if block.get("type") == "alert"
    ]
    return faults


def find_view_faults(view: Json) -> list[str]:
    """The same for a modal."""
    blocks = view.get("blocks", [])
    faults = [*_count_faults(blocks), *_block_faults(blocks)]
    faults += [f"{one} in a text" for one in MENTIONS if any(one in t for t in texts_of(view))]
    for name in ("title", "submit", "close"):
        if name in view or name == "title":
            faults += [f"{name}: {one}" for one in check_text(view.get(name), TITLE_MAX)]
    if len(view.get("private_metadata", "")) > METADATA_MAX:
        faults.append(f"private_metadata is longer than {METADATA_MAX}")
    faults += [f"a {name} is too long" for name in _IDS if len(str(view.get(name, ""))) > ID_MAX]
    if len(blocks) > MODAL_BLOCKS_MAX:
        faults.append(f"more than {MODAL_BLOCKS_MAX} blocks")
    if any(block.get("type") == "input" for block in blocks) and "submit" not in view:
        faults.append("inputs, and nothing to send them with")
    kinds = {str(block.get("type")) for block in blocks}
    faults += [f"{kind} does not stand in modals" for kind in sorted(kinds - IN_MODALS)]
    if len(json.dumps(view, ensure_ascii=False).encode()) > MODAL_BYTES_MAX:
        faults.append(f"more than {MODAL_BYTES_MAX} bytes")
    return faults


def _block_faults(blocks: Sequence[Json]) -> Iterator[str]:
    for number, block in enumerate(blocks):
        check = _CHECKS.get(block.get("type", ""))
        if check is None:
            yield f"blocks[{number}]: unknown type {block.get('type')!r}"
            continue
        yield from (f"blocks[{number}]: {fault}" for fault in check(block))
        for key in ("accessory", "element"):
            if key in block:
                yield from (f"blocks[{number}].{key}: {one}" for one in check_element(block[key]))


def _text_faults(message: Json) -> Iterator[str]:
    text = message.get("text", "")
    if not text:
        yield "no text to fall back to"
    if len(text) > TEXT_MAX:
        yield f"text is longer than {TEXT_MAX}"
    shown = (text, *texts_of(message.get("blocks", [])))
    yield from (f"{one} in a text" for one in MENTIONS if any(one in text for text in shown))


def _count_faults(blocks: Sequence[Json]) -> Iterator[str]:
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
    markdown = [one.get("text", "") for one in blocks if one.get("type") == "markdown"]
    if sum(map(len, markdown)) > MARKDOWN_MAX:
        yield f"more than {MARKDOWN_MAX} characters of Markdown"


def _header(block: Json) -> Iterator[str]:
    yield from check_text(block.get("text"), HEADER_MAX)


def _section(block: Json) -> Iterator[str]:
    fields = block.get("fields", [])
    if "text" in block or not fields:
        yield from check_text(block.get("text"), SECTION_MAX)
    if len(fields) > FIELDS_MAX:
        yield f"more than {FIELDS_MAX} fields"
    for one in fields:
        yield from check_text(one, FIELD_MAX)


def _context(block: Json) -> Iterator[str]:
    elements = block.get("elements", [])
    if not 0 < len(elements) <= CONTEXT_ELEMENTS_MAX:
        yield f"{len(elements)} elements, not 1 to {CONTEXT_ELEMENTS_MAX}"
    for element in elements:
        yield from check_text(element, SECTION_MAX)


def _actions(block: Json) -> Iterator[str]:
    elements = block.get("elements", [])
    if not 0 < len(elements) <= ACTIONS_MAX:
        yield f"{len(elements)} elements, not 1 to {ACTIONS_MAX}"
    for element in elements:
        if element.get("type") == "plain_text_input":
            yield "'plain_text_input' among the actions"
        yield from check_element(element)


def _input(block: Json) -> Iterator[str]:
    yield from check_text(block.get("label"), LABEL_MAX)
    if "hint" in block:
        yield from check_text(block["hint"], LABEL_MAX)
    if "element" not in block:
        yield "an input without an element"


def _rich_text(block: Json) -> Iterator[str]:
    kinds = {one.get("type") for one in _objects(block.get("elements", []))}
    if unknown := kinds - _RICH_PARTS:
        yield f"{sorted(map(str, unknown))} in rich text"
    if not block.get("elements"):
        yield "no elements"
    for one in _objects(block.get("elements", [])):
        url = one.get("url", "")
        if one.get("type") == "link" and not (url.startswith("https://") and "text" not in one):
            yield "a link in rich text that is no plain https address"
        if len(url) > URL_MAX:
            yield f"an address longer than {URL_MAX}"


def _table(block: Json) -> Iterator[str]:
    rows = block.get("rows", [])
    if not 0 < len(rows) <= TABLE_ROWS_MAX:
        yield f"{len(rows)} rows, not 1 to {TABLE_ROWS_MAX}"
    widths = {len(row) for row in rows}
    if len(widths) > 1 or any(width > TABLE_COLUMNS_MAX for width in widths):
        yield f"rows of {sorted(widths)} cells"
    if any(cell.get("type") not in TABLE_CELLS for row in rows for cell in row):
        yield "a cell that is neither raw_text nor rich_text"
    if len(block.get("column_settings", ())) > TABLE_COLUMNS_MAX:
        yield f"settings of more than {TABLE_COLUMNS_MAX} columns"


def _data_table(block: Json) -> Iterator[str]:
    rows = block.get("rows", [])
    if not DATA_ROWS_MIN <= len(rows) <= TABLE_ROWS_MAX:
        yield f"{len(rows)} rows, not {DATA_ROWS_MIN} to {TABLE_ROWS_MAX}"
    if any(len(row) > TABLE_COLUMNS_MAX for row in rows):
        yield f"more than {TABLE_COLUMNS_MAX} columns"
    if sum(map(len, texts_of(rows))) > DATA_TEXT_MAX:
        yield f"more than {DATA_TEXT_MAX} characters"


def _alert(block: Json) -> Iterator[str]:
    text = block.get("text")
    yield from check_text(text, ALERT_MAX)


def _many(name: str, most: int) -> Callable[[Json], Iterator[str]]:
    def check(block: Json) -> Iterator[str]:
        if not 0 < len(block.get(name, ())) <= most:
            yield f"{len(block.get(name, ()))} {name}, not 1 to {most}"

    return check


def _anything(_block: Json) -> Iterator[str]:
    return iter(())


_CHECKS: Mapping[str, Callable[[Json], Iterator[str]]] = {
    "header": _header,
    "section": _section,
    "context": _context,
    "actions": _actions,
    "input": _input,
    "rich_text": _rich_text,
    "table": _table,
    "data_table": _data_table,
    "alert": _alert,
    "container": _many("children", CHILDREN_MAX),
    "carousel": _many("elements", CHILDREN_MAX),
    "markdown": _anything,
    "divider": _anything,
}
"""No image: whoever shows it would fetch it from a place that somebody else chose."""
_RICH_PARTS = frozenset({"rich_text_section", "rich_text_preformatted", "text", "link"})


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
