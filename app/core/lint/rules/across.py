"""Policies and files beside each other: what is covered, doubled, left out, or read differently."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from app.core.lint.cover import is_plain
from app.core.lint.finding import Hit, Knowledge, Severity
from app.core.lint.rule import Book
from app.core.lint.scope import Scope
from app.core.lint.view import View, told
from app.core.model.kinds import POLICY_KINDS
from app.core.model.provenance import Manifest
from app.core.model.verdict import Direction, Effect
from app.core.policy.context import ParseContext
from app.core.policy.parse import parse_policy
from app.core.policy.rules import Entry, FqdnSelector, ParsedPolicy, RejectedPolicy

BOOK = Book()

_FEW = 3


def _covering(entry: Entry, scope: Scope) -> Entry | None:
    """Give a rule that allows everything an allow does; the broadest first."""
    key = id(entry)
    if key not in scope.covering:
        scope.covering[key] = _find_covering(entry, scope)
    return scope.covering[key]


def _find_covering(entry: Entry, scope: Scope) -> Entry | None:
    if entry.effect is Effect.DENY or not _matches_something(entry):
        return None
    if not is_plain(entry):
        return None  # it also restricts requests, or makes names known
    found = [
        other
        for other in scope.sharing(entry, entry.direction, kind="plain", wanted=is_plain)
        if _matches_something(other) and scope.covers(other, entry)
    ]
    equal = [other for other in found if scope.covers(entry, other)]
    found = [other for other in found if other not in equal or _stands_before(other, entry)]
    return min(found, key=_breadth, default=None)


def _matches_something(entry: Entry) -> bool:
    return entry.peers is not None and bool(entry.peers or entry.ports)


def _stands_before(one: Entry, other: Entry) -> bool:
    return _place(one) < _place(other)


def _place(entry: Entry) -> tuple[str, str, str]:
    ref = entry.rule.policy
    return ref.kind, f"{ref.namespace}/{ref.name}", entry.rule.path


def _breadth(entry: Entry) -> tuple[bool, bool, tuple[str, str, str]]:
    return bool(entry.ports), bool(entry.namespace), _place(entry)


@BOOK.check(
    "NP101",
    "nullified-by-broader-policy",
    Severity.WARNING,
    needs=Knowledge.REPOSITORY,
    why="""Policies only add up: what one allows no other takes back. Another policy allows these pods
    everything that this one does, and more, so this one restricts nothing in this direction.""",
    bad="""
    ---
    kind: CiliumNetworkPolicy
    metadata: {name: p, namespace: a}
    spec:
      endpointSelector: {matchLabels: {app: web}}
      ingress:
      - fromEndpoints: [{matchLabels: {app: hub}}]
        toPorts: [{ports: [{port: "8080", protocol: TCP}]}]
    ---
    kind: CiliumClusterwideNetworkPolicy
    metadata: {name: everything}
    spec:
      endpointSelector:
        matchExpressions: [{key: k8s:io.kubernetes.pod.namespace, operator: Exists}]
      ingress: [{fromEntities: [cluster]}]
    """,
    good="""
    ---
    kind: CiliumNetworkPolicy
    metadata: {name: p, namespace: a}
    spec:
      endpointSelector: {matchLabels: {app: web}}
      ingress:
      - fromEndpoints: [{matchLabels: {app: hub}}]
        toPorts: [{ports: [{port: "8080", protocol: TCP}]}]
    ---
    kind: CiliumClusterwideNetworkPolicy
    metadata: {name: everything}
    spec:
      endpointSelector:
        matchExpressions: [{key: k8s:io.kubernetes.pod.namespace, operator: Exists}]
      ingress: [{fromEntities: [health]}]
    """,
)
def nullified(view: View, scope: Scope) -> Iterator[Hit]:
    """Every allow of a direction is covered by another policy."""
    for direction in Direction:
        covered = _nullifying(view, direction, scope)
        if covered:
            rules = list(dict.fromkeys(told(one.rule) for one in covered.values()))
            first = next(iter(covered))
            more = f" and {len(rules) - 1} more" if len(rules) > 1 else ""
            yield Hit(
                first.rule.path,
                f"it changes nothing for {direction.value}: {rules[0]}{more} allows these pods all of"
                f" it, and more{_as_known(first, scope)}",
                "narrow the broader policy, or take this one away",
            )


def _as_known(entry: Entry, scope: Scope) -> str:
    """Say what is taken for granted: labels of a namespace whose object was not read."""
    space = entry.namespace
    read = any(one.ref.name == space for one in scope.of_kind.get("Namespace", ()))
    return f" (no labels of namespace {space} were read)" if space and not read else ""


def _nullifying(view: View, direction: Direction, scope: Scope) -> dict[Entry, Entry]:
    """Each allow of a direction with what covers it; empty unless others cover all of them."""
    allows = [
        one
        for one in view.entries
        if one.direction is direction and one.effect is Effect.ALLOW and _matches_something(one)
    ]
    covered: dict[Entry, Entry] = {}
    for entry in allows:
        other = _covering(entry, scope)
        if other is None or other.rule.policy == view.ref:
            return {}
        if scope.covers(entry, other):
            return {}  # the same rule twice: NP105
        covered[entry] = other
    return covered


@BOOK.check(
    "NP105",
    "rule-covered-by-another",
    Severity.INFO,
    needs=Knowledge.REPOSITORY,
    why="""Taking the rule away would change nothing: another one allows the same pods the same peers
    and ports. It is either left over, or the other one is broader than was meant.""",
    bad="""
    ingress:
    - fromEndpoints: [{}]
    - fromEndpoints: [{matchLabels: {app: web}}]
      toPorts: [{ports: [{port: "80", protocol: TCP}]}]
    """,
    good="""
    ingress:
    - fromEndpoints: [{matchLabels: {app: admin}}]
    - fromEndpoints: [{matchLabels: {app: web}}]
      toPorts: [{ports: [{port: "80", protocol: TCP}]}]
    """,
)
def covered_rule(view: View, scope: Scope) -> Iterator[Hit]:
    """Allows that add nothing, each named once with what covers it."""
    named = {entry for direction in Direction for entry in _nullifying(view, direction, scope)}
    by_item: dict[str, list[tuple[Entry, Entry | None]]] = {}
    for entry in view.entries:
        if entry.effect is Effect.ALLOW and entry not in named and _matches_something(entry):
            by_item.setdefault(entry.rule.path, []).append((entry, _covering(entry, scope)))
    groups: dict[str, list[str]] = {}
    for path, found in by_item.items():
        covering = [other for _, other in found if other is not None]
        if len(covering) == len(found):
            entry, other = found[0][0], covering[0]
            known = "" if entry.subject.key == other.subject.key else _as_known(entry, scope)
            groups.setdefault(f"{told(other.rule)} allows the same{known}", []).append(path)
    for said, paths in groups.items():
        listed = ", ".join(paths[1:_FEW]) + (" …" if len(paths) > _FEW else "")
        also = f" (also {listed})" if listed else ""
        yield Hit(
            paths[0],
            f"it adds nothing{also}: {said}",
            "take it away, or narrow the other rule",
        )


@BOOK.survey(
    "NP103",
    "file-not-in-any-kustomization",
    Severity.WARNING,
    why="""The checkout deploys objects (by kustomize, Argo CD or Flux), and nothing of it reaches this
    file: it is not in force, and whoever reads or changes it is misled.""",
    bad="""
    # in base/policy.yaml, which base/kustomization.yaml does not list
    ingress: [{}]
    """,
    good="""
    # in base/policy.yaml, under `resources:` of base/kustomization.yaml
    ingress: [{}]
    """,
)
def not_deployed(scope: Scope) -> Iterator[Hit]:
    """A policy that kustomizations surround and none reaches."""
    for one in (*scope.cluster.policies, *scope.shadowed):
        if one.ref.kind in POLICY_KINDS and one.source is not None and one.source.orphan:
            yield Hit(
                "",
                f"nothing deploys this file: {one.ref.kind} {one.ref.name} is not in force",
                "list it under `resources` of a kustomization, or delete it",
                manifest=one,
            )


@BOOK.survey(
    "NP104",
    "same-object-in-two-files",
    Severity.WARNING,
    why="""A cluster holds one object of each kind, namespace and name: of two files the one applied
    last is in force, and the other seems to be.""",
    bad="""
    # in two files that are both deployed
    ingress: [{}]
    """,
    good="""
    # in one file, changed by a patch of each overlay
    ingress: [{}]
    """,
)
def doubled(scope: Scope) -> Iterator[Hit]:
    """An object that another of the same name keeps from being in force."""
    kept = {one.ref: one for one in scope.cluster.policies}
    for one in scope.shadowed:
        other = kept.get(one.ref)
        if one.ref.kind not in POLICY_KINDS or other is None:
            continue
        same = dict(one.body) == dict(other.body)
        sure = not _apart(one, other)
        yield Hit(
            "",
            f"{one.ref.kind} {one.ref.name} also stands in {_where(other)}"
            + (", with the same content" if same else ", with other content"),
            "keep one of them",
            severity=None if sure and not same else Severity.INFO,
            manifest=one,
        )


def _apart(one: Manifest, other: Manifest) -> bool:
    """Whether two files are deployed by different roots, as overlays of environments are."""
    ours = set(one.source.deployed_by) if one.source else set()
    theirs = set(other.source.deployed_by) if other.source else set()
    return bool(ours and theirs) and not ours & theirs


def _where(manifest: Manifest) -> str:
    return f"{manifest.file}:{manifest.line_of('')}" if manifest.file else "another place"


@BOOK.check(
    "NP112",
    "means-something-else-on-another-version",
    Severity.INFO,
    why="""The same text is read differently by another release of Cilium (1.18 and 1.20 are asked):
    clusters of several versions, or the next upgrade, change what it does.""",
    bad="""
    egress:
    - toEntities: [world]
      toPorts: [{ports: [{port: "0", endPort: 1024, protocol: TCP}]}]
    """,
    good="""
    egress:
    - toEntities: [world]
      toPorts: [{ports: [{port: "1", endPort: 1024, protocol: TCP}]}]
    """,
)
def other_version(view: View, scope: Scope) -> Iterator[Hit]:
    """Parsed as neighbouring releases would, the rules differ."""
    if not _may_differ(view):
        return
    for version in ((1, 18, 0), (1, 20, 2)):
        if version[:2] == scope.version[:2]:
            continue
        config = replace(scope.cluster.config, cilium_version=version)
        other = parse_policy(view.manifest, ParseContext(config, scope.cluster.services))
        found = _difference(view, other)
        if found is not None:
            path, said = found
            shown = ".".join(map(str, version[:2]))
            yield Hit(path, f"Cilium {shown} {said}")
            return


def _may_differ(view: View) -> bool:
    """Whether the text holds anything that a release reads its own way; saves parsing twice."""
    text = repr(view.manifest.body)
    return any(
        word in text
        for word in ("'**.", "endPort", "kafka", "l7proto", "reserved.", "'$", "cidrGroupSelector",
                     "Requires", "cluster-mesh", "VRRP", "IGMP", "except")
    )  # fmt: skip


def _difference(view: View, other: ParsedPolicy | RejectedPolicy) -> tuple[str, str] | None:
    if view.parsed is None:
        return None
    if isinstance(other, RejectedPolicy):
        return other.path or "spec", f"refuses it: {other.reason}"
    if set(other.dropped) - set(view.parsed.dropped):
        path = min(set(other.dropped) - set(view.parsed.dropped))
        return path, f"does not know `{path.rpartition('.')[2]}` and leaves it out"
    for ours, theirs in zip(view.parsed.entries, other.entries, strict=False):
        found = _ports_differ(ours, theirs) or _names_differ(ours, theirs)
        if found is not None:
            return found
    return None


def _ports_differ(ours: Entry, theirs: Entry) -> tuple[str, str] | None:
    for rule, other in zip(ours.ports, theirs.ports, strict=False):
        for spec, same in zip(rule.ports, other.ports, strict=False):
            if (spec.number, spec.end) != (same.number, same.end):
                end = f"{same.number} to {same.end}" if same.end else "every port"
                return spec.path, f"reads `{spec.text}` with its endPort as {end}"
    return None


def _names_differ(ours: Entry, theirs: Entry) -> tuple[str, str] | None:
    for peer, other in zip(ours.peers or (), theirs.peers or (), strict=False):
        if not isinstance(peer, FqdnSelector) or not isinstance(other, FqdnSelector):
            continue
        if peer.expression.pattern != other.expression.pattern:
            return peer.path, f"reads `{peer.text}` as another set of names"
    return None


@BOOK.check(
    "NP102",
    "works-only-through",
    Severity.INFO,
    needs=Knowledge.FLOWS,
    why="""Connections that were seen, or that a declared boundary demands, are allowed by this one
    broad rule and by no other: whoever narrows it breaks them.""",
    bad="""
    # with flows from app=web to app=db, which nothing else allows
    endpointSelector: {matchLabels: {app: db}}
    ingress: [{fromEntities: [cluster]}]
    """,
    good="""
    # with flows from app=web to app=db
    endpointSelector: {matchLabels: {app: db}}
    ingress:
    - fromEntities: [cluster]
    - fromEndpoints: [{matchLabels: {app: web}}]
    """,
)
def works_only_through(view: View, scope: Scope) -> Iterator[Hit]:
    """A broad rule that alone carries what was seen."""
    broad = {entry.rule for entry in view.entries if _is_broad(entry)}
    if not broad:
        return
    carried: dict[str, dict[str, None]] = {}
    for words, rules in scope.carried:
        if len(rules) == 1 and rules[0] in broad:
            carried.setdefault(rules[0].path, {})[words] = None
    for path, all_words in carried.items():
        seen = list(all_words)
        few = ", ".join(seen[:_FEW]) + (f" and {len(seen) - _FEW} more" if len(seen) > _FEW else "")
        yield Hit(path, f"only this rule allows what was seen or is demanded: {few}")


def _is_broad(entry: Entry) -> bool:
    """Whether an allow names an entity, or everybody, and no port."""
    if entry.effect is Effect.DENY or entry.ports:
        return False
    return any(peer.text.startswith("entity ") or peer.is_wildcard for peer in entry.peers or ())
