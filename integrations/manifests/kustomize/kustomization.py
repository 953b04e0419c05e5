"""A kustomization file, what a build reads, and what it gives."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from app.core.model.provenance import Manifest, Notice
from integrations.manifests.deploy.deployment import Chart
from integrations.manifests.kustomize.tree import Map, Place, Seq


@dataclass(frozen=True, slots=True)
class Kustomization:
    """A kustomization file: `shown` is its name in output, `body` its content with places."""

    folder: Path
    shown: str
    body: Map

    @property
    def is_component(self) -> bool:
        """Whether it is included by `components` only."""
        return self.body.get("kind") == "Component"

    def place(self, key: str) -> Place:
        """Where a key stands, else the file's first line."""
        return self.body.places.get(key) or (self.shown, 1)

    def items(self, key: str) -> list[tuple[Any, Place]]:
        """The items of a list, each with its place; anything else counts as an empty list."""
        value = self.body.get(key)
        pairs = value.pairs() if isinstance(value, Seq) else []
        return [(item, place or self.place(key)) for item, place in pairs]

    def texts(self, key: str) -> list[tuple[str, Place]]:
        """The strings of a list; entries of another type count as absent."""
        return [(item, place) for item, place in self.items(key) if isinstance(item, str)]

    def maps(self, key: str) -> list[tuple[Map, Place]]:
        """The mappings of a list; entries of another type count as absent."""
        return [(item, place) for item, place in self.items(key) if isinstance(item, Map)]

    def text(self, key: str) -> str:
        """A string, empty where there is none."""
        value = self.body.get(key)
        return value if isinstance(value, str) else ""

    def mapping(self, key: str) -> Map:
        """A mapping, empty where there is none."""
        value = self.body.get(key)
        return value if isinstance(value, Map) else Map()

    def path(self, entry: str) -> Path:
        """The path that an entry of the file names."""
        return Path(os.path.normpath(self.folder / entry))


def is_remote(entry: str) -> bool:
    """Say whether an entry names something outside the checkout.

    Source: kustomize `api/internal/git/repospec.go` (hosts, schemes and `git@` forms).
    """
    return "://" in entry or "?ref=" in entry or entry.startswith(("git@", "github.com/", "git::"))


@dataclass(frozen=True, slots=True)
class Problem:
    """A part of a kustomization that is left out, and where it stands."""

    text: str
    file: str
    line: int


class Files(Protocol):
    """What a build reads, each file once for all builds."""

    def kustomization(self, folder: Path) -> Kustomization | None:
        """The kustomization of a folder; None when it has none."""
        ...

    def objects(self, file: Path) -> Sequence[Manifest] | None:
        """The objects of a file; None when it is not there or not read."""
        ...

    def roots(self, file: Path) -> Sequence[Any] | None:
        """The documents of a file as trees; None when it is not there. Raises `BadInput`."""
        ...

    def inline(self, text: str, place: Place) -> Sequence[Any]:
        """The documents of a text that stands in a file. Raises `BadInput`."""
        ...

    def content(self, file: Path) -> bytes | None:
        """The bytes of a small file; None when it is not there."""
        ...

    def holds_chart(self, folder: Path) -> bool:
        """Whether a folder is a Helm chart's."""
        ...

    def chart(self, chart: Chart) -> Built:
        """The objects of a Helm chart, or the chart itself where it is not rendered."""
        ...


@dataclass(slots=True)
class Built:
    """What a build gave.

    `files` were read as resources, `patches` as something else, `folders` hold kustomizations that
    took part. `refused` is what kustomize would end with an error for, `missing` what is not in the
    checkout, `absent` the files of generators that are not, `charts` what was not rendered,
    `ignored` what is not modelled, `notices` what else is to be said.
    """

    manifests: list[Manifest] = field(default_factory=list)
    files: set[Path] = field(default_factory=set)
    patches: set[Path] = field(default_factory=set)
    folders: set[Path] = field(default_factory=set)
    refused: list[Problem] = field(default_factory=list)
    missing: list[Problem] = field(default_factory=list)
    absent: list[Problem] = field(default_factory=list)
    charts: list[Chart] = field(default_factory=list)
    ignored: list[Problem] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
