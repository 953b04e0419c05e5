"""All rules over a scope: every finding once, in the order of files and lines."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from app.core.lint.finding import Finding, Hit, Rule, Severity
from app.core.lint.scope import Scope
from app.core.lint.view import View
from app.core.model.kinds import POLICY_KINDS
from app.core.model.provenance import Manifest, ObjectRef
from app.core.policy.parse import policy_ref

REFUSED = "NP072"
"""What is said of a refused object when no other rule knows the reason."""


def find(
    scope: Scope, rules: Sequence[Rule], *, only: Collection[ObjectRef] | None = None
) -> tuple[Finding, ...]:
    """Give every finding of the rules, by file, line and code.

    With `only`, these policies are judged, with all others around them.
    """
    found: list[Finding] = []
    for view in scope.views:
        if only is None or view.ref in only:
            found += _explained(list(_of_view(view, scope, rules)), rules)
    for rule in rules:
        if rule.survey is not None and only is None:
            found += (_finding(rule, hit, hit.manifest) for hit in rule.survey(scope))
    return tuple(sorted(dict.fromkeys(found), key=order))


def order(finding: Finding) -> tuple[str, int, str, str, str]:
    """Sort by place, then code."""
    place = finding.file or str(finding.policy)
    return place, finding.line or 0, finding.code, finding.path, finding.summary


def _of_view(view: View, scope: Scope, rules: Iterable[Rule]) -> Iterator[Finding]:
    for rule in rules:
        if rule.check is not None:
            for hit in rule.check(view, scope):
                yield _finding(rule, hit, hit.manifest or view.manifest)


def _explained(findings: list[Finding], rules: Iterable[Rule]) -> list[Finding]:
    """Leave the plain refusal out where a rule says what is wrong."""
    refusals = {rule.code for rule in rules if rule.refusal}
    if any(one.code in refusals for one in findings):
        return [one for one in findings if one.code != REFUSED]
    return findings


def _finding(rule: Rule, hit: Hit, manifest: Manifest | None) -> Finding:
    if manifest is None:
        raise AssertionError("a survey names the object of each hit")
    ref = policy_ref(manifest) if manifest.ref.kind in POLICY_KINDS else manifest.ref
    file, line = manifest.place_of(hit.path)
    return Finding(
        rule.code,
        rule.name,
        hit.severity or rule.severity,
        ref,
        hit.path,
        hit.summary,
        rule.why,
        hit.fix,
        file,
        line,
        hit.edits,
        hit.certain,
        manifest=manifest,
    )


def worst(findings: Iterable[Finding]) -> Severity | None:
    """Give the highest severity there is."""
    return max((one.severity for one in findings), key=lambda one: one.rank, default=None)
