"""Names that changed, in the fields that refer to them.

Source: kustomize `api/filters/nameref/nameref.go` and
`api/internal/accumulator/namereferencetransformer.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from integrations.manifests.kustomize.defaults import Reference
from integrations.manifests.kustomize.errors import Refused
from integrations.manifests.kustomize.fields import FieldSpec, Gvk, Slot, set_fields
from integrations.manifests.kustomize.resource import NO_NAMESPACE, Id, Resource, Resources, show
from integrations.manifests.kustomize.tree import Map, Seq, text_of


def fix_references(resources: Resources, references: Iterable[Reference]) -> None:
    """Write the new names into every field that names an object whose name has changed."""
    renamed = [one for one in resources if one.previous]
    if not renamed:
        return
    firsts = [(one, one.original_id[:3]) for one in resources]
    for reference in references:
        targets = [
            one for one in renamed if any(_selects(reference.target, i) for i in one.previous)
        ]
        if not targets:
            continue
        for spec in reference.fields:
            for resource, first in firsts:
                if not spec.gvk.selects(*first):
                    continue
                fixer = _Fixer(resource, spec, reference.target, _reachable(resource, targets))
                own = FieldSpec(spec.path, Gvk(*resource.gvk), spec.create)
                set_fields(resource, (own,), fixer.fix)
    resources.changed()


def _selects(target: Gvk, one: Id) -> bool:
    return target.selects(one.group, one.version, one.kind)


def _reachable(referrer: Resource, targets: Sequence[Resource]) -> list[Resource]:
    """Source: `api/resmap/reswrangler.go` (`SubsetThatCouldBeReferencedByResource`)."""
    if referrer.cluster_scoped:
        return list(targets)
    others = _subject_namespaces(referrer) if referrer.kind == "RoleBinding" else set()
    return [
        one
        for one in targets
        if one.cluster_scoped
        or one.effective_namespace == referrer.effective_namespace
        or one.namespace in others
    ]


def _subject_namespaces(binding: Resource) -> set[str]:
    subjects = binding.body.get("subjects")
    return {
        text_of(subject["namespace"])
        for subject in (subjects if isinstance(subjects, list) else ())
        if isinstance(subject, dict)
        and subject.get("kind") == "ServiceAccount"
        and "namespace" in subject
    }


@dataclass(frozen=True, slots=True)
class _Fixer:
    referrer: Resource
    spec: FieldSpec
    target: Gvk
    candidates: list[Resource]

    def fix(self, slot: Slot) -> None:
        value = slot.value
        if isinstance(value, Map):
            self._fix_mapping(value)
        elif isinstance(value, Seq):
            for index, item in enumerate(value):
                if isinstance(item, Map):
                    self._fix_mapping(item)
                else:
                    self._fix_text(Slot(value, index))
        elif value is not None:
            self._fix_text(slot)

    def _fix_text(self, slot: Slot) -> None:
        old = text_of(slot.value)
        found = self._referral(old, self.candidates, with_namespace=False)
        if found and found.name != old:
            slot.set(found.name, None)

    def _fix_mapping(self, mapping: Map) -> None:
        if mapping.get("name") is None:
            raise Refused(f"`{self.spec.path}` of {show(self.referrer.id)} has no name")
        old = text_of(mapping["name"])
        candidates = self.candidates
        if mapping.get("namespace") is not None:
            candidates = _in_namespace(candidates, text_of(mapping["namespace"]))
        found = self._referral(old, candidates, with_namespace=True)
        if not found:
            return
        if found.name != old:
            mapping["name"] = found.name
        if found.namespace:
            mapping["namespace"] = found.namespace

    def _referral(
        self, old: str, candidates: Sequence[Resource], *, with_namespace: bool
    ) -> Resource | None:
        found = [
            one
            for one in candidates
            if any(i.name == old for i in one.previous)
            and any(_selects(self.target, i) for i in one.previous)
            and self._fits_role(one)
            and self._may_refer(one)
        ]
        if len(found) != 1:
            found = [one for one in found if _same_context(self.referrer, one, lax=True)]
            if len(found) > 1:
                found = [one for one in found if _same_context(self.referrer, one, lax=False)]
        if len(found) <= 1:
            return found[0] if found else None
        names = {(one.name, one.namespace if with_namespace else "") for one in found}
        if len(names) > 1:
            raise Refused(f"several objects may be meant by `{old}` in {show(self.referrer.id)}")
        return found[0]

    def _fits_role(self, candidate: Resource) -> bool:
        if not self.spec.path.endswith("roleRef/name"):
            return True
        role = self.referrer.body.get("roleRef")
        if not isinstance(role, dict) or not {"apiGroup", "kind"} <= role.keys():
            return True
        wanted = Gvk(group=text_of(role["apiGroup"]), kind=text_of(role["kind"]))
        return any(map(partial(_selects, wanted), candidate.previous))

    def _may_refer(self, candidate: Resource) -> bool:
        return (
            self.referrer.cluster_scoped
            or candidate.cluster_scoped
            or candidate.kind == "ServiceAccount"
            or candidate.effective_namespace == self.referrer.effective_namespace
        )


def _in_namespace(candidates: Sequence[Resource], namespace: str) -> list[Resource]:
    before = [one for one in candidates if one.original_id.namespace == namespace]
    if before and namespace != NO_NAMESPACE:
        return before
    return [one for one in candidates if one.effective_namespace == namespace]


def _same_context(one: Resource, other: Resource, *, lax: bool) -> bool:
    """Source: `api/resource/resource.go` (`PrefixesSuffixesEquals`)."""
    return all(
        (lax and not (left and right)) or _same_ending(left, right)
        for left, right in ((one.prefixes, other.prefixes), (one.suffixes, other.suffixes))
    )


def _same_ending(one: Sequence[str], other: Sequence[str]) -> bool:
    """Source: `api/internal/utils/stringslice.go` (`SameEndingSubSlice`)."""
    shorter = min(len(one), len(other))
    if shorter == 0:
        return len(one) == len(other)
    return list(one[-shorter:]) == list(other[-shorter:])
