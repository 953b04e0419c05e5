"""The policy inventory and one policy in full, as rows and paragraphs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from app.core.model.provenance import Notice
from app.services.inventory import PolicyDetail, PolicyRow
from app.services.rule_tree import NodeKind, RuleNode
from app.tui.links import to_endpoint
from app.tui.session import Session
from app.tui.views.words import (
    empty,
    field,
    nothing_read,
    ref_text,
    section,
    short_kind,
    source_field,
    source_text,
)
from widgets.document import Paragraph, paragraph
from widgets.grid import Column, Row
from widgets.marks import Marks
from widgets.spans import Line, Span, Tone, line

if TYPE_CHECKING:
    import yaml

COLUMNS = (
    Column("kind", "KIND", 4),
    Column("namespace", "NAMESPACE", 12, flex=1, rank=1),
    Column("name", "NAME", 18, flex=3),
    Column("directions", "DIR", 3),
    Column("selects", "SELECTS", 7, right=True),
    Column("rules", "RULES", 5, right=True),
    Column("l7", "L7", 2, rank=5),
    Column("fqdn", "FQDN", 4, rank=4),
    Column("deny", "DENY", 4, rank=3),
    Column("notices", "NOTICES", 9, rank=2),
    Column("source", "SOURCE", 16, flex=3, rank=6),
    Column("created", "CREATED", 20, wide=True),
    Column("deployed", "DEPLOYED BY", 40, wide=True),
)
NAME, NAMESPACE = 2, 1


def policy_table(rows: Iterable[PolicyRow], marks: Marks) -> tuple[Row, ...]:
    """Make the rows; the key is the object with its file, as two files may hold one object."""
    return tuple(_row(row, marks) for row in rows)


def policy_key(row: PolicyRow) -> tuple[str, str, int]:
    """What a row is known by."""
    return (str(row.ref), row.file or "", row.line or 0)


def _row(row: PolicyRow, marks: Marks) -> Row:
    return Row(policy_key(row), partial(_cells, row, marks), partial(_sort_value, row))


def _cells(row: PolicyRow, marks: Marks) -> tuple[Line, ...]:
    ref = row.ref
    return (
        line(Span(short_kind(ref.kind), Tone.DIM)),
        line(ref.namespace or Span("(cluster)", Tone.DIM)),
        line(Span(ref.name, Tone.STRONG)),
        line(_directions(row) or "-"),
        line(_selected(row)),
        line(str(row.rules)),
        line(_flag(row.l7, "L7")),
        line(_flag(row.fqdn, "dns")),
        line(_flag(row.deny, "deny", Tone.WARN)),
        line(_health(row, marks)),
        line(Span(source_text(row.file, row.line), Tone.DIM)),
        line(Span(row.created or "-", Tone.DIM)),
        line(Span(", ".join(row.deployed_by) or "-", Tone.DIM)),
    )


def _sort_value(row: PolicyRow, column: int) -> str | float:
    values: dict[str, str | float] = {
        "kind": short_kind(row.ref.kind),
        "namespace": row.ref.namespace,
        "name": row.ref.name,
        "directions": _directions(row),
        "selects": row.selects,
        "rules": row.rules,
        "l7": row.l7,
        "fqdn": row.fqdn,
        "deny": row.deny,
        "notices": -len(row.notices) if row.valid else float("-inf"),
        "source": source_text(row.file, row.line),
        "created": row.created,
        "deployed": ", ".join(row.deployed_by),
    }
    return values[COLUMNS[column].key]


def _directions(row: PolicyRow) -> str:
    return "".join(word[0].upper() for word in row.directions)


def _selected(row: PolicyRow) -> Span:
    if not row.valid:
        return Span("-", Tone.WARN)
    if not row.counted:
        return Span("?", Tone.DIM)
    return Span(str(row.selects), Tone.PLAIN if row.selects else Tone.WARN)


def _flag(value: bool, word: str, tone: Tone = Tone.ACCENT) -> Span:  # noqa: FBT001  # a cell's value
    return Span(word if value else "", tone)


def _health(row: PolicyRow, marks: Marks) -> Span:
    if not row.valid:
        return Span(f"{marks.bad} refused", Tone.BAD)
    if row.notices:
        return Span(f"{marks.error} {len(row.notices)}", Tone.WARN)
    return Span(f"{marks.good} ok", Tone.GOOD)


def is_faulty(row: PolicyRow) -> bool:
    """Whether something is wrong or odd about a policy."""
    return not row.valid or bool(row.notices) or (row.counted and row.selects == 0)


def why_empty(session: Session, *, total: int, sought: str) -> tuple[Line, ...]:
    """Say why no policy is listed."""
    if not session.has_read:
        return nothing_read(session)
    if sought:
        return empty(f"None of {total} policies matches.", "`esc` clears the filter.")
    if session.namespace:
        return empty(
            f"No policy in namespace {session.namespace}: all its traffic is allowed,",
            "as far as no clusterwide policy selects it. `0` shows all namespaces.",
        )
    return empty(
        "No policies: all traffic is allowed.",
        "If you expected some, `:sources` and `:can-i` say what could not be read.",
    )


# One policy


def summary(detail: PolicyDetail, marks: Marks) -> tuple[Paragraph, ...]:
    """Say in words what a policy is and whether it works."""
    row = detail.row
    state = Span(f"{marks.good} in force", Tone.GOOD)
    if not row.valid:
        state = Span(f"{marks.bad} refused by Cilium: {row.reason}", Tone.BAD)
    return (
        field("Policy", Span(ref_text(row.ref), Tone.STRONG)),
        field("State", state),
        field("Judges", " and ".join(row.directions) or "no direction"),
        field("Selects", _selects(detail)),
        field("Rules", _rules(row)),
        source_field(row.file, row.line),
        *_deployed(row),
        *((field("Says", detail.description),) if detail.description else ()),
        *section("Notices", *(_notice(one, marks) for one in row.notices)),
        *section("In short", *tree_paragraphs(detail.tree, marks, stops=False)),
    )


def _selects(detail: PolicyDetail) -> str:
    count = len(detail.endpoints)
    if not detail.row.valid:
        return "nothing, because it is refused"
    if not detail.row.counted:
        return "not known: no pod was read"
    if not count:
        return "no endpoint that is known now"
    names = ", ".join(endpoint.key for endpoint in detail.endpoints[:3])
    return f"{count} endpoint{'s' if count > 1 else ''}: {names}{' …' if count > 3 else ''}"  # noqa: PLR2004  # as many as were named


def _rules(row: PolicyRow) -> str:
    kinds = [word for flag, word in ((row.l7, "layer 7"), (row.fqdn, "DNS names")) if flag]
    kinds += ["deny rules"] if row.deny else []
    return f"{row.rules}" + (f", with {', '.join(kinds)}" if kinds else "")


def _deployed(row: PolicyRow) -> tuple[Paragraph, ...]:
    if row.file is None:
        return ()
    by = ", ".join(row.deployed_by)
    return (field("Deployed", by or Span("by no kustomization that was read", Tone.WARN)),)


def _notice(notice: Notice, marks: Marks) -> Paragraph:
    tone = Tone.BAD if notice.severity == "error" else Tone.WARN
    return Paragraph((Span(f"{marks.error} ", tone), Span(str(notice))), indent=2)


_TONES = {
    NodeKind.DIRECTION: Tone.HEADING,
    NodeKind.RULE: Tone.STRONG,
    NodeKind.PORT: Tone.ACCENT,
    NodeKind.L7: Tone.KEY,
}


def tree_paragraphs(
    nodes: tuple[RuleNode, ...],
    marks: Marks,
    *,
    stops: bool = True,
    told: Callable[[str], str] = lambda _: "",
) -> tuple[Paragraph, ...]:
    """Draw the rules as a tree: every port stands under the rule it belongs to.

    With `stops`, the cursor goes from rule to rule; a target is the node's path. `told` says more
    of a rule by its path.
    """
    return tuple(
        one for node in nodes for one in _branch(node, "", "", marks, stops=stops, told=told)
    )


def _branch(
    node: RuleNode,
    lead: str,
    below: str,
    marks: Marks,
    *,
    stops: bool,
    told: Callable[[str], str],
) -> Iterator[Paragraph]:
    spans = [Span(lead, Tone.DIM), Span(node.text, _TONES.get(node.kind, Tone.PLAIN))]
    if node.kind is NodeKind.RULE and node.line:
        spans.append(Span(f"  :{node.line}", Tone.DIM))
    if node.kind is NodeKind.RULE and (words := told(node.path)):
        spans.append(Span(f"  {words}", Tone.ACCENT))
    target = node.path if stops else ""
    yield Paragraph(tuple(spans), indent=len(lead) + 2, target=target)
    for at, child in enumerate(node.children):
        is_last = at == len(node.children) - 1
        glyph = marks.last if is_last else marks.branch
        deeper = " " * len(marks.trunk) if is_last else marks.trunk
        yield from _branch(child, below + glyph, below + deeper, marks, stops=stops, told=told)


def yaml_paragraphs(text: str) -> tuple[Paragraph, ...]:
    """Show YAML with line numbers, keys apart from values."""
    rows = text.splitlines()
    gutter = len(str(len(rows)))
    return tuple(
        Paragraph(
            (Span(f"{at:>{gutter}}  ", Tone.DIM), *yaml_line(row)), indent=gutter + 4, wraps=False
        )
        for at, row in enumerate(rows, 1)
    )


def yaml_line(row: str) -> tuple[Span, ...]:
    """Tell keys and comments from the rest of a line of YAML."""
    body = row.lstrip(" -")
    lead = row[: len(row) - len(body)]
    if body.startswith("#"):
        return (Span(row, Tone.DIM),)
    key, colon, value = body.partition(":")
    if not colon or (value and not value.startswith(" ")):
        return (Span(lead), Span(body, Tone.PLAIN))
    return (Span(lead), Span(key + colon, Tone.ACCENT), Span(value))


def yaml_line_of(text: str, path: str) -> int:
    """Find the 0-based line of `spec.egress[1]` in a YAML document, or of its nearest parent."""
    import yaml

    node: yaml.Node | None = yaml.compose(text, Loader=yaml.CSafeLoader)
    for part in re.findall(r"[^.\[\]]+", path):
        child = _child(node, part) if node is not None else None
        if child is None:
            break
        node = child
    return int(node.start_mark.line) if node is not None else 0


def _child(node: yaml.Node, part: str) -> yaml.Node | None:
    import yaml

    if isinstance(node, yaml.SequenceNode) and part.isdecimal() and int(part) < len(node.value):
        item: yaml.Node = node.value[int(part)]
        return item
    if isinstance(node, yaml.MappingNode):
        values: Iterator[yaml.Node] = (value for key, value in node.value if key.value == part)
        return next(values, None)
    return None


def selected(detail: PolicyDetail) -> tuple[Paragraph, ...]:
    """List the endpoints a policy selects, each a stop."""
    if not detail.row.valid:
        return (paragraph("Nothing: Cilium refuses this policy."), paragraph(detail.row.reason))
    if not detail.row.counted:
        return (paragraph("Not known: no pod was read, as files of policies hold none."),)
    if not detail.endpoints:
        return (paragraph("No endpoint that is known now: no pod carries the labels it asks for."),)
    return tuple(
        Paragraph(
            (
                Span(f"{endpoint.namespace}/", Tone.DIM),
                Span(endpoint.name, Tone.STRONG),
                Span(f"  {' '.join(map(str, endpoint.addresses))}", Tone.DIM),
            ),
            target=to_endpoint(endpoint.key),
        )
        for endpoint in detail.endpoints
    )
