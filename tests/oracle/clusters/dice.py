"""Random choices in the words of the generators."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

T = TypeVar("T")


class Dice:
    """A seeded source of choices: the same seed gives the same cluster."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311  # test data, not secrets

    def chance(self, probability: float) -> bool:
        """Say yes with the given probability."""
        return self._random.random() < probability

    def number(self, low: int, high: int) -> int:
        """Give a whole number, both ends included."""
        return self._random.randint(low, high)

    def pick(self, values: Sequence[T]) -> T:
        """Give one of the values."""
        return self._random.choice(values)

    def some(self, values: Sequence[T], low: int = 1, high: int = 3) -> list[T]:
        """Give between `low` and `high` different values, in random order."""
        return self._random.sample(values, min(len(values), self._random.randint(low, high)))

    def weighted(self, choices: Mapping[T, float]) -> T:
        """Give a key with a probability in proportion to its value."""
        return self._random.choices(list(choices), list(choices.values()))[0]

    def call(self, choices: Mapping[Callable[[], T], float]) -> T:
        """Call one of the functions, chosen by weight."""
        return self.weighted(choices)()

    def list_of(self, make: Callable[[], T], low: int = 1, high: int = 2) -> list[T]:
        """Give between `low` and `high` things made one by one."""
        return [make() for _ in range(self._random.randint(low, high))]
