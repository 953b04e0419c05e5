"""Policies and endpoints as tables and pages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from app.cli.output import Cell, Output, Style
from app.core.model.kinds import SHORT_KINDS
from app.services.inventory import EndpointDetail, EndpointRow, PolicyDetail, PolicyRow
from app.services.rule_tree import NodeKind, RuleNode
from app.services.wording import counted, place, policy_words

POLICY_HEAD = ("KIND", "NAMESPACE", "NAME", "DIR", "SELECTS", "RULES", "ALSO", "SOURCE", "VALID")
ENDPOINT_HEAD = ("NAMESPACE", "NAME", "WORKLOAD", "EGRESS", "INGRESS", "STATE")


def policy_table(out: Output, rows: Sequence[PolicyRow], *, complete: bool = True) -> None:
    """One line for each policy; `complete` says that everything could be read."""
    if not rows:
        rest = ": all traffic is allowed" if complete else ", of what could be read"
        out.say(f"no policies here{rest}")
        return
    out.table(POLICY_HEAD, [_policy_cells(row) for row in rows])


def _policy_cells(row: PolicyRow) -> tuple[str | Cell, ...]:
    also = [word for word, here in (("L7", row.l7), ("FQDN", row.fqdn), ("deny", row.deny)) if here]
    if row.shadowed:
        state = Cell("- not in force", Style.DIM)
    elif not row.valid:
        state = Cell("✗ refused", Style.BAD)
    elif row.notices:
        state = Cell(f"! {counted(len(row.notices), 'notice')}", Style.WARN)
    else:
        state = Cell("✓", Style.GOOD)
    return (
        SHORT_KINDS.get(row.ref.kind, row.ref.kind),
        row.ref.namespace or "-",
        row.ref.name,
        "/".join(name[0].upper() for name in row.directions) or "-",
        str(row.selects) if row.counted else "?",
        str(row.rules),
        " ".join(also) or "-",
        place(row.file, row.line) or "-",
        state,
    )


def policy_page(out: Output, detail: PolicyDetail) -> None:
    """One policy in full: what it is, its rules, whom it selects."""
    row = detail.row
    out.line(out.paint(f"{policy_words(row.ref)}", Style.BOLD) + _in_namespace(row))
    if detail.description:
        out.line(f"  {out.wrap(detail.description, 2, first=2)}")
    if row.file:
        out.line(f"  {place(row.file, row.line)}")
    if row.deployed_by:
        out.line(f"  deployed by {', '.join(row.deployed_by)}")
    if not row.valid:
        by = "not in force" if row.shadowed else "refused by Cilium, not enforced"
        out.line(out.paint(f"  ✗ {by}: {row.reason}", Style.BAD))
    for notice in row.notices:
        out.line(out.paint(f"  ! {notice}", Style.WARN))
    for node in detail.tree:
        _print_node(out, node, 1)
    _print_selected(out, detail)
    out.line()


def _in_namespace(row: PolicyRow) -> str:
    return f" in {row.ref.namespace}" if row.ref.namespace else ", the whole cluster"


def _print_node(out: Output, node: RuleNode, depth: int) -> None:
    style = Style.BOLD if node.kind is NodeKind.DIRECTION else None
    indent = "  " * depth
    line = f"  :{node.line}" if node.line and node.kind is NodeKind.RULE else ""
    head = "applies to " if node.kind is NodeKind.SUBJECT else ""
    text = out.wrap(f"{head}{node.text}", len(indent) + 2, first=len(indent))
    out.line(f"{indent}{out.paint(text, style)}{out.paint(line, Style.DIM)}")
    for child in node.children:
        _print_node(out, child, depth + 1)


def _print_selected(out: Output, detail: PolicyDetail) -> None:
    if not detail.row.counted:
        out.line(out.paint("  selects ?, no pod was read", Style.BOLD))
        return
    names = [endpoint.key for endpoint in detail.endpoints]
    out.line(out.paint(f"  selects {counted(len(names), 'endpoint')}", Style.BOLD))
    for name in names[:20]:
        out.line(f"    {name}")
    if len(names) > 20:  # noqa: PLR2004  # a screen of them
        out.line(f"    and {len(names) - 20} more (-o json lists all)")


def endpoint_table(out: Output, rows: Sequence[EndpointRow]) -> None:
    """One line for each endpoint."""
    if not rows:
        out.say("no endpoints here")
        return
    out.table(ENDPOINT_HEAD, [_endpoint_cells(row) for row in rows])


def _endpoint_cells(row: EndpointRow) -> tuple[str | Cell, ...]:
    endpoint = row.endpoint
    workload = endpoint.workload
    return (
        endpoint.namespace,
        endpoint.name,
        f"{workload.kind}/{workload.name}" if workload else "-",
        _guarded(row.egress_default_deny, len(row.egress)),
        _guarded(row.ingress_default_deny, len(row.ingress)),
        _endpoint_state(row),
    )


def _guarded(default_deny: bool, policies: int) -> Cell:  # noqa: FBT001  # both are plain facts
    if default_deny:
        return Cell(f"deny, {counted(policies, 'policy', 'policies')}")
    spoken = f", {counted(policies, 'policy', 'policies')}" if policies else ""
    return Cell(f"open{spoken}", Style.WARN)


def _endpoint_state(row: EndpointRow) -> str:
    return ", ".join(_endpoint_words(row)) or "ready"


def _endpoint_words(row: EndpointRow) -> Iterator[str]:
    endpoint = row.endpoint
    if endpoint.template:
        yield "template"
    if endpoint.host_network:
        yield "host network: no policy applies"
    elif not endpoint.managed:
        yield "not managed by Cilium"
    if not endpoint.ready and not endpoint.template:
        yield "not ready"


def endpoint_page(out: Output, detail: EndpointDetail) -> None:
    """One endpoint in full."""
    row, endpoint = detail.row, detail.row.endpoint
    out.line(out.paint(endpoint.key, Style.BOLD) + f"  {_endpoint_state(row)}")
    if endpoint.source:
        out.line(f"  {place(endpoint.source.file, endpoint.source.line)}")
    out.line(f"  labels     {out.wrap(' '.join(endpoint.labels.texts()), 13, first=13)}")
    if endpoint.addresses:
        out.line(f"  addresses  {', '.join(map(str, endpoint.addresses))}")
    if endpoint.ports:
        ports = (f"{one.name or ''} {one.port}/{one.protocol}".strip() for one in endpoint.ports)
        out.line(f"  ports      {', '.join(ports)}")
    if detail.services:
        out.line(f"  services   {', '.join(detail.services)}")
    for title, default_deny, refs in (
        ("egress", row.egress_default_deny, row.egress),
        ("ingress", row.ingress_default_deny, row.ingress),
    ):
        words = "default deny" if default_deny else "open: nothing sets default deny"
        out.line(f"  {title:<9}  {words}")
        for ref in refs:
            at = next((place(one.file, one.line) for one in detail.policies if one.ref == ref), "")
            out.line(f"    {policy_words(ref)}  {out.paint(at, Style.DIM)}".rstrip())
    out.line()
