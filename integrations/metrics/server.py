"""`/metrics` and `/healthz` over HTTP, for Prometheus and for probes; read-only, on loopback.

Each request is answered from the newest reading that it was given; none asks anybody. Source:
https://prometheus.io/docs/instrumenting/exposition_formats/.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app.core.errors import SourceCause, SourceUnavailable
from app.services.recorder import Reading, ailments

PREFIX = "k8tre_tui"
TIMEOUT_S = 10.0
Read = Callable[[], Reading]


class Readings(Collector):
    """A reading as metrics."""

    def __init__(self, read: Read) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        """Every metric of the newest reading."""
        one = self._read()
        yield _counter("flows", "Flows received, by verdict.", ("verdict",), _single(one.flows))
        yield _counter("lost_events", "Events lost, by where.", ("source",), _single(one.lost))
        labels = ("cause", "source_project", "destination_project")
        yield _counter("drops", "Refused packets by cause and pair of projects.", labels, one.drops)
        yield _gauge("alerts", "Alerts that go on.", ("kind", "severity"), one.alerts)
        up = {name: int(phase in ("live", "ended")) for name, phase in one.phases.items()}
        yield _gauge("source_up", "Whether a source is read.", ("source",), _single(up))
        ages = {"flows": one.newest_age_s, "objects": one.objects_age_s}
        known = {name: age for name, age in ages.items() if age is not None}
        yield _gauge("age_seconds", "Age of the newest reading.", ("of",), _single(known))
        stored = {"flows": one.stored.flows, "bytes": one.stored.size}
        yield _gauge("stored", "What the history holds.", ("what",), _single(stored))
        yield _counter("gaps", "Times in which flows are missing.", (), {(): one.missed.gaps})
        yield _counter("missed_seconds", "Length of these.", (), {(): one.missed.seconds})
        yield _counter("unreadable", "Messages that were no flows.", (), {(): one.unreadable})


def _single(values: Any) -> dict[tuple[str, ...], float]:
    return {(str(name),): value for name, value in values.items()}


def _counter(name: str, text: str, labels: tuple[str, ...], values: Any) -> Metric:
    family = CounterMetricFamily(f"{PREFIX}_{name}", text, labels=labels)
    for key, value in sorted(values.items()):
        family.add_metric(key, value)
    return family


def _gauge(name: str, text: str, labels: tuple[str, ...], values: Any) -> Metric:
    family = GaugeMetricFamily(f"{PREFIX}_{name}", text, labels=labels)
    for key, value in sorted(values.items()):
        family.add_metric(key, value)
    return family


class MetricsServer:
    """Serves readings until it is closed. Raises `SourceUnavailable` for an address in use."""

    def __init__(self, host: str, port: int, read: Read) -> None:
        registry = CollectorRegistry(auto_describe=False)
        registry.register(Readings(read))

        class Handler(_Handler):
            answers = {  # noqa: RUF012  # read only
                "/metrics": lambda: (200, CONTENT_TYPE_LATEST, generate_latest(registry)),
                "/healthz": lambda: _health(read()),
            }

        try:
            self._server = ThreadingHTTPServer((host, port), Handler)
        except OSError as error:
            raise SourceUnavailable(
                f"cannot listen on {host}:{port}: {error.strerror or error}",
                source="metrics",
                cause=SourceCause.REFUSED,
                hint="--listen HOST:PORT names another address; --listen none serves nothing",
            ) from error
        self._server.daemon_threads = True
        serve = self._server.serve_forever
        self._thread = threading.Thread(target=serve, name="metrics", daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """Where it listens."""
        host, port = self._server.server_address[:2]
        return f"{host!s}:{port}"

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(TIMEOUT_S)


def _health(reading: Reading) -> tuple[int, str, bytes]:
    """200 while flows are received and kept, else 503 with the reasons."""
    wrong = ailments(reading)
    body = json.dumps({"healthy": not wrong, "reasons": list(wrong)}).encode()
    return (503 if wrong else 200), "application/json", body


class _Handler(BaseHTTPRequestHandler):
    timeout = TIMEOUT_S
    server_version = "k8tre-tui"
    sys_version = ""
    answers: dict[str, Callable[[], tuple[int, str, bytes]]]

    def do_GET(self) -> None:
        """Answer a known path."""
        answer = self.answers.get(self.path.partition("?")[0])
        if answer is None:
            self.send_error(404)
            return
        code, kind, body = answer()
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_words: object) -> None:
        """Say nothing: a scrape a few seconds is no news."""
