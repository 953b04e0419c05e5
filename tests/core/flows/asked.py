"""What `hubble observe` is asked of recorded flows, and what Cilium's own filters answered.

`ANSWERS` was recorded from `hubble observe --input-file` of v1.19.3 over `recorded()`; the testbed
asks the command again (tests/testbed/hubble/test_recorded.py) and never edits it.
"""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path
from typing import Any

from app.core.flows.observe_flags import FLAGS, Given
from tests.core.flows.lines import EVERY_FIELD, SOURCE, WORLD, flow

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

FILE = Path(__file__).with_name("cilium_answers.json")


def answers() -> dict[Words, list[str] | None]:
    """The uuids that Cilium let through, in order; None where it refused to be asked."""
    table = json.loads(FILE.read_text())
    return {tuple(line.split("\t")): uuids for line, uuids in table.items()}


def given(words: Words) -> list[Given]:
    """What our command line hands to `build_filters` for these words."""
    switches = {flag.name for flag in FLAGS if not flag.metavar}
    left, typed, negated = list(words), list[Given](), False
    while left:
        name = left.pop(0).removeprefix("--")
        if name == "not":
            negated = True
        elif name != "true":  # the upstream command gives some switches a value
            typed.append(Given(name, "" if name in switches else left.pop(0), negated))
            negated = False
    return typed
