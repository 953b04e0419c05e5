"""A broad rule replaced by what was used of it: the peers and ports that connections needed.

Where one rule says all of it, the rule is edited where it stands; else narrower ones take its place
in the list. A rule that nothing used is for `removal`; one with layer 7 rules is for a person.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from app.core.drafts.candidates import change_of
from app.core.drafts.change import ChangeKind
from app.core.drafts.choice import Plan, side_trace
from app.core.drafts.edits import (
    AddKey,
    Append,
    Edit,
    Path,
    RemoveItem,
    RemoveKey,
    show_path,
    value_at,
)
from app.core.drafts.rules import NAMESPACE_LABEL
from app.core.drafts.seen import Seen, Wanting, rules_of
from app.core.drafts.wishes import find_policy, place_in, plan_of_changes
from app.core.errors import DraftRejected
from app.core.model.kinds import CILIUM_KINDS
from app.core.model.provenance import Manifest
from app.core.model.verdict import Direction
from app.core.policy.engine import Engine

_LAYER7 = ("rules", "serverNames", "terminatingTLS", "originatingTLS", "listener")


def tightening(name: str, path: str, seen: Iterable[Seen], engine: Engine) -> Plan:
    """Replace a rule, `egress[1]`, by what was used of it.

    Raises DraftRejected where nothing used it, where it is as narrow already, or where what was
    used cannot be written.
    """
    manifest = find_policy(name, engine)
    place = place_in(manifest, path)
    rule, way = _rule_at(manifest, place)
    used = Wanting()
    for one in _using(seen, manifest, place, way, engine):
        used.add(one, way)
    shown = show_path(place).removeprefix("spec.")
    if not used.count:
        raise DraftRejected(
            f"no connection that was seen used {shown} of {manifest.ref.name}",
            hint="look further back with --since, or take the rule away with --remove",
        )
    if used.left:
        raise DraftRejected("; ".join(used.left), hint="tighten it by hand")
    narrow = rules_of(used, way)
    edits = tuple(_edits(place, rule, narrow, manifest.ref.namespace))
    if not edits:
        raise DraftRejected(f"{shown} of {manifest.ref.name} is used as it is")
    title, how = f"tighten {shown} of {manifest.ref.name}", "what was used, and no more"
    change = change_of(manifest, ChangeKind.TIGHTEN_RULE, title, how, edits)
    plan = plan_of_changes([change], engine, used.lines())
    if plan.opened:
        raise DraftRejected(f"the narrower rule {plan.opens}", hint="tighten it by hand")
    return plan


def _rule_at(manifest: Manifest, place: Path) -> tuple[dict[str, Any], Direction]:
    rule = value_at(manifest.body, place)
    ways = {way.value: way for way in Direction}
    if len(place) < 2 or place[-2] not in ways or not isinstance(rule, dict):  # noqa: PLR2004
        raise DraftRejected(f"`{show_path(place)}` is no rule", hint="name one: egress[1]")
    if manifest.ref.kind not in CILIUM_KINDS:
        raise DraftRejected("only rules of Cilium's policies are tightened")
    ports = rule.get("toPorts")
    listed = ports if isinstance(ports, list) else []
    if any(key in one for one in listed if isinstance(one, dict) for key in _LAYER7):
        raise DraftRejected("the rule has layer 7 rules", hint="tighten it by hand")
    return rule, ways[str(place[-2])]


def _using(
    seen: Iterable[Seen], manifest: Manifest, place: Path, way: Direction, engine: Engine
) -> Iterator[Seen]:
    """The connections that the rule admits, whatever else admits them too."""
    path = show_path(place)
    for one in seen:
        matched = side_trace(engine.trace(one.question), way).matched
        if any(
            match.rule.policy == manifest.ref and _is_within(match.rule.path, path)
            for match in matched
        ):
            yield one


def _is_within(path: str, rule: str) -> bool:
    return path == rule or path.startswith((f"{rule}.", f"{rule}["))


def _edits(
    place: Path, rule: dict[str, Any], narrow: Sequence[dict[str, Any]], namespace: str
) -> Iterator[Edit]:
    if len(narrow) == 1 and len(rule.get("toPorts") or ()) < 2:  # noqa: PLR2004
        yield from _in_place(place, rule, narrow[0], namespace)
        return
    yield from (Append(place[:-1], one) for one in narrow)
    yield RemoveItem(place)


def _in_place(
    place: Path, rule: dict[str, Any], narrow: dict[str, Any], namespace: str
) -> Iterator[Edit]:
    """Peers and ports of one rule as another has them; what is to be added comes first."""
    for key, value in narrow.items():
        if key not in rule:
            yield AddKey(place, key, value)
        elif key == "toPorts":
            ours, theirs = rule[key][0].get("ports") or [], value[0]["ports"]
            yield from _as_list((*place, key, 0, "ports"), ours, theirs, "")
        else:
            yield from _as_list((*place, key), rule[key], value, namespace)
    for key in rule:
        if key not in narrow:
            yield RemoveKey((*place, key))


def _as_list(path: Path, ours: list[Any], theirs: list[Any], namespace: str) -> Iterator[Edit]:
    mine, wanted = ([_plain(one, namespace) for one in several] for several in (ours, theirs))
    yield from (
        Append(path, one) for one, key in zip(theirs, wanted, strict=True) if key not in mine
    )
    for at in reversed(range(len(ours))):
        if mine[at] not in wanted:
            yield RemoveItem((*path, at))


def _plain(element: Any, namespace: str) -> Any:
    """A peer without what may be left out: the source of a label, a policy's own namespace."""
    labels = element.get("matchLabels") if isinstance(element, dict) else None
    if not isinstance(labels, dict) or len(element) > 1:
        return element
    plain = {key.removeprefix("k8s:").removeprefix("any:"): value for key, value in labels.items()}
    if namespace:
        plain.setdefault(NAMESPACE_LABEL.removeprefix("k8s:"), namespace)
    return plain
