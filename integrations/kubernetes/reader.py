"""The live cluster behind the `ClusterReader` port.

`read` lists every kind of `RESOURCES` once, as far as rights and installed kinds allow; `watch`
keeps one reflector thread per kind and a heartbeat, and yields merged changes. What may not be
read narrows the view and is said: nothing here fails because of one kind.
"""

from __future__ import annotations

import random
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import msgspec

from app.core.errors import SourceCause, SourceUnavailable
from app.core.model.provenance import Manifest, Notice, ObjectRef
from app.ports import Clock, ClusterChange, ClusterPicture, Right, SourceState
from app.services.connection import backoff_s
from integrations.kubernetes.client import ApiServer, Credentials, GoneError, connect
from integrations.kubernetes.inbox import Inbox
from integrations.kubernetes.reflector import Delta, Listing, Reflector
from integrations.kubernetes.resources import RESOURCES, Resource
from integrations.kubernetes.wire import VersionInfo, decoded
from integrations.threads import in_daemon_thread

HEARTBEAT_S = 10.0
"""How often `/version` is asked: a server that hangs is noticed within two of these."""
RECHECK_BEATS = 6
"""Heartbeats between two looks whether a kind that could not be read may be read by now."""
AT_ONCE = 6
"""Lists under way together; more would only queue at the server's priority levels."""
MOST_NOTICES = 500
"""Kept of one connection: a stream of unreadable objects must not fill the memory."""
MOST_NAMESPACES = 200
"""Namespaces tried one by one where a kind may not be listed for the whole cluster."""

_version_info = msgspec.json.Decoder(VersionInfo)
_FINAL = frozenset({SourceCause.FORBIDDEN, SourceCause.NOT_FOUND})


@dataclass(frozen=True, slots=True)
class _Outcome:
    """How listing one kind in one scope went."""

    reflector: Reflector
    listing: Listing | None = None
    error: SourceUnavailable | None = None


class KubernetesReader:
    """Reads and watches one API server; never sends anything but GET."""

    def __init__(
        self,
        credentials: Credentials,
        *,
        clock: Clock,
        namespaces: Sequence[str] = (),
        resources: Iterable[Resource] = RESOURCES,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """`namespaces` are tried where a kind may not be listed for the whole cluster."""
        self._credentials = credentials
        self._clock = clock
        self._namespaces = tuple(namespaces)
        self._resources = tuple(resources)
        self._jitter = jitter
        self._api: ApiServer | None = None
        self._live: tuple[Reflector, ...] = ()
        self._unread: tuple[Reflector, ...] = ()
        self._notices: tuple[Notice, ...] = ()

    @property
    def name(self) -> str:
        """The context's name once connected."""
        return self._api.name if self._api else self._credentials.context or "kubernetes"

    async def read(self) -> ClusterPicture:
        """List everything. Raises `SourceUnavailable` when the server itself is out of reach."""
        return await in_daemon_thread("kubernetes list", self._read)

    def api_server(self) -> ApiServer:
        """The connection, made on first use; the Relay port-forward shares it."""
        if self._api is None:
            self._api = connect(self._credentials)
        return self._api

    def _read(self) -> ClusterPicture:
        api = self.api_server()
        _server_version(api)  # fails fast, and with the clearest reason
        outcomes = self._list_all(api, [(resource, "") for resource in self._resources])
        refused = {
            outcome.reflector.resource.kind
            for outcome in outcomes
            if outcome.error is not None and outcome.error.cause is SourceCause.FORBIDDEN
        }
        narrowed = [
            (resource, namespace)
            for resource in self._resources
            if resource.kind in refused and resource.namespaced and not resource.namespace
            for namespace in self._try_namespaces(outcomes)
        ]
        by_namespace = self._list_all(api, narrowed)
        everything = (*outcomes, *by_namespace)
        self._live = tuple(one.reflector for one in everything if _worth_watching(one))
        self._unread = tuple(one.reflector for one in outcomes if not _worth_watching(one))
        picture = _picture(everything, self._clock.now_ns())
        self._notices = picture.notices
        return picture

    def _try_namespaces(self, outcomes: Sequence[_Outcome]) -> tuple[str, ...]:
        seen = (
            ref.name
            for outcome in outcomes
            if outcome.reflector.resource.kind == "Namespace" and outcome.listing
            for ref in outcome.listing.objects
        )
        return tuple(dict.fromkeys((*self._namespaces, *sorted(seen))))[:MOST_NAMESPACES]

    def _list_all(
        self, api: ApiServer, wanted: Sequence[tuple[Resource, str]]
    ) -> tuple[_Outcome, ...]:
        results: list[_Outcome | None] = [None] * len(wanted)
        pending = iter(range(len(wanted)))
        lock = threading.Lock()

        def work() -> None:
            while True:
                with lock:
                    index = next(pending, None)
                if index is None:
                    return
                results[index] = _list_one(Reflector(api, *wanted[index]))

        threads = [
            threading.Thread(target=work, name="kubernetes list", daemon=True)
            for _ in range(min(AT_ONCE, len(wanted)))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        done = tuple(result for result in results if result is not None)
        _raise_if_nothing_was_read(done)
        return done

    async def watch(self) -> AsyncIterator[ClusterChange]:
        """Yield changes until everything must be read anew. Call `read` first.

        Raises `SourceUnavailable` when the server refuses the credentials, or lets a kind be read
        that it did not before: a right was granted, or a definition installed.
        """
        inbox = Inbox()
        watchers = [_Watcher(reflector, inbox, self._jitter) for reflector in self._live]
        pulse = _Pulse(self.api_server(), watchers, self._unread, self._clock, inbox)
        for watcher in watchers:
            watcher.start()
        pulse.start()
        try:
            while True:
                await inbox.arrived(HEARTBEAT_S)
                if (ended_by := pulse.ended_by) is not None:
                    raise ended_by
                merged = inbox.take()
                yield ClusterChange(
                    tuple(merged.upserts.values()),
                    tuple(sorted(merged.deletes)),
                    pulse.as_of_ns,
                    pulse.state(),
                    self._with(merged.notices),
                )
        finally:
            pulse.stop()
            for watcher in watchers:
                watcher.stop()

    def _with(self, fresh: Sequence[Notice]) -> tuple[Notice, ...] | None:
        """All notices so far when there are new ones; None says that nothing changed."""
        if not fresh:
            return None
        self._notices = tuple(dict.fromkeys((*self._notices, *fresh)))[:MOST_NOTICES]
        return self._notices


class _Watcher(threading.Thread):
    """Keeps one reflector watching: resumes, starts over after 410, backs off after errors."""

    def __init__(self, reflector: Reflector, inbox: Inbox, jitter: Callable[[], float]) -> None:
        super().__init__(name=f"watch {reflector.resource.plural}", daemon=True)
        self.reflector = reflector
        self.failure: SourceUnavailable | None = None
        self._inbox = inbox
        self._jitter = jitter
        self._halt = threading.Event()
        self._hurry = threading.Event()

    def run(self) -> None:
        attempt = 0
        while not self._halt.is_set():
            try:
                self._follow()
                attempt, self.failure = 0, None
            except SourceUnavailable as error:
                if self._halt.is_set():
                    return
                attempt += 1
                self._fail(error)
                if error.cause in _FINAL:
                    return
                self._hurry.wait(backoff_s(attempt, self._jitter()))
                self._hurry.clear()

    def _follow(self) -> None:
        try:
            self.reflector.watch(self._deliver)
        except GoneError:
            self.reflector.start_over(self._inbox.put)

    def _deliver(self, delta: Delta) -> None:
        self.failure = None
        self._inbox.put(delta)

    def _fail(self, error: SourceUnavailable) -> None:
        if self.failure is None:
            self.failure = error
            self._inbox.wake()

    def hurry(self) -> None:
        """Reconnect now: the server is known to be back."""
        self._hurry.set()
        self.reflector.interrupt()

    def stop(self) -> None:
        """End soon; the thread is a daemon, so nobody waits for it."""
        self._halt.set()
        self._hurry.set()
        self.reflector.stop()


class _Pulse(threading.Thread):
    """Asks the server for its version again and again, so that silence is told from a hang.

    Now and then it also asks for what could not be read (`unread`, and watches that were refused).
    """

    def __init__(
        self,
        api: ApiServer,
        watchers: Sequence[_Watcher],
        unread: Sequence[Reflector],
        clock: Clock,
        inbox: Inbox,
    ) -> None:
        super().__init__(name="kubernetes heartbeat", daemon=True)
        self.as_of_ns = clock.now_ns()
        self.ended_by: SourceUnavailable | None = None
        self._api = api
        self._watchers = watchers
        self._unread = unread
        self._clock = clock
        self._inbox = inbox
        self._halt = threading.Event()
        self._failure: SourceUnavailable | None = None
        self._since_ns = self.as_of_ns

    def run(self) -> None:
        beat = 0
        while not self._halt.wait(HEARTBEAT_S):
            beat += 1
            try:
                _server_version(self._api)
                if beat % RECHECK_BEATS == 0:
                    self._recheck()
            except SourceUnavailable as error:
                self._missed(error)
            else:
                self._beat()
            self._inbox.wake()

    def _recheck(self) -> None:
        """End the watch when there is more to read than there was."""
        refused = (one.reflector for one in self._watchers if not one.is_alive())
        for reflector in (*self._unread, *refused):
            if reflector.is_readable():
                self.ended_by = SourceUnavailable(
                    f"{reflector.resource.plural} may be read now: everything is read again",
                    source=self._api.name,
                    cause=SourceCause.CONFLICT,
                )
                return

    def _missed(self, error: SourceUnavailable) -> None:
        if self._failure is None:
            self._since_ns = self._clock.now_ns()
        self._failure = error
        if error.cause is SourceCause.UNAUTHENTICATED:
            self.ended_by = error

    def _beat(self) -> None:
        self.as_of_ns = self._clock.now_ns()
        if self._failure is None:
            return
        self._failure, self._since_ns = None, self.as_of_ns
        for watcher in self._watchers:  # connections from before the gap may be dead
            watcher.hurry()

    def state(self) -> SourceState:
        """Live, or retrying with the reason; `detail` has each kind that is not being watched."""
        kinds = {
            watcher.reflector.resource.kind: watcher.failure.message
            for watcher in self._watchers
            if watcher.failure is not None
        }
        if self._failure is None:
            return SourceState(self._api.name, "live", since_ns=self._since_ns, detail=kinds)
        return SourceState(
            source=self._api.name,
            phase="retrying",
            reason=self._failure.message,
            since_ns=self._since_ns,
            next_try_s=HEARTBEAT_S,
            detail={"cause": self._failure.cause.value, "hint": self._failure.hint, **kinds},
        )

    def stop(self) -> None:
        """End after the current request."""
        self._halt.set()


def _server_version(api: ApiServer) -> str:
    return decoded(_version_info, api.get("/version"), api.name).gitVersion


def _list_one(reflector: Reflector) -> _Outcome:
    try:
        return _Outcome(reflector, reflector.list_pages())
    except SourceUnavailable as error:
        return _Outcome(reflector, error=error)


def _worth_watching(outcome: _Outcome) -> bool:
    return outcome.error is None or outcome.error.cause not in _FINAL


def _raise_if_nothing_was_read(outcomes: Sequence[_Outcome]) -> None:
    errors = [outcome.error for outcome in outcomes if outcome.error is not None]
    for error in errors:
        if error.cause is SourceCause.UNAUTHENTICATED:
            raise error
    broken = [error for error in errors if error.cause not in _FINAL]
    if broken and len(errors) == len(outcomes):
        raise broken[0]


def _picture(outcomes: Sequence[_Outcome], as_of_ns: int) -> ClusterPicture:
    manifests: dict[ObjectRef, Manifest] = {}
    notices: list[Notice] = []
    for outcome in outcomes:
        if outcome.listing is not None:
            manifests.update(outcome.listing.objects)
            notices.extend(outcome.listing.notices)
    rights = _rights(outcomes)
    notices.extend(_missing(right) for right in rights if not right.allowed and right.cost)
    return ClusterPicture(tuple(manifests.values()), as_of_ns, tuple(notices), rights=rights)


def _rights(outcomes: Sequence[_Outcome]) -> tuple[Right, ...]:
    whole = {one.reflector.resource.kind: one for one in outcomes if not one.reflector.namespace}
    rights = []
    for kind, outcome in whole.items():
        parts = [
            one
            for one in outcomes
            if one.reflector.resource.kind == kind and one.reflector.namespace
        ]
        rights.append(_right(outcome, parts))
    return tuple(rights)


def _right(outcome: _Outcome, parts: Sequence[_Outcome]) -> Right:
    resource, error = outcome.reflector.resource, outcome.error
    right = Right(resource.kind, "list, watch", allowed=True, cost=resource.cost)
    if error is None:
        return right
    if error.cause is SourceCause.NOT_FOUND:
        return replace(right, allowed=None, reason="the cluster has no such kind")
    if readable := [part.reflector.namespace for part in parts if part.listing is not None]:
        scope = f"{len(readable)} of {len(parts)} namespaces"
        return replace(right, allowed=True, scope=scope, reason=", ".join(readable))
    return replace(right, allowed=False, reason=error.message)


def _missing(right: Right) -> Notice:
    if right.allowed is None:
        return Notice(f"this cluster has no {right.kind}: {right.cost}", severity="info")
    return Notice(f"{right.kind}s may not be listed: {right.cost} ({right.reason})")
