"""Which files a snapshot is made of, and their bytes."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from app.core.errors import BadInput
from app.core.model.provenance import Notice
from app.core.text import clean

SUFFIXES = (".yaml", ".yml", ".json", ".yaml.gz", ".yml.gz", ".json.gz")
KUSTOMIZATION_NAMES = frozenset({"kustomization.yaml", "kustomization.yml", "Kustomization"})
"""Source: kustomize `api/konfig/general.go` (`RecognizedKustomizationFileNames`)."""

BYTES_MAX = 1 << 30
"""Of one file, unpacked; more is not a snapshot but an accident or a gzip bomb."""


@dataclass(slots=True)
class FileSet:
    """Files to read, each once, in order.

    `shown` is how output names a file (as the operator could open it), `folders` what its folder
    is called where it stands for a kustomization: its path inside the checkout.
    """

    shown: dict[Path, str] = field(default_factory=dict)
    folders: dict[Path, str] = field(default_factory=dict)
    notices: list[Notice] = field(default_factory=list)

    def add(self, path: Path, root: Path) -> None:
        """Take a file in, unless it is there already."""
        real = path.resolve()
        if real not in self.shown:
            self.shown[real] = clean(os.path.normpath(path))
            self.folders[real] = clean(_inside(real.parent, root.resolve()))

    def follow(self, target: Path, kustomization: Path) -> None:
        """Take in what a kustomization refers to, when it lies in the same git checkout."""
        checkout = find_checkout(kustomization)
        if checkout is None or not target.resolve().is_relative_to(checkout):
            return
        if target.is_file():
            self._follow_file(target, kustomization)
        for name in sorted(KUSTOMIZATION_NAMES):
            if (target / name).is_file():
                self._follow_file(target / name, kustomization)

    def _follow_file(self, target: Path, kustomization: Path) -> None:
        shown_folder = Path(self.shown[kustomization]).parent
        shown = shown_folder / os.path.relpath(target, kustomization.parent)
        real = target.resolve()
        if real not in self.shown:
            self.shown[real] = clean(os.path.normpath(shown))
            self.folders[real] = clean(_inside(real.parent, real.parent))


def find_checkout(path: Path) -> Path | None:
    """Give the root of the git work tree that holds `path`."""
    return next((folder for folder in path.parents if (folder / ".git").exists()), None)


def _inside(folder: Path, root: Path) -> str:
    root = find_checkout(folder / "file") or root
    return str(folder.relative_to(root)) if folder != root else root.name


def find_files(paths: Iterable[str]) -> FileSet:
    """List the manifests under `paths`; BadInput when one of them does not exist.

    A file that is named is read whatever it is called; in a directory tree only YAML, JSON and
    kustomization files count. Hidden directories and links that leave the tree are left out.
    """
    files = FileSet()
    for text in paths:
        path = Path(text)
        if path.is_dir():
            for file in _walk(path, files.notices):
                files.add(file, path)
        elif path.exists():
            files.add(path, path.parent)
        else:
            raise BadInput(f"no such file or directory: `{clean(text)}`", file=clean(text))
    return files


def _walk(root: Path, notices: list[Notice]) -> Iterator[Path]:
    def unreadable(error: OSError) -> None:
        notices.append(
            Notice(f"not read: {error.strerror}", file=clean(str(error.filename)), severity="error")
        )

    real_root = root.resolve()
    for folder, folders, names in os.walk(root, onerror=unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(folder) / name
            if not (name.endswith(SUFFIXES) or name in KUSTOMIZATION_NAMES):
                continue
            if path.is_symlink() and not path.resolve().is_relative_to(real_root):
                notices.append(Notice("not read: a link out of the tree", file=clean(str(path))))
                continue
            yield path


def read_bytes(path: Path, shown: str) -> bytes:
    """Give a file's bytes, unpacked if it is gzip by its content; BadInput when it cannot be."""
    try:
        with path.open("rb") as stream:
            packed = stream.read(2) == b"\x1f\x8b"
            stream.seek(0)
            if not packed:
                return _limited(stream.read(BYTES_MAX + 1), shown)
            with gzip.open(stream) as unpacked:
                return _limited(unpacked.read(BYTES_MAX + 1), shown)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadInput(f"not readable as gzip: {error}", file=shown) from error
    except OSError as error:
        raise BadInput(f"not read: {error.strerror or error}", file=shown) from error


def _limited(content: bytes, shown: str) -> bytes:
    if len(content) > BYTES_MAX:
        raise BadInput(f"larger than {BYTES_MAX >> 20} MiB", file=shown)
    return content
