"""Where drafts come from and go to: files, boundaries, repositories."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from app.bootstrap.forges import build_forge
from app.bootstrap.sources import Sources
from app.config import Settings
from app.core.documents.toml import SIZE_MAX
from app.core.errors import BadInput, ConfigError, DraftRejected
from app.core.model.provenance import Manifest
from app.core.model.unread import unread
from app.ports import PolicyRepo

if TYPE_CHECKING:
    from app.core.diagnose.boundaries import Boundary
    from app.services.drafting import Drafter


@dataclass(frozen=True, slots=True)
class Checkout:
    """Where drafts go. `place` gives a shown file's path inside it, `root` is its folder.

    Without `writable` there is no repository: drafts can be shown and no more.
    """

    repo: PolicyRepo
    place: Callable[[str], str]
    writable: bool
    root: Path


def build_checkout(
    sources: Sources, settings: Settings, environ: Mapping[str, str], *, pull_request: bool
) -> Checkout:
    """The repository of the snapshot's files, or the forge's copy of it for a pull request.

    Raises `ConfigError` when there are no files, or no repository and token on a forge.
    """
    from integrations.git.local import LocalGit
    from integrations.git.patch_only import PatchOnly

    if pull_request and sources.demo and not sources.snapshots:
        raise ConfigError(
            "the demo has no forge for a pull request", hint="--dry-run shows the change"
        )
    if sources.demo and not sources.snapshots:
        from integrations.demo.reading import GITOPS

        return Checkout(PatchOnly(GITOPS.parent), str, writable=False, root=GITOPS.parent)
    folder = _checkout_folder(sources, settings)
    root = next((one for one in (folder, *folder.parents) if (one / ".git").exists()), None)
    place = placing(root or folder)
    if pull_request:
        repo = build_forge(settings, environ, root or folder)
        return Checkout(repo, place, writable=True, root=root or folder)
    if root is None:
        return Checkout(PatchOnly(folder), place, writable=False, root=folder)
    local = LocalGit(root, settings.repo.base or "HEAD")
    return Checkout(local, place, writable=True, root=root)


def load_boundaries(sources: Sources, settings: Settings, file: str = "") -> tuple[Boundary, ...]:
    """The boundaries of `file`, else of the settings, else the demo's own; none is fine.

    Raises `BadInput` for a file that cannot be read.
    """
    path = file or settings.check.boundaries
    if not path:
        if not sources.demo:
            return ()
        from integrations.demo.cluster import BOUNDARIES

        path = str(BOUNDARIES)
    try:
        with Path(path).open(encoding="utf-8") as stream:
            text = stream.read(SIZE_MAX + 1)
    except (OSError, ValueError) as error:
        words = getattr(error, "strerror", None) or str(error)
        raise BadInput(f"cannot read the boundaries `{path}`: {words}", file=path) from error
    from app.core.diagnose.boundaries import parse_boundaries

    return parse_boundaries(text, path)


def load_drafts(paths: tuple[str, ...], sources: Sources) -> tuple[Manifest, ...]:
    """The objects of draft files, placeholders filled as in the snapshot.

    Raises `BadInput` when anything of them cannot be read: half a draft is another draft.
    """
    from integrations.manifests.reader import load

    loaded = load(paths, sources.sets)
    for notice in unread(loaded.notices):
        raise BadInput(str(notice), file=notice.file or "", line=notice.line or 0)
    if not loaded.manifests:
        raise BadInput(f"no object in {', '.join(paths)}", file=paths[0])
    return loaded.manifests


def build_drafter(checkout: Checkout, sources: Sources, settings: Settings) -> Drafter:
    """What makes drafts for a checkout, each proved for the commit that it is made from."""
    from app.bootstrap.commits import CommitReader
    from app.services.drafting import Drafter

    commits = CommitReader(checkout.repo, checkout.root, sources, settings)
    forge = type(checkout.repo).__name__ if checkout.writable else ""
    return Drafter(
        checkout.repo,
        checkout.place,
        sets=sources.sets,
        commits=commits,
        forge=_FORGES.get(forge, forge),
        closed=settings.repo.read_only,
        public=DISCLOSURE[settings.repo.disclosure],
    )


DISCLOSURE = {"auto": None, "minimal": True, "full": False}
"""Whether requests are told as to everybody; None asks the forge."""

_FORGES = {"LocalGit": "a local branch"}
"""What to call where a change goes, where it is not a forge by that name."""


def _checkout_folder(sources: Sources, settings: Settings) -> Path:
    if settings.repo.path:
        return Path(settings.repo.path).resolve()
    if not sources.snapshots:
        raise ConfigError(
            "there is no checkout to change", hint="name it with --snapshot, or set repo.path"
        )
    path = Path(sources.snapshots[0]).resolve()
    return path if path.is_dir() else path.parent


def placing(root: Path) -> Callable[[str], str]:
    """Give what turns a file as shown into its path inside the checkout at `root`."""

    def place(shown: str) -> str:
        path = Path(shown).resolve()
        if not path.is_relative_to(root):
            raise DraftRejected(f"`{shown}` is outside of {root}")
        return path.relative_to(root).as_posix()

    return place
