"""How the statements of an evidence pack stand, and how two packs differ."""

from __future__ import annotations

from collections.abc import Sequence

from app.cli.output import Cell, Output, Style
from app.core.insights.claims import Standing
from app.services.contract import Form

SIGNS = {
    Standing.HOLDS: ("✓ holds", Style.GOOD),
    Standing.FAILS: ("✗ does not hold", Style.BAD),
    Standing.NOT_SHOWN: ("? not shown", Style.WARN),
}


def print_pack(out: Output, pack: Form, written: Sequence[str]) -> None:
    """A line a statement; then what speaks against one, or is missing for it."""
    rows: list[list[str | Cell]] = []
    for claim in pack["claims"]:
        words, style = SIGNS[Standing(claim["standing"])]
        rows.append([claim["statement"], Cell(words, style), claim["title"], _why(claim)])
    out.table(("STATEMENT", "STANDING", "TITLE", "WHY"), rows)
    for path in written:
        out.say(f"wrote {path}")


def print_difference(out: Output, difference: Form) -> None:
    """What stands otherwise, and what came (+) and went (-)."""
    for claim in difference["claims"]:
        before, after = (claim[key] or "not there" for key in ("before", "after"))
        words = f"{before} → {after}" if before != after else f"{after}, with other proof"
        out.line(f"{claim['statement']}  {words}")
        _print_lines(out, claim)
    for part in ("projects", "boundaries", "exceptions", "violations", "lint", "not_read"):
        if difference[part]["added"] or difference[part]["gone"]:
            out.line(part.replace("_", " "))
            _print_lines(out, difference[part])
    if not difference["same_objects"]:
        out.line("the objects of the cluster are others")
    if difference["worse"]:
        out.say("a statement stands worse than before")


def _print_lines(out: Output, part: Form) -> None:
    for sign, key, style in (("-", "gone", Style.BAD), ("+", "added", Style.GOOD)):
        for text in part[key]:
            out.line(f"  {out.paint(sign, style)} {text}")


def _why(claim: Form) -> str:
    """The first thing that speaks against it, else the first that is not known, else the proof."""
    against = [one["text"] for one in claim["proofs"] if not one["supports"]]
    if claim["standing"] == Standing.FAILS.value and against:
        return str(against[0])
    if claim["standing"] == Standing.NOT_SHOWN.value and claim["not_known"]:
        return str(claim["not_known"][0])
    return str(claim["proofs"][0]["text"]) if claim["proofs"] else ""
