"""What flows add to the policies' answer: proof, another reason, or a contradiction."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from app.core.diagnose import evidence as ev
from app.core.diagnose.ends import ResolvedEnd
from app.core.diagnose.evidence import FlowEvidence, Spot, Story, clock, span
from app.core.diagnose.question import Leg
from app.core.diagnose.sentences import destination_text, sentence
from app.core.flows.drop_reasons import drop_reason
from app.core.model.answer import Cause, CauseCode, Confidence, Evidence
from app.core.model.flow import Flow, HttpInfo
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
    """How flows show an end: Services and gateways also by the address in front."""
    endpoint, peer, service = end.endpoint, end.peer, end.service
    addresses = {str(ip) for ip in (peer.address, end.frontend) if ip is not None}
    names = frozenset({end.name} if end.name else ()) | peer.names
    if service is not None:
        addresses |= {str(ip) for ip in (*service.cluster_ips, *service.external_ips)}
    if endpoint is None:
        in_flows = f"reserved:{peer.kind.value}" if not addresses and not names else ""
        return Spot(addresses=frozenset(addresses), names=names, reserved=in_flows)
    workload = endpoint.workload
    name = workload.name if workload else endpoint.name
    addresses |= {str(ip) for ip in endpoint.addresses if not endpoint.host_network}
    return Spot(
        pods=frozenset({(endpoint.namespace, endpoint.name)}),
        workloads=frozenset({(endpoint.namespace, name)} if endpoint.template else ()),
        addresses=frozenset(addresses),
        names=names,
    )


def story_of(
    legs: Sequence[Leg],
    sources: Sequence[ResolvedEnd],
    destinations: Sequence[ResolvedEnd],
    evidence: FlowEvidence,
) -> Story:
    """Every flow between some ends on the ports of the legs, in one pass over all flows.

    Flows of a Service are found by the port of the pod, and by the Service's own where no
    translation happened.
    """
    source = reduce(Spot.joined, map(spot_of, sources))
    destination = reduce(Spot.joined, map(spot_of, destinations))
    ports = {port for leg in legs for port in _ports_of(leg)}
    protocols = {leg.question.protocol.value for leg in legs} | {""}
    if Protocol.ICMP.value in protocols:
        protocols.add("ICMPv4")

    def wanted(flow: Flow, *, back: bool) -> bool:
        port = flow.source_port if back else flow.destination_port
        return port in ports and flow.protocol in protocols

    return ev.tell_story(evidence, source, destination, wanted)


def _ports_of(leg: Leg) -> set[int]:
    end = leg.destination
    service = {end.service_port.port} if end.service_port else set()
    return {leg.question.port, *service, *(end.route.listener_ports if end.route else ())}


def disagreement(leg: Leg, verdict: Verdict, story: Story, evidence: FlowEvidence) -> Cause | None:
    """Flows that show another verdict than the policies imply, as the newest word on it."""
    if verdict is Verdict.DENIED:
        return _passes_all_the_same(leg, story, evidence)
    refused = _refused(story, leg.question.request)
    if verdict is Verdict.ALLOWED and refused and refused[-1].verdict != "ERROR":
        return _request_disagrees(leg, refused, evidence)
    denied = story.last_denied
    if denied is not None and story.ends_denied and denied.drop_reason in ev.POLICY_REASONS:
        reason = denied.drop_reason or "no reason given"
        return _disagree(
            f"the policies{_as_of(evidence)} allow {destination_text(leg)} for {leg.source.text}; "
            f"Hubble saw {_times(story.drops, 'drop')} ({reason}) until "
            f"{clock(story.last_drop_ns)}, and none got through since"
        )
    audited = _audited_last(story)
    if audited is not None:
        return _disagree(
            f"the policies{_as_of(evidence)} allow {destination_text(leg)} for {leg.source.text}; "
            f"Hubble marked it AUDIT, which means denied, at {clock(audited.time_ns)}"
        )
    return None


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
    served = flow.event == ev.EVENT_L7 and flow.verdict in ev.FORWARDED and not flow.is_reply
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
        flow.event == ev.EVENT_VERDICT
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
    text = (
        f"no policy denies {leg.source.text} → {destination_text(leg)}; "
        f"Hubble's reason is {denied.drop_reason}"
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
        return None
    last = refused[-1]
    if last.verdict == "ERROR":
        return _proxy_failed(leg, last)
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
    l7 = refused[-1].l7 if refused and refused[-1].verdict != "ERROR" else None
    if l7 is None:
        return None
    if l7.http is not None:
        return _http_request(l7.http)
    return DnsRequest(l7.dns.query.rstrip(".").lower()) if l7.dns is not None else None


def _refused(story: Story, request: Request | None) -> list[Flow]:
    """The refusals of a request, or of any; none when the newest was let through later."""
    refused = [flow for flow in story.refused_requests if _is_asked(flow, request)]
    served = [flow for flow in story.flows if refused and _is_served(flow, refused[-1])]
    return [] if served and served[-1].time_ns > refused[-1].time_ns else refused


def _proxy_failed(leg: Leg, flow: Flow) -> Cause:
    """A proxy that could not do its work refused nothing.

    Source: Cilium `pkg/fqdn/dnsproxy`, `pkg/hubble/parser/seven` (verdict ERROR).
    """
    text = (
        f"no policy refuses {leg.source.text} → {destination_text(leg)}; the proxy failed on its "
        f"request at {clock(flow.time_ns)}"
    )
    detail = "look at the log of the agent on its node, and at the server behind the proxy"
    return Cause(CauseCode.NOT_A_POLICY_DROP, sentence(text), sentence(detail))


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
    if flow.event != ev.EVENT_L7 or flow.verdict not in ev.FORWARDED or flow.is_reply:
        return False
    return _request_line(flow) == _request_line(refused)


def seen(story: Story, evidence: FlowEvidence) -> tuple[Evidence, ...]:
    """What was seen of the connection: counts always with their window and what was lost."""
    window = evidence.window
    within = f"in {span(window)} of flows{_until(window)}, {_lost(evidence)}"
    if story.is_empty:
        looked = f"{len(evidence.flows):,} flows looked at"
        return (Evidence("flow", f"no flow of this connection {within} ({looked})"),)
    lines = []
    if story.drops:
        reasons = ", ".join(name for name, _ in story.reasons.most_common(_MOST_REASONS))
        lines.append(
            f"{_times(story.drops, 'drop')}{f' ({reasons})' if reasons else ''} in "
            f"{_times(story.attempts, 'attempt')} {within}, first {clock(story.first_drop_ns)}, "
            f"last {clock(story.last_drop_ns)}"
        )
    else:
        lines.append(f"no drops seen {within}")
    if by := _denied_by(story.last_denied):
        lines.append(f"Hubble names {by} as what denies it")
    if story.refused_requests:
        last = story.refused_requests[-1]
        refused = _times(len(story.refused_requests), "request")
        lines.append(f"{refused} refused by the proxy, last {_request_line(last)}")
    if story.application_403:
        lines.append(f"{story.application_403:,} answers 403 from the application, not the proxy")
    if story.audited:
        lines.append(f"{_times(story.audited, 'packet')} let through in audit mode only")
    if story.last_passed is not None:
        passed = clock(story.last_passed.time_ns)
        lines.append(f"forwarded {_times(story.forwarded, 'time')}, last {passed}")
    ref = story.last_denied or story.last_passed
    return tuple(Evidence("flow", line, ref.uuid if ref else "") for line in lines)


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
