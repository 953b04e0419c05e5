"""What `lint` looks at: paths, standard input, a snapshot, the demo or the live cluster."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import NamedTemporaryFile

from app.bootstrap.sources import Sources
from app.bootstrap.workspace import build_workspace
from app.config import Settings
from app.core.diagnose.evidence import FlowEvidence
from app.core.errors import BadInput
from app.core.lint.baseline import Key, read_baseline
from app.core.model.kinds import POLICY_KINDS
from app.core.model.provenance import Manifest
from app.core.text import clean
from app.ports import FlowRequest
from app.services.effect import with_changes
from app.services.picture import Picture

STDIN = "-"


@dataclass(frozen=True, slots=True)
class Target:
    """What is judged: a picture with its objects, and policies in documents.

    `files` are the files to report on (None: all); `whole` says that more than they was read.
    """

    picture: Picture
    manifests: tuple[Manifest, ...] = ()
    documents: tuple[Manifest, ...] = ()
    flows: FlowEvidence | None = None
    files: frozenset[Path] | None = None
    whole: bool = False

    def is_meant(self, file: str | None) -> bool:
        """Whether what was found in a file is to be reported."""
        return self.files is None or (file is not None and _real(Path(file)) in self.files)


def read_target(
    sources: Sources, settings: Settings, paths: Sequence[str], *, flows: FlowRequest | None = None
) -> Target:
    """Read what the paths and options name. Raises `BadInput` for a path that is not there.

    A file inside a git checkout is judged with the rest of the checkout, and reported on alone.
    """
    for path in paths:
        if not Path(path).exists():
            raise BadInput(f"no such file or directory: `{clean(path)}`", file=clean(path))
    documents = tuple(one for path in paths for one in _documents(path))
    trees = tuple(path for path in paths if not _is_markdown(path))
    if paths and not trees and not sources.snapshots:
        return Target(_no_objects(sources, settings), (), documents)
    around = sources.snapshots or _around(trees)
    named = (*around, *trees) if trees else sources.snapshots
    workspace = build_workspace(
        replace(sources, snapshots=named), settings, follow=False, flows=flows is not None
    )
    asyncio.run(_load(workspace, flows))
    return Target(
        workspace.picture,
        workspace.manifests(),
        documents,
        workspace.evidence() if flows is not None else None,
        _files(trees) if trees and around else None,
        whole=bool(around) or not trees or any(Path(path).is_dir() for path in trees),
    )


def read_standard_input(target: Target, text: str, file: str) -> Target:
    """Judge a text in place of the file of that name, with everything else as it was read."""
    from integrations.manifests.found import Found
    from integrations.manifests.markdown import SUFFIXES, policies_of
    from integrations.manifests.placeholders import Placeholders
    from integrations.manifests.yaml_file import YamlFile

    shown = clean(file)
    only = frozenset((_real(Path(file)),))
    if file.lower().endswith(SUFFIXES):
        return replace(target, documents=policies_of(text, shown), files=only)
    found = Found()
    YamlFile(text, shown, Placeholders({}), found).read()
    policies = [one for one in found.manifests if one.ref.kind in POLICY_KINDS]
    if not policies and found.notices:
        raise BadInput(found.notices[0].text, file=shown, line=found.notices[0].line or 0)
    kept = [
        one for one in target.manifests if one.file is None or _real(Path(one.file)) not in only
    ]
    picture = with_changes(target.picture, kept, upserts=policies)
    return replace(target, picture=picture, manifests=(*kept, *policies), files=only)


def load_baseline(file: str) -> Counter[Key]:
    """Read a baseline. Raises `BadInput`."""
    try:
        tree = json.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"cannot read the baseline `{clean(file)}`", file=clean(file)) from error
    return read_baseline(tree, clean(file))


def read_text(file: str) -> str | None:
    """The text of a file, line ends as they are; None when it cannot be read as text."""
    try:
        return Path(file).read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def write_text(file: str, text: str) -> None:
    """Put a mended text in the file's place. Raises `BadInput` when that cannot be done."""
    path = Path(file)
    try:
        mode = path.stat().st_mode
        with NamedTemporaryFile("wb", dir=path.parent, delete=False) as fresh:
            fresh.write(text.encode())
        Path(fresh.name).chmod(mode)
        Path(fresh.name).replace(path)
    except OSError as error:
        raise BadInput(f"cannot write `{file}`: {error.strerror}", file=file) from error


def read_demo_lines(file: str | None) -> tuple[str, ...]:
    """The lines of a file of the demo's own tree, which its places are relative to."""
    from integrations.demo.reading import GITOPS

    return read_lines(str(GITOPS.parent / file) if file else None)


def read_lines(file: str | None) -> tuple[str, ...]:
    """The lines of a file, cleaned for a terminal; none when it cannot be read any more."""
    if not file:
        return ()
    try:
        text = Path(file).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return ()
    return tuple(clean(line.replace("\t", "    ")) for line in text.split("\n"))


async def _load(workspace: object, flows: FlowRequest | None) -> None:
    from app.services.workspace import Workspace

    if not isinstance(workspace, Workspace):
        raise TypeError(workspace)
    await workspace.load()
    if flows is not None:
        await workspace.load_flows(flows, strict=False)
    await workspace.close()


def _no_objects(sources: Sources, settings: Settings) -> Picture:
    """A picture without objects, with the version that was asked for."""
    from app.core.model.cluster import Cluster, ClusterConfig
    from app.core.policy.engine import Engine
    from app.services.picture import empty_picture, parse_version

    version = sources.cilium_version or settings.cluster.cilium_version
    if not version:
        return empty_picture()
    cluster = Cluster(ClusterConfig(cilium_version=parse_version(version)))
    return replace(empty_picture(), cluster=cluster, engine=Engine.build(cluster))


def _documents(path: str) -> tuple[Manifest, ...]:
    from integrations.manifests.markdown import find_markdown, read_policies

    return tuple(
        one for file in find_markdown(Path(path)) for one in read_policies(file, str(file))
    )


def _is_markdown(path: str) -> bool:
    from integrations.manifests.markdown import SUFFIXES

    return Path(path).is_file() and path.lower().endswith(SUFFIXES)


def _around(paths: Sequence[str]) -> tuple[str, ...]:
    """The checkouts of files that are named one by one; none for folders, which are whole."""
    if not paths or any(Path(path).is_dir() for path in paths):
        return ()
    roots = {
        folder
        for path in paths
        for folder in _real(Path(path)).parents
        if (folder / ".git").exists()
    }
    innermost = [
        max((root for root in roots if _real(Path(path)).is_relative_to(root)),
            key=lambda root: len(root.parts), default=None)
        for path in paths
    ]  # fmt: skip
    return tuple(dict.fromkeys(_shown(root) for root in innermost if root is not None))


def _shown(root: Path) -> str:
    """A checkout as it can be reached from here, which is shorter to read."""
    here = Path.cwd().resolve()
    return str(root.relative_to(here)) if root.is_relative_to(here) else str(root)


def _files(paths: Sequence[str]) -> frozenset[Path]:
    return frozenset(
        file
        for path in map(Path, paths)
        for file in ((_real(one) for one in path.rglob("*")) if path.is_dir() else (_real(path),))
    )


def _real(path: Path) -> Path:
    return path.resolve()
