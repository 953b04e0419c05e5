"""Findings as SARIF 2.1.0, which code hosts and editors show beside the lines.

Source: OASIS, Static Analysis Results Interchange Format Version 2.1.0, §3.14 and §3.27.
"""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from app.cli.version import version
from app.core.lint.baseline import key_of
from app.core.lint.finding import Finding, Rule, Severity
from app.core.lint.registry import RULES
from app.core.lint.silence import Silenced
from app.services.lint import LintReport

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}


def sarif_form(report: LintReport) -> dict[str, Any]:
    """The report as a SARIF log with one run."""
    codes = {one.code for one in report.findings} | {one.finding.code for one in report.silenced}
    rules = [rule for rule in RULES if rule.code in codes]
    index = {rule.code: at for at, rule in enumerate(rules)}
    results = [_result(one, index) for one in report.findings]
    results += [_suppressed(one, index) for one in report.silenced]
    driver = {
        "name": "k8tre-tui",
        "semanticVersion": version(),
        "rules": [_rule(rule) for rule in rules],
    }
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(rule: Rule) -> dict[str, Any]:
    example = f"Found:\n\n```yaml\n{rule.bad}```\n\nNot found:\n\n```yaml\n{rule.good}```\n"
    return {
        "id": rule.code,
        "name": "".join(part.capitalize() for part in rule.name.split("-")),
        "shortDescription": {"text": rule.name.replace("-", " ")},
        "fullDescription": {"text": rule.why},
        "help": {"text": rule.why, "markdown": f"{rule.why}\n\n{example}"},
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
    }


def _result(finding: Finding, index: dict[str, int]) -> dict[str, Any]:
    text = finding.summary + (f". {finding.fix}" if finding.fix else "")
    result: dict[str, Any] = {
        "ruleId": finding.code,
        "level": _LEVELS[finding.severity],
        "message": {"text": text},
        "locations": [_location(finding)],
        "partialFingerprints": {"k8treTui/v1": sha256(repr(key_of(finding)).encode()).hexdigest()},
    }
    if finding.code in index:
        result["ruleIndex"] = index[finding.code]
    return result


def _suppressed(one: Silenced, index: dict[str, int]) -> dict[str, Any]:
    suppression = {"kind": "inSource", "justification": one.reason}
    return {**_result(one.finding, index), "suppressions": [suppression]}


def _location(finding: Finding) -> dict[str, Any]:
    place: dict[str, Any] = {
        "logicalLocations": [
            {"fullyQualifiedName": f"{finding.policy}:{finding.path}".rstrip(":"), "kind": "object"}
        ]
    }
    if finding.file:
        place["physicalLocation"] = {
            "artifactLocation": _artifact(finding.file),
            "region": {"startLine": finding.line or 1},
        }
    return place


def _artifact(file: str) -> dict[str, Any]:
    path = PurePath(file)
    if path.is_absolute():
        return {"uri": path.as_uri()}
    return {"uri": quote(os.path.normpath(file).replace(os.sep, "/")), "uriBaseId": "%SRCROOT%"}
