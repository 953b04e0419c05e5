"""What the rules find in a picture: the one answer that command line, screens and chat show."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources

from app.core.diagnose.evidence import FlowEvidence
from app.core.lint.finding import Finding, Knowledge, Rule, Severity
from app.core.lint.judge import find, order
from app.core.lint.registry import RULES
from app.core.lint.scope import Scope
from app.core.lint.silence import Silenced, complaints, silence
from app.core.model.kinds import POLICY_KINDS
from app.core.model.provenance import Manifest, ObjectRef
from app.core.policy.engine import Engine
from app.core.policy.parse import policy_ref
from app.services.picture import Picture


@dataclass(frozen=True, slots=True)
class LintReport:
    """What was found. `policies` counts the objects looked at, `knowledge` is how much was read.

    `lacking` counts the rules that could say nothing for want of what they need to know.
    """

    findings: tuple[Finding, ...]
    silenced: tuple[Silenced, ...] = ()
    policies: int = 0
    knowledge: Knowledge = Knowledge.FILE
    lacking: tuple[Rule, ...] = ()

    def at_least(self, severity: Severity) -> tuple[Finding, ...]:
        """The findings of a severity or worse."""
        return tuple(one for one in self.findings if one.severity.rank >= severity.rank)


@dataclass(frozen=True, slots=True)
class LintRequest:
    """What is asked: which rules, and what is accepted with a reason by code."""

    rules: tuple[Rule, ...] = RULES
    ignored: Mapping[str, str] = field(default_factory=dict)
    whole: bool = False


NOTHING_ASKED = LintRequest()


def lint_picture(
    picture: Picture,
    manifests: Sequence[Manifest] = (),
    *,
    flows: FlowEvidence | None = None,
    request: LintRequest = NOTHING_ASKED,
) -> LintReport:
    """Judge every policy of a picture; `manifests` are the objects that it was made of.

    What is not in force, as nothing deploys it or another environment does, is judged as well.
    """
    scope = scope_of(picture, manifests, flows=flows, whole=request.whole)
    found = (*find(scope, request.rules), *_not_in_force(picture, manifests, request))
    findings, silenced = silence(found, request.ignored)
    findings = (*findings, *complaints((*picture.cluster.policies, *picture.shadowed)))
    lacking = tuple(one for one in request.rules if one.needs > scope.knowledge)
    return LintReport(
        tuple(sorted(findings, key=order)),
        silenced,
        len(picture.cluster.policies),
        scope.knowledge,
        lacking,
    )


def _not_in_force(
    picture: Picture, manifests: Sequence[Manifest], request: LintRequest
) -> tuple[Finding, ...]:
    """What is wrong with policies that nothing deploys, or that other environments deploy.

    They are judged one by one in the place of what is in force, and only by what one file tells.
    """
    rules = tuple(one for one in request.rules if one.needs is Knowledge.FILE and one.check)
    places = {(one.file, one.line_of("")) for one in picture.cluster.policies}
    left = [
        one
        for one in picture.shadowed
        if one.ref.kind in POLICY_KINDS and (one.file, one.line_of("")) not in places
    ]
    found: list[Finding] = []
    while left:
        turn = {one.ref: one for one in reversed(left)}
        left = [one for one in left if turn[one.ref] is not one]
        kept = [one for one in picture.cluster.policies if one.ref not in turn]
        cluster = replace(picture.cluster, policies=(*kept, *turn.values()))
        instead = replace(picture, cluster=cluster, engine=picture.engine.replace(cluster))
        scope = scope_of(instead, manifests, whole=request.whole)
        found += find(scope, rules, only={policy_ref(one) for one in turn.values()})
    return tuple(found)


def lint_policies(
    picture: Picture,
    refs: Collection[ObjectRef],
    manifests: Sequence[Manifest] = (),
    *,
    flows: FlowEvidence | None = None,
) -> tuple[Finding, ...]:
    """What the rules find in a few policies of a picture, without what is silenced there."""
    if not refs:
        return ()
    scope = scope_of(picture, manifests, flows=flows, whole=True)
    return silence(find(scope, RULES, only=frozenset(refs)))[0]


class PolicyLint:
    """What the rules find in single policies of one picture, each worked out when it is asked."""

    def __init__(self, picture: Picture, manifests: Sequence[Manifest] = ()) -> None:
        self.engine = picture.engine
        self._scope = scope_of(picture, manifests, whole=True)
        self._known: dict[ObjectRef, tuple[Finding, ...]] = {}

    def of(self, ref: ObjectRef) -> tuple[Finding, ...]:
        """Give what is wrong with a policy, without what is silenced there."""
        if ref not in self._known:
            self._known[ref] = silence(find(self._scope, RULES, only=(ref,)))[0]
        return self._known[ref]


def scope_of(
    picture: Picture,
    manifests: Sequence[Manifest] = (),
    *,
    flows: FlowEvidence | None = None,
    whole: bool = False,
) -> Scope:
    """What the rules may look at of a picture."""
    return Scope(
        picture.cluster,
        picture.engine,
        tuple(manifests),
        picture.shadowed,
        flows,
        picture.boundaries,
        whole,
        public_suffixes(),
    )


def lint_documents(
    picture: Picture, documents: Iterable[Manifest], request: LintRequest = NOTHING_ASKED
) -> LintReport:
    """Judge policies that stand in documents, each beside the others of its page.

    The settings of the picture's cluster hold; its objects do not, for nobody knows where a copy
    will be applied.
    """
    rules = tuple(one for one in request.rules if one.needs is Knowledge.FILE and one.check)
    found: list[Finding] = []
    silenced: list[Silenced] = []
    pages: dict[str | None, list[Manifest]] = {}
    for one in documents:
        pages.setdefault(one.file, []).append(one)
    for page in pages.values():
        for one in page:
            beside = {other.ref: other for other in page if other.ref != one.ref}
            policies = (one, *beside.values())
            cluster = replace(picture.cluster, policies=policies, endpoints=(), services=())
            alone = replace(picture, cluster=cluster, engine=Engine.build(cluster), shadowed=())
            judged = find(scope_of(alone), rules, only=(policy_ref(one),))
            shown, quiet = silence(judged, request.ignored)
            found += (*shown, *complaints((one,)))
            silenced += quiet
    number = sum(map(len, pages.values()))
    return LintReport(tuple(sorted(found, key=order)), tuple(silenced), number)


def joined(*reports: LintReport) -> LintReport:
    """One report of several."""
    first = reports[0]
    return LintReport(
        tuple(sorted((one for each in reports for one in each.findings), key=order)),
        tuple(one for each in reports for one in each.silenced),
        sum(each.policies for each in reports),
        first.knowledge,
        first.lacking,
    )


@cache
def public_suffixes() -> frozenset[str]:
    """Every public suffix without its wildcards, from the list that the package carries."""
    listed = resources.files("publicsuffixlist").joinpath("public_suffix_list.dat")
    lines = listed.read_text(encoding="utf-8").splitlines()
    return frozenset(
        line.strip().removeprefix("*.")
        for line in lines
        if line.strip() and not line.startswith(("//", "!"))
    )
