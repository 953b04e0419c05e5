"""Builds that are kept: what a kustomization gave, with every answer that it was built from.

A build asks for files and nothing else (`kustomize.kustomization.Files`), so it gives the same as
before when its kustomization is the same and each of its questions has the answer it had. The
questions are asked again, in their order, before anything of a build is used; answers are compared
by the digest of the text they were read from. What a helm program rendered is not kept, nor is
what holds a Secret.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from app.core.errors import BadInput
from app.core.model.provenance import Manifest, ObjectRef, Source
from integrations.manifests.checkout import Checkout
from integrations.manifests.deploy.deployment import Chart
from integrations.manifests.kept import Pack, digest
from integrations.manifests.kept_parts import KeptNotice
from integrations.manifests.kustomize.kustomization import Built, Files, Kustomization, Problem
from integrations.manifests.kustomize.target import build
from integrations.manifests.kustomize.tree import Map, Place, Seq

_KIND = "build"
_SECRET = "Secret"  # noqa: S105  # the kind
_NOTHING = b""
_UNTOLD = b"?"
"""What no digest tells, as an error of the file system."""

_encode = msgspec.msgpack.Encoder().encode

KeptProblem = tuple[str, str, int]


class KeptManifest(msgspec.Struct, array_like=True):
    """A manifest with all of its source."""

    ref: tuple[str, str, str]
    api_version: str
    body: dict[str, Any]
    file: str
    line: int
    document: int
    lines: dict[str, int]
    elsewhere: dict[str, tuple[str, int]]
    comments: dict[str, str]

    def manifest(self) -> Manifest:
        """The manifest."""
        source = Source(
            self.file,
            self.line,
            document=self.document,
            lines=self.lines,
            elsewhere=self.elsewhere,
            comments=self.comments,
        )
        return Manifest(ObjectRef(*self.ref), self.api_version, self.body, source)


class KeptChart(msgspec.Struct, array_like=True):
    """A chart that was not rendered; of its values paths are told from texts and mappings."""

    texts: tuple[str, str, str, int, str]
    folder: str | None
    values: list[tuple[bool, Any]]
    options: tuple[str, ...]
    lacks: str

    def chart(self) -> Chart:
        """The chart."""
        return Chart(
            *self.texts,
            folder=Path(self.folder) if self.folder is not None else None,
            values=tuple(Path(one) if is_path else one for is_path, one in self.values),
            options=self.options,
            lacks=self.lacks,
        )


class KeptBuild(msgspec.Struct, array_like=True):
    """What a build asked, with the digests of the answers, and what it gave."""

    asked: list[tuple[str, str, bytes]]
    manifests: list[KeptManifest]
    folders: list[list[str]]
    problems: list[list[KeptProblem]]
    charts: list[KeptChart]
    notices: list[tuple[str, KeptNotice]]


_decoder = msgspec.msgpack.Decoder(KeptBuild)


class Builder:
    """Builds kustomizations of a checkout, or takes what was kept of the same build."""

    def __init__(self, checkout: Checkout, digests: dict[Path, bytes], pack: Pack) -> None:
        """`digests` is what each file that was read is known by (`kept_parts.FileReader`)."""
        self._asked = _Questions(checkout, digests)
        self._pack = pack
        self._checkout = checkout

    def build(self, kustomization: Kustomization) -> Built:
        """Give what a kustomization deploys."""
        if not self._pack.is_kept:
            return build(self._checkout, kustomization)
        charts = repr(self._checkout.charts_from).encode("utf-8", "surrogateescape")
        key = digest(_identity(kustomization), charts)
        kept = self._pack.find(_KIND, key, _decoder)
        if kept is not None and self._holds(kept):
            return _given(kept)
        asking = _Asking(self._asked)
        built = build(asking, kustomization)
        if asking.is_kept and not any(one.ref.kind == _SECRET for one in built.manifests):
            self._pack.add(_KIND, key, _kept(built, asking.asked))
        return built

    def _holds(self, kept: KeptBuild) -> bool:
        """Ask everything again; reading a file on the way is what the build would have done."""
        return all(
            self._asked.answer(question, Path(path)) == answer != _UNTOLD
            for question, path, answer in kept.asked
        )


class _Questions:
    """The questions that a build may ask, and the digests of their answers."""

    def __init__(self, checkout: Checkout, digests: dict[Path, bytes]) -> None:
        self.checkout = checkout
        self._digests = digests
        self._known: dict[tuple[str, Path], bytes] = {}
        self._answers: dict[str, Callable[[Path], bytes]] = {
            "kustomization": self._kustomization,
            "objects": self._objects,
            "text": self._text,
            "content": self._content,
            "chart": lambda folder: b"1" if checkout.holds_chart(folder) else _NOTHING,
        }

    def answer(self, question: str, path: Path) -> bytes:
        """The digest of an answer; nothing where there is none."""
        key = question, path
        if key not in self._known:
            self._known[key] = self._ask(question, path)
        return self._known[key]

    def _ask(self, question: str, path: Path) -> bytes:
        try:
            return self._answers[question](path)
        except (BadInput, KeyError):
            return _UNTOLD

    def _kustomization(self, folder: Path) -> bytes:
        found = self.checkout.kustomization(folder)
        return _identity(found) if found is not None else _NOTHING

    def _objects(self, file: Path) -> bytes:
        return self._of_file(file) if self.checkout.objects(file) is not None else _NOTHING

    def _of_file(self, file: Path) -> bytes:
        real = self.checkout.real(file)
        if real is None or real not in self.checkout.files.shown:
            return _NOTHING
        shown = self.checkout.files.shown[real].encode("utf-8", "surrogateescape")
        return digest(self._digests.get(real, b"unread"), shown)

    def _text(self, file: Path) -> bytes:
        text = self.checkout.text(file)
        return _NOTHING if text is None else digest(text[0].encode(), text[1].encode())

    def _content(self, file: Path) -> bytes:
        content = self.checkout.content(file)
        return _NOTHING if content is None else digest(content)


class _Asking:
    """The files of a checkout as a build sees them, writing down what it asks.

    `is_kept` turns false with an answer that no digest tells.
    """

    def __init__(self, questions: _Questions) -> None:
        self._questions = questions
        self._files: Files = questions.checkout
        self.asked: list[tuple[str, str, bytes]] = []
        self.is_kept = True

    def _note(self, question: str, path: Path) -> None:
        answer = self._questions.answer(question, path)
        self.is_kept &= answer != _UNTOLD
        self.asked.append((question, str(path), answer))

    def kustomization(self, folder: Path) -> Kustomization | None:
        """The kustomization of a folder; None when it has none."""
        self._note("kustomization", folder)
        return self._files.kustomization(folder)

    def objects(self, file: Path) -> Sequence[Manifest] | None:
        """The objects of a file; None when it is not there or not read."""
        self._note("objects", file)
        return self._files.objects(file)

    def roots(self, file: Path) -> Sequence[Any] | None:
        """The documents of a file as trees; None when it is not there. Raises `BadInput`."""
        self._note("text", file)
        return self._files.roots(file)

    def inline(self, text: str, place: Place) -> Sequence[Any]:
        """The documents of a text that stands in a file. Raises `BadInput`."""
        return self._files.inline(text, place)

    def content(self, file: Path) -> bytes | None:
        """The bytes of a small file; None when it is not there."""
        self._note("content", file)
        return self._files.content(file)

    def holds_chart(self, folder: Path) -> bool:
        """Whether a folder is a Helm chart's."""
        self._note("chart", folder)
        return self._files.holds_chart(folder)

    def chart(self, chart: Chart) -> Built:
        """The objects of a Helm chart, or the chart itself where it is not rendered."""
        found = self._files.chart(chart)
        self.is_kept &= found.charts == [chart] and found.charts[0] is chart
        return found


def _identity(kustomization: Kustomization) -> bytes:
    """All that tells a kustomization from another: where it lies, what it says, and where."""
    where = (str(kustomization.folder), kustomization.shown)
    return digest(_encode((where, _with_places(kustomization.body))))


def _with_places(value: Any) -> Any:
    if isinstance(value, Map):
        return [(key, value.places.get(key), _with_places(item)) for key, item in value.items()]
    if isinstance(value, Seq):
        return ["", [(place, _with_places(item)) for item, place in value.pairs()]]
    return value if isinstance(value, str | bool | None) else repr(value)


def _kept(built: Built, asked: list[tuple[str, str, bytes]]) -> KeptBuild:
    folders = (built.files, built.patches, built.folders)
    problems = (built.refused, built.missing, built.absent, built.ignored)
    return KeptBuild(
        asked=list(dict.fromkeys(asked)),
        manifests=[_kept_manifest(one) for one in built.manifests],
        folders=[sorted(map(str, several)) for several in folders],
        problems=[[(one.text, one.file, one.line) for one in several] for several in problems],
        charts=[_kept_chart(one) for one in built.charts],
        notices=[(one.file or "", KeptNotice.of(one)) for one in built.notices],
    )


def _kept_manifest(one: Manifest) -> KeptManifest:
    source = one.source or Source("", 0)
    return KeptManifest(
        ref=(one.ref.kind, one.ref.namespace, one.ref.name),
        api_version=one.api_version,
        body=dict(one.body),
        file=source.file,
        line=source.line,
        document=source.document,
        lines=dict(source.lines),
        elsewhere=dict(source.elsewhere),
        comments=dict(source.comments),
    )


def _kept_chart(one: Chart) -> KeptChart:
    values = [(isinstance(value, Path), _path_text(value)) for value in one.values]
    return KeptChart(
        texts=(one.name, one.namespace, one.file, one.line, one.release),
        folder=str(one.folder) if one.folder is not None else None,
        values=values,
        options=one.options,
        lacks=one.lacks,
    )


def _path_text(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


def _given(kept: KeptBuild) -> Built:
    files, patches, folders = ({Path(one) for one in several} for several in kept.folders)
    refused, missing, absent, ignored = (
        [Problem(*one) for one in several] for several in kept.problems
    )
    return Built(
        manifests=[one.manifest() for one in kept.manifests],
        files=files,
        patches=patches,
        folders=folders,
        refused=refused,
        missing=missing,
        absent=absent,
        charts=[one.chart() for one in kept.charts],
        ignored=ignored,
        notices=[one.notice(file) for file, one in kept.notices],
    )
