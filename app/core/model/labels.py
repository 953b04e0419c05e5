"""Labels with a source, as Cilium identities carry them.

Source: Cilium `pkg/labels/labels.go` (`Label`, `Labels`): a label set holds one label per key,
whatever its source, which is why a pod label `host` can stand in for `reserved:host`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

ANY_SOURCE = "any"
K8S_SOURCE = "k8s"
RESERVED_SOURCE = "reserved"


@dataclass(frozen=True, slots=True, order=True)
class Label:
    """`source:key=value`; reserved labels have an empty value."""

    source: str
    key: str
    value: str = ""

    def __str__(self) -> str:
        tail = f"={self.value}" if self.value else ""
        return f"{self.source}:{self.key}{tail}"


def parse_label(text: str) -> Label:
    """Read `source:key=value` as Hubble and CiliumEndpoint print it.

    Without a source the label is `unspec` (Cilium `pkg/labels/labels.go` `ParseLabel`). The first
    `=` ends the key, and a `:` after it belongs to the value.
    """
    head, _, value = text.partition("=")
    source, colon, key = head.partition(":")
    if not colon:
        return Label("unspec", head, value)
    return Label(source, key, value)


class LabelSet(Mapping[str, Label]):
    """An immutable set of labels, one per key, usable as a dictionary key."""

    __slots__ = ("_by_key", "_hash")

    def __init__(self, labels: Iterable[Label] = ()) -> None:
        self._by_key: dict[str, Label] = {label.key: label for label in labels}
        self._hash = hash(frozenset(self._by_key.values()))

    def __getitem__(self, key: str) -> Label:
        return self._by_key[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_key)

    def __len__(self) -> int:
        return len(self._by_key)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LabelSet) and self._by_key == other._by_key

    def __repr__(self) -> str:
        return f"LabelSet({', '.join(self.texts())})"

    def texts(self) -> tuple[str, ...]:
        """The labels as `source:key=value`, sorted, as Cilium prints them."""
        return tuple(sorted(str(label) for label in self._by_key.values()))

    def has_reserved(self, name: str) -> bool:
        """Say whether the set holds `reserved:name`."""
        label = self._by_key.get(name)
        return label is not None and label.source == RESERVED_SOURCE

    @classmethod
    def from_texts(cls, texts: Iterable[str]) -> LabelSet:
        """Build from printed labels (`k8s:app=web`)."""
        return cls(parse_label(text) for text in texts)
