"""Findings that somebody looked at and accepted, with the reason; never without one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from app.core.lint.finding import Finding, Severity
from app.core.lint.view import mapping
from app.core.model.provenance import Manifest
from app.core.text import clean

ANNOTATION = "k8tre-tui/ignore"
WITHOUT_REASON = "NP000"
"""The code of what is said where the annotation gives no reason, or names no rule."""

_WRITTEN = re.compile(r"\s*(NP\d{3}(?:\s*,\s*NP\d{3})*)\s*(?::|,|;|-)?\s*(.*)", re.DOTALL)
_WHY = "A finding is silenced only with a reason, so that whoever reads it next knows why."


@dataclass(frozen=True, slots=True)
class Silenced:
    """A finding that is not shown, and why."""

    finding: Finding
    reason: str


def silence(
    findings: Iterable[Finding], ignored: Mapping[str, str] | None = None
) -> tuple[tuple[Finding, ...], tuple[Silenced, ...]]:
    """Part findings into those to show and those silenced by annotation, or by `ignored`.

    `ignored` gives reasons by code. An annotation without a reason silences nothing and is a
    finding of its own.
    """
    shown: list[Finding] = []
    silenced: list[Silenced] = []
    for finding in findings:
        reasons = {**(ignored or {}), **_reasons(finding.manifest)}
        reason = reasons.get(finding.code, "")
        if reason:
            silenced.append(Silenced(finding, reason))
        else:
            shown.append(finding)
    return tuple(shown), tuple(silenced)


def read_ignore(text: str) -> tuple[tuple[str, ...], str]:
    """Read `NP017,NP105 reason`: the codes and the reason; no code where it is of another form."""
    match = _WRITTEN.fullmatch(text)
    if match is None:
        return (), ""
    return tuple(re.findall(r"NP\d{3}", match[1])), clean(match[2].strip(), 300)


def complaints(manifests: Iterable[Manifest]) -> tuple[Finding, ...]:
    """Give a finding for every annotation that silences nothing."""
    found = []
    for one in manifests:
        text = _annotation(one)
        if text is None:
            continue
        codes, reason = read_ignore(text)
        if codes and reason:
            continue
        path = f"metadata.annotations.{ANNOTATION}"
        said = "gives no reason" if codes else "names no rule"
        found.append(
            Finding(
                WITHOUT_REASON,
                "ignore-without-reason",
                Severity.WARNING,
                one.ref,
                path,
                f"the annotation {ANNOTATION} {said}, so it silences nothing",
                _WHY,
                "write `NP017,NP105 because …`",
                one.file,
                one.line_of(path),
                manifest=one,
            )
        )
    return tuple(found)


def _reasons(manifest: Manifest | None) -> Mapping[str, str]:
    text = _annotation(manifest) if manifest is not None else None
    codes, reason = read_ignore(text) if text is not None else ((), "")
    return dict.fromkeys(codes, reason)


def _annotation(manifest: Manifest) -> str | None:
    metadata = mapping(manifest.body.get("metadata"))
    text = mapping(metadata.get("annotations")).get(ANNOTATION)
    return text if isinstance(text, str) else None
