"""The bank of kustomizations, our build of them, and the real tool's.

Run as a program with `--record` it writes what the real tool prints into every case.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from app.core.documents.limits import READING
from app.core.documents.split import split_documents
from app.core.documents.tree import TreeBuilder, compose
from integrations.manifests.checkout import Charts, Checkout
from integrations.manifests.files import find_files
from integrations.manifests.found import Found
from integrations.manifests.kustomize.kustomization import Built
from integrations.manifests.kustomize.target import build
from integrations.manifests.one_file import read_file
from integrations.manifests.placeholders import Placeholders
from tests.testbed.binaries import FOLDER

CASES = Path(__file__).parents[2] / "cases" / "kustomize"
EXPECTED = "expect.yaml"
REFUSED = "refused\n"

_PART = re.compile(r"(?m)^-- (\S+) --\n")

Objects = Mapping[tuple[str, ...], Any]


@dataclass(frozen=True, slots=True)
class Case:
    """One kustomization, `files` by path; `expected` is the real tool's output."""

    name: str
    files: Mapping[str, str]
    expected: str

    def write(self, folder: Path) -> None:
        """Write its files into a folder."""
        for name, text in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")


def read_case(path: Path) -> Case:
    """Read one case."""
    parts = _PART.split(path.read_text(encoding="utf-8"))[1:]
    files = dict(zip(parts[::2], parts[1::2], strict=True))
    return Case(path.stem, files, files.pop(EXPECTED, ""))


def cases() -> list[Case]:
    """All of the bank."""
    return [read_case(path) for path in sorted(CASES.glob("*.txtar"))]


def build_ours(folder: Path) -> Built:
    """Build a folder with our code."""
    files = find_files([str(folder)])
    placeholders = Placeholders({})
    found = Found(notices=files.notices)
    reader = partial(read_file, placeholders=placeholders, found=found)
    checkout = Checkout(files, placeholders.fill, found=found, read=reader, charts=Charts())
    checkout.read_all()
    kustomization = checkout.kustomization(folder)
    assert kustomization is not None
    return build(checkout, kustomization)


def build_real(folder: Path) -> str:
    """Build a folder with the real tool; `REFUSED` where it ends with an error."""
    finished = subprocess.run(
        [FOLDER / "kustomize", "build", "--load-restrictor", "LoadRestrictionsNone", folder],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return finished.stdout if finished.returncode == 0 else REFUSED


def by_id(bodies: Iterable[Any]) -> Objects:
    """Objects by what makes them themselves."""
    return {_id(body): body for body in bodies}


def _id(body: Any) -> tuple[str, ...]:
    metadata = body.get("metadata") or {}
    return tuple(
        str(one)
        for one in (
            body.get("apiVersion"),
            body.get("kind"),
            metadata.get("namespace"),
            metadata.get("name"),
        )
    )


def parse(text: str) -> Iterator[Any]:
    """Read what the tool printed, as kubectl would."""
    for chunk in split_documents(text):
        yield TreeBuilder(READING).build(compose(chunk.text, chunk.line))


def _record() -> None:
    for path in sorted(CASES.glob("*.txtar")):
        case = read_case(path)
        with tempfile.TemporaryDirectory() as folder:
            case.write(Path(folder))
            printed = build_real(Path(folder))
        text, _, _ = path.read_text(encoding="utf-8").partition(f"-- {EXPECTED} --\n")
        path.write_text(f"{text}-- {EXPECTED} --\n{printed}", encoding="utf-8")


if __name__ == "__main__" and sys.argv[1:] == ["--record"]:
    _record()
