"""The JSON form of drafts that are there already (docs/forms.md §4.10), and what fills it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from app.services.contract import Form, listing
from app.services.drafts import OwnDraft
from app.services.form_parts import Listing

DraftState = Literal["open", "merged", "declined", "expired", "superseded"]


class KeptDraft(msgspec.Struct, kw_only=True):
    """One draft of ours. `due` is a date, null for what stays; `undoes` the key that it takes back.

    `done` says what `--due` or `--verify` did about it, `fine` how that went; null where nothing.
    """

    key: str
    forge: str
    branch: str
    base: str
    state: DraftState
    title: str
    policy: str
    due: str | None
    url: str | None
    undoes: str | None
    done: str | None
    fine: bool | None


class KeptDrafts(Listing, kw_only=True):
    """`drafts`."""

    items: list[KeptDraft]


def drafts_form(
    drafts: Sequence[OwnDraft], forge: str, done: Mapping[str, tuple[str, bool]]
) -> Form:
    """Fill `drafts`; `done` is by branch."""
    return listing([_form(one, forge, done.get(one.kept.branch)) for one in drafts])


def _form(draft: OwnDraft, forge: str, done: tuple[str, bool] | None) -> Form:
    kept, meta = draft.kept, draft.meta
    return {
        "key": meta.key,
        "forge": forge,
        "branch": kept.branch,
        "base": kept.base,
        "state": draft.state,
        "title": kept.title,
        "policy": meta.policy,
        "due": meta.expires or None,
        "url": kept.url or None,
        "undoes": meta.undoes or None,
        "done": done[0] if done else None,
        "fine": done[1] if done else None,
    }
