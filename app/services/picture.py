"""One moment of the cluster with its engine: what every question is a plain function over."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from app.core.cluster.build import build_cluster
from app.core.errors import UsageError
from app.core.model.cluster import Address, Cluster
from app.core.model.kinds import POLICY_KINDS
from app.core.model.provenance import Manifest, Notice
from app.core.model.unread import unread
from app.core.policy.engine import Engine
from app.ports import Right, SourceState

if TYPE_CHECKING:
    from app.core.diagnose.boundaries import Boundary

_VERSION = re.compile(r"v?(\d{1,3})\.(\d{1,3})(?:\.(\d{1,3}))?(?![\d.])")

LearnedNames = Mapping[str, tuple[Address, ...]]
Version = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Picture:
    """What is known, as of `as_of_ns`. `revision` grows with everything published.

    `sources` are the states of every source by name, `notices` what the operator must know of
    what was read, in order of reading. `shadowed` are objects that are not in force: another of
    the same name is, or nothing deploys them. `rights` say which kinds could be read, `boundaries`
    are what no change may break. A new picture with the same `engine` changed no verdict.
    """

    cluster: Cluster
    engine: Engine
    as_of_ns: int = 0
    revision: int = 0
    sources: Mapping[str, SourceState] = field(default_factory=dict)
    notices: tuple[Notice, ...] = ()
    shadowed: tuple[Manifest, ...] = ()
    rights: tuple[Right, ...] = ()
    boundaries: tuple[Boundary, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ingredients:
    """Everything a picture is made of; `notices` are those of reading."""

    manifests: tuple[Manifest, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    cilium_version: Version | None = None
    learned_names: LearnedNames = field(default_factory=dict)
    notices: tuple[Notice, ...] = ()
    shadowed: tuple[Manifest, ...] = ()
    rights: tuple[Right, ...] = ()


def empty_picture(boundaries: tuple[Boundary, ...] = ()) -> Picture:
    """The picture before anything was read."""
    cluster = Cluster()
    return Picture(cluster, Engine.build(cluster), boundaries=boundaries)


def make_cluster(
    ingredients: Ingredients, *, before: Cluster | None = None, only_policies: bool = False
) -> Cluster:
    """Build the cluster; a version the user gave wins over the one that was read.

    Pods that are as they were `before` are shared with it, and with `only_policies` all but
    policies and learned names: so the engine knows what need not be computed again.
    """
    policies = _same_but_policies(ingredients, before) if before and only_policies else None
    if before is not None and policies is not None:
        cluster = replace(before, policies=policies, learned_names=ingredients.learned_names)
        return _with_unread(cluster, ingredients)
    cluster = build_cluster(
        ingredients.manifests,
        settings=ingredients.settings,
        version=ingredients.cilium_version,
        before=before,
    )
    cluster = replace(cluster, learned_names=ingredients.learned_names)
    return _with_unread(cluster, ingredients)


def _with_unread(cluster: Cluster, ingredients: Ingredients) -> Cluster:
    return replace(cluster, unread=unread((*ingredients.notices, *cluster.notices)))


def _same_but_policies(ingredients: Ingredients, before: Cluster) -> tuple[Manifest, ...] | None:
    """The policies in the order of `build_cluster`; None when one is in an unknown namespace."""
    policies = [one for one in ingredients.manifests if one.ref.kind in POLICY_KINDS]
    if any(one.ref.namespace and one.ref.namespace not in before.namespaces for one in policies):
        return None
    return tuple(sorted(policies, key=lambda one: one.ref.kind))


def make_picture(
    ingredients: Ingredients, *, before: Picture | None = None, only_policies: bool = False
) -> Picture:
    """Build cluster and engine; from `before` the engine re-uses what did not change.

    `only_policies` says that no other object changed since.
    """
    known = before.cluster if before else None
    cluster = make_cluster(ingredients, before=known, only_policies=only_policies)
    engine = before.engine.replace(cluster) if before else Engine.build(cluster)
    return Picture(
        cluster,
        engine,
        revision=before.revision + 1 if before else 1,
        sources=before.sources if before else {},
        notices=unique_notices((*ingredients.notices, *cluster.notices)),
        shadowed=ingredients.shadowed,
        rights=ingredients.rights,
        boundaries=before.boundaries if before else (),
        settings=ingredients.settings,
    )


def rename_learned(picture: Picture, names: LearnedNames) -> Picture:
    """The same objects with other learned names."""
    cluster = replace(picture.cluster, learned_names=names)
    return replace(
        picture,
        cluster=cluster,
        engine=picture.engine.replace(cluster),
        revision=picture.revision + 1,
    )


def parse_version(text: str) -> Version:
    """Read `1.19.3`, `v1.19.3` or a vendor's `1.19.3-x.1`; a missing patch release is 0.

    Raises `UsageError` for anything else.
    """
    if (match := _VERSION.match(text.strip())) is None:
        raise UsageError(
            f"`{text}` is not a Cilium version", hint="write it as 1.19.3, down to the patch"
        )
    major, minor, patch = match.groups(default="0")
    return int(major), int(minor), int(patch)


def unique_notices(notices: Iterable[Notice]) -> tuple[Notice, ...]:
    """Each notice once, in order of first appearance."""
    return tuple(dict.fromkeys(notices))
