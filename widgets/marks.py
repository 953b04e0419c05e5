"""Glyphs: a verdict or a state is always a glyph, a word and a tone, never a colour alone."""

from __future__ import annotations

from dataclasses import dataclass

from widgets.spans import Span, Tone


@dataclass(frozen=True, slots=True)
class Marks:
    """One set of glyphs. `ascii` is for terminals and fonts that cannot draw the others."""

    ascii: bool
    good: str
    bad: str
    audit: str
    redirected: str
    error: str
    unknown: str
    live: str
    connecting: str
    off: str
    arrow: str
    pause: str
    up: str
    branch: str
    last: str
    trunk: str
    rule: str
    bars: str


UNICODE = Marks(
    ascii=False,
    good="✓",
    bad="✗",
    audit="◌",
    redirected="↪",
    error="!",
    unknown="?",
    live="●",
    connecting="◐",
    off="○",
    arrow="→",
    pause="‖",
    up="▲",
    branch="├─ ",
    last="└─ ",
    trunk="│  ",
    rule="─",
    bars="▁▂▃▄▅▆▇█",
)

ASCII = Marks(
    ascii=True,
    good="+",
    bad="x",
    audit="~",
    redirected=">",
    error="!",
    unknown="?",
    live="L",
    connecting="R",
    off="-",
    arrow="->",
    pause="||",
    up="^",
    branch="|- ",
    last="`- ",
    trunk="|  ",
    rule="-",
    bars="_.:-=+*#",
)

_FLOW_VERDICTS = {
    "FORWARDED": ("good", Tone.GOOD),
    "DROPPED": ("bad", Tone.BAD),
    "AUDIT": ("audit", Tone.WARN),
    "REDIRECTED": ("redirected", Tone.ACCENT),
    "ERROR": ("error", Tone.BAD),
    "TRACED": ("good", Tone.DIM),
    "TRANSLATED": ("redirected", Tone.DIM),
}

_POLICY_VERDICTS = {
    "allowed": ("good", Tone.GOOD),
    "denied": ("bad", Tone.BAD),
    "redirected": ("redirected", Tone.ACCENT),
    "not-enforced": ("good", Tone.DIM),
    "not-applicable": ("audit", Tone.DIM),
}


def flow_verdict(verdict: str, marks: Marks) -> Span:
    """Mark one of Hubble's verdicts (`DROPPED`); an unknown one is shown with `?`."""
    glyph, tone = _FLOW_VERDICTS.get(verdict, ("unknown", Tone.WARN))
    return Span(f"{getattr(marks, glyph)} {verdict}", tone)


def policy_verdict(verdict: str, marks: Marks, words: str = "") -> Span:
    """Mark one of the contract's verdicts or outcomes (`denied`), in other words where given."""
    glyph, tone = _POLICY_VERDICTS.get(verdict, ("unknown", Tone.WARN))
    return Span(f"{getattr(marks, glyph)} {words or verdict.upper()}", tone)


def sparkline(values: tuple[int, ...], marks: Marks) -> str:
    """Draw counts as one bar each, the highest at full height; zero is the lowest bar."""
    top = max(values, default=0)
    if top == 0:
        return marks.bars[0] * len(values)
    last = len(marks.bars) - 1
    return "".join(marks.bars[-(-value * last // top)] for value in values)
