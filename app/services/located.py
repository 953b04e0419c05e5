"""A live cluster whose policies know the file they were deployed from.

The cluster says what is in force, a checkout says where it is written: a policy that stands in
both takes its file from the checkout. Where the two differ, only the document is cited, not lines
inside it, and a notice says so.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from app.core.model.kinds import KNP, SHORT_KINDS
from app.core.model.provenance import Manifest, Notice, ObjectRef
from app.ports import ClusterChange, ClusterPicture, ClusterReader


@dataclass(slots=True)
class LocatedReader:
    """Implements `ClusterReader`: objects of `live`, provenance of policies from `checkout`."""

    live: ClusterReader
    checkout: ClusterReader
    _written: Mapping[ObjectRef, Manifest] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The cluster's own name."""
        return self.live.name

    async def read(self) -> ClusterPicture:
        """Read both; the checkout's other objects are not taken."""
        written = await self.checkout.read()
        self._written = {one.ref: one for one in written.manifests if one.ref.kind in SHORT_KINDS}
        picture = await self.live.read()
        manifests = self._located(picture.manifests)
        return replace(
            picture,
            manifests=manifests,
            notices=(*picture.notices, *self._drift(manifests), *self._missing(manifests)),
        )

    async def watch(self) -> AsyncIterator[ClusterChange]:
        """Changes of the cluster; the checkout is as it was read."""
        async for change in self.live.watch():
            yield replace(change, upserts=self._located(change.upserts))

    def _located(self, manifests: Iterable[Manifest]) -> tuple[Manifest, ...]:
        return tuple(self._locate(one) for one in manifests)

    def _locate(self, manifest: Manifest) -> Manifest:
        written = self._written.get(manifest.ref)
        if written is None or written.source is None:
            return manifest
        if same_rules(manifest, written):
            return replace(manifest, source=written.source)
        return replace(manifest, source=replace(written.source, lines={}))

    def _drift(self, manifests: Iterable[Manifest]) -> list[Notice]:
        notices = []
        for one in manifests:
            written = self._written.get(one.ref)
            if written is not None and one.source is not None and not same_rules(one, written):
                text = f"{one.ref} in the cluster differs from its file"
                notices.append(Notice(text, one.file, one.source.line, one.ref))
        return notices

    def _missing(self, manifests: Iterable[Manifest]) -> list[Notice]:
        here = {one.ref for one in manifests}
        return [
            Notice(
                f"{ref} is in the checkout and not in the cluster",
                written.file,
                written.line_of(""),
                ref,
                "info",
            )
            for ref, written in self._written.items()
            if ref not in here
        ]


def same_rules(one: Manifest, other: Manifest) -> bool:
    """Whether two objects say the same, leaving out what the API server fills in.

    Source: Kubernetes `pkg/apis/networking/v1/defaults.go` (`policyTypes`, `protocol`).
    """
    kubernetes = one.ref.kind == KNP
    return all(
        _plain(one.body.get(key), kubernetes=kubernetes)
        == _plain(other.body.get(key), kubernetes=kubernetes)
        for key in ("spec", "specs")
    )


def _plain(value: Any, *, kubernetes: bool) -> Any:
    if isinstance(value, list):
        return [_plain(part, kubernetes=kubernetes) for part in value]
    if not isinstance(value, dict):
        return value
    plain = {key: _plain(part, kubernetes=kubernetes) for key, part in value.items()}
    if kubernetes:
        plain.pop("policyTypes", None)
        if "port" in plain and plain.get("protocol") == "TCP":
            del plain["protocol"]
    return plain
