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

OTHER_END = "NP062"
CAUSES = frozenset({"NP011", "NP016", "NP018", "NP021", "NP051", "NP054"})
"""Why the other end denies: where one of these is told of a rule, NP062 adds nothing."""


def find(
    scope: Scope, rules: Sequence[Rule], *, only: Collection[ObjectRef] | None = None
) -> tuple[Finding, ...]:
    """Give every finding of the rules, by file, line and code.

    With `only`, these policies are judged, with all others around them.
    """
    found: list[Finding] = []
    for view in _views(scope, only):
        found += _explained(list(_of_view(view, scope, rules)), rules)
    for rule in rules:
        if rule.survey is not None and only is None:
            found += (_finding(rule, hit, hit.manifest) for hit in rule.survey(scope))
    return tuple(sorted(dict.fromkeys(found), key=order))


def _views(scope: Scope, only: Collection[ObjectRef] | None) -> tuple[View, ...]:
    if only is None:
        return scope.views
    return tuple(scope.view_of[ref] for ref in only if ref in scope.view_of)


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
    """Leave out what only follows from another finding: a plain refusal, a denial by it."""
    refusals = {rule.code for rule in rules if rule.refusal}
    if any(one.code in refusals for one in findings):
        findings = [one for one in findings if one.code != REFUSED]
    causes = [one.path for one in findings if one.code in CAUSES]
    return [
        one
        for one in findings
        if one.code != OTHER_END or not any(path.startswith(one.path) for path in causes)
    ]


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
