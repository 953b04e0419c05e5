"""Kubernetes objects from files: `load` for one reading, `ManifestReader` as the cluster's port."""

from __future__ import annotations

import asyncio
import codecs
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from app.core.cluster.tree import BrokenObject, items, section, word
from app.core.errors import BadInput, SourceCause, SourceUnavailable
from app.core.model.provenance import Manifest, Notice, ObjectRef
from app.core.model.unread import unread
from app.core.text import clean
from app.ports import ClusterChange, ClusterPicture
from integrations.manifests.files import FileSet, find_files, read_bytes
from integrations.manifests.found import CLUSTER_KINDS, DECIDING_KINDS, Found, make_ref
from integrations.manifests.json_file import JsonFile
from integrations.manifests.kustomize import (
    Graph,
    Kustomization,
    Reach,
    Transform,
    listing,
    read_kustomization,
    report,
)
from integrations.manifests.placeholders import Placeholders
from integrations.manifests.templates import could_hold_policies
from integrations.manifests.transform import apply
from integrations.manifests.yaml_file import YamlFile

_HINT = "nothing of it was read, so nothing is said about what it holds"

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)

_SKIPPED = {
    "template": "Helm templates are not read: ",
    "not an object": "no Kubernetes object (no apiVersion and kind): ",
    "patch": "kustomize patches are no objects of their own: ",
}


@dataclass(frozen=True, slots=True)
class Loaded:
    """What files gave.

    `shadowed` are objects that share kind, namespace and name with one of `manifests` and are not
    in force. `skipped` counts what was left out by reason; every reason has a notice. `files` are
    the paths read, as shown; `failed` are the paths asked for that gave nothing and could not be
    read, with the reason.
    """

    manifests: tuple[Manifest, ...]
    notices: tuple[Notice, ...] = ()
    shadowed: tuple[Manifest, ...] = ()
    skipped: Mapping[str, int] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    failed: Mapping[str, Notice] = field(default_factory=dict)


def load(paths: Iterable[str], sets: Mapping[str, str] | None = None) -> Loaded:
    """Read every object under `paths`; `sets` gives values for `${NAME}` placeholders.

    Raises BadInput when a path does not exist; everything else that cannot be read is a notice of
    severity `error`.
    """
    files = find_files(paths)
    placeholders = Placeholders(sets or {})
    found = Found(notices=files.notices)
    graph = Graph(_read_all(files, placeholders, found))
    manifests = _placed(found, files, graph)
    manifests, shadowed, doubles = _resolve_doubles(manifests)
    notices = [
        *found.notices,
        *doubles,
        *_orphans(manifests),
        *report(graph),
        *_left_out(found),
        *_open_placeholders(placeholders),
    ]
    return Loaded(
        tuple(manifests),
        tuple(notices),
        tuple(shadowed),
        found.counts(),
        tuple(files.shown.values()),
        _failed(files, found),
    )


def _failed(files: FileSet, found: Found) -> Mapping[str, Notice]:
    """What was named and gave nothing, with the first reason why something was not read."""
    gave = {one.source.file for one in (*found.manifests, *found.kustomizations) if one.source}
    failed: dict[str, Notice] = {}
    for named, shown in files.named.items():
        if not gave.intersection(shown):
            for notice in reversed(unread(found.notices)):
                if _is_of(notice, named, shown):
                    failed[named] = notice
    return failed


def _is_of(notice: Notice, named: str, shown: Iterable[str]) -> bool:
    file = notice.file or ""
    return file in shown or file.startswith(clean(named))


def _read_all(files: FileSet, placeholders: Placeholders, found: Found) -> list[Kustomization]:
    """Read every file, and those that kustomizations of the same checkout refer to."""
    kustomizations: list[Kustomization] = []
    read: set[Path] = set()
    while unread := [path for path in files.shown if path not in read]:
        for path in unread:
            _read_file(path, files.shown[path], placeholders, found)
            for manifest in found.kustomizations[len(kustomizations) :]:
                entry = read_kustomization(manifest, path, files.folders[path])
                kustomizations.append(entry)
                for target in entry.targets():
                    files.follow(target, path)
        read.update(unread)
    return kustomizations


def _read_file(path: Path, shown: str, placeholders: Placeholders, found: Found) -> None:
    try:
        content = _decoded(read_bytes(path, shown))
        if _in_chart_templates(path):
            _leave_out_template(content, shown, found)
            return
        if (
            content.lstrip()[:1] in (b"{", b"[")
            and JsonFile(content, shown, placeholders, found).read()
        ):
            return
        text = content.decode()
    except BadInput as error:
        found.broken(error, shown)
        return
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        found.broken(BadInput("not UTF-8", line=line), shown)
        return
    YamlFile(text, shown, placeholders, found).read()


def _decoded(content: bytes) -> bytes:
    """The text as UTF-8 without a byte order mark.

    Source: YAML 1.2 §5.2: the encoding is told by its mark; UTF-16 is what PowerShell's `>` writes.
    """
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return _transcoded(content[len(mark) :], encoding)
    if content[:2].count(0) == 1:  # an ASCII character in two bytes, without a mark
        return _transcoded(content, "utf-16-be" if content[0] == 0 else "utf-16-le")
    if b"\0" in content:
        line = content.count(b"\n", 0, content.index(b"\0")) + 1
        raise BadInput("not text: a NUL byte stands in it", line=line)
    return content


def _transcoded(content: bytes, encoding: str) -> bytes:
    try:
        return content.decode(encoding).encode()
    except UnicodeDecodeError as error:
        raise BadInput(f"not {encoding.upper()}, which its first bytes announce") from error


def _leave_out_template(content: bytes, shown: str, found: Found) -> None:
    """A chart's template; one that makes policies is more than something to know of."""
    found.skip("template", shown)
    if could_hold_policies(content.decode(errors="replace")):
        found.broken(BadInput("a policy in a chart that was not rendered"), shown)


def _in_chart_templates(path: Path) -> bool:
    """Source: Helm's chart layout: `templates/` beside `Chart.yaml`."""
    return any(
        folder.name == "templates" and (folder.parent / "Chart.yaml").is_file()
        for folder in path.parents
    )


def _placed(found: Found, files: FileSet, graph: Graph) -> list[Manifest]:
    """Give the objects as the kustomizations that reach their files make them."""
    by_file: dict[str, list[Manifest]] = {}
    for manifest in found.manifests:
        by_file.setdefault(manifest.file or "", []).append(manifest)
    placed: list[Manifest] = []
    for path, shown in files.shown.items():
        manifests = by_file.get(shown, [])
        if path in graph.patch_files and path not in graph.files:
            for _ in manifests:
                found.skip("patch", shown)
            continue
        reach = graph.files.get(path)
        orphan = reach is None and graph.surrounds(path)
        placed += [_place(manifest, reach, found, orphan=orphan) for manifest in manifests]
    return placed


def _place(manifest: Manifest, reach: Reach | None, found: Found, *, orphan: bool) -> Manifest:
    if manifest.source is None or (reach is None and not orphan):
        return _with_namespace(manifest)
    roots = tuple(sorted(reach.roots)) if reach else ()
    source = replace(manifest.source, deployed_by=roots, orphan=orphan)
    manifest = replace(manifest, source=source)
    return _with_namespace(_transformed(manifest, reach, found) if reach else manifest)


def _transformed(manifest: Manifest, reach: Reach, found: Found) -> Manifest:
    if len(reach.transforms) == 1:
        (transform,) = reach.transforms
        return manifest if transform == Transform() else apply(transform, manifest)
    if manifest.ref.kind in DECIDING_KINDS:
        found.notices.append(
            Notice(
                f"{manifest.ref} is changed differently by {listing(sorted(reach.roots))}: "
                "analysed as it stands in the file; name one overlay as the snapshot",
                manifest.file,
                ref=manifest.ref,
            )
        )
    return manifest


def _with_namespace(manifest: Manifest) -> Manifest:
    """An object applied without a namespace lands in `default`.

    Source: kubectl and Argo CD use the context's or the Application's namespace, which a checkout
    does not tell.
    """
    ref = manifest.ref
    if ref.namespace or ref.kind in CLUSTER_KINDS:
        return manifest
    metadata = {**manifest.body.get("metadata", {}), "namespace": "default"}
    ref = make_ref(ref.kind, "default", ref.name)
    return replace(manifest, ref=ref, body={**manifest.body, "metadata": metadata})


def _resolve_doubles(
    manifests: Sequence[Manifest],
) -> tuple[list[Manifest], list[Manifest], list[Notice]]:
    """Keep one object of each kind, namespace and name: a deployed file before an orphan one.

    Cilium and Kubernetes hold one object under a key, so two files cannot both be in force.
    """
    groups: dict[tuple[str, ObjectRef], list[Manifest]] = {}
    for manifest in manifests:
        group = manifest.api_version.partition("/")[0]
        groups.setdefault((group, manifest.ref), []).append(manifest)
    kept, shadowed, notices = [], [], []
    for same in groups.values():
        chosen = min(same, key=lambda manifest: not _deployed(manifest))
        kept.append(chosen)
        others = [manifest for manifest in same if manifest is not chosen]
        shadowed.extend(others)
        if others and chosen.ref.kind in DECIDING_KINDS:
            notices.append(_double_notice(chosen, others))
    return kept, shadowed, notices


def _deployed(manifest: Manifest) -> bool:
    return manifest.source is not None and not manifest.source.orphan


def _double_notice(chosen: Manifest, others: Sequence[Manifest]) -> Notice:
    places = listing(_place_of(manifest) for manifest in others)
    text = f"{chosen.ref} also stands in {places}, which is not analysed"
    if _deployed(others[0]):
        text += f" (this one: {_deployers(chosen)}); name one overlay as the snapshot to choose"
    line = chosen.source.line if chosen.source else None
    return Notice(text, chosen.file, line, chosen.ref)


def _place_of(manifest: Manifest) -> str:
    line = manifest.source.line if manifest.source else 0
    return f"{manifest.file}:{line} ({_deployers(manifest)})"


def _deployers(manifest: Manifest) -> str:
    if not _deployed(manifest):
        return "in no kustomization"
    roots = manifest.source.deployed_by if manifest.source else ()
    return f"deployed by {listing(roots)}" if roots else "no kustomization known"


def _orphans(manifests: Iterable[Manifest]) -> list[Notice]:
    return [
        Notice(
            f"{manifest.ref} is in no kustomization; analysed as if it were deployed",
            manifest.source.file,
            manifest.source.line,
            manifest.ref,
        )
        for manifest in manifests
        if manifest.ref.kind in DECIDING_KINDS and manifest.source and manifest.source.orphan
    ]


def _left_out(found: Found) -> list[Notice]:
    return [
        Notice(f"{text}{listing(found.skipped[reason])}", severity="info")
        for reason, text in _SKIPPED.items()
        if reason in found.skipped
    ]


def _open_placeholders(placeholders: Placeholders) -> list[Notice]:
    if not placeholders.open:
        return []
    names = listing(f"${{{name}}}" for name in sorted(placeholders.open))
    files = {file for used_in in placeholders.open.values() for file in used_in}
    example = f"--set {min(placeholders.open)}=VALUE"
    text = f"placeholders without a value, kept as unknown names: {names} ({example})"
    return [Notice(f"{text}; in {listing(sorted(files))}")]


class ManifestReader:
    """Files as a cluster: one picture, and no changes after it."""

    def __init__(self, paths: Sequence[str], sets: Mapping[str, str] | None = None) -> None:
        self._paths = tuple(paths)
        self._sets = dict(sets or {})

    @property
    def name(self) -> str:
        """The paths."""
        return ", ".join(self._paths)

    async def read(self) -> ClusterPicture:
        """Read all files in a thread.

        Raises BadInput when a path does not exist, SourceUnavailable when one gave nothing because
        it could not be read.
        """
        loaded = await asyncio.to_thread(load, self._paths, self._sets)
        for path, reason in loaded.failed.items():
            raise SourceUnavailable(
                str(reason), source=clean(path), cause=SourceCause.UNREADABLE, hint=_HINT
            )
        return ClusterPicture(
            loaded.manifests,
            time.time_ns(),
            loaded.notices,
            settings=_agent_settings(loaded.manifests),
            cilium_version=_agent_version(loaded.manifests),
            shadowed=loaded.shadowed,
        )

    async def watch(self) -> AsyncIterator[ClusterChange]:
        """End at once: files are read when they are asked for."""
        return
        yield


def _agent_settings(manifests: Iterable[Manifest]) -> Mapping[str, str]:
    """Source: ConfigMap `kube-system/cilium-config`, which every Cilium agent reads."""
    for manifest in manifests:
        if manifest.ref.kind == "ConfigMap" and manifest.ref.name == "cilium-config":
            settings = manifest.body.get("data")
            if isinstance(settings, Mapping):
                return {key: value for key, value in settings.items() if isinstance(value, str)}
    return {}


def _agent_version(manifests: Iterable[Manifest]) -> str:
    """Source: the tag of the `cilium-agent` image of the DaemonSet `cilium`."""
    for manifest in manifests:
        if manifest.ref.kind == "DaemonSet" and manifest.ref.name == "cilium":
            return _image_tag(manifest.body)
    return ""


def _image_tag(body: Mapping[str, Any]) -> str:
    try:
        for container in items(section(body, "spec", "template", "spec"), "containers"):
            if word(container, "name") == "cilium-agent":
                _, _, tag = word(container, "image").partition("@")[0].rpartition(":")
                return tag.removeprefix("v")
    except BrokenObject:  # whoever builds the cluster says so, with its place
        return ""
    return ""
