"""Is one word the other, mistyped?"""

from __future__ import annotations

_LONG = 8
"""Letters from which two slips still leave the same word."""
_SHORTEST = 3


def is_typo(one: str, other: str) -> bool:
    """Say whether words differ by a slip, long ones by two: a letter more, less or other."""
    shorter = min(len(one), len(other))
    if one == other or shorter < _SHORTEST or one.isdigit() or other.isdigit():
        return False
    return _distance(one, other) <= (2 if shorter >= _LONG else 1)


def _distance(one: str, other: str) -> int:
    """Count the slips between two words (optimal string alignment)."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for at, letter in enumerate(one, start=1):
        older, before, row = before, row, [at]
        for column, same in enumerate(other, start=1):
            cost = min(before[column] + 1, row[-1] + 1, before[column - 1] + (letter != same))
            swapped = at > 1 and column > 1 and one[at - 2] == same and other[column - 2] == letter
            if swapped:
                cost = min(cost, older[column - 2] + 1)
            row.append(cost)
    return row[-1]
