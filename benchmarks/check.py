"""The speed of `check`: fifty boundaries over ten thousand identities, one line for each figure.

`python benchmarks/check.py`; a missed bar ends the run with 1.
"""

from __future__ import annotations

import time

import _tre
from _figures import Figure, report

from app.bootstrap.collector import relax_collector
from app.core.cluster.build import build_cluster
from app.core.diagnose.boundaries import judge_boundaries, parse_boundaries
from app.core.policy.engine import Engine
from app.core.policy.outside import outside_classes

SIZE = _tre.Size(identities=10_000, pods_per_identity=5, policies=1_000)
BOUNDARIES = 50
SHAPES = (
    'from = "ns:project-{a}"\nto = "ns:project-{b}"\nmust = "deny"',
    'from = "ns:project-{a}"\nto = "entity:world"\nmust = "deny"',
    'from = "entity:world"\nto = "ns:project-{a}"\nmust = "deny"',
    'from = "ns:project-*"\nto = "ns:project-{a}"\nports = ["5432"]\nmust = "deny"',
    'from = "ns:project-{a}"\nto = "ns:kube-system"\nports = ["53/UDP"]\nmust = "allow"',
)


def boundaries() -> str:
    """Fifty boundaries of five shapes, as a file of them says it."""
    tables = (
        f'[[boundary]]\nname = "b{at}"\n'
        + SHAPES[at % len(SHAPES)].format(a=at, b=(at + 7) % SIZE.projects)
        for at in range(BOUNDARIES)
    )
    return "\n\n".join(tables)


def main() -> int:
    """Measure, and hold the figures to their bars."""
    relax_collector()  # as the program does
    engine = Engine.build(build_cluster(_tre.manifests(SIZE)))
    started = time.process_time()
    outside = outside_classes(engine)
    classes = time.process_time() - started
    asked = parse_boundaries(boundaries())
    started = time.process_time()
    rulings = judge_boundaries(asked, engine)
    cold = time.process_time() - started
    started = time.process_time()
    judge_boundaries(asked, engine)
    warm = time.process_time() - started
    held = sum(one.holds for one in rulings)
    questions = sum(one.asked for one in rulings)
    size = f"{BOUNDARIES} boundaries, {SIZE.identities:,} identities"
    words = f"{held} hold, {questions:,} questions"
    figures = [
        Figure(f"{len(outside)} classes outside, {SIZE.policies:,} policies", classes, "s"),
        Figure(f"{size}: cold", cold, "s", words, bar=1),
        Figure(f"{size}: all pairs known", warm, "s", words, bar=1),
    ]
    return 0 if report(figures, of_processor=True) else 1


if __name__ == "__main__":
    raise SystemExit(main())
