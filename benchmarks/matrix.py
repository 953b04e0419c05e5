"""The matrix of four hundred identities: every pair that is let through, as CSV.

All pairs are 160,000, denied nearly everywhere; those that sets of all pairs show as let through
are asked one by one, and written as they come. Each line: name, value, unit, ratio; the ratio is to
asking every pair, as a few sources take it. `python benchmarks/matrix.py`
"""

from __future__ import annotations

import io
import sys
import time

import _tre
from _figures import Figure, report

from app.bootstrap.collector import relax_collector
from app.cli.output import Output
from app.cli.render.matrix import matrix_csv
from app.core.cluster.build import build_cluster
from app.core.model.verdict import Verdict
from app.core.policy.engine import Engine
from app.services import matrix as module
from app.services.matrix import By, Party, find_parties, matrix
from app.services.picture import Picture

SIZE = _tre.Size(identities=400, pods_per_identity=1, policies=100)
SOURCES = 5
TIMES = 5
LET = (Verdict.ALLOWED, Verdict.REDIRECTED)


def main() -> int:
    """Measure; 1 when a bar is missed."""
    relax_collector()
    engine = Engine.build(build_cluster(_tre.manifests(SIZE)))
    picture = Picture(engine.cluster, engine)
    written = io.StringIO()
    started = time.process_time()
    matrix_csv(Output(written, sys.stderr), matrix(picture, By.WORKLOAD, _every, LET))
    seconds = time.process_time() - started
    rows = written.getvalue().count("\n") - 1
    one_by_one = _all_pairs_s(picture)
    name = f"matrix -o csv --verdict allowed, {SIZE.identities:,} identities by workload"
    figures = [
        Figure(name, seconds, "s", f"{rows:,} rows"),
        Figure(f"{name}: faster", one_by_one / seconds, "x pair by pair", bar=TIMES, more=True),
    ]
    return 0 if report(figures, of_processor=True) else 1


def _every(_: Party, __: Party) -> bool:
    return True


def _all_pairs_s(picture: Picture) -> float:
    """Seconds that asking every pair would take, as a few sources take them."""
    parties = find_parties(picture, By.WORKLOAD)
    asked = {one.name for one in parties[:SOURCES]}
    module.MOST_PAIRS = len(parties) ** 2
    started = time.process_time()
    for _ in matrix(picture, By.WORKLOAD, lambda source, _: source.name in asked):
        pass
    return (time.process_time() - started) / SOURCES * len(parties)


if __name__ == "__main__":
    sys.exit(main())
