"""A table as a file: CSV for spreadsheets, JSON lines, Markdown, text.

Names in it are chosen by workloads: no spreadsheet computes a cell, and Markdown shows it as it is.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import msgspec

from app.core.errors import UsageError
from app.core.flows.encode import encode_line
from app.core.flows.times import format_time
from app.core.model.flow import Flow, FlowEndpoint

_FORMULAS = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Sheet:
    """Titles and rows of texts; `lines` is each row as JSON where it has a form of its own."""

    titles: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[bytes, ...] | None = None


FLOW_TITLES = (
    "TIME",
    "DIRECTION",
    "SOURCE",
    "DESTINATION",
    "PORT",
    "VERDICT",
    "REASON",
    "NODE",
    "SUMMARY",
)


def flow_sheet(flows: Sequence[Flow]) -> Sheet:
    """Give flows whole; as JSON lines they have Hubble's own form, which `--flows` reads."""
    return Sheet(
        FLOW_TITLES, tuple(map(_flow_row, flows)), tuple(encode_line(one) for one in flows)
    )


def _flow_row(flow: Flow) -> tuple[str, ...]:
    return (
        format_time(flow.time_ns),
        flow.direction.lower(),
        _end(flow.source, flow.source_ip),
        _end(flow.destination, flow.destination_ip),
        f"{flow.destination_port}/{flow.protocol}" if flow.protocol else "",
        flow.verdict,
        flow.drop_reason,
        flow.node,
        flow.summary,
    )


def _end(end: FlowEndpoint, address: str) -> str:
    return f"{end.namespace}/{end.pod}" if end.pod else address


def no_formula(cell: str) -> str:
    """Give a cell that no spreadsheet computes. Source: OWASP, "CSV Injection"."""
    return f"'{cell}" if cell[:1] in _FORMULAS and cell[1:] else cell


def as_csv(sheet: Sheet) -> str:
    """Give it with commas (RFC 4180)."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(sheet.titles)
    writer.writerows([no_formula(cell) for cell in row] for row in sheet.rows)
    return out.getvalue()


def as_json_lines(sheet: Sheet) -> str:
    """Give one JSON object a line: the row's own form, or its texts by title."""
    if sheet.lines is not None:
        return "".join(f"{line.decode()}\n" for line in sheet.lines)
    keys = tuple(title.lower().replace(" ", "_") for title in sheet.titles)
    rows = (dict(zip(keys, row, strict=True)) for row in sheet.rows)
    return "".join(f"{msgspec.json.encode(row).decode()}\n" for row in rows)


def as_markdown(sheet: Sheet) -> str:
    """Give a table of GitHub's Markdown, every name as literal text."""
    from app.core.drafts.markdown import code_span

    cells = (tuple(code_span(cell) if cell else "" for cell in row) for row in sheet.rows)
    lines = (sheet.titles, ("---",) * len(sheet.titles), *cells)
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def as_text(sheet: Sheet) -> str:
    """Give columns of text."""
    rows = (sheet.titles, *sheet.rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "".join("  ".join(map(str.ljust, row, widths)).rstrip() + "\n" for row in rows)


WRITERS: dict[str, Callable[[Sheet], str]] = {
    ".csv": as_csv,
    ".jsonl": as_json_lines,
    ".md": as_markdown,
    ".txt": as_text,
}


def written(sheet: Sheet, suffix: str) -> str:
    """Give a sheet in the form that a file's name asks for. Raises `UsageError`."""
    writer = WRITERS.get(suffix)
    if writer is None:
        raise UsageError(f"no form is called `{suffix}`", hint=f"there are: {', '.join(forms())}")
    return writer(sheet)


def forms() -> Iterable[str]:
    """The ends of names that say in which form to write."""
    return (*WRITERS, ".svg")
