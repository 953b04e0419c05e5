"""Boundaries: what must hold whatever anybody changes, decided for every pair it speaks of.

A boundary names two ends (docs/forms.md §3, where a label, a workload or a Service stands for all
of its pods, and `ns:NAME` for a namespace), ports, and whether they must be allowed or denied.
`entity:world` is every class of addresses and names outside that rules tell apart.
Without ports it is about every TCP and UDP port: each that a rule of either end tells apart is
asked. A layer 7 redirect counts as allowed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import islice
from typing import Any

from app.core.diagnose.crossings import (
    Crossing,
    Crossings,
    EndClass,
    count,
    crossing_of,
    merged,
)
from app.core.diagnose.ends import EndKind, parse_end, parse_port, resolve
from app.core.diagnose.pairwise import PairDoubts, is_apiserver, told
from app.core.documents.toml import parse_toml
from app.core.errors import BadInput, K8treError, NotFound
from app.core.model.asked import AskedPort
from app.core.model.cluster import IdentityKind
from app.core.model.provenance import RuleRef
from app.core.model.verdict import (
    ConnectionTrace,
    Effect,
    Outcome,
    Protocol,
    Question,
    Verdict,
)
from app.core.policy.engine import Engine
from app.core.policy.port_cuts import Span, cut, unnamed_port
from app.core.policy.rows import Port
from app.core.text import clean_tree

NAMESPACE_END = "ns:"
KEYS = frozenset({"name", "from", "to", "ports", "must", "why"})
ANY_PORT_PROTOCOLS = (Protocol.TCP, Protocol.UDP)
MOST_DOUBTED = 2_000
"""Pairs of one boundary that are looked at for what they do not rest on."""
MOST_BREACHES = 20
"""Breaches of one boundary that are shown; one is enough to refuse a change."""


class Must(StrEnum):
    """What is demanded of a connection."""

    ALLOW = "allow"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class Boundary:
    """One boundary as written. `ports` empty means every TCP and UDP port."""

    name: str
    sources: tuple[str, ...]
    destinations: tuple[str, ...]
    must: Must
    ports: tuple[AskedPort, ...] = ()
    why: str = ""
    file: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True)
class Breach:
    """A connection that is not as demanded, and the rules that make it so.

    `rules` are those that allow it, or for a connection that must be allowed those that deny it.
    `outside` says which ends outside are meant, where one end stands for a class of them. A
    verdict that depends on a placeholder nobody filled is unknown.
    """

    source: str
    destination: str
    protocol: Protocol
    port: int
    verdict: Verdict
    rules: tuple[RuleRef, ...] = ()
    outside: str = ""


@dataclass(frozen=True, slots=True)
class Ruling:
    """How a boundary stands: `asked` connections were decided, `breaches` were otherwise.

    `problem` says why nothing could be decided: an end that stands for nothing holds no boundary.
    `not_known` is what it does not rest on, where that was asked for.
    """

    boundary: Boundary
    asked: int
    breaches: tuple[Breach, ...] = ()
    problem: str = ""
    not_known: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether every connection is as demanded."""
        return not self.breaches and not self.problem


def parse_boundaries(text: str, file: str = "") -> tuple[Boundary, ...]:
    """Read `[[boundary]]` tables. Raises `BadInput` with file and line."""
    try:
        tree = clean_tree(parse_toml(text))
    except BadInput as error:
        raise BadInput(error.message, hint=error.hint, file=file, line=error.line) from error
    if unknown := set(tree) - {"boundary"}:
        raise BadInput(f"unknown table `{min(unknown)}`", hint="only [[boundary]]", file=file)
    lines = [n for n, line in enumerate(text.splitlines(), 1) if line.strip() == "[[boundary]]"]
    tables = tree.get("boundary", [])
    if not isinstance(tables, list) or not all(isinstance(one, dict) for one in tables):
        raise BadInput("`boundary` is no list of tables", hint="[[boundary]]", file=file, line=1)
    return tuple(
        _boundary(table, file, lines[at] if at < len(lines) else 0)
        for at, table in enumerate(tables)
    )


def _boundary(table: Mapping[str, Any], file: str, line: int) -> Boundary:
    def wrong(what: str, hint: str = "") -> BadInput:
        return BadInput(what, hint=hint, file=file, line=line)

    if unknown := set(table) - KEYS:
        raise wrong(f"unknown key `{min(unknown)}`", f"keys: {', '.join(sorted(KEYS))}")
    name = str(table.get("name") or "")
    ends = {key: _texts(table.get(key)) for key in ("from", "to")}
    if not name or not all(ends.values()):
        raise wrong("a boundary needs `name`, `from` and `to`")
    if table.get("must") not in tuple(Must):
        raise wrong(f"`{name}`: `must` is allow or deny")
    try:
        for text in (*ends["from"], *ends["to"]):
            if not text.startswith(NAMESPACE_END):
                parse_end(text)
        ports = tuple(parse_port(str(port)) for port in _texts(table.get("ports")))
    except K8treError as error:
        raise wrong(f"`{name}`: {error.message}", error.hint) from error
    must, why = Must(table["must"]), str(table.get("why", ""))
    return Boundary(
        name=name,
        sources=ends["from"],
        destinations=ends["to"],
        must=must,
        ports=ports,
        why=why,
        file=file,
        line=line,
    )


def _texts(value: Any) -> tuple[str, ...]:
    """A text or number, or a list of them, as texts."""
    if value is None:
        return ()
    return tuple(map(str, value)) if isinstance(value, list) else (str(value),)


def judge_boundaries(boundaries: Iterable[Boundary], engine: Engine) -> tuple[Ruling, ...]:
    """Decide every boundary.

    A placeholder that nobody filled stands for all that it could: what must be denied is denied
    whatever it is, what must be allowed is allowed whatever it is.
    """
    views = {Must.DENY: Crossings(engine.loosest()), Must.ALLOW: Crossings(engine.strictest())}
    return tuple(_judge(one, engine, views[one.must]) for one in boundaries)


def doubted(rulings: Iterable[Ruling], engine: Engine) -> tuple[Ruling, ...]:
    """Give rulings with what they do not rest on: a boundary promises as much as an answer does."""
    view, doubts = Crossings(engine), PairDoubts(engine)
    return tuple(replace(one, not_known=_not_known(one.boundary, view, doubts)) for one in rulings)


def _not_known(boundary: Boundary, view: Crossings, doubts: PairDoubts) -> tuple[str, ...]:
    try:
        sources = merged(_ends(boundary.sources, view, as_source=True))
        destinations = merged(_ends(boundary.destinations, view, as_source=False))
    except NotFound:
        return ()
    if not doubts.may_doubt and not any(is_apiserver(one.first.peer) for one in sources):
        return ()
    found = (
        crossing_of(source, destination, port)
        for port, several in _asked_ports(boundary, sources, destinations, view).items()
        for source in sources
        for destination in several
    )
    asked = [one.question for one in islice(filter(None, found), MOST_DOUBTED + 1)]
    known = [doubts.about(one, view.engine.decide(one)) for one in asked[:MOST_DOUBTED]]
    texts = told(known)
    if len(asked) > MOST_DOUBTED:
        return (*texts, f"what else touches more than {MOST_DOUBTED} pairs of ends")
    return texts


def broken_boundaries(boundaries: Iterable[Boundary], engine: Engine) -> tuple[str, ...]:
    """The names of those that do not hold."""
    return tuple(one.boundary.name for one in judge_boundaries(boundaries, engine) if not one.holds)


def newly_broken(boundaries: Sequence[Boundary], before: Engine, after: Engine) -> tuple[str, ...]:
    """The names of those that a change breaks: what does not hold now is not its doing."""
    broken = set(broken_boundaries(boundaries, after))
    suspects = [one for one in boundaries if one.name in broken]
    held = {one.boundary.name for one in judge_boundaries(suspects, before) if one.holds}
    return tuple(one.name for one in suspects if one.name in held)


def demanded(
    boundaries: Iterable[Boundary], engine: Engine, *, most: int
) -> Iterator[tuple[str, Question]]:
    """Yield at most so many connections that must be and are allowed, each with its boundary."""
    view = Crossings(engine.strictest())
    left = most
    for boundary in boundaries:
        if boundary.must is not Must.ALLOW or not left:
            continue
        try:
            sources = merged(_ends(boundary.sources, view, as_source=True))
            destinations = merged(_ends(boundary.destinations, view, as_source=False))
        except NotFound:
            continue
        for port, several in _asked_ports(boundary, sources, destinations, view).items():
            for crossing in islice(view.find(sources, several, port, allowed=True), left):
                left -= 1
                yield boundary.name, crossing.question


def _judge(boundary: Boundary, engine: Engine, view: Crossings) -> Ruling:
    try:
        sources = merged(_ends(boundary.sources, view, as_source=True))
        destinations = merged(_ends(boundary.destinations, view, as_source=False))
    except NotFound as error:
        return Ruling(boundary, 0, problem=error.message)
    asked = 0
    breaches: dict[tuple[str, str, Port], Breach] = {}
    for port, several in _asked_ports(boundary, sources, destinations, view).items():
        asked += count(sources, several)
        wanted = boundary.must is Must.DENY
        for crossing in view.find(sources, several, port, allowed=wanted):
            if len(breaches) == MOST_BREACHES:
                break
            found = _breach(crossing, boundary.must, engine, view)
            breaches.setdefault((found.source, found.destination, port), found)
    problem = "" if asked else "no pair of different ends: nothing was decided"
    return Ruling(boundary, asked, tuple(breaches.values()), problem)


def _breach(crossing: Crossing, must: Must, engine: Engine, view: Crossings) -> Breach:
    question = crossing.question
    verdict = engine.decide(question).verdict
    if (verdict is Verdict.DENIED) is (must is Must.DENY):
        verdict = Verdict.UNKNOWN
    return Breach(
        source=crossing.source.first.text,
        destination=crossing.destination.first.text,
        protocol=question.protocol,
        port=question.port,
        verdict=verdict,
        rules=_rules(view.engine.trace(question), must),
        outside=crossing.source.words or crossing.destination.words,
    )


def _ends(texts: Sequence[str], view: Crossings, *, as_source: bool) -> Iterator[EndClass]:
    """Everything that the texts stand for."""
    for text in texts:
        if text.startswith(NAMESPACE_END):
            here = tuple(view.of_namespaces(pattern := text.removeprefix(NAMESPACE_END)))
            if not here:
                raise NotFound(f"no endpoint in a namespace `{pattern}`")
            yield from here
            continue
        end = parse_end(text)
        if end.kind is EndKind.ENTITY and end.name == IdentityKind.WORLD:
            yield from view.world(as_source=as_source)
        else:
            yield from view.classes(resolve(end, view.engine))


def _asked_ports(
    boundary: Boundary,
    sources: Sequence[EndClass],
    destinations: Sequence[EndClass],
    view: Crossings,
) -> dict[Port, list[EndClass]]:
    """The ports to ask about, each with the destinations that it is a port of."""
    found: dict[Port, list[EndClass]] = {}
    if boundary.ports:
        for spec in boundary.ports:
            for one in destinations:
                for number in dict.fromkeys(_numbers(spec, one)):
                    found.setdefault((spec.protocol or Protocol.TCP, number), []).append(one)
        return found
    for one in destinations:
        if one.first.port is not None:
            port = one.first.protocol or Protocol.TCP, one.first.port
            found.setdefault(port, []).append(one)
    anywhere = [one for one in destinations if one.first.port is None]
    for port in _every_port(view.ports(sources, anywhere)) if anywhere else ():
        found.setdefault(port, []).extend(anywhere)
    return found


def _every_port(spans: Iterable[tuple[Protocol, Span]]) -> Iterator[Port]:
    """A port of each piece that is told apart, and one for all that are not."""
    named = tuple(spans)
    for protocol in ANY_PORT_PROTOCOLS:
        pieces = cut(span for one, span in named if one is protocol)
        yield from ((protocol, first) for first, _ in pieces)
        if (free := unnamed_port(pieces, protocol)) is not None:
            yield protocol, free


def _numbers(spec: AskedPort, destination: EndClass) -> Iterator[int]:
    """The numbers of a port; a named one is what the destination declares under the name."""
    if spec.number is not None:
        yield spec.number
        return
    for end in destination.ends:
        for port in end.endpoint.ports if end.endpoint else ():
            if port.name == spec.name:
                yield port.port


def _rules(trace: ConnectionTrace, must: Must) -> tuple[RuleRef, ...]:
    wanted = Effect.ALLOW if must is Must.DENY else Effect.DENY
    sides = [side for side in (trace.egress, trace.ingress) if side.outcome in _DECIDED]
    found = [match.rule for side in sides for match in side.matched if match.effect is wanted]
    if not found and must is Must.ALLOW:
        found = [
            side.nearest[0].rule for side in sides if side.outcome is Outcome.DENIED and side.missed
        ]
    return tuple(dict.fromkeys(found))


_DECIDED = (Outcome.ALLOWED, Outcome.REDIRECTED, Outcome.DENIED)
