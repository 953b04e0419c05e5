"""The seams of the program: small protocols that adapters fulfil and services use.

Only domain values cross them; no object of a client library does. Every port has a fake in
`app.testing`, and one contract test runs against the fake and the real adapter. Errors that cross
a seam are `app.core.errors.SourceUnavailable` or `BadInput`; adapters translate.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from app.core.model.flow import Flow, FlowBatch
from app.core.model.provenance import Manifest, Notice, ObjectRef


class Clock(Protocol):
    """Time as a value: tests move it by hand."""

    def now_ns(self) -> int:
        """UTC nanoseconds since the epoch."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back."""
        ...


@dataclass(frozen=True, slots=True)
class Right:
    """Whether one kind may be read: `allowed` None means the cluster has no such kind.

    `scope` is `cluster`, or the namespaces it is limited to; `cost` what its absence costs.
    """

    kind: str
    verb: str
    allowed: bool | None
    scope: str = "cluster"
    cost: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Environment:
    """One of the environments that a checkout deploys, as `--env` and `--cluster` name it."""

    env: str = ""
    clusters: tuple[str, ...] = ()

    def __str__(self) -> str:
        """`prd, cloud`."""
        return ", ".join(one for one in (self.env, *self.clusters) if one)


@dataclass(frozen=True, slots=True)
class ClusterPicture:
    """Every object read at one moment. `as_of_ns` is when; `notices` what was missing.

    `shadowed` are objects that are not in force, because one of `manifests` has the same kind,
    namespace and name, or because nothing deploys them (`Source.orphan`): lists show them, nothing
    evaluates them.
    """

    manifests: tuple[Manifest, ...]
    as_of_ns: int
    notices: tuple[Notice, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    """The agent's configuration (`cilium-config` keys) where it could be read."""
    cilium_version: str = ""
    shadowed: tuple[Manifest, ...] = ()
    rights: tuple[Right, ...] = ()
    environment: Environment = Environment()
    """Which environment of a checkout it is."""
    other_environments: tuple[Environment, ...] = ()
    """Those that it could have been, where nobody chose."""


@dataclass(frozen=True, slots=True)
class ClusterChange:
    """Objects that appeared or changed (`upserts`) and went (`deletes`) since the last one."""

    upserts: tuple[Manifest, ...] = ()
    deletes: tuple[ObjectRef, ...] = ()
    as_of_ns: int = 0
    state: SourceState | None = None
    notices: tuple[Notice, ...] | None = None


@dataclass(frozen=True, slots=True)
class SourceState:
    """What a source says of itself.

    `phase` is off, connecting, live, ended (all there was has been read), stale (connected, but
    nothing comes), retrying or denied.
    """

    source: str
    phase: str
    reason: str = ""
    since_ns: int = 0
    next_try_s: float | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_read(self) -> bool:
        """Whether what is shown of it is what there is."""
        return self.phase in ("live", "ended")

    @property
    def unheard(self) -> str:
        """Which part of it gives nothing while the rest does, nodes of Relay; else empty."""
        return str(self.detail.get("unavailable", "")) if self.is_read else ""

    @property
    def is_broken(self) -> bool:
        """Whether what is shown of it, if anything, is getting old."""
        return self.phase in ("stale", "retrying", "denied")


class ClusterReader(Protocol):
    """Kubernetes objects: one complete picture, then changes. Never writes."""

    @property
    def name(self) -> str:
        """What to call it on screen: a context, `demo`, a path."""
        ...

    async def read(self) -> ClusterPicture:
        """Read everything once."""
        ...

    def watch(self) -> AsyncIterator[ClusterChange]:
        """Yield changes after `read` for as long as the source can change; may end at once."""
        ...


@dataclass(frozen=True, slots=True)
class FlowRequest:
    """What to ask a flow source for. `filters` are pushed down as far as the source can.

    `since_ns`/`until_ns` are UTC nanoseconds; `last` counts flows, None means all.
    `allow`/`deny` are Hubble FlowFilters as plain JSON objects with proto field names.
    """

    follow: bool = True
    last: int | None = None
    since_ns: int | None = None
    until_ns: int | None = None
    allow: tuple[Mapping[str, Any], ...] = ()
    deny: tuple[Mapping[str, Any], ...] = ()


class FlowSource(Protocol):
    """Flows from Relay, a file or the demo."""

    @property
    def name(self) -> str:
        """What to call it on screen."""
        ...

    def flows(self, request: FlowRequest) -> AsyncIterator[FlowBatch | SourceState]:
        """Yield batches, and the source's own state whenever it changes, until it ends."""
        ...


@dataclass(frozen=True, slots=True)
class FileChange:
    """The new text of one file of a repository.

    `before` is None for a new file, `after` for one that is taken away.
    """

    path: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class ProposedChange:
    """What a pull request is made of; every text is already safe for Markdown.

    `again` asks for it although the same change was declined before. `base` is the commit for which
    it was proved; empty where there is none to name. `long_message` is the commit message that
    carries the whole body, for where there is no request to carry it; empty means the short one.
    """

    branch: str
    title: str
    body: str
    commit_message: str
    files: tuple[FileChange, ...]
    again: bool = False
    base: str = ""
    long_message: str = ""


@dataclass(frozen=True, slots=True)
class Proposal:
    """Where a change was put: a branch, and a pull request's address where there is one.

    `base` is the commit it stands on.
    """

    branch: str
    url: str = ""
    existed: bool = False
    base: str = ""


@dataclass(frozen=True, slots=True)
class KeptDraft:
    """A draft of ours as its repository has it: a branch, and a request where there are requests.

    `state` is open, merged or declined. `text` holds our metadata: the body of the request, or the
    message of the commit. `merged_at` is UTC as RFC 3339, empty while it is not merged.
    """

    branch: str
    base: str
    state: str
    title: str = ""
    url: str = ""
    text: str = field(default="", repr=False)
    number: int = 0
    merged_at: str = ""


class PolicyRepo(Protocol):
    """A GitOps repository: files are read, a change becomes a branch or a pull request."""

    @property
    def name(self) -> str:
        """What to call it on screen."""
        ...

    async def base(self) -> str:
        """Give the commit that the base branch is at; empty where nothing is committed."""
        ...

    async def export(self, commit: str, folder: Path) -> None:
        """Write a commit's files below a folder, as far as policies may be made of them."""
        ...

    async def read_file(self, path: str) -> str:
        """Give a file of the base branch."""
        ...

    async def propose(self, change: ProposedChange) -> Proposal:
        """Put the change on a branch, and open a pull request where the host has them."""
        ...

    async def is_public(self) -> bool:
        """Say whether everybody may read the repository, as far as its host tells."""
        ...

    async def drafts(self) -> tuple[KeptDraft, ...]:
        """Give every draft of ours that is there, the newest first."""
        ...

    async def comment(self, draft: KeptDraft, text: str) -> bool:
        """Say something under a draft's request, unless it is said there; whether it was said."""
        ...


class Chat(Protocol):
    """A chat that delivers commands and takes answers."""

    async def run(self) -> None:
        """Serve until cancelled."""
        ...


@dataclass(frozen=True, slots=True)
class HistoryQuery:
    """Which kept flows: every given condition must hold. Times are UTC nanoseconds.

    `namespace` and `identity` mean either end; `limit` keeps the newest.
    """

    since_ns: int | None = None
    until_ns: int | None = None
    namespace: str = ""
    identity: int | None = None
    verdicts: tuple[str, ...] = ()
    limit: int = 10_000


@dataclass(frozen=True, slots=True)
class DroppedTotal:
    """Drops of one source, destination, port and reason within a window."""

    source: str
    destination: str
    protocol: str
    port: int
    reason: str
    count: int
    last_ns: int


@dataclass(frozen=True, slots=True)
class HistorySpan:
    """How far the history reaches. `dropped` flows never reached the disk: the queue was full.

    `writing` is False where another process of this program keeps the same history.
    """

    oldest_ns: int | None = None
    newest_ns: int | None = None
    flows: int = 0
    size: int = 0
    dropped: int = 0
    writing: bool = True
    failure: str = ""
    """Why flows are not kept, or which part of what was kept cannot be read; empty when all is."""


class FlowHistory(Protocol):
    """Flows kept beyond Hubble's ring, by one writing process, for any number that ask."""

    @property
    def failure(self) -> str:
        """Why flows are not kept at the moment; empty while they are. Asks nobody."""
        ...

    def keep(self, flows: Sequence[Flow]) -> None:
        """Queue flows; when the store cannot keep up they are dropped and counted."""
        ...

    async def flush(self) -> None:
        """Wait until everything queued so far is kept."""
        ...

    async def query(self, query: HistoryQuery) -> tuple[Flow, ...]:
        """The newest flows that fit, oldest first."""
        ...

    async def top_dropped(self, query: HistoryQuery) -> tuple[DroppedTotal, ...]:
        """The most frequent drops that fit, by whole minutes."""
        ...

    async def span(self) -> HistorySpan:
        """How far it reaches, and what it lost."""
        ...

    async def close(self) -> None:
        """Keep what is queued, and let another process write."""
        ...


@dataclass(frozen=True, slots=True)
class Page:
    """One alert as it is sent to those who are called.

    `labels` say which alert it is and never change while it lasts; `annotations` are for people.
    `ends_ns` is 0 while it goes on. `form` is the alert as docs/forms.md §4.6 has it.
    """

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_ns: int
    ends_ns: int
    form: Mapping[str, Any]


class Pager(Protocol):
    """Where alerts are sent so that somebody is called."""

    @property
    def name(self) -> str:
        """What to call it on screen."""
        ...

    @property
    def wants_repeats(self) -> bool:
        """Whether what goes on must be sent again and again, or it counts as over."""
        ...

    async def send(self, pages: Sequence[Page], now_ns: int) -> None:
        """Send alerts. Raises `SourceUnavailable` when they did not arrive."""
        ...
