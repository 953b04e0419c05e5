"""Forms as Slack modals, and what comes back from them as commands."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

from app.core.model.chat import Choice, Field, FieldKind, Form
from app.core.text import clean
from integrations.slack.element_limits import (
    INPUT_MAX,
    OPTION_TEXT_MAX,
    OPTION_VALUE_MAX,
    OPTIONS_MAX,
    PLACEHOLDER_MAX,
)
from integrations.slack.limits import TITLE_MAX, find_view_faults

CALLBACK = "netpol.form"
LOOKUP_ACTION = "lookup"
SHORT_MAX = 300
"""Characters of labels and hints: all texts of a modal together have a limit, too."""
_NOTHING = "-"

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Meant:
    """What a modal is for: the command it fills in, where it was opened, how its answer gets back.

    `command` and `back` are opaque ids: what was asked and addresses for answers stay here.
    """

    command: str = ""
    channel: str = ""
    back: str = ""


def view_of(form: Form, meant: Meant) -> dict[str, Any]:
    """The modal of a form.

    Raises `ValueError` when Slack would refuse it, which is a defect of this module.
    """
    view = {
        "type": "modal",
        "callback_id": CALLBACK,
        "title": _plain(form.title, TITLE_MAX),
        "submit": _plain(form.submit, TITLE_MAX),
        "close": _plain("Cancel", TITLE_MAX),
        "private_metadata": json.dumps(asdict(meant)),
        "blocks": [_input(field) for field in form.fields],
    }
    if faults := find_view_faults(view):
        raise ValueError("; ".join(faults))
    return view


def _input(field: Field) -> dict[str, Any]:
    block: dict[str, Any] = {
        "type": "input",
        "block_id": field.name,
        "label": _plain(field.label, SHORT_MAX),
        "optional": field.is_optional,
        "element": _element(field),
    }
    if field.hint:
        block["hint"] = _plain(field.hint, SHORT_MAX)
    return block


def _element(field: Field) -> dict[str, Any]:
    match field.kind:
        case FieldKind.LOOKUP:
            element: dict[str, Any] = {
                "type": "external_select",
                "action_id": f"{LOOKUP_ACTION}.{field.name}",
                "min_query_length": 0,
                "placeholder": _plain("Type to look it up", PLACEHOLDER_MAX),
            }
            if field.value:
                element["initial_option"] = option_of(Choice(field.value, field.value))
        case FieldKind.CHOICE:
            options = [option_of(Choice(one, one)) for one in field.options]
            element = {"type": "static_select", "action_id": field.name, "options": options}
            if field.value in field.options:
                element["initial_option"] = option_of(Choice(field.value, field.value))
        case _:
            element = {
                "type": "plain_text_input",
                "action_id": field.name,
                "multiline": field.kind is FieldKind.LONG,
                "max_length": INPUT_MAX if field.kind is FieldKind.LONG else 300,
            }
            if field.value:
                element["initial_value"] = clean(field.value, 300)
    return element


def option_of(choice: Choice) -> dict[str, Any]:
    """One line of a select: the label shown, and what it stands for."""
    text = _plain(choice.label, OPTION_TEXT_MAX)
    return {"text": text, "value": choice.command[:OPTION_VALUE_MAX] or _NOTHING}


def options_of(choices: Iterable[Choice]) -> list[dict[str, Any]]:
    """What an external select is answered with."""
    return [option_of(one) for one in islice(choices, OPTIONS_MAX)]


def given_in(view: Json) -> dict[str, str]:
    """The values of a modal by field, as it was sent or as it is while something is looked up."""
    return dict(_values((view.get("state") or {}).get("values") or {}))


def _values(state: Json) -> Iterator[tuple[str, str]]:
    for name, actions in state.items():
        for action in actions.values():
            chosen = action.get("selected_option") or {}
            value = action.get("value") or chosen.get("value") or ""
            if value and isinstance(value, str):
                yield name, value


def meant_by(view: Json) -> Meant:
    """What a modal was opened for."""
    try:
        meant = json.loads(view.get("private_metadata") or "{}")
    except ValueError:
        return Meant()
    return Meant(*(str(meant.get(name, "")) for name in ("command", "channel", "back")))


def command_with(command: str, given: Mapping[str, str]) -> str:
    """The command with a flag for each value."""
    return f"{command} {shlex.join([f'--{name}={value}' for name, value in given.items()])}".strip()


def _plain(text: str, limit: int) -> dict[str, Any]:
    shown = clean(text, limit).replace("<!", "\u2039!").replace("<@", "\u2039@")
    return {"type": "plain_text", "text": shown or _NOTHING, "emoji": False}
