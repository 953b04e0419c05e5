"""Which files a snapshot is made of, and their bytes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from app.core.documents.packed import FILE_BYTES_MAX, blocks_of, unpacked
from app.core.errors import BadInput
from app.core.model.provenance import Notice
from app.core.text import clean

SUFFIXES = (".yaml", ".yml", ".json", ".yaml.gz", ".yml.gz", ".json.gz")
KUSTOMIZATION_NAMES = frozenset({"kustomization.yaml", "kustomization.yml", "Kustomization"})
"""Source: kustomize `api/konfig/general.go` (`RecognizedKustomizationFileNames`)."""

STDIN = "-"


@dataclass(slots=True)
class FileSet:
    """Files to read, each once, in order.

    `shown` is how output names a file (as the operator could open it), `folders` what its folder
    is called where it stands for a kustomization: its path inside the checkout.
    """

    shown: dict[Path, str] = field(default_factory=dict)
    folders: dict[Path, str] = field(default_factory=dict)
    named: dict[str, list[str]] = field(default_factory=dict)
    """What the operator named → the files it led to, as shown."""
    notices: list[Notice] = field(default_factory=list)
    _inside: dict[tuple[Path, Path], str] = field(default_factory=dict)

    def add(self, path: Path, real: Path, root: Path, named: str) -> None:
        """Take a file in, unless it is there already; `real` is where its path leads."""
        known = self.shown.get(real)
        shown = known or clean(os.path.normpath(path))
        self.named[named].append(shown)
        if known is None:
            self.shown[real] = shown
            self.folders[real] = self._name_of(real.parent, root)

    def _name_of(self, folder: Path, root: Path) -> str:
        found = self._inside.get((folder, root))
        if found is None:
            found = clean(_inside(folder, real_path(root) or root))
            self._inside[folder, root] = found
        return found

    def add_stream(self, path: Path) -> None:
        """Take in what was named and is no file of a folder: standard input, a pipe, a device."""
        name = "standard input" if str(path) == STDIN else clean(str(path))
        self.named[str(path)] = [name]
        self.shown[path] = self.folders[path] = name


def find_checkout(path: Path) -> Path | None:
    """Give the root of the git work tree that holds `path`."""
    return next((folder for folder in path.parents if (folder / ".git").exists()), None)


def real_path(path: Path) -> Path | None:
    """Where a path leads in the end; None when it leads nowhere.

    A link to itself, a name longer than the system takes, or one with a NUL in it leads nowhere.
    """
    try:
        real = path.resolve()
        real.lstat()
    except FileNotFoundError:
        return real
    except (OSError, ValueError, RuntimeError):
        return None
    return real


def is_file(path: Path) -> bool:
    """Whether a path leads to a plain file; one that no system takes does not."""
    real = real_path(path)
    return real is not None and real.is_file()


def is_folder(path: Path) -> bool:
    """Whether a path leads to a folder; one that no system takes does not."""
    real = real_path(path)
    return real is not None and real.is_dir()


def is_chart(folder: Path) -> bool:
    """Whether a folder holds a Helm chart."""
    return is_file(folder / "Chart.yaml")


def _inside(folder: Path, root: Path) -> str:
    root = find_checkout(folder / "file") or root
    return (
        str(folder.relative_to(root))
        if folder.is_relative_to(root) and folder != root
        else root.name
    )


def find_files(paths: Iterable[str]) -> FileSet:
    """List the manifests under `paths`; BadInput when one of them does not exist.

    What is named is read whatever it is called and whatever it is: a file, a pipe, `-` for standard
    input. In a directory tree only YAML, JSON and kustomization files count. Hidden directories and
    links that leave the tree are left out.
    """
    files = FileSet()
    for text in paths:
        path = Path(text)
        try:
            kind = _kind(path)
        except (OSError, ValueError, RuntimeError) as error:
            words = getattr(error, "strerror", None) or str(error)
            raise BadInput(f"`{clean(text, 200)}`: {words}", file=clean(text, 200)) from error
        files.named[text] = []
        if kind == "folder":
            for file, real in _walk(path, files.notices):
                files.add(file, real, path, text)
        elif kind == "file" and (real_file := real_path(path)) is not None:
            files.add(path, real_file, path.parent, text)
        elif kind == "stream":
            files.add_stream(path)
        else:
            raise BadInput(f"no such file or directory: `{clean(text)}`", file=clean(text))
    return files


def _kind(path: Path) -> str:
    if str(path) == STDIN:
        return "stream"
    try:
        path.stat()
    except FileNotFoundError:
        return ""
    if path.is_dir():
        return "folder"
    return "file" if path.is_file() else "stream"


def _walk(root: Path, notices: list[Notice]) -> Iterator[tuple[Path, Path]]:
    """Yield each file of a tree with where its path leads: links are asked of the system alone."""

    def leave_out(path: Path | str, why: str) -> None:
        notices.append(Notice(f"not read: {why}", file=clean(str(path)), severity="error"))

    real_root = root.resolve()
    waiting = [(root, real_root)]
    while waiting:
        folder, real_folder = waiting.pop()
        try:
            with os.scandir(folder) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            leave_out(str(error.filename), error.strerror or "unreadable")
            continue
        inner = []
        for entry in entries:
            name = entry.name
            if _leads_to_folder(entry):
                if not (name.startswith(".") or entry.is_symlink()):
                    inner.append((folder / name, real_folder / name))
            elif name.endswith(SUFFIXES) or name in KUSTOMIZATION_NAMES:
                path, real = folder / name, real_folder / name
                if not entry.is_file(follow_symlinks=False):
                    if reason := _not_of_tree(path, real_root):
                        leave_out(path, reason)
                        continue
                    real = real_path(path) or real
                yield path, real
        waiting += reversed(inner)


def _leads_to_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _not_of_tree(path: Path, root: Path) -> str:
    """Why a file of a folder is not read; empty when it is."""
    real = real_path(path)
    if real is None:
        return "a link that leads nowhere"
    if not real.is_relative_to(root):
        return "a link out of the tree"
    if not real.exists():
        return "a link that leads nowhere"
    return "" if real.is_file() else "no regular file"


def read_bytes(path: Path, shown: str) -> bytes:
    """Give a file's bytes, unpacked if it is gzip by its content; BadInput when it cannot be."""
    try:
        if str(path) == STDIN:
            return _whole(sys.stdin.buffer)
        with path.open("rb") as stream:
            return _whole(stream)
    except BadInput as error:
        raise BadInput(f"not read: {error.message}", hint=error.hint, file=shown) from error
    except (OSError, ValueError) as error:  # standard input may be closed
        words = getattr(error, "strerror", None) or str(error)
        raise BadInput(f"not read: {words}", file=shown) from error
    except AttributeError as error:  # Python's standard input is None where there is none
        raise BadInput("not read: there is no standard input", file=shown) from error


def _whole(stream: IO[bytes]) -> bytes:
    return b"".join(unpacked(blocks_of(stream), most=FILE_BYTES_MAX))
