"""Where an evidence pack comes from and goes to: hashes of what was read, files, a signature."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from app.core.errors import BadInput
from app.core.text import clean
from app.services.contract import Form
from app.services.evidence import InputFile
from app.services.evidence_diff import check_pack
from app.services.evidence_pages import markdown, page

JSON_FILE, PAGE_FILE, MARKDOWN_FILE = "evidence.json", "index.html", "evidence.md"
SUMS_FILE = "SHA256SUMS"
LARGEST = 256 << 20
_CHUNK = 1 << 20


def hash_files(names: Iterable[str]) -> tuple[InputFile, ...]:
    """The files of these names with their hashes; one that cannot be read has none."""
    return tuple(InputFile(clean(name), _hash(Path(name))) for name in sorted(set(names)))


def _hash(path: Path) -> str:
    found = hashlib.sha256()
    try:
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                found.update(chunk)
    except OSError:
        return ""
    return found.hexdigest()


def write_pack(pack: Form, folder: Path, *, key: str = "") -> tuple[Path, ...]:
    """Write the pack in its three forms with their hashes, signed if a key is named.

    Gives what was written. Raises `BadInput` where the folder cannot be written.
    """
    texts = {
        JSON_FILE: json.dumps(pack, indent=1, ensure_ascii=False, sort_keys=True) + "\n",
        PAGE_FILE: page(pack),
        MARKDOWN_FILE: markdown(pack),
    }
    sums = [
        f"{hashlib.sha256(text.encode()).hexdigest()}  {name}\n"
        for name, text in sorted(texts.items())
    ]
    texts[SUMS_FILE] = "".join(sums)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        written = [folder / name for name in texts]
        for path, text in zip(written, texts.values(), strict=True):
            path.write_bytes(text.encode())
    except OSError as error:
        words = error.strerror or str(error)
        raise BadInput(f"cannot write to `{clean(str(folder))}`: {words}") from error
    if key:
        from integrations.signing.files import sign

        written.append(sign(folder / SUMS_FILE, Path(key)))
    return tuple(written)


def read_pack(place: str) -> Form:
    """An evidence pack by its folder or its JSON file. Raises `BadInput`."""
    path = Path(place)
    file = path / JSON_FILE if path.is_dir() else path
    try:
        if file.stat().st_size > LARGEST:
            raise BadInput("too large for an evidence pack", file=clean(str(file)))
        pack: Any = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        words = getattr(error, "strerror", None) or "no JSON"
        raise BadInput(f"cannot read the evidence pack: {words}", file=clean(str(file))) from error
    return check_pack(pack, clean(str(file)))
