"""Changes that are wanted for themselves, with what the engine says of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from ipaddress import ip_address

from app.core.drafts.candidates import change_of
from app.core.drafts.change import Change, ChangeKind, apply_change
from app.core.drafts.choice import Plan
from app.core.drafts.edits import Edit, Path, RemoveItem, RemoveKey, parse_path, show_path, value_at
from app.core.errors import Ambiguous, DraftRejected, NotFound
from app.core.model.kinds import SHORT_KINDS
from app.core.model.provenance import Manifest, ObjectRef
from app.core.model.verdict import Direction, Protocol, Question, Verdict
from app.core.policy.difference import difference
from app.core.policy.engine import Engine
from app.core.policy.moved import changed_policies, moved_outside
from app.core.policy.outside import WORLD, outside_classes
from app.core.policy.port_cuts import cut, named_spans, unnamed_port
from app.core.policy.rules import ParsedPolicy

_SUBJECTS = 40
"""Groups of pods whose openings are rated; more do not make a change more dangerous."""

_SOMEWHERE = ip_address("203.0.113.77")
_PORT = 443


def find_policy(name: str, engine: Engine) -> Manifest:
    """The policy of `KIND:NS/NAME`, `NS/NAME` or a name. Raises NotFound or Ambiguous."""
    kind, _, rest = name.rpartition(":")
    namespace, _, own = rest.rpartition("/")
    found = [
        one
        for one in engine.cluster.policies
        if one.ref.name == own
        and namespace in ("", one.ref.namespace)
        and kind.lower() in ("", one.ref.kind.lower(), SHORT_KINDS[one.ref.kind].lower())
    ]
    if not found:
        raise NotFound(f"no policy `{name}`", hint="`policies` lists them")
    if len(found) > 1:
        names = tuple(
            f"{SHORT_KINDS[one.ref.kind]}:{one.ref.namespace}/{one.ref.name}" for one in found
        )
        raise Ambiguous(f"`{name}` is {', '.join(names)}", hint="name one of them", choices=names)
    return found[0]


def removal(name: str, path: str, engine: Engine) -> Plan:
    """Take a policy away, or what stands at a path of it: a rule, a port, a key."""
    manifest = find_policy(name, engine)
    ref = manifest.ref
    if not path:
        change = Change(
            ChangeKind.REMOVE_POLICY,
            f"remove {ref.name}",
            "the whole policy",
            ref,
            source=manifest.source,
            present=manifest.body,
        )
        return plan_of_changes([change], engine)
    place = place_in(manifest, path)
    edit: Edit = RemoveItem(place) if isinstance(place[-1], int) else RemoveKey(place)
    shown = show_path(place).removeprefix("spec.")
    title, how = f"remove {shown} of {ref.name}", f"without {shown}"
    return plan_of_changes(
        [change_of(manifest, ChangeKind.REMOVE_RULE, title, how, (edit,))], engine
    )


def place_in(manifest: Manifest, path: str) -> Path:
    """Read `egress[2]`, with or without `spec.`; NotFound where the policy has nothing there."""
    place = parse_path(path)
    if place and place[0] not in ("spec", "specs"):
        place = ("spec", *place)
    try:
        value_at(manifest.body, place)
    except DraftRejected as error:
        raise NotFound(f"{manifest.ref} has no `{path}`", hint=error.message) from error
    if len(place) < len(("spec", "egress")):
        raise DraftRejected(f"`{path}` is the whole of what {manifest.ref} says")
    return place


def engine_with(changes: Sequence[Change], engine: Engine) -> Engine:
    """The engine after changes."""
    policies = engine.cluster.policies
    for change in changes:
        policies = apply_change(policies, change)
    return engine.replace(replace(engine.cluster, policies=policies))


def plan_of_changes(
    changes: Sequence[Change], engine: Engine, evidence: Sequence[str] = ()
) -> Plan:
    """Ask the engine what changes open and close, between all ends that are known."""
    after = engine_with(changes, engine)
    ports = list(_ports(engine, after))
    outside = [one.peer for one in outside_classes(engine, after) if one.name != WORLD]
    moved = [
        *difference(engine.reachability(), after.reachability(), ports),
        *moved_outside(engine, after, outside, ports),
    ]
    return Plan(
        tuple(changes),
        tuple(pair for pair in moved if pair.before is Verdict.DENIED),
        None,
        after,
        asked=tuple(_asked(engine, after)),
        closed=tuple(pair for pair in moved if pair.after is Verdict.DENIED),
        unknown=tuple(_unknown(engine, after)),
        evidence=tuple(evidence),
    )


def _unknown(before: Engine, after: Engine) -> Iterator[str]:
    """Why what changes cannot be told: nobody is there whom a policy is about."""
    versions: dict[ObjectRef, list[ParsedPolicy]] = {}
    for ref, policy in changed_policies(before, after):
        versions.setdefault(ref, []).append(policy)
    pods = [group.subject for group in after.reachability().groups if group.subject is not None]
    for ref, several in sorted(versions.items()):
        entries = [entry for one in several for entry in one.entries]
        if not any(
            one.selects_subject(pod.labels, pod.namespace) for one in entries for pod in pods
        ):
            yield f"{ref.name} selects no pod that is known here"
        if any(one.open_names for one in several):
            yield f"{ref.name} has placeholders without a value"


def _ports(before: Engine, after: Engine) -> Iterator[tuple[Protocol, int]]:
    """A port of each piece that changed policies tell apart, and one that they do not name."""
    spans: dict[Protocol, set[tuple[int, int]]] = {Protocol.TCP: set(), Protocol.UDP: set()}
    for _, policy in changed_policies(before, after):
        for direction in Direction:
            for protocol, span in named_spans(policy, direction):
                spans.setdefault(protocol, set()).add(span)
    for protocol, named in spans.items():
        pieces = cut(named)
        yield from ((protocol, first) for first, _ in pieces)
        if (free := unnamed_port(pieces, protocol)) is not None:
            yield protocol, free


def _asked(before: Engine, after: Engine) -> Iterator[Question]:
    """A connection out of, and one into, the pods that changed policies select."""
    entries = [entry for _, policy in changed_policies(before, after) for entry in policy.entries]
    somewhere = after.peer_of_address(_SOMEWHERE)
    count = 0
    for group in after.reachability().groups:
        pod = group.subject
        if pod is None or count == _SUBJECTS:
            continue
        ways = {one.direction for one in entries if one.selects_subject(pod.labels, pod.namespace)}
        count += bool(ways)
        if Direction.EGRESS in ways:
            yield Question(group.peer, somewhere, _PORT, Protocol.TCP)
        if Direction.INGRESS in ways:
            yield Question(somewhere, group.peer, _PORT, Protocol.TCP)
