"""Who keeps a live object as it is, by the marks that deployers leave on what they write."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_LABELS = {
    "generate.kyverno.io/policy-name": "the Kyverno policy `{}` generates it",
    "helm.toolkit.fluxcd.io/name": "the Flux HelmRelease `{}` renders it",
    "app.kubernetes.io/managed-by": "`{}` manages it",
}
"""Marks of what makes objects; who edits such an object finds it made anew."""

_DEPLOYERS = {
    "argocd.argoproj.io/instance": "the Argo CD Application `{}` deploys it",
    "kustomize.toolkit.fluxcd.io/name": "the Flux Kustomization `{}` deploys it",
    "app.kubernetes.io/instance": "it belongs to `{}` (app.kubernetes.io/instance)",
}
"""Marks of what deploys files; another tool may set the last one too."""

_TRACKING = "argocd.argoproj.io/tracking-id"
_HELM_RELEASE = "meta.helm.sh/release-name"
_MADE = "change what makes it, or draft a policy of its own beside the app's files"
_DEPLOYED = "give the checkout of its source with --snapshot or repo.path"


@dataclass(frozen=True, slots=True)
class Owner:
    """Who writes an object in words, and what to do instead of editing it."""

    words: str
    hint: str


def owner_of(body: Mapping[str, Any]) -> Owner | None:
    """Give who keeps an object, the most certain first; None where nothing on it says.

    Source: Argo CD `docs/user-guide/resource_tracking.md` (the annotation is
    `APP:GROUP/KIND:NS/NAME`), fluxcd/pkg `ssa` (owner labels), helm `pkg/action/validate.go`.
    """
    return next(_owners(_map(body.get("metadata"))), None)


def _owners(metadata: Mapping[str, Any]) -> Iterator[Owner]:
    labels, notes = _map(metadata.get("labels")), _map(metadata.get("annotations"))
    for one in map(_map, metadata.get("ownerReferences") or ()):
        yield Owner(f"{one.get('kind')} `{one.get('name')}` makes it (ownerReferences)", _MADE)
    if app := str(notes.get(_TRACKING, "")).partition(":")[0]:
        yield Owner(_DEPLOYERS["argocd.argoproj.io/instance"].format(app), _DEPLOYED)
    if name := notes.get(_HELM_RELEASE):
        yield Owner(f"the Helm release `{name}` renders it", _MADE)
    for marks, hint in ((_LABELS, _MADE), (_DEPLOYERS, _DEPLOYED)):
        for key, words in marks.items():
            if labels.get(key):
                yield Owner(words.format(labels[key]), hint)


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
