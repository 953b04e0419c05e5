"""`${NAME}` in manifests: filled for analysis where a value is given, otherwise kept and named."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from app.core.documents.scalars import resolve_plain

_PLACEHOLDER = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")

_WITH_DEFAULT = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::?[-=]([^}]*))?\}")


def fill_values(value: Any, values: Mapping[str, str], *, whole: bool) -> Any:
    """Fill a built tree as a controller does before it applies it, defaults (`${A:=b}`) included.

    `whole` says that `values` are all there are: what is not among them becomes empty. A text that
    was nothing but filled text is read as YAML again, so that `port: ${PORT}` becomes a number.
    Source: fluxcd/pkg `envsubst`; kustomize writes such texts without quotes.
    """
    if isinstance(value, str):
        return _filled(value, values, whole=whole) if "${" in value else value
    if isinstance(value, dict):
        return {key: fill_values(item, values, whole=whole) for key, item in value.items()}
    if isinstance(value, list):
        return [fill_values(item, values, whole=whole) for item in value]
    return value


def _filled(text: str, values: Mapping[str, str], *, whole: bool) -> Any:
    def value_of(match: re.Match[str]) -> str:
        name, default = match[1], match[2]
        if name in values:
            return values[name]
        if default is not None:
            return default
        return "" if whole else match[0]

    filled = _WITH_DEFAULT.sub(value_of, text)
    if filled == text or "\n" in filled:
        return filled
    try:
        return resolve_plain(filled)
    except ValueError:
        return filled


class Placeholders:
    """The values of `--set`, and the names that had none.

    Only the braced form counts: `$NAME` is more often a shell's than envsubst's.
    """

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        self.open: dict[str, set[str]] = {}
        """Name without a value → files that use it."""

    def fill(self, text: str) -> str:
        """Replace every placeholder that has a value."""
        return _PLACEHOLDER.sub(lambda match: self._values.get(match[1], match[0]), text)

    def fill_tree(self, value: Any) -> Any:
        """Replace placeholders in every string of a tree."""
        if isinstance(value, str):
            return self.fill(value)
        if isinstance(value, dict):
            return {self.fill(key): self.fill_tree(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.fill_tree(item) for item in value]
        return value

    def note_open(self, value: Any, file: str) -> None:
        """Remember the placeholders left in a tree."""
        if isinstance(value, str):
            for name in _PLACEHOLDER.findall(value) if "${" in value else ():
                self.open.setdefault(name, set()).add(file)
        elif isinstance(value, dict):
            for item in value.values():
                self.note_open(item, file)
        elif isinstance(value, list):
            for item in value:
                self.note_open(item, file)
