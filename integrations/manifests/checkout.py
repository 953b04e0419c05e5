"""The files of a snapshot as builds see them: each read and parsed once, whoever asks for it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from app.core.documents.limits import EDITING, READING
from app.core.documents.split import split_documents
from app.core.documents.tree import TreeBuilder, compose, may_alias
from app.core.errors import BadInput
from app.core.model.provenance import Manifest
from app.core.text import clean, clean_tree
from integrations.manifests.chart_output import read_output
from integrations.manifests.deploy.deployment import Chart
from integrations.manifests.files import (
    KUSTOMIZATION_NAMES,
    FileSet,
    find_checkout,
    is_chart,
    read_bytes,
    real_path,
)
from integrations.manifests.found import Found
from integrations.manifests.helm import Helm
from integrations.manifests.kustomize.kustomization import Built, Kustomization
from integrations.manifests.kustomize.tree import Map, Place, grow, with_words

_GENERATED_MAX = EDITING.size
"""Bytes of a file that a generator may take in: a ConfigMap holds 1 MiB."""

Reader = Callable[[Path, str], None]


@dataclass(frozen=True, slots=True)
class Charts:
    """How charts become objects: the helm program, and those `given` as rendered elsewhere."""

    helm: str = ""
    given: frozenset[str] = frozenset()


class Checkout:
    """Objects and kustomizations by file; what a build names is read when it is asked for."""

    def __init__(
        self,
        files: FileSet,
        fill: Callable[[str], str],
        *,
        found: Found,
        read: Reader,
        charts: Charts,
    ) -> None:
        """`read` adds what a file holds to `found`, `fill` puts values into placeholders.

        Raises BadInput when the helm program that was named is not there.
        """
        self.files = files
        self.found = found
        self._fill = fill
        self._reader = read
        self._given = charts.given
        self._bases: dict[Path, Path] = {}
        self._real: dict[Path, Path | None] = {}
        self._objects: dict[Path, list[Manifest]] = {}
        self._kustomizations: dict[Path, Kustomization | None] = {}
        self._helm = Helm(charts.helm, self.root)

    @cached_property
    def root(self) -> Path:
        """The git work tree of the snapshot, else the folder that was named."""
        real = [file for file in self.files.shown if file.is_absolute()]
        for name in self.files.named:
            if root := find_checkout(Path(name).resolve() / "any"):
                return root
        for name in self.files.named:
            if Path(name).is_dir():
                return Path(name).resolve()
        return real[0].parent if real else Path()

    def read_all(self) -> None:
        """Read every file that the snapshot names."""
        for path in list(self.files.shown):
            self._read(path)

    @property
    def kustomizations(self) -> list[Kustomization]:
        """Those that have been read, in the order of their folders."""
        present = [one for one in self._kustomizations.values() if one]
        return sorted(present, key=lambda one: one.folder)

    def of_file(self, path: Path) -> list[Manifest]:
        """The objects of a file that has been read."""
        return self._objects.get(path, [])

    def _read(self, path: Path) -> list[Manifest]:
        if path in self._objects:
            return self._objects[path]
        before, named = len(self.found.manifests), len(self.found.kustomizations)
        self._reader(path, self.files.shown[path])
        self._objects[path] = self.found.manifests[before:]
        for manifest in self.found.kustomizations[named:]:
            self._keep(path, manifest)
        return self._objects[path]

    def _keep(self, path: Path, manifest: Manifest) -> None:
        if path.name not in KUSTOMIZATION_NAMES or manifest.source is None:
            return
        shown = self.files.shown[path]
        body = grow(manifest.body, shown, manifest.source.lines)
        if path.parent in self._kustomizations:
            text = "a second kustomization in this folder: kustomize refuses to build it"
            self.found.broken(BadInput(text, line=manifest.source.line), shown)
        elif isinstance(body, Map):
            self._kustomizations[path.parent] = Kustomization(path.parent, shown, body)

    def objects(self, file: Path) -> Sequence[Manifest] | None:
        """The objects of a file; None when it is no file of this checkout."""
        real = self.real(file)
        if real is None:
            return None
        if real not in self._objects and not (real.is_file() and self._take(real)):
            return None
        return self._read(real)

    def real(self, path: Path) -> Path | None:
        """Where a path leads, asked of the system once; None when it leads nowhere."""
        if path in self.files.shown:
            return path
        if path not in self._real:
            self._real[path] = real_path(path)
        return self._real[path]

    def _take(self, real: Path) -> bool:
        """Take a file in that the snapshot does not name, when it lies in the same checkout."""
        if real in self.files.shown:
            return True
        base = self._base_of(real)
        if base is None:
            return False
        shown = Path(self.files.shown[base]).parent / os.path.relpath(real, base.parent)
        self.files.shown[real] = clean(os.path.normpath(shown))
        root = find_checkout(real)
        self.files.folders[real] = str(real.parent.relative_to(root)) if root else ""
        return True

    def _base_of(self, real: Path) -> Path | None:
        """A file of the snapshot that lies in the same git checkout."""
        root = find_checkout(real)
        if root is None:
            return None
        if root not in self._bases:
            named = (file for file in self.files.shown if find_checkout(file) == root)
            first = next(named, None)
            if first is None:
                return None
            self._bases[root] = first
        return self._bases[root]

    def kustomization(self, folder: Path) -> Kustomization | None:
        """The kustomization of a folder; None when it has none, or lies outside the checkout."""
        real = self.real(folder)
        if real is None:
            return None
        if real not in self._kustomizations:
            self._kustomizations[real] = None
            for name in sorted(KUSTOMIZATION_NAMES):
                file = real / name
                if file.is_file() and self._take(file):
                    del self._kustomizations[real]
                    self._read(file)
                    self._kustomizations.setdefault(real, None)
                    break
        return self._kustomizations[real]

    def roots(self, file: Path) -> Sequence[Any] | None:
        """The documents of a file as trees; None when it is no file of this checkout."""
        text = self.text(file)
        return None if text is None else self._parse(text[0], (text[1], 1))

    def text(self, file: Path) -> tuple[str, str] | None:
        """The text of a file and its name in output; None when it is no file of this checkout.

        Raises BadInput when it cannot be read.
        """
        real = self.real(file)
        if real is None or not real.is_file() or not self._take(real):
            return None
        shown = self.files.shown[real]
        return read_bytes(real, shown).decode("utf-8-sig", errors="replace"), shown

    def inline(self, text: str, place: Place) -> Sequence[Any]:
        """The documents of a text that stands in a file; a block scalar begins on the next line."""
        file, line = place
        return self._parse(text, (file, line + 1 if "\n" in text.rstrip("\n") else line))

    def _parse(self, text: str, place: Place) -> list[Any]:
        file, first = place
        if len(text) > READING.size:
            raise BadInput("too large for a patch", file=file)
        roots = []
        for chunk in split_documents(text):
            line = chunk.line + first - 1
            lines: dict[str, int] = {}
            words: dict[str, str] = {}
            builder = TreeBuilder(
                READING,
                aliases=may_alias(chunk.text),
                first_line=line,
                fill=self._fill,
                lines=lines,
                words=words,
            )
            body = builder.build(compose(chunk.text, line))
            if not isinstance(body, list):  # the operations of RFC 6902 are read as JSON is
                body = with_words(body, words)
            roots.append(grow(clean_tree(body), file, lines))
        return roots

    def content(self, file: Path) -> bytes | None:
        """The bytes of a file that a generator takes in; None where there is none to take."""
        real = self.real(file)
        if real is None or not real.is_file() or not self._encloses(real):
            return None
        if real.stat().st_size > _GENERATED_MAX:
            return None
        try:
            return real.read_bytes()
        except OSError:
            return None

    def _encloses(self, real: Path) -> bool:
        return self._base_of(real) is not None or real.is_relative_to(self.root)

    def holds_chart(self, folder: Path) -> bool:
        """Whether a folder is a Helm chart's."""
        return is_chart(folder)

    @property
    def charts_from(self) -> tuple[bool, tuple[str, ...]]:
        """Whether a program renders charts, and which of them were rendered elsewhere."""
        return self._helm.is_there, tuple(sorted(self._given))

    def chart(self, chart: Chart) -> Built:
        """The objects of a chart, where it lies here and a helm program renders it."""
        if chart.folder is None or chart.lacks or not self._helm.is_there:
            return Built(charts=[chart])
        if self._given & {chart.name, chart.release}:
            return Built(charts=[chart])
        try:
            text = self._helm.template(chart)
            return read_output(chart, text, self.files.shown, self._fill)
        except BadInput as error:
            return Built(charts=[replace(chart, lacks=error.message)])
