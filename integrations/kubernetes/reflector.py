"""One kind, kept in step with the API server: list, watch, resume, start over.

The protocol is a plain state machine (`Position` and pure functions) around which `Reflector`
does the blocking I/O in a thread of its own. Rules, from Kubernetes' "API concepts" page:

- a list in pages of 500 gives objects and a resourceVersion; a 410 in mid-list starts it again;
- a watch from that version gives changes; BOOKMARK events only move the version;
- 410 (as a response or as an ERROR event) means the version is too old: list again, and keep what
  is shown until the new list is complete;
- where the server offers it, that second list is a stream (`sendInitialEvents`, KEP-3157), which
  spares the server a copy of everything.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec

from app.core.errors import SourceCause, SourceUnavailable
from app.core.model.provenance import Manifest, Notice, ObjectRef
from app.core.text import clean
from app.services.connection import DENIALS
from integrations.kubernetes.client import ApiServer, GoneError
from integrations.kubernetes.decode import ObjectDecoder
from integrations.kubernetes.resources import Resource
from integrations.kubernetes.wire import Bookmark, Event, Page, Status, decoded

PAGE_SIZE = 500
WATCH_TIMEOUT_S = 300
"""Asked of the server, which then ends the watch; it is resumed at once."""
IDLE_TIMEOUT_S = 90.0
"""Silence after which a watch is given up; bookmarks come about once a minute."""
LIST_TIMEOUT_S = 300.0
"""Until a list is complete, however many pages or events it comes in."""
INITIAL_EVENTS_END = "k8s.io/initial-events-end"
_GONE = 410

_log = logging.getLogger("k8tre_tui.kubernetes")

_page = msgspec.json.Decoder(Page)
_event = msgspec.json.Decoder(Event)
_bookmark = msgspec.json.Decoder(Bookmark)
_status = msgspec.json.Decoder(Status)


@dataclass(frozen=True, slots=True)
class Listing:
    """A complete list at one version. `unreadable` objects were left out, each with a notice."""

    version: str
    objects: Mapping[ObjectRef, Manifest]
    notices: tuple[Notice, ...] = ()


@dataclass(frozen=True, slots=True)
class Delta:
    """A step of one kind: changes, or (`full`) everything there is now."""

    resource: Resource
    upserts: Mapping[ObjectRef, Manifest] = field(default_factory=dict)
    deletes: tuple[ObjectRef, ...] = ()
    notices: tuple[Notice, ...] = ()


class _Tree:
    """Decodes the objects of one listing or watch and collects what could not be read."""

    def __init__(self, resource: Resource, version: str) -> None:
        self._decoder = ObjectDecoder(resource, version)
        self._kind = resource.kind
        self.notices: list[Notice] = []

    def read(self, raw: msgspec.Raw | bytes) -> tuple[Manifest, str] | None:
        try:
            decoded = self._decoder.decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            reason = clean(str(error), 200)
            self.notices.append(Notice(f"a {self._kind} could not be read: {reason}"))
            return None
        return decoded.manifest, decoded.resource_version


class Reflector:
    """Lists and watches one kind, in one namespace or all.

    `list_pages` and `watch` block; run them in a thread. `stop` may be called from any thread.
    """

    def __init__(self, api: ApiServer, resource: Resource, namespace: str = "") -> None:
        self.resource = resource
        self.namespace = namespace
        self._api = api
        self._served = resource.versions[0]
        self._version = ""
        self._known: set[ObjectRef] = set()
        self._stopped = threading.Event()
        self._stop_stream: Callable[[], None] | None = None
        self._streams_lists = True

    def list_pages(self) -> Listing:
        """List everything in pages, at the newest API version the server has.

        Raises `SourceUnavailable`; its cause is NOT_FOUND when the server has no such kind.
        """
        last: SourceUnavailable | None = None
        for served in self.resource.versions:
            try:
                listing = self._list_served(served)
            except SourceUnavailable as error:
                if error.cause is not SourceCause.NOT_FOUND:
                    raise
                last = error
                continue
            self._served, self._version = served, listing.version
            self._known = set(listing.objects)
            about = {"kind": self.resource.kind, "count": len(listing.objects), "served": served}
            _log.debug("listed", extra=about)
            return listing
        raise last or SourceUnavailable("no version to ask for", source=self._api.name)

    def _list_served(self, served: str) -> Listing:
        for attempt in (1, 2, 3):
            try:
                return self._list_once(served)
            except GoneError:
                if attempt == 3:  # noqa: PLR2004  # the server cannot keep a list for its own length
                    raise
        raise AssertionError

    def _list_once(self, served: str) -> Listing:
        tree = _Tree(self.resource, served)
        objects: dict[ObjectRef, Manifest] = {}
        token, until = "", time.monotonic() + LIST_TIMEOUT_S
        while time.monotonic() < until:
            query = {"limit": str(PAGE_SIZE), **self._selector()}
            if token:
                query["continue"] = token
            page = self._read_page(served, query)
            for raw in page.items or ():
                if (item := tree.read(raw)) is not None:
                    objects[item[0].ref] = item[0]
            token = page.metadata.continue_token or ""
            if not token:
                return Listing(page.metadata.resourceVersion, objects, tuple(tree.notices))
        raise self._endless()

    def _read_page(self, served: str, query: Mapping[str, str]) -> Page:
        return decoded(_page, self._api.get(self._path(served), query), self._api.name)

    def is_readable(self) -> bool:
        """Whether the server lists the kind now. Raises `SourceUnavailable` when it is away."""
        for served in self.resource.versions:
            try:
                self._read_page(served, {"limit": "1", **self._selector()})
            except SourceUnavailable as error:
                if error.cause not in DENIALS | {SourceCause.NOT_FOUND}:
                    raise
            else:
                return True
        return False

    def watch(self, deliver: Callable[[Delta], None]) -> None:
        """Deliver changes after the last list until the server ends the watch, once.

        Returns when the server closed it in order; the caller calls again. Raises
        `SourceUnavailable`, and `GoneError` when the position is lost: call `start_over` then.
        """
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": str(WATCH_TIMEOUT_S),
            **self._selector(),
        }
        tree = _Tree(self.resource, self._served)
        with self._api.stream(
            self._path(self._served), query, idle_timeout_s=IDLE_TIMEOUT_S
        ) as lines:
            self._stop_stream = lines.stop
            for line in lines:
                if self._stopped.is_set():
                    return
                if (delta := self._step(tree, line)) is not None:
                    deliver(delta)

    def start_over(self, deliver: Callable[[Delta], None]) -> None:
        """List again and deliver the difference, so that what is gone goes and the rest stays."""
        before = self._known
        listing = self._list_again()
        gone = tuple(sorted(before - set(listing.objects)))
        deliver(Delta(self.resource, listing.objects, gone, listing.notices))

    def _list_again(self) -> Listing:
        if self._streams_lists and not self.resource.name:
            try:
                return self._list_stream()
            except SourceUnavailable as error:
                if error.cause is not SourceCause.PROTOCOL:
                    raise
                self._streams_lists = False  # 400/422: this server does not offer it
        return self.list_pages()

    def _list_stream(self) -> Listing:
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "sendInitialEvents": "true",
            "resourceVersionMatch": "NotOlderThan",
            "timeoutSeconds": "60",
        }
        tree = _Tree(self.resource, self._served)
        objects: dict[ObjectRef, Manifest] = {}
        until = time.monotonic() + LIST_TIMEOUT_S
        with self._api.stream(
            self._path(self._served), query, idle_timeout_s=IDLE_TIMEOUT_S
        ) as lines:
            for line in lines:
                if time.monotonic() > until:
                    raise self._endless()
                event = decoded(_event, line, self._api.name)
                if event.type == "BOOKMARK":
                    mark = decoded(_bookmark, event.object, self._api.name).metadata
                    if (mark.annotations or {}).get(INITIAL_EVENTS_END) == "true":
                        self._version, self._known = mark.resourceVersion, set(objects)
                        return Listing(mark.resourceVersion, objects, tuple(tree.notices))
                elif event.type == "ERROR":
                    raise self._error(event)
                elif (item := tree.read(event.object)) is not None:
                    objects[item[0].ref] = item[0]
        raise SourceUnavailable(
            "its list ended before it was complete",
            source=self._api.name,
            cause=SourceCause.OVERLOADED,
        )

    def _endless(self) -> SourceUnavailable:
        return SourceUnavailable(
            f"its list did not end within {LIST_TIMEOUT_S:g} s",
            source=self._api.name,
            cause=SourceCause.TIMEOUT,
        )

    def _step(self, tree: _Tree, line: bytes) -> Delta | None:
        try:
            event = _event.decode(line)
        except msgspec.MsgspecError:
            return Delta(self.resource, notices=(Notice("a watch event could not be read"),))
        if event.type == "BOOKMARK":
            mark = decoded(_bookmark, event.object, self._api.name).metadata
            self._version = mark.resourceVersion
            return Delta(self.resource)
        if event.type == "ERROR":
            raise self._error(event)
        item = tree.read(event.object)
        if item is None:
            notices, tree.notices = tuple(tree.notices), []
            return Delta(self.resource, notices=notices)
        manifest, version = item
        self._version = version or self._version
        if event.type == "DELETED":
            self._known.discard(manifest.ref)
            return Delta(self.resource, deletes=(manifest.ref,))
        self._known.add(manifest.ref)
        return Delta(self.resource, {manifest.ref: manifest})

    def _error(self, event: Event) -> SourceUnavailable:
        status = decoded(_status, event.object, self._api.name)
        words = clean(status.message or status.reason or "the server ended the watch", 300)
        if status.code == _GONE:
            return GoneError(words, source=self._api.name, cause=SourceCause.CONFLICT)
        return SourceUnavailable(words, source=self._api.name, cause=SourceCause.OVERLOADED)

    def _path(self, served: str) -> str:
        return self.resource.path(served, self.namespace or None)

    def _selector(self) -> dict[str, str]:
        name = self.resource.name
        return {"fieldSelector": f"metadata.name={name}"} if name else {}

    def stop(self) -> None:
        """End a running `watch` soon; it returns or raises, and must not be called again."""
        self._stopped.set()
        self.interrupt()

    def interrupt(self) -> None:
        """Break the open connection, so that `watch` is called again from where it was."""
        if self._stop_stream is not None:
            self._stop_stream()
