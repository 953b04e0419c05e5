"""What Slack accepts of the parts of blocks: texts, buttons, selects, inputs, confirmations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

BUTTON_TEXT_MAX = 75
BUTTON_VALUE_MAX = 2000
OPTION_TEXT_MAX = 75
OPTION_VALUE_MAX = 75
"""150 by the reference, 75 by Slack's own types: the smaller one is safe."""
OPTIONS_MAX = 100
OVERFLOW_MAX = 5
BOXES_MAX = 10
PLACEHOLDER_MAX = 150
INPUT_MAX = 3000
CONFIRM = {"title": 100, "text": 300, "confirm": 30, "deny": 30}

Json = Mapping[str, Any]


def check_text(text: Any, limit: int) -> Iterator[str]:
    """A `plain_text` of 1 to `limit` characters that stays as it is written."""
    if not isinstance(text, Mapping) or text.get("type") != "plain_text":
        yield "a text that is not plain_text"
        return
    if text.get("emoji") is not False:
        yield "plain_text that turns :words: into pictures"
    if len(text.get("text", "")) > limit:
        yield f"a text longer than {limit}"


def check_element(element: Json) -> Iterator[str]:
    """A part that people press or fill in."""
    check = _ELEMENTS.get(element.get("type", ""))
    if check is None:
        yield f"{element.get('type')!r} among the elements"
        return
    yield from check(element)
    if "confirm" in element:
        yield from check_confirm(element["confirm"])
    if "placeholder" in element:
        yield from check_text(element["placeholder"], PLACEHOLDER_MAX)


def _button(element: Json) -> Iterator[str]:
    yield from check_text(element.get("text"), BUTTON_TEXT_MAX)
    if len(element.get("value", "")) > BUTTON_VALUE_MAX:
        yield f"a button's value is longer than {BUTTON_VALUE_MAX}"
    if "url" in element:
        yield "a button with an address"


def _static_select(element: Json) -> Iterator[str]:
    groups = element.get("option_groups")
    if groups is None:
        yield from check_options(element.get("options", ()), OPTIONS_MAX)
        return
    if not 0 < len(groups) <= OPTIONS_MAX:
        yield f"{len(groups)} groups, not 1 to {OPTIONS_MAX}"
    for group in groups:
        yield from check_text(group.get("label"), OPTION_TEXT_MAX)
        yield from check_options(group.get("options", ()), OPTIONS_MAX)


def _external_select(element: Json) -> Iterator[str]:
    if not 0 <= element.get("min_query_length", 0) <= INPUT_MAX:
        yield "a min_query_length of nothing"
    if "initial_option" in element:
        yield from check_options((element["initial_option"],), 1)


def _overflow(element: Json) -> Iterator[str]:
    yield from check_options(element.get("options", ()), OVERFLOW_MAX)


def _boxes(element: Json) -> Iterator[str]:
    yield from check_options(element.get("options", ()), BOXES_MAX)


def _text_input(element: Json) -> Iterator[str]:
    if not 0 < element.get("max_length", INPUT_MAX) <= INPUT_MAX:
        yield f"an input longer than {INPUT_MAX}"
    if len(element.get("initial_value", "")) > element.get("max_length", INPUT_MAX):
        yield "an initial value longer than the input"


def check_options(options: Any, most: int) -> Iterator[str]:
    """One to `most` options, each with a text and a value."""
    if not 0 < len(options) <= most:
        yield f"{len(options)} options, not 1 to {most}"
    for option in options:
        yield from check_text(option.get("text"), OPTION_TEXT_MAX)
        if not 0 < len(option.get("value", "")) <= OPTION_VALUE_MAX:
            yield f"an option's value is empty or longer than {OPTION_VALUE_MAX}"
        if "description" in option:
            yield from check_text(option["description"], OPTION_TEXT_MAX)


def check_confirm(confirm: Json) -> Iterator[str]:
    """The question that is asked before a button counts."""
    for name, limit in CONFIRM.items():
        yield from (f"confirm.{name}: {one}" for one in check_text(confirm.get(name), limit))


_ELEMENTS: Mapping[str, Callable[[Json], Iterator[str]]] = {
    "button": _button,
    "static_select": _static_select,
    "multi_static_select": _static_select,
    "external_select": _external_select,
    "overflow": _overflow,
    "radio_buttons": _boxes,
    "checkboxes": _boxes,
    "plain_text_input": _text_input,
}
