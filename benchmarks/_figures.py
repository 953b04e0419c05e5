"""What a benchmark prints: one line a figure, and bars that mean the same on every machine.

A bar is a ratio: to a peer measured in the same run, or to what a fixed loop of plain Python takes
in the same run. Times and rates are held to their bar at the pace of the machine the bars were set
on; a machine on which the loop takes twice as long has twice the time. Sizes and ratios are not
scaled. Every figure is printed; a missed bar shows in the exit code of the whole run.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

REFERENCE_S = 0.0205
"""Seconds of `_loop` where the bars were set: two cores of a server, CPython 3.11, idle."""
ROUNDS = 7
TIMES = {"s", "ms", "% of a core"}
RATES = {"flows/s"}


@dataclass(frozen=True, slots=True)
class Figure:
    """One measurement. With a `bar`, less (or `more`) is wanted; `ratio` is to a peer, in words."""

    name: str
    value: float
    unit: str
    ratio: str = ""
    bar: float | None = None
    more: bool = False


def report(figures: Iterable[Figure], *, of_processor: bool = False) -> bool:
    """Print the figures; whether all bars are kept.

    `of_processor` says that times are of the processor, so that the pace is too: on a machine that
    others use as well the clock on the wall would be kind.
    """
    kept = True
    pace = slowness(time.process_time if of_processor else time.perf_counter)
    for figure in figures:
        share = _share(figure, pace)
        missed = share is not None and (share < 1 if figure.more else share > 1)
        kept = kept and not missed
        ratio = ", ".join(filter(None, (figure.ratio, _shown(figure, share, pace)))) or "-"
        mark = " MISSED" if missed else ""
        print(f"{figure.name}\t{_plain(figure.value)}\t{figure.unit}\t{ratio}{mark}", flush=True)
    return kept


def slowness(clock: Callable[[], float] = time.perf_counter) -> float:
    """Give how many times as long as on the reference machine plain Python takes here and now."""
    return statistics.median(_loop(clock) for _ in range(ROUNDS)) / REFERENCE_S


def _share(figure: Figure, pace: float) -> float | None:
    if figure.bar is None:
        return None
    if figure.unit in TIMES:
        return figure.value / (figure.bar * pace)
    if figure.unit in RATES:
        return figure.value / (figure.bar / max(pace, 1))  # what is offered has a rate of its own
    return figure.value / figure.bar


def _shown(figure: Figure, share: float | None, pace: float) -> str:
    if share is None:
        return ""
    at = f" at pace {pace:.2f}" if figure.unit in TIMES | RATES else ""
    return f"{share:.2f} of the bar ({_plain(figure.bar or 0)} {figure.unit}{at})"


def _plain(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def _loop(clock: Callable[[], float]) -> float:
    """Seconds of what the engine is made of: dictionaries, tuples, sets, wide integers, strings."""
    began = clock()
    kept: dict[tuple[str, int], int] = {}
    for number in range(60_000):
        key = (f"app-{number % 97}", number % 1013)
        kept[key] = kept.get(key, 0) | 1 << number % 509
    total = sum(value.bit_count() for value in kept.values())
    names = {name for name, _ in kept}
    if total <= 0 or len(names) != 97:
        raise AssertionError
    return clock() - began
