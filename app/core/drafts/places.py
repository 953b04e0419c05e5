"""Beside which file a new policy belongs: the app's other policies, else the workload itself.

A policy of the namespace that lies elsewhere in the repository, or that is about every pod, says
nothing of where this app is kept. Of what a chart rendered, the file that deploys the chart counts.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import replace

from app.core.model.cluster import Cluster, Endpoint
from app.core.model.provenance import Source
from app.core.policy.engine import Engine

NEAR = 2
"""Steps between two folders of one app: `app/` and `network/` beside it."""


def place_beside(subject: Endpoint, engine: Engine) -> Source | None:
    """Give the place beside which a policy of the subject's belongs; None when none is known."""
    own = _of_workload(subject, engine.cluster)
    return next(_places(subject, own, engine), None)


def _places(subject: Endpoint, own: Source | None, engine: Engine) -> Iterator[Source]:
    selecting = {one.ref for one in engine.policies_selecting(subject)}
    about: list[Source] = []
    others: list[Source] = []
    for policy in engine.policies:
        source = policy.manifest.source
        if policy.ref.namespace != subject.namespace or source is None or source.orphan:
            continue
        if (place := written_at(source)) is None:
            continue
        is_own = policy.ref in selecting and _names_pods(policy.manifest.body)
        (about if is_own else others).append(place)
    if own is None:
        yield from (*about, *others, *_others_of(subject, engine.cluster))
        return
    yield from sorted(about, key=lambda one: distance(one.file, own.file))
    near = [one for one in others if distance(one.file, own.file) <= NEAR]
    yield from sorted(near, key=lambda one: distance(one.file, own.file))
    yield own


def written_at(source: Source) -> Source | None:
    """Where a person writes what stands at a place; None where nobody in this checkout does."""
    if source.made_by is None:
        return source
    maker = source.made_by
    return replace(source, file=maker.file, line=maker.line, made_by=None) if maker.file else None


def _of_workload(subject: Endpoint, cluster: Cluster) -> Source | None:
    """The file of the subject's workload: a pod seen in a cluster has its template's, if any."""
    if subject.source is not None:
        return written_at(subject.source)
    same = (
        one.source
        for one in cluster.endpoints
        if one.source is not None
        and one.namespace == subject.namespace
        and subject.workload is not None
        and one.workload == subject.workload
    )
    return next(filter(None, map(written_at, same)), None)


def _others_of(subject: Endpoint, cluster: Cluster) -> Iterable[Source]:
    found = (
        written_at(one.source)
        for one in cluster.endpoints
        if one.namespace == subject.namespace and one.source is not None
    )
    return filter(None, found)


def _names_pods(body: object) -> bool:
    """Whether a policy says which pods it is about, other than every one of its namespace."""
    spec = body.get("spec") if isinstance(body, dict) else None
    if not isinstance(spec, dict):
        return True
    return bool(spec.get("endpointSelector") or spec.get("podSelector"))


def distance(one: str, other: str) -> int:
    """How many steps lead from the folder of one file to that of another."""
    ours, theirs = (posixpath.dirname(posixpath.normpath(file)).split("/") for file in (one, other))
    shared = 0
    for mine, yours in zip(ours, theirs, strict=False):
        if mine != yours:
            break
        shared += 1
    return len(ours) + len(theirs) - 2 * shared
