"""The templates of ApplicationSets, as far as generators' parameters go.

Source: Argo CD `docs/operator-manual/applicationset/Template.md` (`{{path.basename}}`) and
`GoTemplate.md` (`{{.path.basename}}`, `{{index .path.segments 1}}`). A field that needs a function
or a parameter that is not known here is None, and whatever rests on it is not known either.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

_ACTION = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}")
_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|([^\s"]+)')
_FUNCTIONS: Mapping[str, Callable[[str], str]] = {
    "lower": str.lower,
    "upper": str.upper,
    "trim": str.strip,
    "quote": lambda text: f'"{text}"',
    "normalize": lambda text: re.sub(r"[^a-z0-9.-]+", "-", text.lower()).strip("-."),
}

Parameters = Mapping[str, Any]


def render(value: Any, parameters: Parameters) -> Any:
    """Fill a tree; a string with something that cannot be filled becomes None."""
    if isinstance(value, str):
        return _text(value, parameters) if "{{" in value else value
    if isinstance(value, Mapping):
        return {str(key): render(item, parameters) for key, item in value.items()}
    if isinstance(value, list):
        return [render(item, parameters) for item in value]
    return value


def _text(text: str, parameters: Parameters) -> str | None:
    parts: list[str] = []
    at = 0
    for action in _ACTION.finditer(text):
        value = _evaluate(action[1], parameters)
        if value is None:
            return None
        parts += [text[at : action.start()], value]
        at = action.end()
    return "".join([*parts, text[at:]])


def _evaluate(action: str, parameters: Parameters) -> str | None:
    head, *pipes = (part.strip() for part in action.split("|"))
    value = _term(head, parameters)
    for pipe in pipes:
        words = _words(pipe)
        if words[:1] == ["default"] and len(words) > 1:
            value = value or words[1]
        elif value is not None and len(words) == 1 and words[0] in _FUNCTIONS:
            value = _FUNCTIONS[words[0]](value)
        else:
            return None
    return value


def _words(text: str) -> list[str]:
    return [quoted or bare for quoted, bare in _WORD.findall(text)]


def _term(text: str, parameters: Parameters) -> str | None:
    words = _words(text)
    if not words:
        return None
    if words[0] == "index" and len(words) > 1:
        value = _look_up(words[1], parameters)
        for key in words[2:]:
            value = _index(value, key)
        return _scalar(value)
    if text.startswith('"') and len(words) == 1:
        return words[0]
    name, *rest = words
    if rest and name in _FUNCTIONS:
        value = _scalar(_look_up(rest[0], parameters))
        return None if value is None else _FUNCTIONS[name](value)
    return None if rest else _scalar(_look_up(name, parameters))


def _look_up(name: str, parameters: Parameters) -> Any:
    name = name.removeprefix(".")
    if name in parameters:
        return parameters[name]
    value: Any = parameters
    for key in name.split("."):
        value = _index(value, key)
    return value


def _index(value: Any, key: str) -> Any:
    value = getattr(value, "fields", value)  # `path` is a text and a mapping
    if isinstance(value, Mapping):
        return value.get(key)
    if isinstance(value, list):
        bracketed = key.strip("[]")
        index = int(bracketed) if bracketed.lstrip("-").isdigit() else len(value)
        return value[index] if -len(value) <= index < len(value) else None
    return None


def _scalar(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (str, int, float)) else None
