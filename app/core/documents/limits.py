"""How much of a YAML text this program is willing to unfold.

An alias bomb of a few hundred bytes loads in milliseconds and takes minutes to walk, so the walk
counts what it visits; a composed node takes some 300 bytes, so what is composed is estimated first.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """`size` is in characters of one file; `nodes` and `repeated` are values of one document.

    `repeated` counts the values that aliases and merge keys stand for, `key` the characters of one
    key, `path` those of all keys on the way to a value.
    """

    size: int
    documents: int
    nodes: int
    nesting: int = 50
    repeated: int = 100_000
    key: int = 1024
    path: int = 8192


EDITING = Limits(size=1 << 20, documents=200, nodes=200_000)
"""For files this program changes, and for text that a forge sent."""

READING = Limits(size=256 << 20, documents=100_000, nodes=2_000_000, nesting=100)
"""For files the operator named: `kubectl get -A -o yaml` of a large cluster is no attack."""
