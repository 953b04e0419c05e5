"""The matrix as a table and as CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from itertools import chain, islice

from app.cli.output import Cell, Output, Style
from app.core.diagnose.pairwise import told
from app.core.model.answer import Confidence
from app.core.model.provenance import ObjectRef
from app.core.model.verdict import Verdict
from app.services.matrix import MatrixRow
from app.services.sheets import no_formula
from app.services.wording import SIGNS, counted, policy_words

HEAD = ("FROM", "TO", "PROTOCOL", "PORTS", "VERDICT", "EGRESS BY", "INGRESS BY")
CSV_HEAD = ("from", "to", "protocol", "ports", "verdict", "egress_by", "ingress_by", "confidence")

STYLES = {
    Verdict.ALLOWED: Style.GOOD,
    Verdict.DENIED: Style.BAD,
    Verdict.REDIRECTED: Style.WARN,
    Verdict.UNKNOWN: Style.WARN,
}


def matrix_table(out: Output, rows: Sequence[MatrixRow]) -> None:
    """One line for each pair and answer."""
    if not rows:
        out.say("no such pair")
        return
    out.table(HEAD, [_cells(row) for row in rows])
    if unsure := [row for row in rows if row.known.not_known]:
        out.say(f"{counted(len(unsure), 'row')} not certain; not known is")
        for text in told(row.known for row in unsure):
            out.say(f"  {text}")


def _cells(row: MatrixRow) -> tuple[str | Cell, ...]:
    sure = row.known.confidence
    words = (
        row.verdict.value if sure is Confidence.CERTAIN else f"{row.verdict.value}, {sure.value}"
    )
    verdict = Cell(f"{SIGNS[row.verdict]} {words}", STYLES[row.verdict])
    return (
        _end(row.source, row.outside),
        _end(row.destination, row.outside),
        row.protocol,
        row.ports,
        verdict,
        _words(row.egress_by),
        _words(row.ingress_by),
    )


def _end(name: str, outside: str) -> str:
    """An end, with who is meant where it stands for a class of ends outside."""
    return f"{name} ({outside})" if outside and name.startswith(("ip:", "fqdn:")) else name


def _words(refs: Sequence[ObjectRef]) -> str:
    return ", ".join(map(policy_words, refs)) or "-"


def matrix_csv(out: Output, rows: Iterable[MatrixRow]) -> None:
    """RFC 4180, with a header; policies as `Kind/NS/NAME`, separated by spaces.

    Rows are written as they come, and the header with the first.
    """
    several = iter(rows)
    begun = [*islice(several, 1)]
    writer = csv.writer(out.stdout, lineterminator="\n")
    writer.writerow(CSV_HEAD)
    for row in chain(begun, several):
        cells = (
            row.source,
            row.destination,
            row.protocol,
            row.ports,
            row.verdict.value,
            " ".join(map(str, row.egress_by)),
            " ".join(map(str, row.ingress_by)),
            row.known.confidence.value,
        )
        writer.writerow([no_formula(cell) for cell in cells])
