"""A file as it is written: its own lines, numbers and comments, with one rule marked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from app.core.lint.finding import Finding
from app.core.model.kinds import POLICY_KINDS
from app.core.model.provenance import Manifest
from app.services.picture import Picture
from app.tui.views.findings import TONES
from app.tui.views.policies import yaml_line
from widgets.document import Paragraph
from widgets.spans import Span, Tone

_GUTTER = 7


@dataclass(frozen=True, slots=True)
class Standing:
    """The policy that stands at a line of a file, and the lines of the rule that does."""

    manifest: Manifest
    first: int
    last: int


def standing_at(picture: Picture, file: str, line: int) -> Standing | None:
    """Find what a line belongs to: the deepest item of a list of rules, else the object."""
    own = [
        one
        for one in (*picture.cluster.policies, *picture.shadowed)
        if one.file == file and one.ref.kind in POLICY_KINDS and (one.line_of("") or 0) <= line
    ]
    if not own:
        return None
    manifest = max(own, key=lambda one: one.line_of("") or 0)
    lines = manifest.source.lines if manifest.source else {}
    first, last = _item_around(lines, line) or (line, line)
    return Standing(manifest, first, last)


def _item_around(lines: Mapping[str, int], line: int) -> tuple[int, int] | None:
    """Give the lines of the rule item around a line; None where there is no rule."""
    spans: dict[str, tuple[int, int]] = {}
    for path, at in lines.items():
        if (item := _rule_item(path)) is not None:
            first, last = spans.get(item, (at, at))
            spans[item] = min(first, at), max(last, at)
    return next((span for span in spans.values() if span[0] <= line <= span[1]), None)


def _rule_item(path: str) -> str | None:
    """`spec.egress[1]` of `spec.egress[1].toPorts[0]`; None above the rules."""
    for name in ("ingress[", "ingressDeny[", "egress[", "egressDeny["):
        start = path.find(f".{name}")
        if start >= 0:
            return path[: path.index("]", start) + 1]
    return None


def file_paragraphs(
    lines: Sequence[str], marked: range, findings: Sequence[Finding] = ()
) -> Iterator[Paragraph]:
    """Yield every line with its number, and below a line what is wrong with it."""
    told: dict[int, list[Finding]] = {}
    for one in findings:
        told.setdefault(one.line or 0, []).append(one)
    for number, text in enumerate(lines, start=1):
        mine = number in marked
        gutter = Span(f"{'>' if mine else ' '}{number:>5} ", Tone.KEY if mine else Tone.DIM)
        spans = (Span(text, Tone.MARK),) if mine else yaml_line(text)
        yield Paragraph((gutter, *spans), indent=_GUTTER, wraps=False)
        for one in told.get(number, ()):
            words = Span(f"{one.code}: {one.summary}", TONES[one.severity])
            yield Paragraph((Span(" " * _GUTTER), words), indent=_GUTTER)
