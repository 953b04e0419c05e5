"""What the program knows now, and the tasks that keep it true.

A `Workspace` owns one `Picture` and one `Ring`. Readers hand it objects, flow sources hand it
flows; it keeps the objects by reader, so that a lost reader loses nothing but freshness. A change
marks the picture dirty, and one task builds the next one in a thread: there is never more than
one in the making, however many changes arrive meanwhile. Whoever shows the picture waits with
`newer_than`, which skips everything that was overtaken.

All methods belong to the event loop's thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections import deque
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from app.core.errors import UsageError
from app.core.flows.observe_flags import Filters
from app.core.flows.ring import Ring
from app.core.flows.times import NS_PER_S
from app.core.model.flow import GAP, FlowBatch, NodeStatus
from app.core.model.kinds import POLICY_KINDS
from app.core.model.provenance import Manifest, Notice, ObjectRef
from app.ports import (
    Clock,
    ClusterChange,
    ClusterPicture,
    ClusterReader,
    Environment,
    FlowHistory,
    FlowRequest,
    FlowSource,
    SourceState,
)
from app.services.connection import SourceConnection
from app.services.names import NameBook
from app.services.picture import (
    Ingredients,
    Picture,
    Version,
    empty_picture,
    make_picture,
    parse_version,
    rename_learned,
)
from app.services.tasks import Caught, Tasks, guard

if TYPE_CHECKING:
    from app.core.diagnose.boundaries import Boundary
    from app.core.diagnose.evidence import FlowEvidence

KEEP_FLOWS = 50_000
KEEP_DIAGNOSTICS = 500
CLOSING_S = 0.5

_log = logging.getLogger("k8tre_tui.workspace")

BETWEEN_PICTURES_S = 0.1
"""Least time from one picture to the next, so that a burst of changes costs one build."""


@dataclass(frozen=True, slots=True)
class Narrowing:
    """What a live source is asked for instead of everything, and since when (UTC nanoseconds)."""

    text: str
    request: FlowRequest
    since_ns: int


@dataclass(slots=True)
class _Feed:
    """One reader and what it gave last; `read` is None until it gave anything.

    `fresh` is set by a full read and used up by the watch that starts from it.
    """

    reader: ClusterReader
    connection: SourceConnection
    read: ClusterPicture | None = None
    fresh: bool = False
    objects: dict[ObjectRef, tuple[Manifest, ...]] = field(default_factory=dict)

    def take(self, read: ClusterPicture) -> None:
        self.read = read
        self.fresh = True
        objects: dict[ObjectRef, tuple[Manifest, ...]] = {}
        for manifest in read.manifests:
            objects[manifest.ref] = (*objects.get(manifest.ref, ()), manifest)
        self.objects = objects

    def apply(self, change: ClusterChange) -> None:
        """Take a change over."""
        for manifest in change.upserts:
            self.objects[manifest.ref] = (manifest,)
        for ref in change.deletes:
            self.objects.pop(ref, None)
        if self.read is not None:
            notices = self.read.notices if change.notices is None else change.notices
            as_of_ns = change.as_of_ns or self.read.as_of_ns
            self.read = replace(self.read, manifests=(), as_of_ns=as_of_ns, notices=notices)


class Workspace:
    """Use `load` for one answer; `run` (with or without `load` before it) to stay current.

    `history` is where the sources of flows keep what passes; it is closed when `run` ends.
    `can_narrow` says that the sources of flows may be asked again, with other filters, while they
    are followed.
    """

    def __init__(  # noqa: PLR0913  # what it is made of, all but the sources by name
        self,
        readers: Sequence[ClusterReader],
        flows: Sequence[FlowSource] = (),
        *,
        clock: Clock,
        cilium_version: Version | None = None,
        keep_flows: int = KEEP_FLOWS,
        history: FlowHistory | None = None,
        boundaries: tuple[Boundary, ...] = (),
        can_narrow: bool = False,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._clock = clock
        self._version = cilium_version
        self.history = history
        self._jitter = jitter
        self._changed = asyncio.Event()
        self._feeds = [_Feed(reader, self._connect(reader.name)) for reader in readers]
        taken = {reader.name for reader in readers}
        self._flows = [
            (source, self._connect(_label(source.name, taken=taken))) for source in flows
        ]
        self.can_narrow = can_narrow
        self.narrowing: Narrowing | None = None
        self._following: set[asyncio.Timeout] = set()
        self._names = NameBook()
        self._published = asyncio.Condition()
        self._objects_dirty = self._policies_dirty = self._names_dirty = False
        self.ring = Ring(keep_flows)
        self.diagnostics: deque[Caught] = deque(maxlen=KEEP_DIAGNOSTICS)
        self._picture = empty_picture(boundaries)

    @property
    def picture(self) -> Picture:
        """The newest picture; empty, with revision 0, until something was read."""
        return self._picture

    @property
    def expects_flows(self) -> bool:
        """Whether there is a source of flows at all."""
        return bool(self._flows)

    async def newer_than(self, revision: int) -> Picture:
        """Wait for a picture after `revision`; those in between are skipped."""
        async with self._published:
            await self._published.wait_for(lambda: self._picture.revision > revision)
            return self._picture

    def source_names(self) -> tuple[str, ...]:
        """What every source is called, in the order given: objects first."""
        return tuple(connection.source for connection in self._connections())

    def evidence(self) -> FlowEvidence | None:
        """The kept flows as evidence; None when no source of flows could be read."""
        if not any(one.state.is_read for _, one in self._flows):
            return None
        from app.core.diagnose.evidence import FlowEvidence

        return FlowEvidence(
            list(self.ring),
            lost=self.ring.lost.total(),
            policies_as_of_ns=self._picture.as_of_ns,
        )

    def narrow(self, text: str, filters: Filters) -> None:
        """Ask for flows of these filters only; `text` is how the operator wrote them.

        Raises `UsageError` when no source can be asked so, or Hubble has no such filter.
        """
        if not self.can_narrow:
            raise UsageError("only a live Hubble Relay can be asked for less")
        if not (filters.allow or filters.deny):
            raise UsageError(
                "Hubble can apply no part of this filter", hint="`/ns:NAME verdict:dropped`, say"
            )
        self._ask_for(
            Narrowing(
                text,
                FlowRequest(allow=filters.allow, deny=filters.deny),
                self._clock.now_ns(),
            )
        )

    def widen(self) -> None:
        """Ask for every flow again; what was left out meanwhile is marked as a gap."""
        self._ask_for(None)

    def _ask_for(self, narrowing: Narrowing | None) -> None:
        now_ns = self._clock.now_ns()
        if (before := self.narrowing) is not None:
            seconds = round((now_ns - before.since_ns) / NS_PER_S)
            message = f"for {seconds} s only flows of `{before.text}` were asked for"
            self.ring.note(NodeStatus(GAP, (), message, now_ns))
        self.narrowing = narrowing
        for following in self._following:
            following.reschedule(0)

    def retry(self) -> None:
        """Try every source again that waits for its next try, and read files anew."""
        for connection in self._connections():
            connection.retry()

    async def load(self, *, strict: bool = True) -> Picture:
        """Read every reader once and give the picture.

        Raises the `K8treError` of the first reader that gave nothing, unless not `strict`: then
        its state says so.
        """
        for feed in self._feeds:
            with feed.connection.once(strict=strict):
                feed.take(await feed.reader.read())
                feed.connection.enter("live")
        self._objects_dirty = True
        await self._build_next()
        return self._picture

    async def load_flows(self, request: FlowRequest, *, strict: bool = True) -> None:
        """Read every flow source to its end into the ring, then learn the names in them.

        Raises `K8treError` as a source does, unless not `strict`.
        """
        for source, connection in self._flows:
            with connection.once(strict=strict):
                async for item in source.flows(replace(request, follow=False)):
                    self._take_flows(item, connection)
                connection.finish()
        await self._build_next()

    async def run(self) -> None:
        """Keep objects and flows current until cancelled; nothing a source does ends it."""
        try:
            async with Tasks(self.report) as tasks:
                tasks.start("picture", self._keep_building())
                for feed in self._feeds:
                    tasks.start(f"objects of {feed.reader.name}", self._keep_objects(feed))
                for source, connection in self._flows:
                    tasks.start(f"flows of {source.name}", self._keep_flowing(source, connection))
                await tasks.finished()
        finally:
            await self.close()

    async def close(self) -> None:
        """Let the history write what it still holds; not longer than a quitting person waits."""
        if self.history is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSING_S):
                    await self.history.close()

    def report(self, caught: Caught) -> None:
        """Keep an unexpected error for the diagnostics view."""
        self.diagnostics.append(caught)

    # Sources

    def _connect(self, name: str) -> SourceConnection:
        return SourceConnection.create(
            name, clock=self._clock, on_change=self._changed.set, jitter=self._jitter
        )

    def _connections(self) -> Iterable[SourceConnection]:
        yield from (feed.connection for feed in self._feeds)
        yield from (connection for _, connection in self._flows)

    async def _keep_objects(self, feed: _Feed) -> None:
        """A reader that ends, as files do, is read again when the operator asks for it."""
        while True:
            await feed.connection.keep(lambda: self._serve_objects(feed))
            await feed.connection.asked_again()

    async def _serve_objects(self, feed: _Feed) -> None:
        if not feed.fresh:
            feed.take(await feed.reader.read())
            self._mark(objects=True)
        feed.fresh = False
        feed.connection.enter("live")
        async for change in feed.reader.watch():
            if change.state is not None:
                feed.connection.hear(change.state)
            feed.apply(change)
            self._changed.set()
            kinds = {one.ref.kind for one in change.upserts} | {one.kind for one in change.deletes}
            if kinds or change.notices is not None:
                self._mark(policies=True, objects=not kinds <= POLICY_KINDS)

    async def _keep_flowing(self, source: FlowSource, connection: SourceConnection) -> None:
        """Follow a source; when other flows are asked for, follow it anew."""
        while True:
            try:
                async with asyncio.timeout(None) as following:
                    self._following.add(following)
                    await connection.keep(lambda: self._serve_flows(source, connection))
            except TimeoutError:
                continue
            finally:
                self._following.discard(following)
            return

    async def _serve_flows(self, source: FlowSource, connection: SourceConnection) -> None:
        request = self.narrowing.request if self.narrowing else FlowRequest()
        async with aclosing(source.flows(request)) as items:  # type: ignore[type-var]  # a generator
            async for item in items:
                self._take_flows(item, connection)

    def _take_flows(self, item: FlowBatch | SourceState, connection: SourceConnection) -> None:
        if isinstance(item, SourceState):
            connection.hear(item)
            return
        phase = connection.state.phase
        if phase != "live" and (item.flows or phase != "stale"):
            connection.enter("live")
        self.ring.extend(item)
        if self._names.learn(item.flows):
            self._mark(names=True)

    # Pictures

    def _mark(self, *, objects: bool = False, policies: bool = False, names: bool = False) -> None:
        self._objects_dirty |= objects
        self._policies_dirty |= policies
        self._names_dirty |= names
        self._changed.set()

    async def _keep_building(self) -> None:
        while True:
            await self._changed.wait()
            await guard("picture", self._build_next(), self.report)
            await asyncio.sleep(BETWEEN_PICTURES_S)

    async def _build_next(self) -> None:
        self._changed.clear()
        before, began = self._picture, self._clock.monotonic()
        if self._objects_dirty or self._policies_dirty:
            only_policies = not self._objects_dirty
            self._objects_dirty = self._policies_dirty = self._names_dirty = False
            ingredients = self._ingredients()
            picture = await asyncio.to_thread(
                make_picture, ingredients, before=before, only_policies=only_policies
            )
        elif self._names_dirty:
            self._names_dirty = False
            picture = await asyncio.to_thread(rename_learned, before, self._names.names())
        else:
            picture = replace(before, revision=before.revision + 1)
        self._tell(picture, before=before, began=began)
        states = {one.source: one.state for one in self._connections()}
        await self._publish(replace(picture, sources=states, as_of_ns=self._as_of_ns()))

    def _tell(self, picture: Picture, *, before: Picture, began: float) -> None:
        if picture.engine is before.engine or not _log.isEnabledFor(logging.DEBUG):
            return
        cluster = picture.cluster
        counts = {"endpoints": len(cluster.endpoints), "policies": len(cluster.policies)}
        ms = round((self._clock.monotonic() - began) * 1000)
        about = {"revision": picture.revision, **counts, "notices": len(picture.notices), "ms": ms}
        _log.debug("picture built", extra=about)

    async def _publish(self, picture: Picture) -> None:
        async with self._published:
            self._picture = picture
            self._published.notify_all()

    def manifests(self) -> tuple[Manifest, ...]:
        """Every object as it was read, of every reader."""
        return tuple(
            manifest
            for feed in self._feeds
            for manifests in feed.objects.values()
            for manifest in manifests
        )

    @property
    def settings(self) -> Mapping[str, str] | None:
        """The agents' configuration (keys of `cilium-config`); None where it was not read."""
        found: dict[str, str] = {}
        for feed in self._feeds:
            found |= feed.read.settings if feed.read is not None else {}
        for one in self.manifests():
            data = one.body.get("data")
            if (one.ref.kind, one.ref.name) != ("ConfigMap", "cilium-config"):
                continue
            if isinstance(data, Mapping):  # what is none has had its notice
                found |= {str(key): str(value) for key, value in data.items()}
        return found or None

    @property
    def environments(self) -> tuple[Environment, ...]:
        """The environments of the checkout where none was chosen, the one that was read first."""
        for feed in self._feeds:
            if feed.read is not None and feed.read.other_environments:
                return (feed.read.environment, *feed.read.other_environments)
        return ()

    def _ingredients(self) -> Ingredients:
        reads = [feed.read for feed in self._feeds if feed.read is not None]
        settings = {key: value for read in reads for key, value in read.settings.items()}
        version, unread = _version_of(reads)
        return Ingredients(
            manifests=self.manifests(),
            settings=settings,
            cilium_version=self._version or version,
            learned_names=self._names.names(),
            notices=(*unread, *(notice for read in reads for notice in read.notices)),
            shadowed=tuple(one for read in reads for one in read.shadowed),
            rights=tuple(right for read in reads for right in read.rights),
        )

    def _as_of_ns(self) -> int:
        """How new the objects are: a source that lives says so now and then."""
        return max((feed.read.as_of_ns for feed in self._feeds if feed.read), default=0)


def _label(name: str, *, taken: Container[str]) -> str:
    """What to call a source of flows whose cluster may have the same name."""
    return f"{name} flows" if name in taken else name


def _version_of(reads: Iterable[ClusterPicture]) -> tuple[Version | None, tuple[Notice, ...]]:
    """The version that a source found, or a notice that it is of no form we know."""
    for read in reads:
        if not read.cilium_version:
            continue
        try:
            return parse_version(read.cilium_version), ()
        except UsageError as error:
            return None, (Notice(f"{error.message}; --cilium-version says which to apply"),)
    return None, ()
