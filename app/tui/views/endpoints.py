"""Endpoints with what policies do to them, as rows and paragraphs."""

from __future__ import annotations

from collections.abc import Iterable

from app.core.model.cluster import Endpoint
from app.core.model.provenance import ObjectRef
from app.services.inventory import EndpointDetail, EndpointRow
from app.tui.session import Session
from app.tui.views.words import empty, field, ref_text, section, source_text
from widgets.document import Paragraph, paragraph
from widgets.grid import Column, Row
from widgets.marks import Marks
from widgets.spans import Line, Span, Tone, line

COLUMNS = (
    Column("namespace", "NAMESPACE", 14, flex=1),
    Column("name", "NAME", 20, flex=3),
    Column("workload", "WORKLOAD", 14, flex=1, rank=4),
    Column("state", "STATE", 11, rank=2),
    Column("egress", "EGRESS", 13),
    Column("ingress", "INGRESS", 13),
    Column("policies", "POLICIES", 8, right=True, rank=1),
    Column("address", "ADDRESS", 15, rank=5),
    Column("identity", "IDENTITY", 8, rank=6, right=True),
    Column("node", "NODE", 16, wide=True),
    Column("labels", "LABELS", 80, wide=True),
)
NAME, NAMESPACE = 1, 0


def endpoint_table(rows: Iterable[EndpointRow], marks: Marks) -> tuple[Row, ...]:
    """Make the rows; the key is `NS/NAME`."""
    return tuple(_row(row, marks) for row in rows)


def _row(row: EndpointRow, marks: Marks) -> Row:
    one = row.endpoint
    workload = f"{one.workload.kind} {one.workload.name}" if one.workload else "-"
    count = len({*row.egress, *row.ingress})
    egress = posture(row.egress, row.egress_default_deny, one, marks)
    ingress = posture(row.ingress, row.ingress_default_deny, one, marks)
    address = str(one.addresses[0]) if one.addresses else "-"
    identity = str(one.identity) if one.identity is not None else "?"
    cells: tuple[Line, ...] = (
        line(one.namespace),
        line(Span(one.name, Tone.STRONG)),
        line(Span(workload, Tone.DIM)),
        line(state_of(one, marks)),
        line(egress),
        line(ingress),
        line(str(count)),
        line(Span(address, Tone.DIM)),
        line(Span(identity, Tone.DIM)),
        line(Span(one.node or "-", Tone.DIM)),
        line(Span(" ".join(one.labels.texts()), Tone.DIM)),
    )
    sort = (
        one.namespace,
        one.name,
        workload,
        state_of(one, marks).text,
        egress.text,
        ingress.text,
        count,
        address,
        one.identity or 0,
        one.node,
        "",
    )
    return Row(one.key, cells, sort)


def state_of(endpoint: Endpoint, marks: Marks) -> Span:
    """Say whether an endpoint can be talked to and whether policies apply to it at all."""
    if endpoint.host_network:
        return Span(f"{marks.audit} host net", Tone.WARN)
    if not endpoint.managed:
        return Span(f"{marks.error} unmanaged", Tone.WARN)
    if endpoint.template:
        return Span(f"{marks.off} template", Tone.DIM)
    if not endpoint.ready:
        return Span(f"{marks.error} not ready", Tone.WARN)
    return Span(f"{marks.good} ready", Tone.GOOD)


def posture(
    policies: tuple[ObjectRef, ...],
    default_deny: bool,  # noqa: FBT001  # a row's value
    endpoint: Endpoint,
    marks: Marks,
) -> Span:
    """Say what one direction does with what no rule names."""
    if endpoint.host_network or not endpoint.managed:
        return Span(f"{marks.audit} no policy", Tone.DIM)
    if default_deny:
        return Span(f"{marks.good} deny", Tone.GOOD)
    if policies:
        return Span(f"{marks.error} open+rules", Tone.WARN)
    return Span(f"{marks.error} open", Tone.WARN)


def matches(row: EndpointRow, sought: str) -> bool:
    """Whether the text, `!text` inverted or `-l key=value`, fits an endpoint."""
    one = row.endpoint
    if sought.startswith("-l "):
        key, _, value = sought[3:].strip().partition("=")
        return one.pod_labels.get(key) == value
    inverted = sought.startswith("!")
    words = f"{one.key} {' '.join(map(str, one.addresses))}".casefold()
    return (sought.lstrip("!").casefold() in words) != inverted


def is_open(row: EndpointRow) -> bool:
    """Whether some direction of an endpoint is not closed by default."""
    return not (row.egress_default_deny and row.ingress_default_deny) or not row.endpoint.ready


def why_empty(session: Session, *, total: int, sought: str) -> tuple[Line, ...]:
    """Say why no endpoint is listed."""
    if not session.has_read:
        return empty("Nothing has been read yet.", "`:sources` says what is being waited for.")
    if sought:
        return empty(f"None of {total} endpoints matches.", "`esc` clears the filter.")
    where = f" in namespace {session.namespace}" if session.namespace else ""
    return empty(
        f"No pods and no workloads{where}.",
        "If you expected some, `:sources` and `:can-i` say what could not be read.",
    )


def describe(detail: EndpointDetail, marks: Marks) -> tuple[Paragraph, ...]:
    """Say what an endpoint is and what restricts it; its policies are stops."""
    row, one = detail.row, detail.row.endpoint
    workload = f"{one.workload.kind} {one.workload.name}" if one.workload else "none"
    source = (one.source.file, one.source.line) if one.source else (None, None)
    return (
        field("Endpoint", Span(one.key, Tone.STRONG)),
        field("State", state_of(one, marks), f"  {one.phase}" if not one.template else ""),
        field("Workload", workload),
        field("Addresses", ", ".join(map(str, one.addresses)) or "none known"),
        field("Node", one.node or "not known"),
        field("Identity", str(one.identity) if one.identity is not None else "not known"),
        field("Services", ", ".join(detail.services) or "none"),
        field("Ports", _ports(one)),
        field("Source", source_text(*source)),
        field("Egress", *_direction(row.egress, row.egress_default_deny, one, marks)),
        field("Ingress", *_direction(row.ingress, row.ingress_default_deny, one, marks)),
        *section("Policies that select it", *_policies(detail)),
        *section("Labels of its identity", *(paragraph(text) for text in one.labels.texts())),
    )


def _ports(endpoint: Endpoint) -> str:
    texts = [
        f"{port.port}/{port.protocol}" + (f" ({port.name})" if port.name else "")
        for port in endpoint.ports
    ]
    return ", ".join(texts) or "none declared"


def _direction(
    policies: tuple[ObjectRef, ...],
    default_deny: bool,  # noqa: FBT001  # a row's value
    endpoint: Endpoint,
    marks: Marks,
) -> tuple[Span, ...]:
    word = posture(policies, default_deny, endpoint, marks)
    if endpoint.host_network or not endpoint.managed:
        return (word, Span("  policies do not apply to this pod"))
    if default_deny:
        return (word, Span("  what no rule allows is dropped"))
    if policies:
        return (word, Span("  no policy turns default deny on: all is allowed but for deny rules"))
    return (word, Span("  no policy selects it: all traffic is allowed"))


def _policies(detail: EndpointDetail) -> tuple[Paragraph, ...]:
    if not detail.policies:
        return (paragraph("No policies select this endpoint: all its traffic is allowed."),)
    return tuple(
        Paragraph(
            (
                Span(f"{ref_text(row.ref)}", Tone.STRONG),
                Span(f"  {' and '.join(row.directions)}", Tone.DIM),
                Span(f"  {source_text(row.file, row.line)}", Tone.DIM),
            ),
            indent=4,
            target=str(row.ref),
        )
        for row in detail.policies
    )
