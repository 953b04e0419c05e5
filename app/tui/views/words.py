"""Small pieces of text that several screens share."""

from __future__ import annotations

from app.core.model.kinds import SHORT_KINDS
from app.core.model.provenance import ObjectRef
from app.services.wording import place
from app.tui.links import to_file
from app.tui.session import Session
from widgets.document import Paragraph, heading, paragraph
from widgets.spans import Line, Span, Tone, line


def short_kind(kind: str) -> str:
    """`CNP`, as the tables have it."""
    return SHORT_KINDS.get(kind, kind)


def ref_text(ref: ObjectRef) -> str:
    """`CNP ns/name`, or `CCNP name`."""
    where = f"{ref.namespace}/" if ref.namespace else ""
    return f"{short_kind(ref.kind)} {where}{ref.name}"


def field(label: str, *parts: str | Span, width: int = 11, target: str = "") -> Paragraph:
    """Make a labelled line whose continuation stands under its text."""
    spans = (Span(f"{label:<{width}}", Tone.DIM), *line(*parts))
    return Paragraph(spans, indent=width, target=target)


def source_field(file: str | None, line_number: int | None) -> Paragraph:
    """Where an object is written: a stop that leads to the line."""
    text = Span(source_text(file, line_number), Tone.ACCENT if file else Tone.PLAIN)
    return field("Source", text, target=to_file(file, line_number))


def empty(*texts: str) -> tuple[Line, ...]:
    """Make the reason why a table has no rows, one sentence a line."""
    first, *rest = texts
    return (line(Span(first, Tone.STRONG)), *(line(Span(text, Tone.DIM)) for text in rest))


def nothing_read(session: Session) -> tuple[Line, ...]:
    """Say why nothing has been read, source by source, and what needs no source at all."""
    lines = [*empty("Nothing has been read yet.")]
    for state in session.picture.sources.values():
        if state.is_broken:
            lines.append(line(Span(f"{state.source}: {state.reason}", Tone.WARN)))
            if hint := state.detail.get("hint"):
                lines.append(line(Span(f"{hint}", Tone.KEY)))
    lines.append(line(Span("`:doctor` lists what was found and what is missing.", Tone.DIM)))
    lines.append(line(Span("`k8tre-tui --demo` needs no cluster.", Tone.DIM)))
    return tuple(lines)


def section(title: str, *paragraphs: Paragraph) -> tuple[Paragraph, ...]:
    """Give a heading with what belongs to it, and a blank line before; nothing if it is empty."""
    return (paragraph(), heading(title), *paragraphs) if paragraphs else ()


def source_text(file: str | None, line_number: int | None) -> str:
    """`file:line`, or what an object without a file is."""
    return place(file, line_number) or "in the cluster only"
