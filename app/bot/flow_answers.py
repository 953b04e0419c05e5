"""The answer to `flows`: connections that were seen, the newest first."""

from __future__ import annotations

from datetime import UTC, datetime

from app.bot.command import FlowsOf
from app.core.diagnose.evidence import FlowEvidence
from app.core.flows.filters import parse_filter
from app.core.flows.grouping import Connections, ObservedConnection
from app.core.flows.times import NS_PER_S
from app.core.model.chat import Attachment, Fact, Reply, ReplyKind, Table
from app.services.flow_words import VERDICT_SIGNS, end_words, numbered, policy_words_of
from app.services.wording import counted

NOTHING = "-"


def flows_reply(asked: FlowsOf, flows: FlowEvidence | None, footer: tuple[str, ...]) -> Reply:
    """What was seen. Raises `UsageError` for words that the filter does not know."""
    if flows is None:
        return Reply(ReplyKind.ANSWER, "? no flows: no source of them could be read", footer=footer)
    _, newest_ns = flows.window
    passes = parse_filter(" ".join(asked.words), now_ns=newest_ns).matches
    found = Connections(filter(passes, flows.flows)).ranked()
    newest = sorted(found, key=lambda one: one.last_ns, reverse=True)
    shown = tuple(_row(one) for one in newest[: asked.limit])
    words = f"{counted(len(newest), 'connection')} seen" if newest else "nothing seen"
    facts = []
    if len(newest) > len(shown):
        facts.append(Fact("Shown", f"the newest {len(shown)} of {len(newest)}"))
    if not newest:
        facts.append(Fact("Note", "what was not seen may still happen: nobody tried, or it is old"))
    head = ("Verdict", "From", "To", "Port", "Count", "Last", "Policy")
    rest = [_row(one) for one in newest]
    return Reply(
        ReplyKind.ANSWER,
        words,
        facts=tuple(facts),
        table=Table(head, shown) if shown else None,
        footer=footer,
        attachment=_attached(head, rest) if len(rest) > len(shown) else None,
    )


def _row(one: ObservedConnection) -> tuple[str, ...]:
    sources, destinations = one.names
    last = datetime.fromtimestamp(one.last_ns / NS_PER_S, UTC)
    return (
        f"{VERDICT_SIGNS.get(one.verdict, '?')} {one.verdict.lower()}",
        end_words(one.source, one.source_ip, sources),
        end_words(one.destination, one.destination_ip, destinations),
        numbered(one.port, one.protocol),
        str(one.packets),
        f"{last:%H:%M:%S}",
        policy_words_of(one.newest) or NOTHING,
    )


def _attached(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> Attachment:
    table = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    )
    return Attachment("Every connection", "\n".join(lines))
