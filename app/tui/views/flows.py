"""A flow as cells of the stream, and as paragraphs of the detail."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import tzinfo

from app.core.flows.drop_reasons import drop_reason
from app.core.flows.halves import Packet
from app.core.flows.times import NS_PER_S
from app.core.model.flow import Flow, FlowEndpoint, PolicyEvidence
from app.core.model.provenance import ObjectRef
from app.services.flow_words import (
    deciding,
    destination_words,
    end_words,
    path_words,
    port_words,
    reason_words,
    request_words,
    source_words,
)
from app.tui.links import to_endpoint, to_policy
from app.tui.times import clock_time, span_of
from app.tui.views.chips import CHIP, NO_CHIPS, Chips
from app.tui.views.words import empty, field, ref_text, section
from widgets.document import Paragraph, paragraph
from widgets.grid import Column
from widgets.marks import Marks, flow_verdict
from widgets.spans import Line, Span, Tone, line

END = CHIP + 9
"""Cells of an end at least: its chip, and the beginning of a pod's name."""

COLUMNS = (
    Column("time", "TIME", 8, rank=4),
    Column("direction", "DIR", 3, rank=6),
    Column("source", "SOURCE", END, flex=1, rank=2),
    Column("destination", "DESTINATION", END, flex=1, rank=1),
    Column("port", "PORT", 9, rank=3),
    Column("verdict", "VERDICT", 12),
    Column("cause", "CAUSE", 20, flex=1, rank=5),
    Column("l7", "L7", 12, flex=1, rank=8),
    Column("path", "PATH", 18, flex=1, rank=7),
    Column("node", "NODE", 10, rank=9),
    Column("identities", "IDENTITIES", 14, wide=True),
    Column("flags", "FLAGS", 10, wide=True),
    Column("point", "TRACE POINT", 14, wide=True),
    Column("labels", "LABELS", 80, wide=True),
)

FAULTS = frozenset({"DROPPED", "AUDIT", "ERROR"})

_ARROWS = {"BOTH": "o+i", "EGRESS": "out", "INGRESS": "in"}


def is_fault(flow: Flow) -> bool:
    """Whether a flow did not get through, or would not with audit mode off."""
    return flow.verdict in FAULTS


def reason_line(flow: Flow) -> Line:
    """Why Cilium dropped it, in the words of `hubble`."""
    return line(Span(reason_words(flow), Tone.BAD))


@dataclass(frozen=True, slots=True)
class FlowLook:
    """How flows are drawn: glyphs, zone, chips, and `age_at` where ages stand in for clock times.

    `cause` gives what is known of a drop's cause, however little.
    """

    marks: Marks
    zone: tzinfo
    age_at: int | None = None
    chips: Chips = NO_CHIPS
    cause: Callable[[Flow], Line] = reason_line


def packet_cells(packet: Packet, look: FlowLook) -> tuple[Line, ...]:
    """Give the cells of one row."""
    flow = packet.deciding
    return (
        line(Span(_when(flow, look), Tone.DIM)),
        line(Span(_ARROWS.get(_direction(packet), "?"), Tone.DIM)),
        _end_line(flow.source, source_words(flow), look.chips),
        _end_line(flow.destination, destination_words(flow), look.chips),
        line(Span(port_words(flow), Tone.ACCENT)),
        line(flow_verdict(flow.verdict, look.marks)),
        look.cause(flow),
        line(request_words(flow.l7)),
        line(Span(path_words(packet, look.marks.arrow), Tone.DIM)),
        line(Span(flow.node, Tone.DIM)),
        line(Span(f"{flow.source.identity} {flow.destination.identity}", Tone.DIM)),
        line(Span(flow.tcp_flags, Tone.DIM)),
        line(Span(flow.trace_point, Tone.DIM)),
        line(Span(" ".join((*flow.source.labels, *flow.destination.labels)), Tone.DIM)),
    )


def _when(flow: Flow, look: FlowLook) -> str:
    if look.age_at is None:
        return clock_time(flow.time_ns, look.zone)
    return span_of((look.age_at - flow.time_ns) / NS_PER_S)


def _direction(packet: Packet) -> str:
    directions = {flow.direction for flow in packet.flows}
    return "BOTH" if {"EGRESS", "INGRESS"} <= directions else packet.deciding.direction


def _end_line(end: FlowEndpoint, text: str, chips: Chips) -> Line:
    return object_line(end.namespace, end.pod, chips) if end.pod else (Span(text),)


def object_line(namespace: str, name: str, chips: Chips) -> Line:
    """The namespace's chip, which is never cut, then the name."""
    return (*chips.of(namespace), Span(" "), Span(name))


def connection_text(flow: Flow) -> str:
    """One connection in a line, as it is copied."""
    return f"{source_words(flow)} -> {destination_words(flow)}:{port_words(flow)}"


# Detail

VERDICT = "verdict"
"""The stop of what happened: it leads to why."""


def verdict_sentence(flow: Flow, marks: Marks) -> Line:
    """Say what happened, where, and by whose decision."""
    where = {"EGRESS": " leaving", "INGRESS": " entering"}.get(flow.direction, " at")
    end = destination_words(flow) if flow.direction == "INGRESS" else source_words(flow)
    parts = [flow_verdict(flow.verdict, marks), Span(f"{where} {end}")]
    if reason := reason_words(flow):
        parts.append(Span(f": {reason}", Tone.BAD))
    named = deciding(flow)
    if named:
        verb = "denied" if flow.egress_denied_by or flow.ingress_denied_by else "allowed"
        parts.append(Span(f", {verb} by {', '.join(evidence_text(one) for one in named)}"))
    elif flow.drop_reason == "POLICY_DENIED":
        parts.append(Span(", by default deny: no rule matched"))
    return tuple(parts)


def evidence_text(evidence: PolicyEvidence) -> str:
    """Name a policy that Hubble named."""
    return ref_text(ObjectRef(evidence.kind, evidence.namespace, evidence.name))


def describe(flow: Flow, look: FlowLook) -> tuple[Paragraph, ...]:
    """The whole flow: verdict first, then tuple, identities, evidence."""
    return (
        Paragraph(verdict_sentence(flow, look.marks), indent=2, target=VERDICT),
        *_reason(flow),
        paragraph(),
        _end_field("From", flow.source, flow.source_ip, flow.source_port),
        _end_field("To", flow.destination, flow.destination_ip, flow.destination_port),
        field("Protocol", port_words(flow), f"  {flow.tcp_flags}" if flow.tcp_flags else ""),
        field("Time", f"{clock_time(flow.time_ns, look.zone, millis=True)} on {flow.node or '?'}"),
        field("Seen at", _seen_at(flow)),
        *_names(flow),
        *_layer7(flow),
        *section("Policies Hubble names", *_evidence(flow)),
        *section("Labels of the source", *_labels(flow.source)),
        *section("Labels of the destination", *_labels(flow.destination)),
    )


def _reason(flow: Flow) -> tuple[Paragraph, ...]:
    reason = drop_reason(flow.drop_reason) if flow.drop_reason else None
    if reason is None:
        return ()
    return (paragraph(Span(reason.meaning, Tone.DIM)),)


def _end_field(label: str, end: FlowEndpoint, ip: str, port: int) -> Paragraph:
    """One end; a pod is a stop."""
    target = to_endpoint(f"{end.namespace}/{end.pod}") if end.pod else ""
    return field(label, *_whole_end(end, ip, port), target=target)


def _whole_end(end: FlowEndpoint, ip: str, port: int) -> tuple[Span, ...]:
    name = f"{end.namespace}/{end.pod}" if end.pod else end_words(end, "", ())
    workload = f" ({end.workload_kind} {end.workload})" if end.workload else ""
    address = f"  {ip}" + (f" port {port}" if port else "")
    return (
        Span(name, Tone.STRONG),
        Span(workload, Tone.DIM),
        Span(address),
        Span(f"  identity {end.identity or '?'}", Tone.DIM),
    )


def _seen_at(flow: Flow) -> str:
    words = [flow.direction.lower(), flow.trace_point, f"event {flow.event}"]
    reply = {True: "reply", False: "request", None: ""}[flow.is_reply]
    return ", ".join(word for word in (*words, reply) if word)


def _names(flow: Flow) -> Iterator[Paragraph]:
    if flow.destination_names:
        yield field("Names", ", ".join(flow.destination_names))
    if flow.source_names:
        yield field("Names", ", ".join(flow.source_names))


def _layer7(flow: Flow) -> Iterator[Paragraph]:
    if flow.l7 is None:
        return
    yield field("Layer 7", f"{flow.l7.type.lower()}  {request_words(flow.l7)}")
    if flow.l7.http is not None:
        for name, value in flow.l7.http.headers:
            yield field("", f"{name}: {value}")


def _evidence(flow: Flow) -> tuple[Paragraph, ...]:
    groups = (
        ("egress denied by", flow.egress_denied_by),
        ("ingress denied by", flow.ingress_denied_by),
        ("egress allowed by", flow.egress_allowed_by),
        ("ingress allowed by", flow.ingress_allowed_by),
    )
    return tuple(
        Paragraph(
            (Span(f"{word} ", Tone.DIM), Span(evidence_text(one), Tone.STRONG)),
            target=to_policy(ObjectRef(one.kind, one.namespace, one.name)),
        )
        for word, group in groups
        for one in group
    )


def _labels(end: FlowEndpoint) -> tuple[Paragraph, ...]:
    return tuple(paragraph(label) for label in end.labels)


def nothing_came(*, has_source: bool) -> tuple[Line, ...]:
    """Say why no flow has come at all, and the ways to some."""
    if not has_source:
        return empty(
            "There is no source of flows.",
            "`--flows FILE` reads recorded ones, `--hubble-address HOST:PORT` asks Relay,",
            "and a live cluster is asked for its own Relay. `--demo` plays some.",
        )
    return empty(
        "No flow has come yet.",
        "`:sources` says whether Hubble answers, and why not.",
        "Three ways to it: the API server (nothing to set), `--hubble-address HOST:PORT`, or",
        "`kubectl -n kube-system port-forward svc/hubble-relay 4245:80` and that address.",
        "Without it: `--flows FILE` reads recorded flows, `--demo` plays some.",
    )
