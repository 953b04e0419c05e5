"""In-memory sources: a cluster that can change or fail, and a scripted stream of flows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field

from app.core.errors import K8treError
from app.core.model.flow import FlowBatch
from app.core.model.provenance import Manifest, Notice, ObjectRef
from app.ports import ClusterChange, ClusterPicture, FlowRequest, SourceState


@dataclass(slots=True)
class FakeCluster:
    """Implements `ClusterReader` over a dictionary of objects.

    `change` reaches whoever watches. `fail` makes the next `read`, or the running `watch`, raise.
    `reads` counts how often everything was read.
    """

    objects: dict[ObjectRef, Manifest] = field(default_factory=dict)
    name: str = "fake"
    notices: tuple[Notice, ...] = ()
    settings: dict[str, str] = field(default_factory=dict)
    cilium_version: str = ""
    reads: int = 0
    _failures: list[K8treError] = field(default_factory=list)
    _changes: asyncio.Queue[ClusterChange | K8treError | None] = field(
        default_factory=asyncio.Queue
    )

    @classmethod
    def holding(cls, manifests: Iterable[Manifest], name: str = "fake") -> FakeCluster:
        """A cluster with these objects."""
        return cls({one.ref: one for one in manifests}, name)

    async def read(self) -> ClusterPicture:
        """Everything, unless a failure is due."""
        self.reads += 1
        if self._failures:
            raise self._failures.pop(0)
        return ClusterPicture(
            tuple(self.objects.values()),
            as_of_ns=self.reads,
            notices=self.notices,
            settings=self.settings,
            cilium_version=self.cilium_version,
        )

    async def watch(self) -> AsyncIterator[ClusterChange]:
        """Changes as they are made, until `end` or a failure."""
        while (item := await self._changes.get()) is not None:
            if isinstance(item, K8treError):
                raise item
            yield item

    def change(self, upserts: Sequence[Manifest] = (), deletes: Sequence[ObjectRef] = ()) -> None:
        """Change objects and tell the watcher."""
        self.objects.update({one.ref: one for one in upserts})
        for ref in deletes:
            self.objects.pop(ref, None)
        self._changes.put_nowait(ClusterChange(tuple(upserts), tuple(deletes)))

    def beat(self, as_of_ns: int) -> None:
        """Tell the watcher that nothing changed until `as_of_ns`."""
        self._changes.put_nowait(ClusterChange(as_of_ns=as_of_ns))

    def report(self, state: SourceState) -> None:
        """Let the watcher hear of a state of the source's own."""
        self._changes.put_nowait(ClusterChange(state=state))

    def refuse(self, *errors: K8treError) -> None:
        """Make the next reads fail, one error each."""
        self._failures += errors

    def lose(self, error: K8treError) -> None:
        """Break the running watch."""
        self._changes.put_nowait(error)

    def end(self) -> None:
        """End the watch, as a source that cannot change does at once."""
        self._changes.put_nowait(None)


@dataclass(slots=True)
class FakeFlows:
    """Implements `FlowSource`: gives `script`, then waits for `push` when asked to follow.

    `asked` records every request.
    """

    script: Sequence[FlowBatch | SourceState | K8treError] = ()
    name: str = "fake-flows"
    asked: list[FlowRequest] = field(default_factory=list)
    _more: asyncio.Queue[FlowBatch | SourceState | K8treError] = field(
        default_factory=asyncio.Queue
    )

    async def flows(self, request: FlowRequest) -> AsyncIterator[FlowBatch | SourceState]:
        """The script, then whatever is pushed."""
        self.asked.append(request)
        for item in self.script:
            yield _checked(item)
        while request.follow:
            yield _checked(await self._more.get())

    def push(self, item: FlowBatch | SourceState | K8treError) -> None:
        """Let a follower receive one more item, or fail with it."""
        self._more.put_nowait(item)


def _checked(item: FlowBatch | SourceState | K8treError) -> FlowBatch | SourceState:
    if isinstance(item, K8treError):
        raise item
    return item
