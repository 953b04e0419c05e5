"""What was found and what is missing, source by source, with the way to mend it.

The same list greets an operator without a cluster and answers `doctor`. Nothing in it is secret:
credentials are named by where they were found, never shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from app.ports import Right, SourceState
from app.services.picture import Picture
from app.services.wording import counted

MOST_UNREAD = 20
_NODES = "see that cilium runs on these nodes, and that Relay reaches port 4244 of them"


class Health(StrEnum):
    """How a check went; `MISSING` narrows what can be said, `BROKEN` prevents it."""

    FINE = "fine"
    MISSING = "missing"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at: `area` is what it belongs to, `fix` the way out (may be empty)."""

    area: str
    health: Health
    text: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the command line found around itself before it read anything.

    `config` and `boundaries` are paths, empty when there is none; `repo` a checkout. `secrets` map
    what each is for to where it was found, empty when it was not.
    """

    config: str = ""
    repo: str = ""
    boundaries: str = ""
    secrets: tuple[tuple[str, str, str], ...] = ()
    """(what it is for, where it was found or empty, how to give it)."""


def examine(picture: Picture, surroundings: Surroundings) -> tuple[Check, ...]:
    """Every check, in the order a person would go."""
    return (
        *_around(surroundings),
        *(_source(state) for state in picture.sources.values()),
        *_unread(picture),
        *_objects(picture),
        *(_right(right) for right in picture.rights if not _readable(right)),
        *_policies(picture),
    )


def _around(found: Surroundings) -> Iterator[Check]:
    text = found.config or "no file: every setting is at its default"
    yield Check("config", Health.FINE, text)
    if found.repo:
        yield Check("git", Health.FINE, f"drafts go to the checkout {found.repo}")
    else:
        fix = "name a checkout as --snapshot, or set repo.path"
        yield Check("git", Health.MISSING, "no checkout: drafts are shown, not committed", fix)
    if found.boundaries:
        yield Check("boundaries", Health.FINE, found.boundaries)
    else:
        fix = "set check.boundaries to a TOML file"
        yield Check("boundaries", Health.MISSING, "no boundaries: no draft is held back", fix)
    for purpose, origin, fix in found.secrets:
        if origin:
            yield Check(purpose, Health.FINE, f"credential from {origin}")
        else:
            yield Check(purpose, Health.MISSING, "no credential", fix)


def _source(state: SourceState) -> Check:
    words = f"{state.source}: {state.phase}"
    reason = f": {state.reason}" if state.reason else ""
    if state.unheard:
        return Check("source", Health.BROKEN, f"{state.source}: read in part{reason}", _NODES)
    if state.is_read:
        health = Health.MISSING if reason else Health.FINE
        return Check("source", health, f"{state.source}: read{reason}")
    return Check("source", Health.BROKEN, words + reason, str(state.detail.get("hint", "")))


def _unread(picture: Picture) -> Iterator[Check]:
    """What a source that was read holds and nobody could read."""
    found = picture.cluster.unread
    for notice in found[:MOST_UNREAD]:
        yield Check("unread", Health.BROKEN, str(notice))
    if (more := len(found) - MOST_UNREAD) > 0:
        fix = "every command prints them all on stderr"
        yield Check("unread", Health.BROKEN, f"{more} more could not be read", fix)


def _objects(picture: Picture) -> Iterator[Check]:
    cluster = picture.cluster
    if not cluster.endpoints:
        fix = "add workloads to the snapshot: policies alone say nothing about who they meet"
        yield Check("objects", Health.MISSING, "no pods and no workloads", fix)
    else:
        templates = sum(endpoint.template for endpoint in cluster.endpoints)
        kinds = f" ({templates} of them pod templates)" if templates else ""
        number = counted(len(cluster.endpoints), "endpoint")
        yield Check("objects", Health.FINE, f"{number}{kinds}")
    if not cluster.nodes:
        text = "no nodes: addresses of nodes and of the API server are not known"
        yield Check("objects", Health.MISSING, text)
    version = ".".join(map(str, cluster.config.cilium_version))
    yield Check("cilium", Health.FINE, f"semantics of Cilium {version}")


def _readable(right: Right) -> bool:
    return right.allowed is True and right.scope == "cluster"


def _right(right: Right) -> Check:
    fix = f"grant {right.verb} on {right.kind} (deploy/rbac.yaml)"
    if right.allowed is None:
        text = f"the cluster has no {right.kind}"
        return Check("rights", Health.MISSING, f"{text}: {right.cost}" if right.cost else text)
    if right.allowed:
        return Check("rights", Health.MISSING, f"{right.kind} in {right.scope} only", fix)
    reason = f" ({right.reason})" if right.reason else ""
    return Check("rights", Health.MISSING, f"no {right.kind}: {right.cost}{reason}", fix)


def _policies(picture: Picture) -> Iterator[Check]:
    engine = picture.engine
    yield Check("policies", Health.FINE, f"{len(engine.policies)} in force")
    for one in engine.rejected:
        at = f"{one.file}:{one.line}: " if one.file else ""
        yield Check("policies", Health.BROKEN, f"{at}{one.ref} is refused: {one.reason}")
    yield from _not_in_force(picture)
    if picture.notices:
        fix = "they are printed on stderr by every command"
        yield Check("notices", Health.MISSING, counted(len(picture.notices), "notice"), fix)


def _not_in_force(picture: Picture) -> Iterator[Check]:
    undeployed = sum(1 for one in picture.shadowed if one.source and one.source.orphan)
    for number, why in (
        (len(picture.shadowed) - undeployed, "another of the same name is"),
        (undeployed, "nothing deploys what their files hold"),
    ):
        if number:
            text = f"{counted(number, 'object')} not in force: {why}"
            yield Check("policies", Health.MISSING, text)
