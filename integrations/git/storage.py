"""A repository's refs and settings, read and written as plain files; git itself never runs in it.

Source: gitrepository-layout(5), git-pack-refs(1), git-worktree(1) ("DETAILS").
"""

from __future__ import annotations

import configparser
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from app.core.errors import DraftRejected, SourceCause, SourceUnavailable
from app.core.text import clean

_SIZE_MAX = 16 << 20
"""Bytes of `packed-refs`: a hundred thousand refs take 6 MiB."""

_SYMREF = "ref: "
_OBJECT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_FORMATS = {"": "sha1", "sha1": "sha1", "sha256": "sha256"}
_HEADS = "refs/heads/"
_DEPTH_MAX = 5
"""How many symbolic refs git follows (git `refs.h`, `SYMREF_MAXDEPTH`)."""


@dataclass(frozen=True, slots=True)
class Storage:
    """Where a repository keeps its things.

    `git` is the folder of this work tree's own, `common` that of all work trees. `shallow` is the
    text of the file of that name, empty where history is whole.
    """

    folder: Path
    git: Path
    common: Path
    object_format: str
    shallow: bytes = b""

    @property
    def objects(self) -> Path:
        """The folder of objects."""
        return self.common / "objects"

    def resolve(self, revision: str) -> str:
        """The object that `HEAD`, a branch, a tag, a remote's branch or a full name stands for.

        Empty when there is none: a branch without a commit has none either.
        """
        if _OBJECT.fullmatch(revision):
            return revision
        if revision == "HEAD":
            return self._follow(_text(self.git / "HEAD"))
        for prefix in ("", "refs/", "refs/tags/", _HEADS, "refs/remotes/"):
            if found := self._follow(self._ref(prefix + revision)):
                return found
        return ""

    def _follow(self, value: str) -> str:
        for _ in range(_DEPTH_MAX):
            if not value.startswith(_SYMREF):
                break
            value = self._ref(value.removeprefix(_SYMREF).strip())
        return value if _OBJECT.fullmatch(value) else ""

    def _ref(self, name: str) -> str:
        """What a ref says: an object, or `ref: ` and another; empty when there is none."""
        if not _is_plain(name):
            return ""
        return _text(self.common / name) or self._packed().get(name, "")

    def _packed(self) -> dict[str, str]:
        lines = _text(self.common / "packed-refs").splitlines()
        pairs = (line.partition(" ") for line in lines if line[:1] not in ("#", "^"))
        return {name: value for value, _, name in pairs}

    def checked_out(self, branch: str) -> bool:
        """Whether a work tree has the branch checked out."""
        wanted = f"{_SYMREF}{_HEADS}{branch}"
        trees = self.common / "worktrees"
        heads = [self.common / "HEAD"]
        if trees.is_dir():
            heads += [one / "HEAD" for one in trees.iterdir()]
        return any(_text(head) == wanted for head in heads)

    def branch(self, branch: str) -> str:
        """The commit of a branch; empty when there is none.

        Raises DraftRejected when it is a symbolic ref or a link: to write it would move another.
        """
        path = self._branch_path(branch)
        value = self._ref(_HEADS + branch)
        if path.is_symlink() or value.startswith(_SYMREF):
            raise DraftRejected(
                f"branch `{branch}` stands for another ref, which would move with it",
                hint="delete the branch",
            )
        return value

    def branches(self, prefix: str) -> tuple[str, ...]:
        """The names of the branches that begin with `prefix`, sorted; links are left out."""
        heads = self.common / "refs" / "heads"
        start = heads / prefix.rpartition("/")[0]
        loose = {
            path.relative_to(heads).as_posix()
            for path in (start.rglob("*") if start.is_dir() and not start.is_symlink() else ())
            if path.is_file() and not path.is_symlink() and path.suffix != ".lock"
        }
        packed = {name.removeprefix(_HEADS) for name in self._packed() if name.startswith(_HEADS)}
        found = {name for name in loose | packed if name.startswith(prefix) and _is_plain(name)}
        return tuple(sorted(name for name in found if _OBJECT.fullmatch(self._ref(_HEADS + name))))

    def _branch_path(self, branch: str) -> Path:
        folder = self.common
        for part in ("refs", "heads", *branch.split("/")[:-1]):
            folder = folder / part
            if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
                raise DraftRejected(f"`{folder}` is no folder of branches, so none can be made")
        return folder / branch.rpartition("/")[2]

    def move(self, branch: str, commit: str, old: str) -> None:
        """Point a branch at a commit, as git does: by a lock, and only when it is still at `old`.

        Raises SourceUnavailable (CONFLICT) when somebody else has moved it, or is about to.
        """
        path = self._branch_path(branch)
        lock = path.with_name(path.name + ".lock")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
        except OSError as error:
            raise self._busy(branch, error.strerror or "it is in the way") from error
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as stream:
                stream.write(commit + "\n")
            if self.branch(branch) != old:
                raise self._busy(branch, "somebody else has moved it")
            if path.is_dir():
                raise self._busy(branch, "there are branches below that name")
            lock.replace(path)
        finally:
            lock.unlink(missing_ok=True)

    def _busy(self, branch: str, why: str) -> SourceUnavailable:
        return SourceUnavailable(
            f"branch `{branch}` cannot be written: {why}",
            source=str(self.folder),
            cause=SourceCause.CONFLICT,
            hint="try again",
        )


def open_storage(folder: Path) -> Storage:
    """Find the storage of a work tree or bare repository.

    Raises SourceUnavailable when there is none, or it is of a kind that is not known.
    """
    own = _git_folder(folder)
    common_name = _text(own / "commondir")
    common = (own / common_name).resolve() if common_name else own
    if not (common / "objects").is_dir() or not (common / "refs").is_dir():
        raise _not_known(folder, "it is no git repository")
    extensions = _extensions(_text(common / "config"))
    if (storage := extensions.get("refstorage", "files")) != "files":
        raise _not_known(folder, f"its refs are kept as `{clean(storage, 20)}`")
    object_format = _FORMATS.get(extensions.get("objectformat", ""))
    if object_format is None:
        raise _not_known(folder, "its objects have names of an unknown kind")
    return Storage(folder, own, common, object_format, _bytes(common / "shallow"))


def _git_folder(folder: Path) -> Path:
    inner = folder / ".git"
    if inner.is_symlink():
        raise _not_known(folder, "its `.git` is a link")
    if inner.is_dir():
        return inner.resolve()
    text = _text(inner)
    if text.startswith("gitdir: "):
        own = (folder / text.removeprefix("gitdir: ").strip()).resolve()
        if not _leads_back(own, inner):
            raise _not_known(folder, f"`{own}` does not say that it is this work tree's")
        return own
    return folder.resolve()


def _leads_back(own: Path, inner: Path) -> bool:
    """Whether a folder that `.git` names knows of that work tree, or of that submodule.

    Otherwise a checkout could name any repository of the user's as its own.
    """
    if back := _text(own / "gitdir"):
        return (own / back).resolve() == inner.resolve()
    worktree = re.search(r"(?m)^\s*worktree\s*=\s*(\S+)\s*$", _text(own / "config"))
    return worktree is not None and (own / worktree[1]).resolve() == inner.parent.resolve()


def _extensions(config: str) -> dict[str, str]:
    """The section `extensions`, without what other files would add to it."""
    section = re.search(r"(?ims)^\s*\[extensions\]\s*$(.*?)(?=^\s*\[|\Z)", config)
    if section is None:
        return {}
    parser = configparser.RawConfigParser(strict=False, allow_no_value=True)
    try:
        parser.read_string("[extensions]\n" + re.sub(r"(?m)^\s+", "", section[1]))
    except configparser.Error:
        return {"refstorage": "unknown"}
    return {key: (value or "").lower() for key, value in parser["extensions"].items()}


def _not_known(folder: Path, why: str) -> SourceUnavailable:
    return SourceUnavailable(
        f"the repository cannot be used: {why}",
        source=str(folder),
        cause=SourceCause.NOT_FOUND,
        hint="print the patch with --dry-run instead",
    )


def _text(path: Path) -> str:
    return _bytes(path).decode(errors="replace").strip()


def _bytes(path: Path) -> bytes:
    """The bytes of a plain file; nothing for all else, a pipe or a device above all.

    Raises SourceUnavailable when it is larger than any such file is.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        return b""
    with os.fdopen(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return b""
        content = stream.read(_SIZE_MAX + 1)
    if len(content) > _SIZE_MAX:
        raise _not_known(path, f"`{path.name}` is too large")
    return content


def _is_plain(name: str) -> bool:
    """Whether a name stays in the repository's own folder of refs, or is a ref of its root."""
    parts = name.split("/")
    return all(part and part not in (".", "..") and not part.startswith(".") for part in parts)
