"""The evidence pack as a page and as Markdown: each claim, and beside it its proof.

The page is one file without a script, and loads nothing. Every text is data: it is escaped for the
form it is written in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape

from app.services.contract import Form

_WORDS = {"holds": "holds", "does-not-hold": "does not hold", "not-shown": "not shown"}
_SEVERAL = {"holds": "hold", "does-not-hold": "do not hold", "not-shown": "could not be shown"}
_SIGNS = {"holds": "✓", "does-not-hold": "✗", "not-shown": "?"}
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>()#+!|~&])")
MOST_ROWS = 200
"""Rows of a table on the page; `evidence.json` has all of them."""

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.25rem; margin-top: 2.5rem; }
.claim { display: grid; grid-template-columns: minmax(16rem, 2fr) 3fr; gap: 1.5rem;
  border-top: 1px solid #8888; padding: 1rem 0; break-inside: avoid; }
.claim h3 { margin: 0 0 .3rem; font-size: 1.05rem; }
.standing { font-weight: 600; padding: .1rem .5rem; border: 2px solid; border-radius: .3rem; }
.holds { color: #17733a; } .does-not-hold { color: #b3261e; } .not-shown { color: #8a5a00; }
@media (prefers-color-scheme: dark) {
  .holds { color: #6fcf8f; } .does-not-hold { color: #ff8a80; } .not-shown { color: #ffca6b; } }
ul { margin: 0; padding-left: 1.2rem; } li { margin: .15rem 0; overflow-wrap: anywhere; }
.against { font-weight: 600; } .ref, .unknown { opacity: .8; } .ref { font-family: monospace; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: left; padding: .25rem .5rem; border-bottom: 1px solid #8886;
  vertical-align: top; overflow-wrap: anywhere; }
code { overflow-wrap: anywhere; }
@media (max-width: 45rem) { .claim { grid-template-columns: 1fr; } }
"""


def page(pack: Form) -> str:
    """The pack as one HTML file."""
    return "\n".join(_page(pack)) + "\n"


def markdown(pack: Form) -> str:
    """The pack as Markdown."""
    return "\n".join(_markdown(pack)) + "\n"


def _page(pack: Form) -> Iterator[str]:
    title = f"Evidence: {pack['source']}"
    yield '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield (
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'\">"
    )
    yield f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>"
    yield f"<h1>{escape(title)}</h1>"
    yield f"<p>{escape(_intro(pack))}</p>"
    yield "<h2>Statements</h2>"
    for claim in pack["claims"]:
        yield from _claim(claim)
    for heading, note, head, rows in _tables(pack):
        yield f"<h2>{escape(heading)}</h2><p>{escape(note)}</p>"
        if rows:
            yield _table(head, rows)
    yield "</body></html>"


def _claim(claim: Form) -> Iterator[str]:
    standing = claim["standing"]
    yield '<section class="claim"><div>'
    yield f"<h3>{escape(claim['statement'])} {escape(claim['title'])}</h3>"
    yield f"<p>{escape(claim['says'])}</p>"
    yield (
        f'<span class="standing {escape(standing)}">{_SIGNS[standing]} {_WORDS[standing]}</span>'
        "</div><div><ul>"
    )
    for proof in claim["proofs"]:
        sign = "" if proof["supports"] else ' class="against"'
        ref = f' <span class="ref">{escape(proof["ref"])}</span>' if proof["ref"] else ""
        mark = "" if proof["supports"] else "✗ "
        yield f"<li{sign}>{mark}{escape(proof['text'])}{ref}</li>"
    for text in claim["not_known"]:
        yield f'<li class="unknown">Not known: {escape(text)}</li>'
    yield "</ul></div></section>"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    heads = "".join(f"<th>{escape(one)}</th>" for one in head)
    lines = (
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
        for row in rows[:MOST_ROWS]
    )
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def _markdown(pack: Form) -> Iterator[str]:
    yield f"# Evidence: {_md(pack['source'])}\n"
    yield _md(_intro(pack)) + "\n"
    for claim in pack["claims"]:
        standing = claim["standing"]
        yield f"## {_md(claim['statement'])} {_md(claim['title'])}\n"
        yield f"**{_SIGNS[standing]} {_WORDS[standing]}**: {_md(claim['says'])}\n"
        for proof in claim["proofs"]:
            mark = "" if proof["supports"] else "**✗** "
            ref = f" — {_md(proof['ref'])}" if proof["ref"] else ""
            yield f"- {mark}{_md(proof['text'])}{ref}"
        for text in claim["not_known"]:
            yield f"- Not known: {_md(text)}"
        yield ""
    for heading, note, head, rows in _tables(pack):
        yield f"## {heading}\n\n{_md(note)}\n"
        if rows:
            yield "| " + " | ".join(head) + " |\n|" + "---|" * len(head)
            for row in rows[:MOST_ROWS]:
                yield "| " + " | ".join(_md(cell) for cell in row) + " |"
            yield ""


def _md(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", text.replace("\n", " "))


def _intro(pack: Form) -> str:
    counts = [one["standing"] for one in pack["claims"]]
    told = ", ".join(
        f"{counts.count(standing)} {words}"
        for standing, words in _SEVERAL.items()
        if standing in counts
    )
    versions = pack["versions"]
    as_of = f" as of {pack['as_of']}" if pack["as_of"] else ""
    return (
        f"Six statements of SATRE about the network{as_of}: {told}. Decided by k8tre-tui "
        f"{versions['k8tre_tui']} with the semantics of Cilium {versions['cilium']}, over "
        f"{pack['inputs']['objects']} objects and {pack['window']['flows']} flows. A statement "
        f"holds only where everything it rests on was read; what was not is said beside it."
    )


_Table = tuple[str, str, Sequence[str], list[list[str]]]


def _tables(pack: Form) -> Iterator[_Table]:
    yield (
        "Boundaries",
        "What was declared that must hold, decided for every pair of identities.",
        ("Boundary", "Must", "Holds", "Decided", "Why"),
        [
            [one["name"], one["must"], _yes(one["holds"]), str(one["asked"]), one["why"] or ""]
            for one in pack["boundaries"]
        ],
    )
    lost = pack["window"]["lost_events"]
    yield (
        "Violations and patterns observed",
        f"From {pack['window']['first'] or 'no flows'} to {pack['window']['last'] or 'no flows'}; "
        f"{lost} events were lost, so there may be more."
        if lost
        else f"From {pack['window']['first'] or 'no flows'} to "
        f"{pack['window']['last'] or 'no flows'}; no event is known to be lost.",
        ("Severity", "State", "Kind", "From", "To", "Port", "Count", "Why"),
        [
            [
                *(one["severity"], one["state"], one["kind"], one["from"], one["to"]),
                f"{one['port'] if one['port'] is not None else '*'}/{one['protocol']}",
                str(one["count"]),
                one["cause"]["summary"],
            ]
            for one in pack["violations"]
        ],
    )
    yield (
        "Exceptions",
        "Findings that somebody accepted, with the reason that was given. None has an expiry.",
        ("What", "Policy", "Reason", "Where"),
        [[one["what"], one["policy"], one["reason"], _where(one)] for one in pack["exceptions"]],
    )
    yield (
        "Findings of lint",
        "Everything found in the policies; errors stand beside statement 2.2.12 as well.",
        ("Severity", "Code", "Policy", "What", "Where"),
        [
            [one["severity"], one["code"], one["policy"]["name"], one["summary"], _where(one)]
            for one in pack["lint"]
        ],
    )
    inputs = pack["inputs"]
    yield (
        "Inputs",
        f"{inputs['objects']} objects, SHA-256 over all of them {inputs['objects_sha256']}.",
        ("File", "SHA-256"),
        [[one["name"], one["sha256"] or "not hashed"] for one in inputs["files"]],
    )
    yield (
        "Not read",
        "What could not be read; statements that it could change say so.",
        ("What",),
        [[text] for text in pack["not_read"]],
    )


def _yes(value: object) -> str:
    return "yes" if value else "NO"


def _where(one: Form) -> str:
    return f"{one['file']}:{one['line']}" if one["file"] and one["line"] else one["file"] or ""
