"""Findings mended: the smallest change of a file, and the engine's word on what it changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from app.core.drafts.diff import unified_diff
from app.core.drafts.edits import MergeItem, RemoveItem, apply_edit
from app.core.drafts.splice import splice
from app.core.errors import BadInput, DraftRejected
from app.core.lint.finding import Finding
from app.core.model.provenance import Manifest
from app.services.effect import effect_of_policies
from app.services.picture import Picture
from app.services.wording import counted

Read = Callable[[str], str | None]
"""Gives a file's text; None when it cannot be read as text."""


@dataclass(frozen=True, slots=True)
class FileFix:
    """A file with its certain findings mended. `told` says of each what it changes."""

    file: str
    before: str
    after: str
    mended: tuple[Finding, ...]
    told: tuple[str, ...]


def with_patches(findings: Iterable[Finding], read: Read) -> tuple[Finding, ...]:
    """Give the findings with a patch where their change can be written safely."""
    return tuple(_with_patch(one, read) for one in findings)


def _with_patch(finding: Finding, read: Read) -> Finding:
    text = read(finding.file) if finding.edits and finding.file else None
    mended = _mended(text, finding) if text is not None else None
    if text is None or mended is None or finding.file is None:
        return finding
    return replace(finding, patch=unified_diff(finding.file, text, mended))


def find_fixes(picture: Picture, findings: Iterable[Finding], read: Read) -> tuple[FileFix, ...]:
    """Mend what is certain, file by file; what cannot be written safely is left out."""
    by_file: dict[str, list[Finding]] = {}
    for one in findings:
        if one.certain and one.edits and one.file and one.manifest is not None:
            by_file.setdefault(one.file, []).append(one)
    fixes = (_mend_file(picture, file, wanted, read(file)) for file, wanted in by_file.items())
    return tuple(fix for fix in fixes if fix is not None)


def _mend_file(
    picture: Picture, file: str, wanted: Iterable[Finding], before: str | None
) -> FileFix | None:
    if before is None:
        return None
    after, done, told = before, [], []
    for one in _in_turn(wanted):
        mended = _mended(after, one)
        if mended is not None:
            after = mended
            done.append(one)
            told.append(effect_words(picture, one))
    return FileFix(file, before, after, tuple(done), tuple(told)) if done else None


def _in_turn(wanted: Iterable[Finding]) -> tuple[Finding, ...]:
    """What moves items of a list comes last and from the end, so that every path stays true."""
    moving: list[Finding] = []
    still: list[Finding] = []
    for one in wanted:
        shifts = any(isinstance(edit, MergeItem | RemoveItem) for edit in one.edits)
        (moving if shifts else still).append(one)
    moving.sort(key=lambda one: one.line or 0, reverse=True)
    return (*still, *moving)


def _mended(text: str, finding: Finding) -> str | None:
    if finding.manifest is None or finding.file != finding.manifest.file:
        return None  # a patch wrote it, where its path is another
    line = finding.manifest.line_of("")
    try:
        return splice(text, finding.policy, finding.edits, line=line or 0)
    except (BadInput, DraftRejected):  # BadInput: a page is no YAML
        return None


def effect_words(picture: Picture, finding: Finding) -> str:
    """Say what a finding's change does to connections, asked of the engine before and after."""
    policies = tuple(
        _edited(one, finding) if one is finding.manifest else one
        for one in picture.cluster.policies
    )
    effect = effect_of_policies(picture, policies)
    if not (effect.newly_allowed or effect.newly_denied):
        none = "no verdict between any two identities changes at layer 3/4"
        return "; ".join(effect.unknown) or none
    opened = counted(len(effect.newly_allowed or ()), "connection")
    counts = f"{opened} newly allowed, {len(effect.newly_denied or ())} newly denied"
    return "; ".join((counts, *effect.unknown))


def _edited(manifest: Manifest, finding: Finding) -> Manifest:
    body = dict(manifest.body)
    for edit in finding.edits:
        body = apply_edit(body, edit)
    return replace(manifest, body=body)
