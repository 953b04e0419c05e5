"""Pictures of commits: what a commit deploys, read as the files of a checkout are."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from app.bootstrap.sources import Sources, SystemClock
from app.config import Settings
from app.core.drafts.paths import check_path
from app.core.model.provenance import Manifest, Notice, Source
from app.ports import ClusterChange, ClusterPicture, ClusterReader, FileChange, PolicyRepo
from app.services.picture import Picture, parse_version
from app.services.workspace import Workspace


@dataclass(slots=True)
class CommitReader:
    """Reads what a commit of `repo` deploys; files outside its checkout `root` as they are.

    Implements `app.services.proof.Commits`. The last picture of a commit as it is is kept.
    """

    repo: PolicyRepo
    root: Path
    sources: Sources
    settings: Settings
    _kept: tuple[str, Picture] | None = field(default=None, init=False)

    @property
    def live(self) -> bool:
        """Whether objects come from a cluster."""
        return self.sources.live_objects

    async def picture(self, commit: str, files: Sequence[FileChange] = ()) -> Picture:
        """The files of a commit, with `files` in place of its own, as they are deployed."""
        if not files and self._kept and self._kept[0] == commit:
            return self._kept[1]
        with tempfile.TemporaryDirectory(prefix="k8tre-tui-commit-") as name:
            folder = _real(name) / self.root.name
            await self.repo.export(commit, folder)
            await asyncio.to_thread(_lay_over, folder, files)
            picture = await self._read(folder)
        if not files:
            self._kept = commit, picture
        return picture

    async def _read(self, folder: Path) -> Picture:
        from integrations.manifests.reader import ManifestReader, Selected

        sources = self.sources
        named = sources.snapshots or ((self.settings.repo.path,) if self.live else ())
        paths = tuple(_inside(path, self.root, folder) for path in named)
        rendered = tuple(_committed(path, self.root, folder) for path in sources.rendered)
        selected = Selected(sources.env, sources.clusters, rendered, sources.helm)
        reader = _Renamed(ManifestReader(paths, sources.sets, selected), str(folder), self.root)
        version = sources.cilium_version or self.settings.cluster.cilium_version
        workspace = Workspace(
            (reader,),
            (),
            clock=SystemClock(),
            cilium_version=parse_version(version) if version else None,
        )
        picture = await workspace.load()
        await workspace.close()
        return picture


def _real(folder: str) -> Path:
    """Where files are said to be, which may be behind a link."""
    return Path(folder).resolve()


def _lay_over(folder: Path, files: Sequence[FileChange]) -> None:
    for file in files:
        path = folder / check_path(file.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        if file.after is not None:
            path.write_bytes(file.after.encode())


def _inside(path: str, root: Path, folder: Path) -> str:
    """A named path's place in the exported commit; what lies elsewhere stays where it is."""
    real = Path(path).resolve()
    return str(folder / real.relative_to(root)) if real.is_relative_to(root) else path


def _committed(path: str, root: Path, folder: Path) -> str:
    """A rendered path's place in the exported commit, where it is committed at all."""
    inside = _inside(path, root, folder)
    return inside if Path(inside).exists() else path


@dataclass(slots=True)
class _Renamed:
    """A reader of an exported commit that names files as the checkout does."""

    reader: ClusterReader
    folder: str
    root: Path

    @property
    def name(self) -> str:
        return str(self.root)

    async def read(self) -> ClusterPicture:
        picture = await self.reader.read()
        return replace(
            picture,
            manifests=tuple(map(self._manifest, picture.manifests)),
            shadowed=tuple(map(self._manifest, picture.shadowed)),
            notices=tuple(map(self._notice, picture.notices)),
        )

    def watch(self) -> AsyncIterator[ClusterChange]:
        return self.reader.watch()

    def _text(self, text: str) -> str:
        return text.replace(self.folder, str(self.root))

    def _manifest(self, manifest: Manifest) -> Manifest:
        source = manifest.source
        return replace(manifest, source=self._source(source)) if source else manifest

    def _source(self, source: Source) -> Source:
        elsewhere = {
            path: (self._text(file), line) for path, (file, line) in source.elsewhere.items()
        }
        by = tuple(map(self._text, source.deployed_by))
        maker = source.made_by
        if maker is not None:
            maker = replace(maker, file=self._text(maker.file))
        file = self._text(source.file)
        return replace(source, file=file, elsewhere=elsewhere, deployed_by=by, made_by=maker)

    def _notice(self, notice: Notice) -> Notice:
        file = self._text(notice.file) if notice.file else notice.file
        return replace(notice, text=self._text(notice.text), file=file)
