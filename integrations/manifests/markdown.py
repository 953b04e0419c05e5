"""Policies in fenced blocks of Markdown files, each with its line in the file.

People copy what a page shows, so it is judged like any other; it is never part of a cluster. A
block that is no YAML, or no policy, is not for us and passes without a word.
"""

from __future__ import annotations

from pathlib import Path

from markdown_it import MarkdownIt

from app.core.errors import BadInput
from app.core.model.kinds import POLICY_KINDS
from app.core.model.provenance import Manifest
from app.core.text import clean
from integrations.manifests.files import read_bytes
from integrations.manifests.found import Found
from integrations.manifests.placeholders import Placeholders
from integrations.manifests.yaml_file import YamlFile

SUFFIXES = (".md", ".markdown")

_LANGUAGES = frozenset({"", "yaml", "yml"})


def find_markdown(path: Path) -> tuple[Path, ...]:
    """Give the Markdown files of a tree, or the file itself; hidden folders are left out."""
    if path.is_file():
        return (path,) if path.suffix.lower() in SUFFIXES else ()
    return tuple(
        one
        for suffix in SUFFIXES
        for one in sorted(path.rglob(f"*{suffix}"))
        if one.is_file() and not any(part.startswith(".") for part in one.relative_to(path).parts)
    )


def read_policies(path: Path, shown: str) -> tuple[Manifest, ...]:
    """Give the policies of a Markdown file's fenced blocks; `BadInput` when it cannot be read."""
    try:
        text = read_bytes(path, shown).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput("not UTF-8", file=shown) from error
    return policies_of(text, clean(shown))


def policies_of(text: str, file: str) -> tuple[Manifest, ...]:
    """Give the policies of a Markdown text's fenced blocks."""
    found: list[Manifest] = []
    for token in MarkdownIt().parse(text):
        language = token.info.strip().split(" ")[0].lower()
        if token.type != "fence" or token.map is None or language not in _LANGUAGES:
            continue
        block = Found()
        before = "\n" * (token.map[0] + 1)  # so that lines are those of the file
        YamlFile(before + token.content, file, Placeholders({}), block).read()
        found += [one for one in block.manifests if one.ref.kind in POLICY_KINDS]
    return tuple(found)
