"""Whether a rule is about what is wanted, by what its file says of it and whom it names already.

A rule of its own beats one that is stretched: who reads "the metadata server" above a list of
addresses must find the metadata server in it, and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from app.core.model.verdict import Peer
from app.core.model.workloads import stable_labels, workload_name

_WORD = re.compile(r"[a-z0-9]{3,}")
_ADDRESS = re.compile(r"[0-9a-f]*[.:][0-9a-f.:]+")
_COMMON = frozenset(
    _WORD.findall(
        "the and for from with all any access allow allows external internal traffic pods pod"
        " egress ingress com org net www http https tcp udp port ports server servers service"
        " services"
    )
)


def words_of(text: str) -> frozenset[str]:
    """The words of a text that tell anything, addresses whole."""
    lower = text.lower()
    found = {word for word in _WORD.findall(lower) if word not in _COMMON}
    return frozenset(found | set(_ADDRESS.findall(lower)))


def words_of_peer(peer: Peer) -> frozenset[str]:
    """The words by which one would speak of an end."""
    if peer.endpoint is not None:
        own = (workload_name(peer.endpoint), *stable_labels(peer.endpoint).values())
        return words_of(" ".join(own))
    names = [name.rpartition(".")[0] for name in peer.names]
    address = str(peer.address) if peer.address is not None and not peer.names else ""
    entity = "" if peer.names or peer.address else peer.text
    return words_of(" ".join((*names, address, entity)))


def is_stretched(peer: Peer, neighbours: Any, comment: str, description: str) -> bool:
    """Whether a peer would join others under words that speak of something else.

    `neighbours` is what the rule names already, `comment` what is said of the rule itself,
    `description` what the policy says of all its rules.
    """
    wanted = words_of_peer(peer)
    beside = words_of(" ".join(texts_of(neighbours)))
    if peer.names and wanted & beside:
        return False
    if comment:
        return not words_of(comment) & wanted
    told = words_of(description)
    return bool(told & beside) and not told & wanted


def texts_of(value: Any) -> Iterator[str]:
    """Every string of a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from texts_of(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts_of(item)
