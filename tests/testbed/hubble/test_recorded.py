"""Filters on recorded flows: Cilium's own, in `hubble observe --input-file`, against ours."""

from __future__ import annotations

import json
import subprocess
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from app.core.errors import UsageError
from app.core.flows.codec import Decoder
from app.core.flows.match import compile_filters
from app.core.flows.observe_flags import build_filters
from app.core.model.flow import Flow
from tests.core.flows.lines import EVERY_FIELD, SOURCE, WORLD, envelope, flow
from tests.testbed.binaries import require
from tests.testbed.hubble.test_filters import given

pytestmark = pytest.mark.testbed

Words = tuple[str, ...]

DNS = {"UDP": {"source_port": 38811, "destination_port": 53}}


def recorded() -> list[dict[str, Any]]:
    """Flows that between them set every field, and some that are nearly alike."""
    bodies = [
        *(body for body in EVERY_FIELD if "extensions" not in body),
        flow(is_reply=True, verdict="FORWARDED", drop_reason_desc=None),
        flow(
            source=WORLD, source_names=["a.b.example.org"], verdict="AUDIT", event_type={"type": 5}
        ),
        flow(l4={"TCP": {"destination_port": 443, "flags": {"SYN": True, "ACK": True}}}),
        flow(node_name="worker-9", node_labels=["zone=a", "kubernetes.io/os=linux"]),
        flow(source={**SOURCE, "namespace": "default", "pod_name": "job-1", "workloads": []}),
        flow(l4=DNS, l7={"type": "REQUEST", "dns": {"query": "PyPI.org.", "qtypes": ["A"]}}),
        flow(l7={"type": "RESPONSE", "http": {"code": 503, "url": "/a%20b?q", "method": "get"}}),
        flow(l7={"type": "RESPONSE", "http": {"code": 99, "url": "no-path"}}),
        flow(IP={"source": "fd00::17", "destination": "fd00::88", "ipVersion": "IPv6"}),
        flow(IP=None, l4=None),
    ]
    return [body | {"uuid": f"u{number:02}"} for number, body in enumerate(bodies)]


SINGLE: tuple[Words, ...] = (
    *(("--verdict", name) for name in ("DROPPED", "FORWARDED", "AUDIT", "TRANSLATED")),
    ("--drop-reason-desc", "POLICY_DENIED"),
    ("--drop-reason-desc", "DROP_REASON_UNKNOWN"),
    *(("--protocol", name) for name in ("tcp", "UDP", "sctp", "icmp", "icmpv6", "vrrp", "igmp")),
    *(("--protocol", name) for name in ("dns", "http")),
    ("--port", "443"),
    ("--from-port", "0"),
    ("--to-port", "3000", "--to-port", "53"),
    ("--pod", "prj-a/workspace"),
    ("--pod", "gitea/"),
    ("--pod", "/gitea"),
    ("--pod", "job"),
    ("--to-pod", "/"),
    ("--from-pod", "prj-a/workspace-alice-0", "--from-pod", "default/"),
    ("--namespace", "gitea", "--pod", "gitea"),
    ("--namespace", "prj-a", "--namespace", "default"),
    ("--from-namespace", "prj-a", "--to-namespace", "gitea"),
    ("--all-namespaces",),
    ("--from-all-namespaces",),
    ("--service", "gitea/"),
    ("--to-service", "gitea/git"),
    ("--from-service", "jupyterhub/hub", "--namespace", "jupyterhub"),
    ("--label", "app=gitea"),
    ("--label", "k8s:app"),
    ("--label", "reserved:world"),
    ("--label", "!app"),
    ("--from-label", "app in (workspace, other),k8s:io.kubernetes.pod.namespace=prj-a"),
    ("--from-label", "app notin (workspace)"),
    ("--to-label", "app!=gitea"),
    ("--to-label", "any:app==gitea"),
    ("--to-label", "unspec:app"),
    ("--node-label", "zone=a"),
    ("--node-label", "kubernetes.io/hostname in (worker-2)"),
    ("--node-name", "worker-9"),
    ("--node-name", "default/worker-*"),
    ("--node-name", "tre/"),
    ("--node-name", "/worker-2"),
    ("--identity", "41873"),
    ("--to-identity", "38122"),
    ("--cluster", "tre"),
    ("--from-cluster", "other"),
    ("--ip", "10.42.2.17"),
    ("--ip", "10.42.0.0/16"),
    ("--to-ip", "fd00::/8"),
    ("--from-ip", "fd00:0::17"),
    ("--snat-ip", "192.0.2.0/24"),
    ("--ipv4",),
    ("--ipv6",),
    ("--ip-version", "none"),
    ("--fqdn", "*.example.org"),
    ("--from-fqdn", "*.B.example.org."),
    ("--to-fqdn", "packages.example.org"),
    ("--workload", "workspace-alice"),
    ("--from-workload", "StatefulSet/"),
    ("--from-workload", "CronJob/b"),
    ("--to-workload", "Deployment/x"),
    ("--type", "drop"),
    ("--type", "trace:to-endpoint"),
    ("--type", "trace:to-stack"),
    ("--type", "drop:133"),
    ("--type", "129", "--type", "trace-sock"),
    ("--tcp-flags", "syn"),
    ("--tcp-flags", "SYN,ACK"),
    ("--traffic-direction", "egress"),
    ("--traffic-direction", "ingress"),
    ("--http-status", "403"),
    ("--http-status", "5+", "--http-status", "40+"),
    ("--http-method", "GET"),
    ("--http-method", "delete"),
    ("--http-path", "^/a b$"),
    ("--http-path", "/v1/datasets/\\d+"),
    ("--http-url", "q$"),
    ("--http-header", "X-Request-Id:5f0e2f7b"),
    ("--http-header", "Empty:"),
    ("--trace-id", "4bf92f3577b34da6"),
    ("--ip-trace-id", "77"),
    ("--uuid", "u03", "--uuid", "u07"),
    ("--interface", "lxc6b1f0c2d9a3e"),
    ("--encrypted", "true"),
    ("--unencrypted", "true"),
)

REFUSED: tuple[Words, ...] = (
    ("--verdict", "NO"),
    ("--drop-reason-desc", "NO"),
    ("--protocol", "quic"),
    ("--port", "http"),
    ("--port", "70000"),
    ("--ip", "10.0.0"),
    ("--ip", "10.0.0.0/99"),
    ("--from-label", "a in b"),
    ("--from-label", "a=b=c"),
    ("--node-name", "a/b/c"),
    ("--fqdn", "exa mple"),
    ("--fqdn", "a.."),
    ("--type", "no"),
    ("--type", "trace:nowhere"),
    ("--tcp-flags", "SYN,NO"),
    ("--traffic-direction", "up"),
    ("--http-status", "600"),
    ("--http-path", "("),
    ("--http-url", "(?=a)"),
    ("--http-header", "novalue"),
    ("--http-status", "200", "--type", "drop"),
    ("--ip-trace-id", "0"),
    ("--identity", "nobody"),
    ("--pod", "a/b", "--ip", "10.0.0.1"),
    ("--namespace", "x", "--to-pod", "y/z"),
    ("--port", "1", "--to-port", "2"),
    ("--pod", "a/b", "--namespace", "c"),
)

PAIRABLE = [
    words
    for words in SINGLE
    if words[0]
    in {"--verdict", "--pod", "--port", "--label", "--type", "--protocol", "--tcp-flags"}
][::2]
PAIRS: tuple[Words, ...] = tuple(
    (*negation, *one, *other)
    for negation in ((), ("--not",))
    for one, other in combinations(PAIRABLE, 2)
    if one[0] != other[0] and one[0] != "--not"
)


class Recording:
    """The same file for both; `theirs` and `ours` give uuids, or None for a refused request."""

    def __init__(self, folder: Path, hubble: Path) -> None:
        self._hubble = hubble
        self._file = folder / "flows.jsonl"
        lines = [json.dumps(envelope(body)).encode() for body in recorded()]
        self._file.write_bytes(b"\n".join(lines) + b"\n")
        decoder = Decoder()
        self._flows = [
            item for line in lines if isinstance(item := decoder.decode_line(line), Flow)
        ]

    def theirs(self, words: Words) -> list[str] | None:
        command = [str(self._hubble), "observe", "-o", "json", "--input-file", str(self._file)]
        ended = subprocess.run([*command, *words], capture_output=True, timeout=60, check=False)
        if ended.returncode:
            return None
        return [json.loads(line)["flow"]["uuid"] for line in ended.stdout.splitlines()]

    def ours(self, words: Words) -> list[str] | None:
        plain = tuple(word for word in words if word != "true")  # a switch takes no value here
        try:
            filters = build_filters(given(plain))
        except UsageError:
            return None
        passes = compile_filters(filters.allow, filters.deny)
        return [flow.uuid for flow in self._flows if passes is None or passes(flow)]


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    return Recording(tmp_path_factory.mktemp("recording"), require("hubble") / "hubble")


def differing(recording: Recording, table: tuple[Words, ...]) -> dict[Words, Any]:
    answers = {words: (recording.theirs(words), recording.ours(words)) for words in table}
    return {words: pair for words, pair in answers.items() if pair[0] != pair[1]}


def test_each_flag_lets_through_what_cilium_lets_through(recording: Recording) -> None:
    assert differing(recording, SINGLE) == {}


def test_two_flags_together_let_through_what_cilium_lets_through(recording: Recording) -> None:
    assert differing(recording, PAIRS) == {}


def test_what_cilium_refuses_is_refused(recording: Recording) -> None:
    assert {words for words in REFUSED if recording.theirs(words) is not None} == set()
    assert {words for words in REFUSED if recording.ours(words) is not None} == set()
