"""The changes that would allow one denied direction of a connection.

Three kinds, all of them additions: one more port or peer in a rule that nearly fits, one more rule
in a policy that already restricts the pod, a policy of its own. Which of them is smallest is for
`choice` to find out by asking the engine; here only what can be written is listed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from app.core.drafts.change import Change, ChangeKind
from app.core.drafts.edits import (
    Append,
    Edit,
    Path,
    SetScalar,
    parse_path,
    show_path,
    value_at,
)
from app.core.drafts.places import place_beside
from app.core.drafts.proposal import slug
from app.core.drafts.rules import (
    cilium_element,
    cilium_ports,
    cilium_rule,
    kubernetes_element,
    kubernetes_rule,
    new_policy,
)
from app.core.drafts.words import is_stretched, words_of, words_of_peer
from app.core.errors import DraftRejected
from app.core.model.cluster import Endpoint
from app.core.model.kinds import CILIUM_KINDS, CNP
from app.core.model.provenance import Manifest, ObjectRef
from app.core.model.verdict import Direction, Effect, Peer, Protocol, Question
from app.core.model.workloads import short_name, stable_labels, subject_name, workload_name
from app.core.policy.engine import Engine
from app.core.policy.rules import NO_LAYER7, Entry

_NAME_LIMIT = 63
_KUBERNETES_PROTOCOLS = (Protocol.TCP, Protocol.UDP, Protocol.SCTP)


@dataclass(frozen=True, slots=True)
class Side:
    """One direction of a connection: whose policy, who is at the other end, over what."""

    subject: Endpoint
    peer: Peer
    direction: Direction
    port: int
    protocol: Protocol
    service_port: int | None = None
    """The port of the Service that was asked for, where policies see another."""

    @property
    def what(self) -> str:
        """The connection in a few words: `jupyterhub/singleuser → pypi.org:443/TCP`."""
        source, destination = self._ends()
        return f"{source} → {destination}:{self.port}/{self.protocol.value}"

    def _ends(self) -> tuple[str, str]:
        own = subject_name(self.subject)
        if self.subject.labels.has_reserved("ingress"):
            own = "the gateway"
        other = short_name(self.peer)
        return (own, other) if self.direction is Direction.EGRESS else (other, own)

    @property
    def sentence(self) -> str:
        """The description of a policy made for it."""
        source, destination = self._ends()
        return f"Let {source} reach {destination} on {self.port}/{self.protocol.value}"

    @property
    def title(self) -> str:
        """What a change for it makes possible."""
        return f"allow {self.what}"

    @property
    def name(self) -> str:
        """The DNS name that the connection needs; empty when it needs none."""
        names = self.peer.names if self.direction is Direction.EGRESS else ()
        return min(names) if names else ""


def side_of(question: Question, direction: Direction, service_port: int | None = None) -> Side:
    """Give one direction of a question; its subject must have a policy of its own."""
    own, other = question.source, question.destination
    if direction is Direction.INGRESS:
        own, other = other, own
    if own.endpoint is None:
        raise DraftRejected(f"`{own.text}` has no policy of its own")
    return Side(
        subject=own.endpoint,
        peer=other,
        direction=direction,
        port=question.port,
        protocol=question.protocol,
        service_port=service_port,
    )


def candidates(side: Side, engine: Engine) -> tuple[Change, ...]:
    """Give every change worth asking the engine about; DraftRejected when none can be written."""
    entries = entries_of(side, engine)
    manifests = {policy.ref: policy.manifest for policy in engine.policies}
    rule = cilium_rule(side.peer, side.direction, side.port, side.protocol)
    return (
        *_extensions(side, entries, manifests, engine),
        *_additions(side, entries, manifests),
        *new_policies(side, engine, rule, side.title),
    )


def entries_of(side: Side, engine: Engine) -> tuple[Entry, ...]:
    """Give the allow rules of the subject's policies for the direction."""
    return tuple(
        entry
        for entry in engine.entries_selecting(side.subject)
        if entry.direction is side.direction and entry.effect is Effect.ALLOW
    )


def _extensions(
    side: Side, entries: Iterable[Entry], manifests: dict[ObjectRef, Manifest], engine: Engine
) -> Iterator[Change]:
    identity = engine.identity_of(side.peer, seen_from=side.subject)
    for entry in entries:
        manifest = manifests[entry.rule.policy]
        if not is_editable(manifest) or not entry.peers or not entry.ports:
            continue
        peer_fits = any(selector.selects(identity) for selector in entry.peers)
        port_fits = engine.fits_port(entry, side.subject, side.port, side.protocol)
        if peer_fits and not port_fits:
            yield from _corrections(side, entry, manifest)
            yield from _with_port(side, entry, manifest)
        elif port_fits and not peer_fits:
            yield from _with_peer(side, entry, manifest)


def _corrections(side: Side, entry: Entry, manifest: Manifest) -> Iterator[Change]:
    """A rule that names the Service's port means the pod's: policies see that one.

    Source: Cilium documentation "Layer 4 policy", on ports after Service translation.
    """
    for rule in entry.ports:
        for spec in rule.ports:
            if spec.number != side.service_port or spec.end or not spec.path:
                continue
            kubernetes = manifest.ref.kind not in CILIUM_KINDS
            port: int | str = side.port if kubernetes else str(side.port)
            edits = (SetScalar((*parse_path(spec.path), "port"), port),)
            how = f"port {spec.number} → {side.port} in the rule that names this peer"
            yield change_of(manifest, ChangeKind.EXTEND_RULE, side.title, how, edits)


def _with_port(side: Side, entry: Entry, manifest: Manifest) -> Iterator[Change]:
    if side.protocol not in _KUBERNETES_PROTOCOLS:
        return
    rule = item_of(entry)
    how = "one more port in the rule that names this peer"
    if manifest.ref.kind not in CILIUM_KINDS:
        item: Any = {"port": side.port, "protocol": side.protocol.value}
        yield _extension(side, manifest, (*rule, "ports"), item, how)
        return
    plain = [index for index, ports in enumerate(entry.ports) if ports.layer7 == NO_LAYER7]
    (to_ports,) = cilium_ports(side.port, side.protocol)["toPorts"]
    if plain and _has(manifest, (*rule, "toPorts", plain[0], "ports")):
        path = (*rule, "toPorts", plain[0], "ports")
        yield _extension(side, manifest, path, to_ports["ports"][0], how)
    elif _has(manifest, (*rule, "toPorts")):
        yield _extension(side, manifest, (*rule, "toPorts"), to_ports, how)


def _with_peer(side: Side, entry: Entry, manifest: Manifest) -> Iterator[Change]:
    rule = item_of(entry)
    if manifest.ref.kind in CILIUM_KINDS:
        field, element = cilium_element(side.peer, side.direction)
    else:
        field = "to" if side.direction is Direction.EGRESS else "from"
        element = kubernetes_element(side.peer)
    if element is not None and _has(manifest, (*rule, field)):
        how = "one more peer in the rule with this port"
        change = _extension(side, manifest, (*rule, field), element, how)
        comments = manifest.source.comments if manifest.source else {}
        said, told = comments.get(show_path(rule), ""), description_of(manifest, rule)
        neighbours = value_at(manifest.body, (*rule, field))
        yield replace(change, stretched=is_stretched(side.peer, neighbours, said, told))


def description_of(manifest: Manifest, rule: Path) -> str:
    """What a policy says that the rules beside this one are for."""
    spec = value_at(manifest.body, rule[: 2 if rule[0] == "specs" else 1])
    text = spec.get("description") if isinstance(spec, dict) else None
    return text if isinstance(text, str) else ""


def _extension(side: Side, manifest: Manifest, path: Path, item: Any, how: str) -> Change:
    edits = (Append(path, item),)
    kind = ChangeKind.EXTEND_RULE
    return change_of(manifest, kind, side.title, how, edits)


def add_rules(
    title: str, how: str, manifest: Manifest, path: Path, rules: Iterable[dict[str, Any]]
) -> Change:
    """Make the change that adds rules to one list of a policy."""
    edits = tuple(Append(path, rule) for rule in rules)
    return change_of(manifest, ChangeKind.ADD_RULE, title, how, edits)


def change_of(
    manifest: Manifest, kind: ChangeKind, title: str, how: str, edits: tuple[Edit, ...]
) -> Change:
    """Make the change of a policy that exists."""
    source, present = manifest.source, manifest.body
    return Change(kind, title, how, manifest.ref, edits, source=source, present=present)


def _additions(
    side: Side, entries: Iterable[Entry], manifests: dict[ObjectRef, Manifest]
) -> Iterator[Change]:
    for manifest, path in restricting(entries, manifests):
        if rule := rule_for(side, manifest):
            change = add_rules(side.title, "one more rule", manifest, path, [rule])
            yield replace(change, strange=_strangeness(side, manifest, path, rule))


def _strangeness(side: Side, manifest: Manifest, path: Path, rule: dict[str, Any]) -> int:
    """0 where a policy's own words speak of the peer, 1 where it has rules of this kind, else 2."""
    comments = manifest.source.comments if manifest.source else {}
    told = (manifest.ref.name, description_of(manifest, path), *comments.values())
    if words_of(" ".join(told)) & words_of_peer(side.peer):
        return 0
    present = value_at(manifest.body, path) if _has(manifest, path) else []
    kinds = {key for one in present if isinstance(one, dict) for key in one}
    return 1 if kinds & (rule.keys() - {"toPorts", "ports"}) else 2


def restricting(
    entries: Iterable[Entry], manifests: dict[ObjectRef, Manifest]
) -> Iterator[tuple[Manifest, Path]]:
    """Yield the policies that turn default deny on for a pod, with the list a rule may join.

    A policy that does not would start to restrict everyone it selects.
    """
    seen: set[tuple[ObjectRef, Path]] = set()
    for entry in entries:
        manifest, path = manifests[entry.rule.policy], list_of(entry)
        if entry.default_deny and is_editable(manifest) and (manifest.ref, path) not in seen:
            seen.add((manifest.ref, path))
            yield manifest, path


def item_of(entry: Entry) -> Path:
    """The rule item an entry comes from: one element of `from` or `to` is an entry of its own."""
    path = parse_path(entry.rule.path)
    return path[:-2] if len(path) > 1 and path[-2] in ("from", "to") else path


def list_of(entry: Entry) -> Path:
    """The list an entry stands in, or would: `spec.egress`, `specs[1].ingress`."""
    path = item_of(entry)
    if path and isinstance(path[-1], int) and path[-2] == entry.direction.value:
        return path[:-1]
    return path if path[-1:] == (entry.direction.value,) else (*path, entry.direction.value)


def rule_for(side: Side, manifest: Manifest) -> dict[str, Any] | None:
    """Write the rule that a policy of this kind lacks; None where the kind has no such peer."""
    write = cilium_rule if manifest.ref.kind in CILIUM_KINDS else kubernetes_rule
    return write(side.peer, side.direction, side.port, side.protocol)


def new_policies(side: Side, engine: Engine, rule: dict[str, Any], title: str) -> Iterator[Change]:
    """Yield a policy of the subject's workload with one rule, where its labels can name it."""
    if not stable_labels(side.subject):
        return
    name = _free_name(side, engine)
    body = new_policy(name, side.subject, side.direction, [rule], side.sentence)
    ref = ObjectRef(CNP, side.subject.namespace, name)
    beside = place_beside(side.subject, engine)
    kind = ChangeKind.NEW_POLICY
    yield Change(kind, title, "a policy of its own", ref, body=body, source=beside)


def _free_name(side: Side, engine: Engine) -> str:
    word = "to" if side.direction is Direction.EGRESS else "from"
    own = workload_name(side.subject)
    other = short_name(side.peer).rpartition("/")[2]
    stem = slug(f"allow-{own}-{word}-{other}-{side.port}")[:_NAME_LIMIT].rstrip("-")
    taken = {policy.ref.name for policy in engine.policies}
    taken |= {policy.ref.name for policy in engine.rejected}
    numbers = ("", *(f"-{number}" for number in range(2, len(taken) + 3)))
    return next(
        stem[: _NAME_LIMIT - len(number)] + number
        for number in numbers
        if stem[: _NAME_LIMIT - len(number)] + number not in taken
    )


def is_editable(manifest: Manifest) -> bool:
    """Say whether a draft may change it: not an orphan, nor what a chart renders."""
    source = manifest.source
    return source is None or not (source.orphan or source.made_by)


def _has(manifest: Manifest, path: Path) -> bool:
    try:
        return isinstance(value_at(manifest.body, path), list)
    except DraftRejected:
        return False
