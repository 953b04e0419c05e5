"""Drafts as pull requests: the algorithm, which is one for every forge.

A change has one branch, one commit on the base and one request, whoever asks and how often. A run
that ended half way is finished by the next: every step looks first at what is there. What people
did stays: their commits, a request's title, their part of its body, its labels and reviewers.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

from app.core.documents.codeowners import PLACES, owners_of, parse_codeowners
from app.core.drafts.body import BODY_LIMIT, into_template, merge_body
from app.core.drafts.paths import check_path
from app.core.drafts.proposal import BRANCH_PREFIX, check_branch
from app.core.errors import DraftRejected, K8treError, NotFound, SourceCause, SourceUnavailable
from app.ports import FileChange, KeptDraft, Proposal, ProposedChange
from integrations.git.export import export
from integrations.git.hosting import (
    Commit,
    Host,
    NewCommit,
    NewPull,
    Pull,
    PullState,
    Touched,
    Written,
)
from integrations.git.ours import (
    change_trailer,
    check_base,
    content_trailer,
    digest,
    keep_reason,
    refuse_others,
    sealed,
)
from integrations.git.paths import find_file, read_text
from integrations.git.remote_files import fetch

_TRIES = 3
_HINT_LENGTH = 10
_STATES = {PullState.OPEN: "open", PullState.CLOSED: "declined", PullState.MERGED: "merged"}

Sleep = Callable[[float], Awaitable[object]]


class ForgeRepo(ABC):
    """A PolicyRepo on a forge. `base` empty means the repository's default branch.

    `mirror` is a checkout of it, whose files need not be fetched where they are the same.
    `templates` and `owners` are the files that may hold the text of a request and who owns what.
    """

    templates: Sequence[str] = ()
    owners: Sequence[str] = PLACES

    def __init__(
        self, repository: str, *, base: str, mirror: Path | None, sleep: Sleep = asyncio.sleep
    ) -> None:
        self._repository = repository
        self._base = base
        self._mirror = mirror
        self._sleep = sleep

    @abstractmethod
    def _connect(self) -> AbstractAsyncContextManager[Host]:
        """A connection for one task."""

    @property
    def name(self) -> str:
        """The repository's name on its forge."""
        return self._repository

    async def base(self) -> str:
        """Give the commit that the base branch is at."""
        async with self._connect() as host:
            return (await self._head(host))[1]

    async def is_public(self) -> bool:
        """Say whether everybody may read the repository."""
        async with self._connect() as host:
            return (await host.about()).public

    async def export(self, commit: str, folder: Path) -> None:
        """Write a commit's files below `folder`."""
        async with self._connect() as host:
            entries = await host.entries(commit)
            files = await fetch(entries, host.blob, self._mirror, self._repository)
        await asyncio.to_thread(export, folder, files)

    async def read_file(self, path: str) -> str:
        """Give a file of the base branch, through links; NotFound when it is not there."""
        check_path(path)
        async with self._connect() as host:
            base, head = await self._head(host)
            found = await find_file(host, head, path)
            if found is None:
                raise NotFound(f"no file `{path}` on `{base}` of {self.name}")
            return await read_text(host, found)

    async def propose(self, change: ProposedChange) -> Proposal:
        """Put the change on its branch and open a pull request, or find the one that is open.

        Raises DraftRejected when people committed to the branch, when a pull request for the same
        change was closed unmerged (unless `change.again`), or when there is nothing to change.
        """
        check_branch(change.branch)
        async with self._connect() as host:
            base, head = await self._head(host)
            check_base(change, head, base, self.name)
            found = await _newest(host, change.branch, base, PullState.OPEN)
            if found is None and not change.again:
                await _refuse_declined(host, change, base)
            head = await self._push(host, change, base)
            task = _Request(host, change, base, head, self.templates, self.owners)
            return await task.finish(found)

    async def drafts(self) -> tuple[KeptDraft, ...]:
        """Every request of ours, the newest first."""
        async with self._connect() as host:
            base = self._base or (await host.about()).default_branch
            found = await host.pulls("", base, None)
        return tuple(_kept(one) for one in found if one.branch.startswith(BRANCH_PREFIX))

    async def comment(self, draft: KeptDraft, text: str) -> bool:
        """Say something under a request, unless it is said there already."""
        async with self._connect() as host:
            said = await host.comments(draft.number)
            if any(one.strip() == text.strip() for one in said):
                return False
            await host.comment(draft.number, text)
            return True

    async def _head(self, host: Host) -> tuple[str, str]:
        """The base branch and the commit that it is at."""
        base = self._base or (await host.about()).default_branch
        head = await host.head(base)
        if head is None:
            raise NotFound(f"no branch `{base}` in {self.name}")
        return base, head

    async def _push(self, host: Host, change: ProposedChange, base: str) -> str:
        """Bring the branch to one commit on the base, unless it is there; give the base's commit.

        When the base moves meanwhile, it is done again on the new one.
        """
        for attempt in range(_TRIES):
            head = await host.head(base)
            if head is None:
                raise NotFound(f"no branch `{base}` in {self.name}")
            check_base(change, head, base, self.name)
            branch = _Branch(host, change, base, head, self.name)
            try:
                await branch.bring()
            except SourceUnavailable as error:
                if error.cause is not SourceCause.CONFLICT or change.base:
                    raise
                moved = await host.head(base) != head
                if not moved and attempt == _TRIES - 1:
                    raise
            else:
                if await host.head(base) == head:
                    return head
            await self._sleep(float(attempt))
        raise SourceUnavailable(
            f"`{base}` keeps moving", source=self.name, cause=SourceCause.CONFLICT, hint="try again"
        )


def _kept(pull: Pull) -> KeptDraft:
    return KeptDraft(
        branch=pull.branch,
        base=pull.base,
        state=_STATES[pull.state],
        title=pull.title,
        url=pull.url,
        text=pull.body,
        number=pull.number,
        merged_at=pull.merged_at,
    )


async def _newest(host: Host, branch: str, base: str, state: PullState) -> Pull | None:
    return next(iter(await host.pulls(branch, base, state)), None)


async def _refuse_declined(host: Host, change: ProposedChange, base: str) -> None:
    closed = await _newest(host, change.branch, base, PullState.CLOSED)
    if closed is not None and closed.state is PullState.CLOSED:
        raise DraftRejected(
            f"pull request #{closed.number} for the same change was closed unmerged",
            hint="`--again` opens a new one",
        )


@dataclass(slots=True)
class _Branch:
    """A change's branch, brought to one commit on the base's."""

    host: Host
    change: ProposedChange
    base: str
    head: str
    source: str

    async def bring(self) -> None:
        """Make the commit, unless it is there. Raises DraftRejected where people's would go."""
        files = [await self._written(file) for file in self.change.files]
        if all(file.before == file.after for file in self.change.files):
            at = self.head[:_HINT_LENGTH]
            raise DraftRejected(f"the change is on `{self.base}` already, at {at}")
        content = digest((one.path, one.mode, one.text) for one in files)
        message = sealed(self.change.commit_message, content)
        old = await self.host.head(self.change.branch)
        if old is not None:
            tip = await self._own_tip(old)
            if (
                tip is not None
                and tip.parents == (self.head,)
                and await self._found(tip) == content
            ):
                return
            message = keep_reason(message, tip.message) if tip is not None else message
        await self.host.write(
            NewCommit(
                branch=self.change.branch,
                base=self.base,
                parent=self.head,
                old=old,
                message=message,
                files=files,
            )
        )

    async def _written(self, file: FileChange) -> Written:
        """Where the new text goes; refuse when the base is not what the draft was made from."""
        check_path(file.path)
        found = await find_file(self.host, self.head, file.path)
        text = await read_text(self.host, found) if found is not None else None
        if text != file.before:
            raise SourceUnavailable(
                f"`{file.path}` on `{self.base}` is not what the draft was made from any more",
                source=self.source,
                cause=SourceCause.CONFLICT,
                hint="draft again",
            )
        if found is None:
            return Written(file.path, "100644", file.after)
        return Written(found.path, found.mode, file.after, found.blob)

    async def _own_tip(self, old: str) -> Commit | None:
        """The branch's commit, None where it has none of its own; DraftRejected for others'."""
        trailer = change_trailer(self.change)
        commits = await self.host.between(self.base, self.change.branch)
        if not commits:
            return None
        if not trailer or any(trailer not in one.message.splitlines() for one in commits):
            raise refuse_others(self.change)
        tip = next((one for one in commits if one.name == old), None)
        if tip is None:
            raise refuse_others(self.change)
        said = content_trailer(tip.message)
        if said and await self._found(tip) != said:
            raise refuse_others(self.change)
        return tip

    async def _found(self, commit: Commit) -> str:
        """The digest of what a commit really writes."""
        files: list[tuple[str, str, str | None]] = []
        for path in await self.host.paths_of(commit.name):
            found = await find_file(self.host, commit.name, path)
            if found is None:
                files.append((path, "", None))
            else:
                files.append((found.path, found.mode, await read_text(self.host, found)))
        return digest(files)


@dataclass(slots=True)
class _Request:
    """A change's request, whose branch is there: opened or refreshed, labelled, sent to owners."""

    host: Host
    change: ProposedChange
    base: str
    head: str
    templates: Sequence[str]
    owners: Sequence[str]

    async def finish(self, found: Pull | None) -> Proposal:
        """Give where the change is now."""
        if found is None:
            found, opened = await self._open()
        else:
            opened = False
            await self._refresh(found)
        await self._courtesies(found, touched=frozenset() if opened else None)
        return Proposal(self.change.branch, found.url, existed=not opened, base=self.head)

    async def _open(self) -> tuple[Pull, bool]:
        """Open it; or give the one that somebody was faster to open, and False."""
        text = await self._text()
        new = NewPull(branch=self.change.branch, base=self.base, title=self.change.title, body=text)
        lost: SourceUnavailable | None = None
        try:
            opened = await self.host.open(new)
        except SourceUnavailable as error:
            # A lost answer is no proof that nothing was opened.
            lost, opened = error, None
        if opened is not None:
            return opened, True
        found = await _newest(self.host, self.change.branch, self.base, PullState.OPEN)
        if found is not None:
            return found, lost is not None
        raise lost or SourceUnavailable(
            "the forge takes no pull request for the branch",
            source=self.change.branch,
            cause=SourceCause.CONFLICT,
            hint="try again",
        )

    async def _refresh(self, found: Pull) -> None:
        """Bring our part of the body up to date; the title is the people's from the start."""
        body = merge_body(found.body, self.change.body)
        if body != found.body:
            await self.host.edit(found.number, body)

    async def _text(self) -> str:
        for place in self.templates:
            if template := await self._read(place):
                text = into_template(template, self.change.body)
                return text if len(text) <= BODY_LIMIT else self.change.body
        return self.change.body

    async def _courtesies(self, pull: Pull, touched: frozenset[Touched] | None) -> None:
        """Labels and reviewers: done once; without the right to them nothing else is lost."""
        try:
            if touched is None:
                touched = await self.host.touched(pull.number)
            if Touched.LABELS not in touched:
                await self.host.label(pull.number)
            if Touched.REVIEWERS not in touched and (owners := await self._owners(pull)):
                await self.host.ask_review(pull, owners)
        except SourceUnavailable:
            return

    async def _owners(self, pull: Pull) -> Sequence[str]:
        """Who owns the files, but for who opened the request and for addresses of mail."""
        for place in self.owners:
            if (text := await self._read(place)) is not None:
                rules = parse_codeowners(text)
                named = [one for file in self.change.files for one in owners_of(file.path, rules)]
                author = f"@{pull.author}".lower()
                wanted = (one for one in named if one.startswith("@") and one.lower() != author)
                return tuple(dict.fromkeys(wanted))
        return ()

    async def _read(self, path: str) -> str | None:
        """A file of the base that people keep for requests; None when there is none to read."""
        try:
            found = await find_file(self.host, self.head, path)
            return await read_text(self.host, found) if found is not None else None
        except SourceUnavailable:
            raise
        except K8treError:
            return None
