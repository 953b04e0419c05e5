"""The ports that rules tell apart: one question for each piece answers for every port in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from app.core.model.verdict import Direction, Protocol
from app.core.policy.rules import Entry, ParsedPolicy

Span = tuple[int, int]
"""First and last port."""

LAST_PORT = 65_535
ECHO_REQUEST = {Protocol.ICMP: 8, Protocol.ICMPV6: 128}

_PROTOCOLS = {protocol.value.upper(): protocol for protocol in Protocol}


def named_spans(policy: ParsedPolicy, direction: Direction) -> Iterator[tuple[Protocol, Span]]:
    """The ports that a policy's rules of one direction name by number."""
    yield from spans_of(entry for entry in policy.entries if entry.direction is direction)


def spans_of(entries: Iterable[Entry]) -> Iterator[tuple[Protocol, Span]]:
    """The ports that rule items name by number."""
    for entry in entries:
        for rule in entry.ports:
            for port in rule.ports:
                for name in port.protocols:
                    if port.number and (protocol := _PROTOCOLS.get(name.upper())) is not None:
                        yield protocol, (port.number, max(port.number, port.end))


def cut(spans: Iterable[Span]) -> tuple[Span, ...]:
    """The union of spans, cut at every end of one, in order.

    >>> cut([(80, 80), (70, 90)])
    ((70, 79), (80, 80), (81, 90))
    """
    spans = tuple(spans)
    edges = sorted({edge for first, last in spans for edge in (first, last + 1)})
    pieces = ((first, after - 1) for first, after in pairwise(edges))
    return tuple(
        piece
        for piece in pieces
        if any(first <= piece[0] and piece[1] <= last for first, last in spans)
    )


def unnamed_port(pieces: Sequence[Span], protocol: Protocol) -> int | None:
    """A port in no piece: it stands for all such; None when every port is named."""
    port = ECHO_REQUEST.get(protocol, 1)
    for first, last in pieces:
        if first <= port <= last:
            port = last + 1
    return port if port <= LAST_PORT else None
