"""Which of a checkout's deployments are one cluster: an answer is about one, never about a mixture.

Environments are told by folders' names, clusters by Argo CD's destinations and labels and by Flux's
folders, and what is left by what two deployments claim: where most of the objects that one writes
are written by another as well, differently or from another file, only one of them can be meant, and
they are told apart by the first folder in which their names differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, product
from typing import Any

from app.core.errors import BadInput
from app.core.model.provenance import Manifest, ObjectRef
from app.core.text import clean
from app.ports import Environment
from integrations.manifests.deploy.deployment import Deployment
from integrations.manifests.deploy.tags import preferred
from integrations.manifests.found import DECIDING_KINDS, LINE_KINDS

_SELECTIONS_MAX = 24
"""How many environments are listed; a question over all asks no more."""

_NOT_SAID = ("metadata", "status")

Key = tuple[str, ObjectRef]


@dataclass(frozen=True, slots=True)
class Axis:
    """Alternatives: folders of one parent of which one is deployed to a cluster."""

    parent: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Chosen:
    """The deployments of one environment; `others` are the environments that were not chosen.

    `asked` says that the caller chose, so that nothing was left to a preference.
    """

    deployments: tuple[Deployment, ...]
    selection: Environment = field(default_factory=Environment)
    others: tuple[Environment, ...] = ()
    asked: bool = True
    axes: tuple[Axis, ...] = field(default=(), compare=False)


def choose(
    deployments: Sequence[Deployment],
    objects: Callable[[Deployment], Iterable[Manifest]],
    *,
    env: str = "",
    clusters: Sequence[str] = (),
) -> Chosen:
    """Keep the deployments of one environment; BadInput when there is none of that name."""
    envs = sorted({one.env for one in deployments if one.env})
    names = sorted({one.cluster for one in deployments if one.cluster})
    if env and env not in envs and env not in names:
        raise _unknown("environment", env, [*envs, *names])
    chosen_env = env if env in envs else preferred(envs) if envs else ""
    left = [one for one in deployments if not chosen_env or one.env in ("", chosen_env)]
    wanted = [*clusters, *([env] if env and env not in envs else [])]
    labels = _label_axes(left)
    axes = _axes(left, objects)
    folders = [name for axis in (*labels, *axes) for name in axis.names]
    for one in clusters:
        if one not in names and one not in folders:
            raise _unknown("cluster", one, [*names, *folders])
    left, cluster = _of_cluster(left, wanted)
    picked_labels = {axis.parent: _pick(axis, wanted) for axis in labels}
    left = [one for one in left if _fits_labels(one, picked_labels)]
    axes = _axes(left, objects)
    picked = tuple(_pick(axis, wanted) for axis in axes)
    left = [one for one in left if not _is_dropped(one, axes, picked)]
    picked = (*picked_labels.values(), *picked)
    axes = (*labels, *axes)
    selection = Environment(chosen_env, tuple(one for one in (cluster, *picked) if one))
    every = _selections(envs, _clusters_of(deployments, chosen_env), axes)
    others = tuple(one for one in every if one != selection)
    return Chosen(tuple(left), selection, others, bool(env or clusters), axes)


def _unknown(what: str, name: str, known: Sequence[str]) -> BadInput:
    listed = ", ".join(dict.fromkeys(known)) or "none"
    return BadInput(f"no such {what}: `{clean(name)}`", hint=f"this checkout has: {listed}")


def _clusters_of(deployments: Iterable[Deployment], env: str) -> list[str]:
    return sorted({one.cluster for one in deployments if one.cluster and one.env in ("", env)})


def _of_cluster(
    deployments: list[Deployment], wanted: Sequence[str]
) -> tuple[list[Deployment], str]:
    names = sorted({one.cluster for one in deployments if one.cluster})
    if not names:
        return deployments, ""
    cluster = next((one for one in wanted if one in names), preferred(names))
    return [one for one in deployments if one.cluster in ("", cluster)], cluster


def _label_axes(deployments: Iterable[Deployment]) -> tuple[Axis, ...]:
    """Labels that tell the clusters of deployments apart: none has two values of one."""
    values: dict[str, set[str]] = {}
    for deployment in deployments:
        for key, value in deployment.labels.items():
            values.setdefault(key, set()).add(value)
    return tuple(
        Axis(key, tuple(sorted(names))) for key, names in sorted(values.items()) if len(names) > 1
    )


def _fits_labels(deployment: Deployment, picked: Mapping[str, str]) -> bool:
    return all(deployment.labels.get(key, value) == value for key, value in picked.items())


def _axes(
    deployments: Sequence[Deployment], objects: Callable[[Deployment], Iterable[Manifest]]
) -> tuple[Axis, ...]:
    claims = [
        {**_claims(objects(one)), **({} if one.controller else _subjects(objects(one)))}
        for one in deployments
    ]
    by_key: dict[Key, list[int]] = {}
    for index, claimed in enumerate(claims):
        for key in claimed:
            by_key.setdefault(key, []).append(index)
    pairs = {pair for sharing in by_key.values() for pair in combinations(sharing, 2)}
    found: dict[str, set[str]] = {}
    for left, right in sorted(pairs):
        one, other = deployments[left], deployments[right]
        if one.segments == other.segments:
            continue
        parent, *names = _apart(one.segments, other.segments)
        if _are_alternatives(_comparable(claims[left], one, other), claims[right]):
            found.setdefault(parent, set()).update(names)
    return tuple(Axis(parent, tuple(sorted(names))) for parent, names in sorted(found.items()))


def _claims(manifests: Iterable[Manifest]) -> Mapping[Key, Any]:
    """What a deployment says of each object that answers rest on, apart from labels of its own."""
    return {
        (manifest.api_version.partition("/")[0], manifest.ref): (
            manifest.file,
            {key: item for key, item in manifest.body.items() if key not in _NOT_SAID},
        )
        for manifest in manifests
        if manifest.ref.kind in LINE_KINDS and manifest.ref.kind != "Namespace"
    }


def _subjects(manifests: Iterable[Manifest]) -> Mapping[Key, Any]:
    """What a kustomization that no controller names says of pods.

    Policies for the same ones are likely alternatives, where only one folder's name tells their
    kustomizations apart.
    """
    found: dict[Key, Any] = {}
    for manifest in manifests:
        spec = manifest.body.get("spec")
        selector = spec.get("endpointSelector") if isinstance(spec, Mapping) else None
        if selector and manifest.ref.kind in DECIDING_KINDS:
            ref = ObjectRef("", manifest.ref.namespace, repr(selector))
            found["", ref] = (manifest.file, spec)
    return found


def _are_alternatives(one: Mapping[Key, Any], other: Mapping[Key, Any]) -> bool:
    shared = one.keys() & other.keys()
    if not shared or 2 * len(shared) < min(len(one), len(other)):
        return False
    return any(one[key] != other[key] for key in shared)


def _comparable(claims: Mapping[Key, Any], one: Deployment, other: Deployment) -> Mapping[Key, Any]:
    """Without the pods where more than one folder's name tells two kustomizations apart."""
    apart = sum(map(str.__ne__, one.segments, other.segments))
    if apart == 1 and len(one.segments) == len(other.segments):
        return claims
    return {key: claim for key, claim in claims.items() if key[1].kind}


def _apart(one: Sequence[str], other: Sequence[str]) -> tuple[str, str, str]:
    for index, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return "/".join(one[:index]), left, right
    shorter = min(len(one), len(other))
    at = [*one, ""][shorter], [*other, ""][shorter]
    return "/".join(one[:shorter]), at[0], at[1]


def _pick(axis: Axis, wanted: Sequence[str]) -> str:
    return next((one for one in wanted if one in axis.names), preferred(axis.names))


def _is_dropped(deployment: Deployment, axes: Sequence[Axis], picked: Sequence[str]) -> bool:
    for axis, name in zip(axes, picked, strict=True):
        depth = len(axis.parent.split("/")) if axis.parent else 0
        if "/".join(deployment.segments[:depth]) != axis.parent:
            continue
        own = [*deployment.segments, ""][depth]
        if own != name and own in axis.names:
            return True
    return False


def _selections(
    envs: Sequence[str], clusters: Sequence[str], axes: Sequence[Axis]
) -> list[Environment]:
    parts = [envs or [""], clusters or [""], *(axis.names for axis in axes)]
    if len(parts) == 2 and not envs and not clusters:  # noqa: PLR2004  # nothing to choose between
        return []
    every = [Environment(env, tuple(one for one in rest if one)) for env, *rest in product(*parts)]
    return every[:_SELECTIONS_MAX] if len(every) > 1 else []
