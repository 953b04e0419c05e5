"""Boundaries on a terminal, and as JUnit's XML for a pipeline."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from xml.etree import ElementTree as ET

from app.cli.output import Output, Style
from app.core.diagnose.boundaries import Ruling
from app.services.wording import breach_words, counted

FEW_BREACHES = 5
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Source: XML 1.0 §2.2, `Char`; names are cleaned, so this is what cleaning lets through."""


def print_rulings(out: Output, rulings: Sequence[Ruling], environment: str = "") -> None:
    """One line for each; what breaks it below."""
    if environment:
        out.line(out.paint(f"{environment}:", Style.BOLD))
    for ruling in rulings:
        sign = out.paint(_sign(ruling), _STYLES[_sign(ruling)])
        out.line(f"{sign} {ruling.boundary.name}  {out.paint(_asked(ruling), Style.DIM)}")
        if ruling.holds:
            for text in ruling.not_known:
                out.line(f"    {out.wrap(f'as far as is known; {text}', 6, first=4)}")
            continue
        if ruling.boundary.why:
            out.line(f"    {out.wrap(ruling.boundary.why, 4, first=4)}")
        for line in _reasons(ruling, FEW_BREACHES):
            out.line(f"    {out.wrap(line, 6, first=4)}")
    broken = sum(not one.holds for one in rulings)
    unsure = sum(one.holds and bool(one.not_known) for one in rulings)
    more = f", {unsure} not certain" if unsure else ""
    out.line(f"{counted(len(rulings), 'boundary', 'boundaries')}, {broken} broken{more}")


_STYLES = {"✓": Style.GOOD, "?": Style.WARN, "✗": Style.BAD}


def _sign(ruling: Ruling) -> str:
    if not ruling.holds:
        return "✗"
    return "?" if ruling.not_known else "✓"


def _asked(ruling: Ruling) -> str:
    return f"must {ruling.boundary.must.value}, {counted(ruling.asked, 'question')} asked"


def _reasons(ruling: Ruling, most: int) -> Iterator[str]:
    if ruling.problem:
        yield ruling.problem
    for breach in ruling.breaches[:most]:
        yield breach_words(breach)
    if (more := len(ruling.breaches) - most) > 0:
        yield f"and {more} more (-o json lists them)"


def print_junit(out: Output, suites: Sequence[tuple[str, Sequence[Ruling]]]) -> None:
    """A case for each boundary, in the XML of JUnit that CI servers read.

    `suites` are the environments by name, of which a single one has none.
    """
    made = [_suite(name, rulings) for name, rulings in suites]
    root = made[0]
    if len(made) > 1:
        root = ET.Element("testsuites")
        root.extend(made)
    ET.indent(root)
    out.line('<?xml version="1.0" encoding="UTF-8"?>')
    out.line(_NO_XML.sub("\ufffd", ET.tostring(root, encoding="unicode")))


def _suite(environment: str, rulings: Sequence[Ruling]) -> ET.Element:
    name = f"boundaries ({environment})" if environment else "boundaries"
    broken = sum(not one.holds for one in rulings)
    suite = ET.Element("testsuite", name=name, tests=str(len(rulings)), failures=str(broken))
    for ruling in rulings:
        case = ET.SubElement(suite, "testcase", classname=name, name=ruling.boundary.name)
        if not ruling.holds:
            lines = list(_reasons(ruling, len(ruling.breaches)))
            failure = ET.SubElement(case, "failure", message=lines[0])
            failure.text = "\n".join(filter(None, (ruling.boundary.why, *lines)))
        elif ruling.not_known:
            ET.SubElement(case, "system-out").text = "\n".join(ruling.not_known)
    return suite
