from __future__ import annotations

from datetime import UTC

from app.core.flows.grouping import Connections
from app.core.model.flow import Flow, FlowEndpoint
from app.tui.views.flows import FlowLook
from app.tui.views.groups import COLUMNS, connection_rows
from widgets.marks import ASCII

MIRRORS = [
    FlowEndpoint(
        identity=7,
        namespace="mirror",
        pod=f"mirror-{number}",
        workload="mirror",
        workload_kind="Deployment",
    )
    for number in (0, 1)
]
ALICE = FlowEndpoint(identity=8, namespace="lung", pod="jupyter-alice")


def to(mirror: FlowEndpoint, client_port: int) -> Flow:
    return Flow(
        10,
        verdict="FORWARDED",
        source=ALICE,
        destination=mirror,
        source_ip="10.0.0.1",
        destination_ip="10.0.0.2",
        protocol="TCP",
        source_port=client_port,
        destination_port=8080,
        is_reply=False,
    )


def back(mirror: FlowEndpoint, client_port: int) -> Flow:
    return Flow(
        20,
        verdict="FORWARDED",
        source=mirror,
        destination=ALICE,
        source_ip="10.0.0.2",
        destination_ip="10.0.0.1",
        protocol="TCP",
        source_port=8080,
        destination_port=client_port,
        is_reply=True,
    )


def test_rows_when_replicas_answer_then_one_line_from_client_to_workload() -> None:
    flows = [one(mirror, port) for mirror, port in zip(MIRRORS, (1, 2), strict=True)
             for one in (to, back)]  # fmt: skip
    (row,) = connection_rows(Connections(flows).ranked(), FlowLook(ASCII, UTC))
    texts = ["".join(span.text for span in cell) for cell in row.draw()]
    cells = dict(zip((column.key for column in COLUMNS), texts, strict=True))
    assert (cells["count"], cells["tries"]) == ("4", "2")
    assert cells["source"] == "L lung     jupyter-alice"
    assert cells["destination"] == "M mirror   mirror"
    assert cells["port"] == "8080/TCP"
