"""The filter of tables, in the words of the flow filter: what is typed after `/`.

Terms are joined by blanks and all must fit: `text` anywhere in a row, `column:value` in one column
(`,` between values is or, `*` any text), `-l key=value` one of its labels, `-f letters` in that
order in the name. `!` before a term turns it round.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping

from app.core.errors import UsageError
from app.core.flows.patterns import compile_globs
from widgets.grid import Column, Row
from widgets.spans import plain

Cells = Mapping[str, str]
"""The texts of a row by the key of their column, in lower case."""
Test = Callable[[Cells], bool]
LABELS = "labels"
_OPTIONS = ("-l", "-f")


def sift(rows: Iterable[Row], columns: tuple[Column, ...], text: str) -> tuple[Row, ...]:
    """Give the rows that fit a filter. Raises `UsageError` for one that cannot be read."""
    tests = parse(text, columns)
    if not tests:
        return tuple(rows)
    keys = [column.key for column in columns]

    def fits(row: Row) -> bool:
        texts = (plain(cell).casefold() for cell in row.draw())
        cells = dict(zip(keys, texts, strict=False))
        return all(test(cells) for test in tests)

    return tuple(row for row in rows if fits(row))


def parse(text: str, columns: tuple[Column, ...]) -> list[Test]:
    """Read a filter. Raises `UsageError`."""
    keys = {column.key for column in columns}
    tests: list[Test] = []
    words = iter(_words(text))
    for word in words:
        bare = word.removeprefix("!")
        argument = next(words, "") if bare in _OPTIONS else ""
        test = _option(bare, argument, keys) if bare in _OPTIONS else _term(bare, keys)
        tests.append(_turned(test) if word.startswith("!") else test)
    return tests


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()  # a quote that is still being typed


def _turned(test: Test) -> Test:
    return lambda cells: not test(cells)


def _option(option: str, argument: str, keys: set[str]) -> Test:
    wanted = argument.casefold()
    if option == "-f":
        return lambda cells: _in_order(wanted, cells.get("name") or " ".join(cells.values()))
    if LABELS not in keys:
        raise UsageError("nothing in this table has labels", hint="`:endpoints` has")
    return lambda cells: any(
        one == wanted or one.endswith(f":{wanted}") for one in cells[LABELS].split()
    )


def _term(word: str, keys: set[str]) -> Test:
    key, colon, value = word.casefold().partition(":")
    if not colon or key not in keys:
        wanted = word.casefold()
        return lambda cells: any(wanted in text for text in cells.values())
    tests = [_value(one) for one in value.split(",")]
    return lambda cells: any(test(cells[key]) for test in tests)


def _value(value: str) -> Callable[[str], bool]:
    if "*" in value:
        matches = compile_globs([value])
        return lambda text: matches(text.strip())
    return lambda text: value in text


def _in_order(letters: str, text: str) -> bool:
    left = iter(text)
    return all(letter in left for letter in letters)


def hint(columns: tuple[Column, ...]) -> str:
    """Say in a line what may be typed, with the columns that this table has."""
    keys = " ".join(f"{column.key}:" for column in columns)
    return f"text  !text  a* in a column: {keys}  -l key=value  -f letters"


def complete(text: str, columns: tuple[Column, ...]) -> str | None:
    """Complete the column of the last word, as `ver` to `verdict:`."""
    return complete_key(text, (column.key for column in columns))


def complete_key(text: str, keys: Iterable[str]) -> str | None:
    """Complete the last word to the first key that begins so."""
    before, _, word = text.rpartition(" ")
    negated = word.startswith("!")
    begun = word.removeprefix("!")
    key = next((one for one in keys if begun and one.startswith(begun)), None)
    return None if key is None else f"{before} {'!' if negated else ''}{key}:".strip()
