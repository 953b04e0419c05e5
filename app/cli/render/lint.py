"""Findings on a terminal, as annotations of a workflow, and as JUnit's XML."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Any
from xml.etree import ElementTree as ET

from app.cli.output import Output, Style
from app.core.lint.finding import Finding, Rule, Severity
from app.services.lint import LintReport
from app.services.wording import counted, place

STYLES = {Severity.ERROR: Style.BAD, Severity.WARNING: Style.WARN, Severity.INFO: Style.DIM}
SIGNS = {Severity.ERROR: "✗", Severity.WARNING: "!", Severity.INFO: "·"}

Lines = Callable[[str | None], Sequence[str]]

_LAST_STEP = re.compile(r"(?:^|[.\]])([^.\[\]]+)(?:\[\d+\])*$")


def print_findings(out: Output, report: LintReport, lines_of: Lines) -> None:
    """By file: each finding with its source line, and a caret where it begins."""
    for where, found in groupby(report.findings, key=_where):
        findings = list(found)
        out.line(out.paint(where, Style.BOLD))
        lines = lines_of(findings[0].file)
        for finding in findings:
            _print_finding(out, finding, lines)
        out.line()
    out.line(_summary(report))


def _where(finding: Finding) -> str:
    return finding.file or str(finding.policy)


def _print_finding(out: Output, finding: Finding, lines: Sequence[str]) -> None:
    style = STYLES[finding.severity]
    line = f"{finding.line}" if finding.line else ""
    head = f"{SIGNS[finding.severity]} {finding.severity.value:7}"
    name = out.paint(f"{finding.code} {finding.name}", Style.DIM)
    words = out.wrap(finding.summary, 4, first=len(line) + 13)
    out.line(f"  {line}{':' if line else ''} {out.paint(head, style)} {words}  {name}")
    if finding.line and 0 < finding.line <= len(lines):
        text = lines[finding.line - 1].rstrip()
        caret = caret_column(text, finding.path)
        out.line(f"    {out.paint('|', Style.DIM)} {text}")
        out.line(f"    {out.paint('|', Style.DIM)} {' ' * caret}{out.paint('^', style)}")
    if finding.fix:
        out.line(f"    {out.paint('=', Style.DIM)} {out.wrap(finding.fix, 6, first=6)}")


def print_notes(out: Output, findings: Iterable[Finding], most: int = 3) -> None:
    """What is wrong with policies, below an answer about something else; the worst first."""
    wrong = [one for one in findings if one.severity is not Severity.INFO]
    wrong.sort(key=lambda one: -one.severity.rank)
    for one in wrong[:most]:
        head = out.paint(f"{SIGNS[one.severity]} {one.code}", STYLES[one.severity])
        out.line(f"{head} {out.wrap(f'{_at(one)}: {one.summary}', 6, first=8)}")
    if (more := len(wrong) - most) > 0:
        out.line(f"  and {more} more findings (k8tre-tui lint)")


def caret_column(text: str, path: str) -> int:
    """The column of the last step of a path in its line, else of the first character."""
    start = len(text) - len(text.lstrip(" -"))
    match = _LAST_STEP.search(path)
    if match is not None:
        at = text.find(match[1])
        if at >= 0:
            return at
    return min(start, max(len(text) - 1, 0))


def _summary(report: LintReport) -> str:
    counts = Counter(one.severity for one in report.findings)
    parts = [
        counted(counts[severity], word, more)
        for severity, word, more in (
            (Severity.ERROR, "error", "errors"),
            (Severity.WARNING, "warning", "warnings"),
            (Severity.INFO, "note", "notes"),
        )
        if counts[severity]
    ]
    found = ", ".join(parts) or "nothing found"
    policies = counted(report.policies, "policy", "policies")
    text = f"{found} in {policies}"
    if report.silenced:
        text += f", {len(report.silenced)} silenced"
    if report.lacking:
        text += f" · {len(report.lacking)} rules need more than was read ({report.knowledge.words})"
    return text


def print_github(out: Output, report: LintReport) -> None:
    """Workflow commands: GitHub, and Gitea, show them beside the lines of a change.

    Source: docs.github.com, "Workflow commands for GitHub Actions" (error, warning, notice).
    """
    levels = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}
    for one in report.findings:
        fields = {"title": f"{one.code} {one.name}"}
        if one.file:
            fields = {"file": one.file, "line": str(one.line or 1), **fields}
        joined = ",".join(f"{name}={_property(value)}" for name, value in fields.items())
        message = one.summary + (f" ({one.fix})" if one.fix else "")
        out.line(f"::{levels[one.severity]} {joined}::{_message(message)}")


def _message(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")


def print_junit(out: Output, report: LintReport) -> None:
    """A test suite with a failed case for each finding; one passed case when there is none."""
    suite = ET.Element(
        "testsuite",
        name="lint",
        tests=str(len(report.findings) or 1),
        failures=str(len(report.findings)),
    )
    if not report.findings:
        ET.SubElement(suite, "testcase", classname="lint", name="no findings")
    for one in report.findings:
        name = f"{one.code} {_at(one)}"
        case = ET.SubElement(suite, "testcase", classname=f"lint.{one.name}", name=name)
        failure = ET.SubElement(case, "failure", message=one.summary, type=one.severity.value)
        failure.text = "\n".join(filter(None, (one.why, one.fix)))
    ET.indent(suite)
    out.line('<?xml version="1.0" encoding="UTF-8"?>')
    out.line(ET.tostring(suite, encoding="unicode"))


def _at(finding: Finding) -> str:
    return place(finding.file, finding.line) or str(finding.policy)


def print_rules(out: Output, rules: Iterable[Rule]) -> None:
    """One line for each rule."""
    out.table(
        ("CODE", "SEVERITY", "NAME", "NEEDS"),
        [(one.code, one.severity.value, one.name, one.needs.words) for one in rules],
    )


def print_rule(out: Output, rule: Rule) -> None:
    """A rule in full."""
    out.line(f"{out.paint(f'{rule.code} {rule.name}', Style.BOLD)}  {rule.severity.value}")
    out.line(f"  {out.wrap(rule.why, 2, first=2)}")
    out.line(f"  needs {rule.needs.words}")
    for title, text in (("found:", rule.bad), ("not found:", rule.good)):
        out.line(f"  {title}")
        for line in text.rstrip().split("\n"):
            out.line(f"    {line}")


def rule_form(rule: Rule) -> dict[str, Any]:
    """A rule as data."""
    return {
        "code": rule.code,
        "name": rule.name,
        "severity": rule.severity.value,
        "needs": rule.needs.name.lower(),
        "why": rule.why,
        "bad": rule.bad,
        "good": rule.good,
    }
