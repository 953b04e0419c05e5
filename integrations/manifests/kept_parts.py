"""What a file gave, in a form that can be kept: its objects, notices and what was left out.

Where a file lies is not part of it, so that the same text in another place is the same part.
What holds a Secret is not kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

import msgspec

from app.core.errors import BadInput
from app.core.model.provenance import Manifest, Notice, ObjectRef, Source
from integrations.manifests.files import KUSTOMIZATION_NAMES, read_bytes
from integrations.manifests.found import Found
from integrations.manifests.kept import Pack, digest
from integrations.manifests.one_file import decoded, in_chart_templates, read_content
from integrations.manifests.placeholders import Placeholders

_KIND = "file"
_SECRET = "Secret"  # noqa: S105  # the kind
_SIZE_MAX = 8 << 20
"""Bytes of a file that is worth keeping; larger ones are dumps, read once."""


class KeptObject(msgspec.Struct, array_like=True):
    """A manifest of a file, without the file."""

    kind: str
    namespace: str
    name: str
    api_version: str
    body: dict[str, Any]
    line: int
    document: int
    lines: dict[str, int]
    words: dict[str, str]
    comments: dict[str, str]

    def manifest(self, file: str) -> Manifest:
        """The object as read from a file."""
        ref = ObjectRef(self.kind, self.namespace, self.name)
        source = Source(
            file,
            self.line,
            document=self.document,
            lines=self.lines,
            words=self.words,
            comments=self.comments,
        )
        return Manifest(ref, self.api_version, self.body, source)


class KeptNotice(msgspec.Struct, array_like=True):
    """A notice about a file, without the file."""

    text: str
    line: int | None
    ref: tuple[str, str, str] | None
    severity: str

    @classmethod
    def of(cls, one: Notice) -> KeptNotice:
        """Keep a notice."""
        ref = (one.ref.kind, one.ref.namespace, one.ref.name) if one.ref else None
        return cls(one.text, one.line, ref, one.severity)

    def notice(self, file: str) -> Notice:
        """The notice about a file."""
        ref = ObjectRef(*self.ref) if self.ref else None
        return Notice(self.text, file, self.line, ref, self.severity)


class KeptFile(msgspec.Struct, array_like=True):
    """All that reading a file gave."""

    manifests: list[KeptObject]
    kustomizations: list[KeptObject]
    notices: list[KeptNotice]
    skipped: list[str]
    has_empty_list: bool


_decoder = msgspec.msgpack.Decoder(KeptFile)


class FileReader:
    """Reads files into `found`; what one gave before is taken from the pack.

    `digests` is what each file that was read is known by: its content, and how it is read.
    """

    def __init__(self, pack: Pack, placeholders: Placeholders, found: Found) -> None:
        self._pack = pack
        self._placeholders = placeholders
        self._found = found
        self.digests: dict[Path, bytes] = {}

    def __call__(self, path: Path, shown: str) -> None:
        """Add what a file holds to `found`, as objects or as the reason why it was not read."""
        try:
            content = decoded(read_bytes(path, shown))
        except BadInput as error:
            self._found.broken(error, shown)
            return
        if not self._pack.is_kept:
            read_content(content, path, shown, self._placeholders, self._found)
            return
        name = PurePath(shown).name
        role = name if name in KUSTOMIZATION_NAMES else "".join(PurePath(shown).suffixes[-2:])
        template = in_chart_templates(path)
        key = digest(content, role.encode("utf-8", "replace"), b"template" if template else b"")
        self.digests[path] = key
        if template or len(content) > _SIZE_MAX:
            read_content(content, path, shown, self._placeholders, self._found)
            return
        kept = self._pack.find(_KIND, key, _decoder)
        if kept is None:
            self._read(content, path, shown, key)
        else:
            _give(kept, shown, self._found)

    def _read(self, content: bytes, path: Path, shown: str, key: bytes) -> None:
        own = Found()
        read_content(content, path, shown, self._placeholders, own)
        _add(own, self._found)
        if not _holds_secrets(own):
            self._pack.add(_KIND, key, _kept(own))


def _holds_secrets(own: Found) -> bool:
    return any(one.ref.kind == _SECRET for one in own.manifests) or any(
        "secretGenerator" in one.body for one in own.kustomizations
    )


def _add(own: Found, found: Found) -> None:
    found.manifests += own.manifests
    found.kustomizations += own.kustomizations
    found.notices += own.notices
    found.empty_lists |= own.empty_lists
    for reason, where in own.skipped.items():
        found.skipped.setdefault(reason, []).extend(where)


def _kept(own: Found) -> KeptFile:
    return KeptFile(
        manifests=[_kept_object(one) for one in own.manifests],
        kustomizations=[_kept_object(one) for one in own.kustomizations],
        notices=[KeptNotice.of(one) for one in own.notices],
        skipped=[reason for reason, where in own.skipped.items() for _ in where],
        has_empty_list=bool(own.empty_lists),
    )


def _kept_object(one: Manifest) -> KeptObject:
    source = one.source or Source("", 0)
    lines: Mapping[str, int] = source.lines
    return KeptObject(
        kind=one.ref.kind,
        namespace=one.ref.namespace,
        name=one.ref.name,
        api_version=one.api_version,
        body=dict(one.body),
        line=source.line,
        document=source.document,
        lines=dict(lines),
        words=dict(source.words),
        comments=dict(source.comments),
    )


def _give(kept: KeptFile, shown: str, found: Found) -> None:
    found.manifests += [one.manifest(shown) for one in kept.manifests]
    for one in kept.kustomizations:
        manifest = one.manifest(shown)
        ref = ObjectRef(one.kind, "", shown)
        found.kustomizations.append(Manifest(ref, one.api_version, one.body, manifest.source))
    found.notices += [one.notice(shown) for one in kept.notices]
    for reason in kept.skipped:
        found.skip(reason, shown)
    if kept.has_empty_list:
        found.empty_lists.add(shown)
