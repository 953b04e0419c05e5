"""Services and workloads as rows and paragraphs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from app.core.model.cluster import Service
from app.services.inventory import EndpointRow
from app.tui.links import to_endpoint
from app.tui.views.endpoints import posture
from app.tui.views.words import field, section, source_field
from widgets.document import Paragraph, paragraph
from widgets.grid import Column, Row
from widgets.marks import Marks
from widgets.spans import Line, Span, Tone, line

COLUMNS = (
    Column("namespace", "NAMESPACE", 14, flex=1),
    Column("name", "NAME", 20, flex=2),
    Column("type", "TYPE", 12, rank=4),
    Column("ports", "PORTS", 18, flex=2, rank=1),
    Column("backends", "BACKENDS", 10, right=True),
    Column("address", "ADDRESS", 15, rank=3),
    Column("selector", "SELECTOR", 20, flex=3, rank=2),
)
WORKLOAD_COLUMNS = (
    Column("namespace", "NAMESPACE", 14, flex=1),
    Column("kind", "KIND", 11, rank=3),
    Column("name", "NAME", 18, flex=3),
    Column("pods", "PODS", 5, right=True),
    Column("ready", "READY", 5, right=True, rank=1),
    Column("egress", "EGRESS", 13),
    Column("ingress", "INGRESS", 13),
    Column("policies", "POLICIES", 8, right=True, rank=2),
)


def service_table(services: Iterable[Service]) -> tuple[Row, ...]:
    """Make the rows; the key is `NS/NAME`."""
    return tuple(Row(one.key, partial(_cells, one)) for one in services)


def _cells(one: Service) -> tuple[Line, ...]:
    addresses = (*one.cluster_ips, *one.external_ips)
    address = one.external_name or (str(addresses[0]) if addresses else "headless")
    return (
        line(one.namespace),
        line(Span(one.name, Tone.STRONG)),
        line(Span(one.type, Tone.DIM)),
        line(Span(ports_of(one), Tone.ACCENT)),
        line(_backends(one)),
        line(Span(address, Tone.DIM)),
        line(Span(_selector(one), Tone.DIM)),
    )


def ports_of(one: Service) -> str:
    """`80→8080/TCP`, each."""
    return " ".join(
        f"{port.port}" + (f"→{port.target}" if port.target != port.port else "")
        + ("" if port.protocol == "TCP" else f"/{port.protocol}")
        for port in one.ports
    )  # fmt: skip


def _backends(one: Service) -> Span:
    if one.backends is None:
        return Span("?", Tone.WARN)
    ready = sum(backend.ready for backend in one.backends)
    return Span(f"{ready}/{len(one.backends)}", Tone.PLAIN if ready else Tone.BAD)


def is_broken(one: Service) -> bool:
    """Whether a Service is known to lead nowhere."""
    return one.backends is not None and not any(backend.ready for backend in one.backends)


def _selector(one: Service) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(one.selector.items()))


def describe_service(one: Service, marks: Marks) -> Iterator[Paragraph]:
    """Say what a Service is and who answers for it."""
    yield field("Service", Span(one.key, Tone.STRONG))
    yield field("Type", one.type)
    for at, port in enumerate(one.ports):
        text = f"{port.port}/{port.protocol} {marks.arrow} {port.target} {port.name}"
        yield field("" if at else "Ports", text)
    yield field("Selector", _selector(one) or "none: its backends are written by hand")
    source = one.source
    yield source_field(source.file if source else None, source.line if source else None)
    yield from section("Backends", *_backend_lines(one, marks))


def _backend_lines(one: Service, marks: Marks) -> Iterator[Paragraph]:
    if one.backends is None:
        yield paragraph(Span("No EndpointSlice was read: they are not known.", Tone.WARN))
    for backend in one.backends or ():
        ready = backend.ready
        mark = Span(f"{marks.good if ready else marks.bad} ", Tone.GOOD if ready else Tone.BAD)
        pod = Span(f"  {backend.pod}", Tone.STRONG)
        target = to_endpoint(f"{one.namespace}/{backend.pod}") if backend.pod else ""
        yield Paragraph((mark, Span(str(backend.address)), pod), 4, target)


# Workloads


@dataclass(frozen=True, slots=True)
class WorkloadRow:
    """The endpoints of one workload; pods without one are a workload each."""

    namespace: str
    kind: str
    name: str
    rows: tuple[EndpointRow, ...]

    @property
    def key(self) -> str:
        """What it is known by."""
        return f"{self.namespace}/{self.kind}/{self.name}"


def workloads_of(rows: Iterable[EndpointRow]) -> tuple[WorkloadRow, ...]:
    """Gather endpoints by what made them."""
    found: dict[tuple[str, str, str], list[EndpointRow]] = {}
    for row in rows:
        one = row.endpoint
        kind, name = (one.workload.kind, one.workload.name) if one.workload else ("Pod", one.name)
        found.setdefault((one.namespace, kind, name), []).append(row)
    return tuple(WorkloadRow(*key, tuple(members)) for key, members in sorted(found.items()))


def workload_table(workloads: Iterable[WorkloadRow], marks: Marks) -> tuple[Row, ...]:
    """Make the rows."""
    return tuple(Row(one.key, partial(_workload_cells, one, marks)) for one in workloads)


def _workload_cells(one: WorkloadRow, marks: Marks) -> tuple[Line, ...]:
    pods = [row.endpoint for row in one.rows if not row.endpoint.template]
    ready = sum(pod.ready for pod in pods)
    policies = {ref for row in one.rows for ref in (*row.egress, *row.ingress)}
    return (
        line(one.namespace),
        line(Span(one.kind, Tone.DIM)),
        line(Span(one.name, Tone.STRONG)),
        line(str(len(pods)) if pods else Span("?", Tone.WARN)),
        line(Span(str(ready), Tone.PLAIN if ready == len(pods) else Tone.WARN) if pods else "?"),
        line(_posture(one, marks, egress=True)),
        line(_posture(one, marks, egress=False)),
        line(str(len(policies))),
    )


def _posture(one: WorkloadRow, marks: Marks, *, egress: bool) -> Span:
    spans = {
        posture(row.egress, row.egress_default_deny, row.endpoint, marks)
        if egress
        else posture(row.ingress, row.ingress_default_deny, row.endpoint, marks)
        for row in one.rows
    }
    return spans.pop() if len(spans) == 1 else Span(f"{marks.error} differs", Tone.WARN)


def is_open(one: WorkloadRow) -> bool:
    """Whether some pod of it is not closed by default."""
    return not all(row.egress_default_deny and row.ingress_default_deny for row in one.rows)


def describe_workload(one: WorkloadRow, marks: Marks) -> Iterator[Paragraph]:
    """Say which pods a workload has, and what each direction does."""
    yield field("Workload", Span(f"{one.kind} {one.namespace}/{one.name}", Tone.STRONG))
    yield field("Egress", _posture(one, marks, egress=True))
    yield field("Ingress", _posture(one, marks, egress=False))
    pods = (
        Paragraph((Span(row.endpoint.name),), target=to_endpoint(row.endpoint.key))
        for row in one.rows
    )
    yield from section("Pods", *pods)
