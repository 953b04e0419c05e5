"""A small API server for tests and benchmarks: lists in pages, watches, errors on demand.

It speaks plain HTTP on the loopback and holds objects as ready JSON bytes, so that a benchmark
measures the client. `kubeconfig` writes a file that points to it.
"""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

_END: bytes = b""


@dataclass(slots=True)
class Collection:
    """What one list path holds; `refusals` are (status, body) answers given first, in order."""

    items: list[bytes] = field(default_factory=list)
    version: int = 1
    refusals: list[tuple[int, Mapping[str, Any]]] = field(default_factory=list)
    watches: list[queue.SimpleQueue[bytes]] = field(default_factory=list)
    streams_lists: bool = False


class FakeKubeApi:
    """Use as a context manager; `url` is where it listens. Thread-safe where tests touch it."""

    def __init__(self) -> None:
        self.collections: dict[str, Collection] = {}
        self.requests: list[tuple[str, str]] = []
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.01,), daemon=True
        )

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for collection in self.collections.values():
            self._end(collection)
        self._server.shutdown()
        self._server.server_close()

    def kubeconfig(self, file: Path, *, token: str = "secret-token") -> Path:  # noqa: S107  # a fake
        """Write a kubeconfig whose only context leads here."""
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "fake", "cluster": {"server": self.url}}],
            "users": [{"name": "fake", "user": {"token": token}}],
            "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake"}}],
            "current-context": "fake",
        }
        file.write_text(json.dumps(config))
        return file

    def put(self, path: str, *objects: Mapping[str, Any]) -> Collection:
        """Serve `objects` as the list at `path`."""
        collection = self.collections.setdefault(path, Collection())
        collection.items = [json.dumps(one).encode() for one in objects]
        return collection

    def emit(self, path: str, kind: str, body: Mapping[str, Any]) -> None:
        """Send one watch event to every watch of `path`."""
        event = json.dumps({"type": kind, "object": body}).encode() + b"\n"
        for watch in self.collections[path].watches:
            watch.put(event)

    def end_watches(self, path: str) -> None:
        """Close every watch of `path` in order, as a server does after its timeout."""
        self._end(self.collections[path])

    @staticmethod
    def _end(collection: Collection) -> None:
        for watch in collection.watches:
            watch.put(_END)
        collection.watches.clear()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                """Say nothing: the client's view is what counts."""

            def __getattr__(self, name: str) -> Any:
                if name.startswith("do_"):
                    return lambda: api.answer(self)
                raise AttributeError(name)

        return Handler

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one request; every method and path is recorded first."""
        parts = urlsplit(handler.path)
        query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        with self._lock:
            self.requests.append((handler.command, handler.path))
        if parts.path == "/version":
            _reply(handler, 200, b'{"gitVersion":"v1.35.4"}')
            return
        collection = self.collections.get(parts.path)
        if collection is None:
            _reply(handler, 404, b'{"kind":"Status","code":404,"message":"no such kind"}')
        elif collection.refusals:
            status, body = collection.refusals.pop(0)
            _reply(handler, status, json.dumps(body).encode())
        elif query.get("watch") == "true":
            self._watch(handler, collection, query)
        else:
            _reply(handler, 200, _page(collection, query))

    def _watch(
        self, handler: BaseHTTPRequestHandler, collection: Collection, query: Mapping[str, str]
    ) -> None:
        if query.get("sendInitialEvents") == "true" and not collection.streams_lists:
            _reply(handler, 422, b'{"code":422,"message":"sendInitialEvents is forbidden"}')
            return
        events: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        collection.watches.append(events)
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        if query.get("sendInitialEvents") == "true":
            _initial_events(events, collection)
        while chunk := events.get():
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        handler.wfile.write(b"0\r\n\r\n")


def _initial_events(events: queue.SimpleQueue[bytes], collection: Collection) -> None:
    for item in collection.items:
        events.put(b'{"type":"ADDED","object":%s}\n' % item)
    meta = {
        "resourceVersion": str(collection.version),
        "annotations": {"k8s.io/initial-events-end": "true"},
    }
    bookmark = {"type": "BOOKMARK", "object": {"metadata": meta}}
    events.put(json.dumps(bookmark).encode() + b"\n")


def _page(collection: Collection, query: Mapping[str, str]) -> bytes:
    start, limit = int(query.get("continue", "0")), int(query.get("limit", "500"))
    items = collection.items[start : start + limit]
    after = start + limit
    token = b',"continue":"%d"' % after if after < len(collection.items) else b""
    head = b'{"metadata":{"resourceVersion":"%d"%s},"items":[' % (collection.version, token)
    return head + b",".join(items) + b"]}"


def _reply(handler: BaseHTTPRequestHandler, status: int, body: bytes) -> None:
    handler.send_response(status)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)
