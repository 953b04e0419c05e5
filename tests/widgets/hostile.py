"""Texts that a workload could put on an operator's screen."""

from __future__ import annotations

from hypothesis import strategies as st

CONTROLS = "".join(map(chr, (*range(0x20), *range(0x7F, 0xA0))))
BIDI = "\u061c\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff"
PIECES = (
    "[/]",
    "[bold]",
    "[@click=app.quit]go[/]",
    "[link=https://x]",
    "GET /a[b=1]/[/x]",
    "\x1b]52;c;aGk=\x07",
    "\x1b[2J",
    "\x9b31m",
    "\u202egnp.exe",
    "日本語",
    "e\u0301",
    "🧪",
    "\r\n",
    "\t",
    "x" * 5000,
)
FORBIDDEN = frozenset(CONTROLS + BIDI)

hostile_text = st.one_of(
    st.sampled_from(PIECES),
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=4).map("".join),
    st.text(alphabet=st.one_of(st.sampled_from("[]/=@\\" + CONTROLS + BIDI), st.characters())),
)


def offending(text: str) -> frozenset[str]:
    return FORBIDDEN.intersection(text)
