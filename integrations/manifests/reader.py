"""Kubernetes objects from files: `load` for one reading, `ManifestReader` as the cluster's port."""

from __future__ import annotations

import asyncio
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
from integrations.manifests import notices as say
from integrations.manifests.checkout import Charts, Checkout
from integrations.manifests.deploy.choice import Chosen, choose
from integrations.manifests.files import FileSet, find_files
from integrations.manifests.found import DECIDING_KINDS, LINE_KINDS, Found
from integrations.manifests.kept import open_pack
from integrations.manifests.kept_builds import Builder
from integrations.manifests.kept_parts import FileReader
from integrations.manifests.notices import listing
from integrations.manifests.placeholders import Placeholders
from integrations.manifests.rendered import read_rendered
from integrations.manifests.repository import Plan, Repository, in_namespace, open_placeholders

_HINT = "nothing of it was read, so nothing is said about what it holds"


@dataclass(frozen=True, slots=True)
class Selected:
    """Which of a checkout's environments is meant; nothing said leaves it to a preference.

    `rendered` are folders and files of what `helm template` and its like have printed, `helm` the
    program that renders charts of the checkout where it is installed, empty for none.
    """

    env: str = ""
    clusters: tuple[str, ...] = ()
    rendered: tuple[str, ...] = ()
    helm: str = "helm"


_ANY = Selected()


@dataclass(frozen=True, slots=True)
class Loaded:
    """What files gave.

    `shadowed` are objects that share kind, namespace and name with one of `manifests` and are not
    in force; `undeployed` are those that nothing deploys. `skipped` counts what was left out by
    reason; every reason has a notice. `files` are the paths read, as shown; `failed` are the paths
    asked for that gave nothing and could not be read, with the reason. `chosen` says which
    environment it is.
    """

    manifests: tuple[Manifest, ...]
    notices: tuple[Notice, ...] = ()
    shadowed: tuple[Manifest, ...] = ()
    undeployed: tuple[Manifest, ...] = ()
    skipped: Mapping[str, int] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    failed: Mapping[str, Notice] = field(default_factory=dict)
    chosen: Chosen = field(default_factory=lambda: Chosen(()))


def load(
    paths: Iterable[str],
    sets: Mapping[str, str] | None = None,
    selected: Selected = _ANY,
    *,
    cache: Path | None = None,
) -> Loaded:
    """Read every object under `paths` as it is deployed; `sets` gives values for placeholders.

    `cache` is the folder in which what was read is kept for the next time.
    Raises BadInput when a path does not exist or the environment asked for does not; everything
    else that cannot be read is a notice of severity `error`.
    """
    files = find_files(paths)
    _check_not_empty(files)
    placeholders = Placeholders(sets or {})
    found = Found(notices=files.notices)
    pack = open_pack(cache, _told(files, sets or {}, selected))
    reader = FileReader(pack, placeholders, found)
    rendered = read_rendered(selected.rendered)
    how = Charts(selected.helm, rendered.charts)
    checkout = Checkout(files, placeholders.fill, found=found, read=reader, charts=how)
    checkout.read_all()
    plan = Repository(checkout, sets or {}, Builder(checkout, reader.digests, pack).build).plan()
    pack.close()
    chosen = choose(
        plan.deployments,
        lambda one: plan.of(one).manifests,
        env=selected.env,
        clusters=selected.clusters,
    )
    placed = _Placed.of(checkout, plan, chosen)
    built = [plan.of(one) for one in chosen.deployments]
    charts = [*plan.charts, *(chart for one in built for chart in one.charts)]
    manifests, shadowed, doubles = _resolve_doubles([*placed.manifests, *rendered.placed(charts)])
    notices = [
        *say.of_choice(chosen),
        *(one for one in found.notices if one.file not in placed.aside),
        *doubles,
        *say.of_builds(built),
        *rendered.notices,
        *say.of_charts([one for one in charts if not rendered.covers(one)]),
        *say.of_undeployed(placed.undeployed, controlled=plan.is_controlled),
        *say.of_unknown(plan),
        *say.of_skipped(checkout, placed.parts),
        *say.of_placeholders(open_placeholders(_deciding(manifests))),
    ]
    return Loaded(
        manifests=tuple(manifests),
        notices=tuple(dict.fromkeys(notices)),
        shadowed=tuple(shadowed),
        undeployed=tuple(placed.undeployed),
        skipped=found.counts(),
        files=tuple(files.shown.values()),
        failed=_failed(files, found),
        chosen=chosen,
    )


def _told(files: FileSet, sets: Mapping[str, str], selected: Selected) -> Iterable[str]:
    """What tells a reading from others, besides the files themselves."""
    yield from (str(Path(name).absolute()) for name in files.named)
    yield from files.named
    yield from (f"{name}={value}" for name, value in sorted(sets.items()))
    yield from ("rendered", *selected.rendered)


def _check_not_empty(files: FileSet) -> None:
    """An empty folder is a wrong path, and no cluster in which everything is allowed."""
    for named, shown in files.named.items():
        if not shown and not files.notices:
            hint = "objects are read from .yaml, .yml and .json files, also .gz"
            raise BadInput(f"no manifests under `{clean(named)}`", file=clean(named), hint=hint)


def _deciding(manifests: Iterable[Manifest]) -> list[Manifest]:
    return [one for one in manifests if one.ref.kind in DECIDING_KINDS]


@dataclass(frozen=True, slots=True)
class _Placed:
    """Objects in force, and those that nothing deploys.

    `parts` are files that builds need for something else than objects; `aside` names those of which
    nothing needs to be said: patches, and files that the chosen deployments do not lead to.
    """

    manifests: list[Manifest]
    undeployed: list[Manifest]
    parts: set[Path]
    aside: set[str]

    @classmethod
    def of(cls, checkout: Checkout, plan: Plan, chosen: Chosen) -> _Placed:
        """Take what the chosen deployments give, and the files that are no part of any."""
        every = list(plan.built.values())
        parts = {path for one in every for path in one.patches}
        reached = {checkout.real(path) for one in every for path in one.files}
        reach = plan.reach(checkout.files.shown)
        manifests = [
            _reaching(one, reach)
            for deployment in chosen.deployments
            for one in plan.of(deployment).manifests
        ]
        undeployed: list[Manifest] = []
        named = {name for name in checkout.files.named if Path(name).is_file()}
        for path, shown in checkout.files.shown.items():
            if path in reached or path in parts:
                continue
            objects = checkout.of_file(path)
            if _is_named(shown, checkout.files, named) or _is_free(path, checkout, plan):
                manifests += [in_namespace(one, "default") for one in objects]
            else:
                undeployed += [_orphan(one) for one in objects if one.ref.kind in LINE_KINDS]
        aside = {checkout.files.shown[one] for one in parts if one in checkout.files.shown}
        return cls(manifests, undeployed, parts, aside)


def _reaching(manifest: Manifest, reach: Mapping[str, tuple[str, ...]]) -> Manifest:
    """Say of an object which deployments its file is part of, where they are several."""
    source = manifest.source
    if source is None or source.file not in reach:
        return manifest
    return replace(manifest, source=replace(source, reach=reach[source.file]))


def _is_named(shown: str, files: FileSet, named: set[str]) -> bool:
    return any(shown in files.named[name] for name in named)


def _is_free(path: Path, checkout: Checkout, plan: Plan) -> bool:
    """Say whether a file that nothing deploys is applied as it is: no kustomization is about it."""
    if plan.is_controlled and path.is_relative_to(checkout.root):
        return False
    folders = {one.folder for one in checkout.kustomizations}
    return not any(folder in folders for folder in path.parents)


def _orphan(manifest: Manifest) -> Manifest:
    source = replace(manifest.source, orphan=True) if manifest.source else None
    return in_namespace(replace(manifest, source=source), "default")


def _failed(files: FileSet, found: Found) -> Mapping[str, Notice]:
    """What was named and gave nothing, with the first reason why something was not read."""
    gave = _gave(found)
    failed: dict[str, Notice] = {}
    for named, shown in files.named.items():
        if not gave.intersection(shown):
            reasons = [one for one in unread(found.notices) if _is_of(one, named, shown)]
            if reasons:
                failed[named] = reasons[0]
            elif not found.empty_lists.intersection(shown):
                file = shown[0] if len(shown) == 1 else clean(named)
                failed[named] = Notice("no Kubernetes object in it", file, severity="error")
    return failed


def _gave(found: Found) -> set[str]:
    """The files that gave objects."""
    return {one.source.file for one in (*found.manifests, *found.kustomizations) if one.source}


def _is_of(notice: Notice, named: str, shown: Iterable[str]) -> bool:
    file = notice.file or ""
    return file in shown or file.startswith(clean(named))


def _resolve_doubles(
    manifests: Sequence[Manifest],
) -> tuple[list[Manifest], list[Manifest], list[Notice]]:
    """Keep one object of each kind, namespace and name.

    Cilium and Kubernetes hold one object under a key, so two files cannot both be in force.
    """
    groups: dict[tuple[str, ObjectRef], list[Manifest]] = {}
    for manifest in manifests:
        group = manifest.api_version.partition("/")[0]
        groups.setdefault((group, manifest.ref), []).append(manifest)
    kept, shadowed, notices = [], [], []
    for same in groups.values():
        chosen, *others = same
        different = [one for one in others if not _are_the_same(chosen, one)]
        kept.append(_by_all(chosen, [one for one in others if one not in different]))
        shadowed.extend(different)
        if different and chosen.ref.kind in DECIDING_KINDS:
            notices.append(_double_notice(chosen, different))
    return kept, shadowed, notices


def _are_the_same(one: Manifest, other: Manifest) -> bool:
    """Say whether two deployments write one object, apart from labels that nothing looks at.

    Labels and annotations of a policy decide nothing; those of pods and Namespaces do.
    """
    if one.file != other.file:
        return False
    if one.ref.kind not in DECIDING_KINDS:
        return one.body == other.body
    return all(one.body.get(key) == other.body.get(key) for key in ("spec", "specs"))


def _by_all(chosen: Manifest, same: Sequence[Manifest]) -> Manifest:
    if chosen.source is None or not same:
        return chosen
    names = {name for one in (chosen, *same) if one.source for name in one.source.deployed_by}
    return replace(chosen, source=replace(chosen.source, deployed_by=tuple(sorted(names))))


def _double_notice(chosen: Manifest, others: Sequence[Manifest]) -> Notice:
    places = listing(_place_of(manifest) for manifest in others)
    text = f"{chosen.ref} also stands in {places}, which is not analysed"
    if chosen.source and chosen.source.deployed_by:
        text += f" (this one: {_deployers(chosen)})"
    line = chosen.source.line if chosen.source else None
    return Notice(text, chosen.file, line, chosen.ref)


def _place_of(manifest: Manifest) -> str:
    line = manifest.source.line if manifest.source else 0
    return f"{manifest.file}:{line} ({_deployers(manifest)})"


def _deployers(manifest: Manifest) -> str:
    roots = manifest.source.deployed_by if manifest.source else ()
    return f"deployed by {listing(roots)}" if roots else "no kustomization"


class ManifestReader:
    """Files as a cluster: one picture, and no changes after it."""

    def __init__(
        self,
        paths: Sequence[str],
        sets: Mapping[str, str] | None = None,
        selected: Selected = _ANY,
        *,
        cache: Path | None = None,
    ) -> None:
        """`cache` is the folder in which what was read is kept for the next time."""
        self._cache = cache
        self._paths = tuple(paths)
        self._sets = dict(sets or {})
        self._selected = selected

    @property
    def name(self) -> str:
        """The paths."""
        return ", ".join(self._paths)

    async def read(self) -> ClusterPicture:
        """Read all files in a thread.

        Raises BadInput when a path does not exist, SourceUnavailable when one gave nothing because
        it could not be read.
        """
        loaded = await asyncio.to_thread(
            load, self._paths, self._sets, self._selected, cache=self._cache
        )
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
            shadowed=(*loaded.shadowed, *loaded.undeployed),
            environment=loaded.chosen.selection,
            other_environments=() if loaded.chosen.asked else loaded.chosen.others,
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
