"""Endpoints with what policies do to them, as rows and paragraphs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from app.core.model.cluster import Endpoint
from app.core.model.provenance import ObjectRef
from app.services.inventory import EndpointDetail, EndpointRow
from app.tui.links import to_policy
from app.tui.session import Session
from app.tui.views.words import (
    empty,
    field,
    nothing_read,
    ref_text,
    section,
    source_field,
    source_text,
)
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
    return Row(row.endpoint.key, partial(_cells, row, marks), partial(_sort_value, row, marks))


def _cells(row: EndpointRow, marks: Marks) -> tuple[Line, ...]:
    one = row.endpoint
    identity = str(one.identity) if one.identity is not None else "?"
    return (
        line(one.namespace),
        line(Span(one.name, Tone.STRONG)),
        line(Span(_workload(one) or "-", Tone.DIM)),
        line(state_of(one, marks)),
        line(posture(row.egress, row.egress_default_deny, one, marks)),
        line(posture(row.ingress, row.ingress_default_deny, one, marks)),
        line(str(_count(row))),
        line(Span(_address(one) or "-", Tone.DIM)),
        line(Span(identity, Tone.DIM)),
        line(Span(one.node or "-", Tone.DIM)),
        line(Span(" ".join(one.labels.texts()), Tone.DIM)),
    )


def _sort_value(row: EndpointRow, marks: Marks, column: int) -> str | float:
    one = row.endpoint
    values: dict[str, Callable[[], str | float]] = {
        "namespace": lambda: one.namespace,
        "name": lambda: one.name,
        "workload": lambda: _workload(one),
        "state": lambda: state_of(one, marks).text,
        "egress": lambda: posture(row.egress, row.egress_default_deny, one, marks).text,
        "ingress": lambda: posture(row.ingress, row.ingress_default_deny, one, marks).text,
        "policies": lambda: _count(row),
        "address": lambda: _address(one),
        "identity": lambda: one.identity or 0,
        "node": lambda: one.node,
        "labels": lambda: " ".join(one.labels.texts()),
    }
    return values[COLUMNS[column].key]()


def _workload(endpoint: Endpoint) -> str:
    return f"{endpoint.workload.kind} {endpoint.workload.name}" if endpoint.workload else ""


def _address(endpoint: Endpoint) -> str:
    return str(endpoint.addresses[0]) if endpoint.addresses else ""


def _count(row: EndpointRow) -> int:
    return len({*row.egress, *row.ingress})


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
        return Span(f"{marks.good} enforced", Tone.GOOD)
    if policies:
        return Span(f"{marks.error} open+rules", Tone.WARN)
    return Span(f"{marks.error} open", Tone.WARN)


def is_open(row: EndpointRow) -> bool:
    """Whether some direction of an endpoint is not closed by default."""
    return not (row.egress_default_deny and row.ingress_default_deny) or not row.endpoint.ready


def why_empty(session: Session, *, total: int, sought: str) -> tuple[Line, ...]:
    """Say why no endpoint is listed."""
    if not session.has_read:
        return nothing_read(session)
    if sought:
        return empty(f"None of {total} endpoints matches.", "`esc` clears the filter.")
    if not session.picture.cluster.endpoints:
        return empty(
            "No pod and no workload was read.",
            "Files of policies hold none: a live cluster or a `snapshot` of one has them.",
            "`:sources` and `:can-i` say what could not be read.",
        )
    where = f" in namespace {session.namespace}" if session.namespace else ""
    return empty(
        f"No pods and no workloads{where}.",
        "If you expected some, `:sources` and `:can-i` say what could not be read.",
    )


def describe(detail: EndpointDetail, marks: Marks) -> tuple[Paragraph, ...]:
    """Say what an endpoint is and what restricts it; its policies are stops."""
    return (
        *summary(detail.row, marks),
        field("Services", ", ".join(detail.services) or "none"),
        *section("Policies that select it", *_policies(detail)),
        *_labels(detail.row.endpoint),
    )


def glance(row: EndpointRow, marks: Marks) -> tuple[Paragraph, ...]:
    """Say the same from the row alone, for the pane beside the table."""
    refs = dict.fromkeys((*row.egress, *row.ingress))
    policies = (paragraph(ref_text(ref), target=to_policy(ref)) for ref in refs)
    return (
        *summary(row, marks),
        *section(
            "Policies that select it",
            *policies,
        ),
        *_labels(row.endpoint),
    )


def summary(row: EndpointRow, marks: Marks) -> tuple[Paragraph, ...]:
    """What an endpoint is, and each direction in words."""
    one = row.endpoint
    source = (one.source.file, one.source.line) if one.source else (None, None)
    return (
        field("Endpoint", Span(one.key, Tone.STRONG)),
        field("State", state_of(one, marks), f"  {one.phase}" if not one.template else ""),
        field("Workload", _workload(one) or "none"),
        field("Addresses", ", ".join(map(str, one.addresses)) or "none known"),
        field("Node", one.node or "not known"),
        field("Identity", str(one.identity) if one.identity is not None else "not known"),
        field("Ports", _ports(one)),
        source_field(*source),
        field("Egress", *_direction(row.egress, row.egress_default_deny, one, marks)),
        field("Ingress", *_direction(row.ingress, row.ingress_default_deny, one, marks)),
    )


def _labels(endpoint: Endpoint) -> tuple[Paragraph, ...]:
    texts = endpoint.labels.texts()
    return section("Labels of its identity", *(paragraph(text) for text in texts))


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
            target=to_policy(row.ref),
        )
        for row in detail.policies
    )
