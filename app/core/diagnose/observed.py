"""What flows add to the policies' answer: proof, another reason, or a contradiction."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import reduce

from app.core.diagnose import story as ev
from app.core.diagnose.ends import ResolvedEnd
from app.core.diagnose.evidence import FlowEvidence, Place, Spot, Wanted, clock, span
from app.core.diagnose.question import Leg
from app.core.diagnose.seen_as import seen_as
from app.core.diagnose.sentences import destination_text, sentence
from app.core.diagnose.story import Story
from app.core.flows.drop_reasons import drop_reason
from app.core.model.answer import Cause, CauseCode, Confidence, Evidence
from app.core.model.cluster import Address
from app.core.model.flow import EVENT_L7, EVENT_VERDICT, Flow, HttpInfo
from app.core.model.verdict import (
    DnsRequest,
    HttpRequest,
    Outcome,
    Protocol,
    Request,
    Verdict,
)

_AUTH_REQUIRED = "AUTH_REQUIRED"
_MOST_REASONS = 3


def spot_of(end: ResolvedEnd) -> Spot:
    """How flows show an end itself, a pod by name or an address; not what stands before it.

    Names that an address shares with others stand for those, too: only the name asked for counts.
    """
    endpoint, peer = end.endpoint, end.peer
    names = frozenset({end.name} if end.name else ())
    if peer.address is None:
        names |= peer.names
    if endpoint is None:
        addresses = frozenset({str(peer.address)} if peer.address else ())
        in_flows = f"reserved:{peer.kind.value}" if not addresses and not names else ""
        return Spot(addresses=addresses, names=names, reserved=in_flows)
    workload = endpoint.workload
    name = workload.name if workload else endpoint.name
    own = () if endpoint.host_network else endpoint.addresses
    return Spot(
        pods=frozenset({(endpoint.namespace, endpoint.name)}),
        workloads=frozenset({(endpoint.namespace, name)} if endpoint.template else ()),
        addresses=frozenset(str(ip) for ip in own),
        names=names,
    )


def wanted_of(
    legs: Sequence[Leg],
    sources: Sequence[ResolvedEnd],
    destinations: Sequence[ResolvedEnd],
    cluster: str = "",
    arrives: Callable[[ResolvedEnd], Spot | None] = lambda _: None,
) -> Wanted:
    """Which flows are those between some ends on the ports of the legs.

    Flows of a Service are found at its pods by their port, and at the Service's own address by its
    own, where no translation happened. `arrives` gives who gets to an end, where that is not the
    source itself.
    """
    places = [place for end in destinations for place in _places_of(end, legs, arrives(end))]
    protocols = {leg.question.protocol.value for leg in legs} | {""}
    if Protocol.ICMP.value in protocols:
        protocols.add("ICMPv4")
    source = reduce(Spot.joined, map(spot_of, sources))
    return Wanted(source, tuple(places), frozenset(protocols), cluster)


def _places_of(
    end: ResolvedEnd, legs: Sequence[Leg], source: Spot | None = None
) -> Iterator[Place]:
    own = {leg.question.port for leg in legs if leg.destination.port == end.port}
    yield Place(spot_of(end), frozenset(own or {leg.question.port for leg in legs}), source)
    service, port = end.service, end.service_port
    if service is not None and port is not None:
        addresses = {*service.cluster_ips, *service.external_ips}
        yield Place(_at(addresses), frozenset({port.port}))
        if end.frontend is not None and end.frontend not in addresses and end.route is None:
            yield Place(_at({end.frontend}), frozenset({port.node_port, port.port}))
    if end.route is not None and end.frontend is not None:
        yield Place(_at({end.frontend}), frozenset(end.route.listener_ports))


def _at(addresses: set[Address]) -> Spot:
    return Spot(addresses=frozenset(str(ip) for ip in addresses))


def disagreement(leg: Leg, verdict: Verdict, story: Story, evidence: FlowEvidence) -> Cause | None:
    """Flows that show another verdict than the policies imply, as the newest word on it."""
    if verdict is Verdict.DENIED:
        return _passes_all_the_same(leg, story, evidence)
    refused = _refused(story, leg.question.request)
    if verdict is Verdict.ALLOWED and refused:
        return _request_disagrees(leg, refused, evidence)
    denied = story.last_denied
    if denied is not None and story.ends_denied and denied.drop_reason in ev.POLICY_REASONS:
        return _drops_disagree(leg, denied, story, evidence)
    audited = _audited_last(story)
    if audited is not None:
        return _disagree(
            f"the policies{_as_of(evidence)} allow {destination_text(leg)} for {leg.source.text}; "
            f"Hubble marked it AUDIT, which means denied, at {clock(audited.time_ns)}"
        )
    return None


def _drops_disagree(leg: Leg, denied: Flow, story: Story, evidence: FlowEvidence) -> Cause:
    """Say what was dropped, up to when, and as whom the datapath saw the ends."""
    reason = denied.drop_reason or "no reason given"
    what = f"{_times(story.drops, 'drop')}{' of its answers' if story.is_answer_denied else ''}"
    since = "none arrived since" if story.passed_since else "none got through since"
    cause = _disagree(
        f"the policies{_as_of(evidence)} allow {destination_text(leg)} for {leg.source.text}; "
        f"Hubble saw {what} ({reason}) until {clock(story.last_drop_ns)}, and {since}"
    )
    seen = seen_as(leg, story)
    if not seen:
        return cause
    detail = f"{seen}; look at what the agent there knows: {_IPCACHE}"
    return replace(cause, detail=sentence(detail))


_IPCACHE = "`cilium-dbg bpf ipcache list` and `cilium-dbg identity list`"


def _request_disagrees(leg: Leg, refused: Sequence[Flow], evidence: FlowEvidence) -> Cause:
    last = refused[-1]
    dns = last.l7.dns if last.l7 else None
    what = f"ask {destination_text(leg)} for {dns.query}" if dns is not None else ""
    what = what or f"send {_request_line(last)} to {destination_text(leg)}"
    return _disagree(
        f"the policies{_as_of(evidence)} let {leg.source.text} {what}; the proxy refused it "
        f"{_times(len(refused), 'time')}, last at {clock(last.time_ns)}"
    )


def _passes_all_the_same(leg: Leg, story: Story, evidence: FlowEvidence) -> Cause | None:
    passed = _pass_where_denied(leg, story)
    if passed is None or _is_newer(story.last_denied, passed) or _audited_last(story):
        return None
    if story.refused_requests and _is_newer(story.refused_requests[-1], passed):
        return None
    return _disagree(
        f"the policies{_as_of(evidence)} deny {destination_text(leg)} to {leg.source.text}; "
        f"Hubble saw it get through at {clock(passed.time_ns)}"
    )


def _pass_where_denied(leg: Leg, story: Story) -> Flow | None:
    """The newest flow past the place that denies: packets say nothing of a refused request."""
    egress, ingress = leg.trace.egress, leg.trace.ingress
    if Outcome.DENIED not in (egress.l4, ingress.l4):
        served = [flow for flow in story.flows if _is_served_as_asked(flow, leg.question.request)]
        return served[-1] if served else None
    return story.last_passed if egress.outcome is Outcome.DENIED else story.last_arrived


def _is_served_as_asked(flow: Flow, request: Request | None) -> bool:
    served = flow.event == EVENT_L7 and flow.verdict in ev.FORWARDED and not flow.is_reply
    return served and _is_asked(flow, request)


def _audited_last(story: Story) -> Flow | None:
    """The newest AUDIT verdict that no other verdict followed.

    Audit mode lets the packet through, so its traces say nothing against the policies.
    Source: Cilium `Documentation/security/policy-creation.rst` (policy audit mode).
    """
    audited = story.last_audited
    if audited is None:
        return None
    followed = any(
        flow.event == EVENT_VERDICT
        and flow.verdict in ev.FORWARDED
        and flow.direction == audited.direction
        and flow.time_ns > audited.time_ns
        for flow in story.flows
    )
    return None if followed else audited


def _is_newer(flow: Flow | None, than: Flow) -> bool:
    return flow is not None and flow.time_ns >= than.time_ns


def _as_of(evidence: FlowEvidence) -> str:
    return f" as read at {clock(evidence.policies_as_of_ns)}" if evidence.policies_as_of_ns else ""


def _disagree(text: str) -> Cause:
    detail = (
        "the agents may enforce an older or a refused version of a policy, other identities or "
        "addresses, or audit mode"
    )
    code, likely = CauseCode.FLOWS_DISAGREE, Confidence.LIKELY
    return Cause(code, sentence(text), sentence(detail), likely)


def other_drop(leg: Leg, story: Story) -> Cause | None:
    """A drop that network policy did not decide, as the newest word on the connection."""
    denied = story.last_denied
    if denied is None or not story.ends_denied or not denied.drop_reason:
        return None
    if denied.drop_reason in ev.POLICY_REASONS:
        return None
    reason = drop_reason(denied.drop_reason)
    of = " for the drop of its answers" if story.is_answer_denied else ""
    text = (
        f"no policy denies {leg.source.text} → {destination_text(leg)}; "
        f"Hubble's reason{of} is {denied.drop_reason}"
    )
    if reason is None:
        return Cause(CauseCode.NOT_A_POLICY_DROP, sentence(text), confidence=Confidence.LIKELY)
    return Cause(
        CauseCode.NOT_A_POLICY_DROP,
        sentence(f"{text}: {reason.meaning}"),
        sentence(reason.next_step),
        Confidence.CERTAIN if reason.name != _AUTH_REQUIRED else Confidence.LIKELY,
    )


def refused_request(leg: Leg, story: Story, request: Request | None) -> Cause | None:
    """A request that a proxy refused, where the policies leave the answer to layer 7."""
    refused = _refused(story, request)
    if not refused:
        return _proxy_failed(leg, story, request)
    last = refused[-1]
    dns = last.l7.dns if last.l7 else None
    if dns is not None:
        text = f"the DNS proxy refused {leg.source.text} the name {dns.query}"
        return Cause(CauseCode.DNS_NAME_REFUSED, sentence(text))
    text = (
        f"the proxy refused {_times(len(refused), 'request')} of {leg.source.text} to "
        f"{destination_text(leg)}, last {_request_line(last)} at {clock(last.time_ns)}"
    )
    return Cause(CauseCode.L7_REQUEST_REFUSED, sentence(text))


def request_in_flows(story: Story) -> Request | None:
    """The newest request that a proxy refused by its rules, for a question that names none."""
    refused = _refused(story, None)
    l7 = refused[-1].l7 if refused else None
    if l7 is None:
        return None
    if l7.http is not None:
        return _http_request(l7.http)
    return DnsRequest(l7.dns.query.rstrip(".").lower()) if l7.dns is not None else None


def _refused(story: Story, request: Request | None) -> list[Flow]:
    """The refusals of a request, or of any; none when the newest was let through later."""
    return _unserved(story, story.refused_requests, request)


def _unserved(story: Story, requests: Sequence[Flow], request: Request | None) -> list[Flow]:
    """Those of some requests that are asked about; none when the newest was served later."""
    asked = [flow for flow in requests if _is_asked(flow, request)]
    served = [flow for flow in story.flows if asked and _is_served(flow, asked[-1])]
    return [] if served and served[-1].time_ns > asked[-1].time_ns else asked


def _proxy_failed(leg: Leg, story: Story, request: Request | None) -> Cause | None:
    """A proxy that could not do its work refused nothing, and dropped nothing.

    Source: Cilium `pkg/fqdn/dnsproxy`, `pkg/hubble/parser/seven` (verdict ERROR).
    """
    failed = _unserved(story, story.failed_requests, request)
    if not failed:
        return None
    text = (
        f"no policy refuses {leg.source.text} → {destination_text(leg)}; the proxy failed on its "
        f"request at {clock(failed[-1].time_ns)}"
    )
    detail = "look at the log of the agent on its node, and at the server behind the proxy"
    cause = Cause(CauseCode.NOT_A_POLICY_DROP, sentence(text), sentence(detail))
    return replace(cause, confidence=Confidence.LIKELY)


def _request_line(flow: Flow) -> str:
    http = flow.l7.http if flow.l7 else None
    return f"{http.method} {http.url}" if http else flow.summary or "a connection"


def _is_asked(flow: Flow, request: Request | None) -> bool:
    l7 = flow.l7
    if l7 is None or request is None:
        return True
    if isinstance(request, HttpRequest) and l7.http is not None:
        seen = _http_request(l7.http)
        return (seen.method, seen.path) == (request.method, request.path)
    if isinstance(request, DnsRequest) and l7.dns is not None:
        return l7.dns.query.rstrip(".").lower() == request.name
    return False


def _http_request(http: HttpInfo) -> HttpRequest:
    """The request as the proxy saw it: Hubble writes host and path into one URL, or the path alone.

    Source: Cilium `pkg/hubble/parser/seven/http.go` `decodeHTTP`.
    """
    scheme, found, rest = http.url.partition("://")
    host, _, path = rest.partition("/") if found else ("", "", scheme.removeprefix("/"))
    return HttpRequest(http.method, f"/{path}", host)


def _is_served(flow: Flow, refused: Flow) -> bool:
    """Whether the same request was let through."""
    if flow.event != EVENT_L7 or flow.verdict not in ev.FORWARDED or flow.is_reply:
        return False
    return _request_line(flow) == _request_line(refused)


def seen(leg: Leg, story: Story, evidence: FlowEvidence) -> tuple[Evidence, ...]:
    """What was seen of the connection: counts always with their window and what was lost."""
    window = evidence.window
    within = f"in {span(window)} of flows{_until(window)}, {_lost(evidence)}"
    if story.is_empty:
        looked = f"{len(evidence.flows):,} flows looked at"
        return (Evidence("flow", f"no flow of this connection {within} ({looked})"),)
    ref = story.last_denied or story.last_passed
    lines = (_drops_seen(story, within), *_requests_seen(story), *_passes_seen(story))
    if story.last_denied is not None:
        lines = (*lines, seen_as(leg, story))
    return tuple(Evidence("flow", line, ref.uuid if ref else "") for line in lines if line)


def _drops_seen(story: Story, within: str) -> str:
    if not story.drops:
        return f"no drops seen {within}"
    reasons = ", ".join(name for name, _ in story.reasons.most_common(_MOST_REASONS))
    return (
        f"{_times(story.drops, 'drop')}{f' ({reasons})' if reasons else ''} in "
        f"{_times(story.attempts, 'attempt')} {within}, first {clock(story.first_drop_ns)}, "
        f"last {clock(story.last_drop_ns)}"
    )


def _requests_seen(story: Story) -> Iterator[str]:
    if by := _denied_by(story.last_denied):
        yield f"Hubble names {by} as what denies it"
    if story.refused_requests:
        last = _request_line(story.refused_requests[-1])
        yield f"{_times(len(story.refused_requests), 'request')} refused by the proxy, last {last}"
    if story.failed_requests:
        last = _request_line(story.failed_requests[-1])
        yield f"{_times(len(story.failed_requests), 'request')} failed at the proxy, last {last}"
    if story.application_403:
        yield f"{story.application_403:,} answers 403 from the application, not the proxy"
    if story.audited:
        yield f"{_times(story.audited, 'packet')} let through in audit mode only"


def _passes_seen(story: Story) -> Iterator[str]:
    """What got through, and how far: past the source's policy is not yet past the destination's."""
    if story.last_passed is None:
        return
    passed = f"{_times(story.forwarded, 'time')}, last {clock(story.last_passed.time_ns)}"
    if not (story.drops and story.ends_denied and story.passed_since):
        yield f"forwarded {passed}"
    elif story.is_answer_denied:
        yield f"forwarded {passed}; its answers are what was dropped"
    else:
        yield f"let out at the source {passed}; no arrival was seen after the last drop"


def _denied_by(flow: Flow | None) -> str:
    """The policies that Hubble itself names for a deny, where it names any.

    With their namespaces: by these a chat knows what it must not write.
    """
    named = (*flow.egress_denied_by, *flow.ingress_denied_by) if flow is not None else ()
    texts = (f"{one.namespace}/{one.name}" if one.namespace else one.name for one in named)
    return ", ".join(dict.fromkeys(texts))


def _times(count: int, word: str) -> str:
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


def _until(window: tuple[int, int]) -> str:
    return f" until {clock(window[1])}" if window[1] else ""


def _lost(evidence: FlowEvidence) -> str:
    if not evidence.lost:
        return "none lost"
    return f"{_times(evidence.lost, 'event')} lost, so there may be more"
