"""Everything known about one question, gathered once; the steps of the guided path read it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import reduce

from app.core.diagnose.answered import Answered, answered_as, with_answers
from app.core.diagnose.arrival import (
    Arrival,
    addresses_at,
    arrival,
    comes_from_outside,
    is_mixed,
    reached_by_entry,
)
from app.core.diagnose.beside import asks_for_another, both_beside, is_own_node
from app.core.diagnose.denied import PLAIN, Denial, explain_denial
from app.core.diagnose.dns import (
    NameReport,
    NamingRule,
    dns_servers,
    is_dns,
    report_name,
    rules_naming,
    servers_of,
)
from app.core.diagnose.ends import ResolvedEnd, of_name, resolve, service_asked
from app.core.diagnose.evidence import FlowEvidence, Spot, Wanted, own_cluster, tell_story
from app.core.diagnose.gateway import GatewayPath, through_gateway
from app.core.diagnose.observed import request_in_flows, spot_of, wanted_of
from app.core.diagnose.question import Leg, alike, ask, choose_port, representatives, two_apart
from app.core.diagnose.redirect import redirect
from app.core.diagnose.routed import by_path
from app.core.diagnose.story import Story
from app.core.errors import Ambiguous
from app.core.model.asked import Asked, AskedPort, End
from app.core.model.cluster import IdentityKind, Service
from app.core.model.verdict import (
    Direction,
    HttpRequest,
    Outcome,
    Protocol,
    Request,
    Verdict,
)
from app.core.policy.engine import Engine


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One question with its legs. `main` is the leg that is explained: the first denied one.

    `paths` are the ways through the own gateway, `denials` the denied directions of `main` in the
    order in which a packet meets them. `service` is the Service that was asked for. `story` is what
    flows show of the connection (of those that are `wanted`), `name_story` of the questions to the
    DNS server before it, `answered` under which other names the asked one was answered.
    """

    asked: Asked
    engine: Engine
    evidence: FlowEvidence | None
    sources: tuple[ResolvedEnd, ...]
    destinations: tuple[ResolvedEnd, ...]
    service: Service | None
    legs: tuple[Leg, ...]
    main: Leg | None
    paths: tuple[GatewayPath, ...] = ()
    name: NameReport | None = None
    naming: tuple[NamingRule, ...] = ()
    answered: tuple[Answered, ...] = ()
    denials: tuple[Denial, ...] = ()
    wanted: Wanted | None = None
    story: Story | None = None
    name_story: Story | None = None
    arrivals: tuple[Arrival, ...] = ()

    @property
    def policy_verdict(self) -> Verdict:
        """What policies say of all legs together: one denied backend is a denial."""
        verdicts = {leg.trace.verdict for leg in self.legs}
        if is_mixed(self.arrivals):
            return Verdict.UNKNOWN
        for verdict in (Verdict.DENIED, Verdict.REDIRECTED, Verdict.ALLOWED):
            if verdict in verdicts:
                return verdict
        return Verdict.UNKNOWN

    @property
    def denial(self) -> Denial | None:
        """The denial to explain: the first whose cause is more than "no rule matches"."""
        specific = [denial for denial in self.denials if denial.cause.code not in PLAIN]
        return next(iter(specific or self.denials), None)

    @property
    def path(self) -> GatewayPath | None:
        """The way through the gateway that `main` stands for."""
        denied = [path for path in self.paths if path.denied]
        return next(iter(denied or self.paths), None)


def gather(asked: Asked, engine: Engine, evidence: FlowEvidence | None) -> Case:
    """Resolve both ends, ask the engine for every leg, and collect what flows show.

    Once for a question, whatever is made of it afterwards. Raises `UsageError`, `NotFound` or
    `Ambiguous` when an end or the port is not clear.
    """
    case = _gather(asked, engine, evidence)
    request = _request_in_flows(case)
    return case if request is None else _gather(replace(asked, request=request), engine, evidence)


def _gather(asked: Asked, engine: Engine, evidence: FlowEvidence | None) -> Case:
    port = asked.port or asked.destination.port
    asked = replace(asked, port=port)
    everyone, reached = both_beside(
        _resolve_at("from", asked.source, engine),
        _resolve_at("to", asked.destination, engine, port),
        asked,
        engine,
    )
    sources = representatives(everyone, by_node=asks_for_another(asked))
    found = redirect(_routed(reached, asked, engine), everyone, engine, port or AskedPort())
    found = reached_by_entry(found, sources, engine.cluster)
    service = service_asked(asked.destination, engine.cluster) or _in_front_of(found)
    name, naming = _look_up(sources, found, engine)
    answered = _answered(everyone, name, evidence)
    found = with_answers(found, answered, engine)
    placed = asks_for_another(asked)
    placed = placed or any(comes_from_outside(one, end) for one in sources for end in found)
    destinations = representatives(_with_usable_names(found, name, engine), by_node=placed)
    pairs = [
        two_apart(source, destination, everyone, found)
        for destination in destinations
        for source in sources
    ]
    legs, paths = _legs(pairs, asked, engine)
    legs, arrivals = _as_they_arrive(legs, engine)
    main = next((leg for leg in legs if leg.is_denied), next(iter(legs), None))
    case = Case(
        asked=asked,
        engine=engine,
        evidence=evidence,
        sources=sources,
        destinations=found,
        service=service,
        legs=legs,
        main=main,
        paths=paths,
        name=name,
        naming=naming,
        answered=answered,
        arrivals=arrivals,
    )
    case = replace(case, denials=_denials(case))
    return case if evidence is None else _with_stories(case, everyone, evidence)


def _resolve_at(
    place: str, end: End, engine: Engine, port: AskedPort | None = None
) -> tuple[ResolvedEnd, ...]:
    """Resolve an end; an ambiguous one says which of the two it is."""
    try:
        return resolve(end, engine, port)
    except Ambiguous as error:
        error.place = place
        raise


def _request_in_flows(case: Case) -> Request | None:
    """The refused request that flows show, where the request decides and none was named."""
    undecided = case.asked.request is None and case.policy_verdict is Verdict.REDIRECTED
    return request_in_flows(case.story) if undecided and case.story is not None else None


def _routed(
    found: tuple[ResolvedEnd, ...], asked: Asked, engine: Engine
) -> tuple[ResolvedEnd, ...]:
    """Follow a request to the route of its host name, and to the backend of its path."""
    request = asked.request
    if not isinstance(request, HttpRequest):
        return found
    if request.host and any(end.peer.kind is IdentityKind.INGRESS for end in found):
        found = of_name(request.host.partition(":")[0], engine, port=asked.port)
    routes = tuple(dict.fromkeys(end.route for end in found if end.route is not None))
    meant = by_path(routes, request.path)
    found = tuple(end for end in found if end.route is None or end.route in meant)
    return tuple(end for end in found if _is_meant(end, request.path)) or found


def _is_meant(end: ResolvedEnd, path: str) -> bool:
    if end.route is None or end.service is None:
        return True
    meant = end.route.backends_for(path)
    return any((end.service.namespace, end.service.name) == one[:2] for one in meant)


def _in_front_of(found: tuple[ResolvedEnd, ...]) -> Service | None:
    return found[0].service if found else None


def _look_up(
    sources: tuple[ResolvedEnd, ...], found: tuple[ResolvedEnd, ...], engine: Engine
) -> tuple[NameReport | None, tuple[NamingRule, ...]]:
    name = found[0].name if found else ""
    if not name:
        return None, ()
    return report_name(sources[0], name, engine), rules_naming(sources[0], name, engine)


def _with_usable_names(
    found: tuple[ResolvedEnd, ...], report: NameReport | None, engine: Engine
) -> tuple[ResolvedEnd, ...]:
    """Leave a name out of a peer when nothing shows its answers to Cilium."""
    if report is None or report.is_visible:
        return found
    learned = engine.cluster.learned_names.get(report.name, ())
    return tuple(
        end
        if end.peer.address in learned
        else replace(end, peer=replace(end.peer, names=end.peer.names - {report.name}))
        for end in found
    )


def _legs(
    pairs: Iterable[tuple[ResolvedEnd, ResolvedEnd]], asked: Asked, engine: Engine
) -> tuple[tuple[Leg, ...], tuple[GatewayPath, ...]]:
    legs, paths = [], []
    for source, destination in pairs:
        if destination.port is None and (destination.service_port or destination.redirect):
            continue
        port = choose_port(asked.port, destination, asked.request)
        if is_own_node(source, destination, asked):
            continue
        if destination.route is None:
            legs.append(ask(source, destination, port, engine, asked.request))
        else:
            path = _path(source, destination, port, asked, engine)
            legs.append(Leg(source, destination, path.trace))
            paths.append(path)
    return tuple(legs), tuple(paths)


def _as_they_arrive(
    legs: tuple[Leg, ...], engine: Engine
) -> tuple[tuple[Leg, ...], tuple[Arrival, ...]]:
    """Put in place of a client outside as whom its connection arrives."""
    found = [(leg, arrival(leg, engine)) for leg in legs]
    return tuple(one.leg if one else leg for leg, one in found), tuple(
        one for _, one in found if one
    )


def _path(
    source: ResolvedEnd,
    destination: ResolvedEnd,
    port: tuple[int, Protocol],
    asked: Asked,
    engine: Engine,
) -> GatewayPath:
    listener = asked.port.number if asked.port else None
    return through_gateway(
        source, destination, port, engine, listener=listener, request=asked.request
    )


def _denials(case: Case) -> tuple[Denial, ...]:
    if case.path is not None:
        return tuple(
            explain_denial(check.leg, check.direction, case.engine)
            for check in case.path.checks
            if check.is_denied
        )
    if case.main is None:
        return ()
    return tuple(
        explain_denial(case.main, direction, case.engine)
        for direction in (Direction.EGRESS, Direction.INGRESS)
        if case.main.direction(direction).outcome is Outcome.DENIED
    )


def _answered(
    sources: tuple[ResolvedEnd, ...], report: NameReport | None, evidence: FlowEvidence | None
) -> tuple[Answered, ...]:
    if report is None:
        return ()
    source = reduce(Spot.joined, map(spot_of, sources))
    return answered_as(evidence, source, report.name)


def _with_stories(case: Case, sources: tuple[ResolvedEnd, ...], evidence: FlowEvidence) -> Case:
    cluster = own_cluster(evidence, case.engine.cluster.config.cluster_name)
    wanted = _wanted(case, sources, cluster)
    story = tell_story(evidence, wanted) if wanted is not None else None
    name_story = _name_story(case, evidence, cluster)
    return replace(case, wanted=wanted, story=story, name_story=name_story)


def _wanted(case: Case, sources: tuple[ResolvedEnd, ...], cluster: str) -> Wanted | None:
    """The flows of all ends alike: of those whose policy is that of the explained leg.

    When nothing is denied they are those of all of them.
    """
    if case.main is None:
        return None
    destinations = case.destinations
    if case.path is not None:
        return wanted_of(case.legs, _clients_of(case.path, sources), destinations, cluster)
    if case.main.is_denied:
        sources = alike(sources, case.main.source) if not case.arrivals else sources
        destinations = alike(destinations, case.main.destination)
    return wanted_of(case.legs, sources, destinations, cluster, lambda end: _arrives(case, end))


def _arrives(case: Case, end: ResolvedEnd) -> Spot | None:
    """Who gets to a backend in place of a client outside."""
    client, cluster = case.sources[0].peer.address, case.engine.cluster
    seen = addresses_at(end, case.arrivals, client, cluster)
    return Spot(addresses=frozenset(map(str, seen))) if seen else None


def _clients_of(path: GatewayPath, sources: tuple[ResolvedEnd, ...]) -> tuple[ResolvedEnd, ...]:
    """Whose flows tell of a way through the gateway: where it ends, the gateway's own or not."""
    if path.denied is None:
        return (*sources, path.gateway)
    return sources if path.denied.hop == 1 else (path.gateway,)


def _name_story(case: Case, evidence: FlowEvidence, cluster: str) -> Story | None:
    """The story of the source's questions to the cluster's DNS servers."""
    if case.name is None:
        return None
    leg = case.name.leg
    servers = (*servers_of(leg.source, case.engine).ends, leg.destination)
    return tell_story(evidence, wanted_of((leg,), (leg.source,), servers, cluster))


def asks_dns(case: Case) -> bool:
    """Say whether the question itself goes to the cluster's DNS server."""
    main = case.main
    if main is None or main.destination.endpoint is None:
        return False
    asked = main.destination.service
    if asked is not None and is_dns(asked, case.engine.cluster):
        return True
    server, servers = main.destination.endpoint.key, dns_servers(case.engine)
    return not servers.assumed and any(
        end.endpoint is not None
        and end.endpoint.key == server
        and main.question.port == (end.port or main.question.port)
        for end in servers.ends
    )
