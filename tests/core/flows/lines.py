"""Hubble JSON lines for the tests, one of each kind that agents and Relay send."""

from __future__ import annotations

import json
from typing import Any

SOURCE = {
    "ID": 2371,
    "identity": 41873,
    "cluster_name": "tre",
    "namespace": "prj-a",
    "labels": ["k8s:app=workspace", "k8s:io.kubernetes.pod.namespace=prj-a"],
    "pod_name": "workspace-alice-0",
    "workloads": [{"name": "workspace-alice", "kind": "StatefulSet"}],
}
DESTINATION = {
    "identity": 38122,
    "cluster_name": "tre",
    "namespace": "gitea",
    "labels": ["k8s:app=gitea", "k8s:io.kubernetes.pod.namespace=gitea"],
    "pod_name": "gitea-7c9fd5f5b-x2m8q",
}
WORLD = {"identity": 16777231, "labels": ["cidr:203.0.113.25/32", "reserved:world"]}


def flow(**changes: Any) -> dict[str, Any]:
    """A TCP SYN from a workspace to Gitea, dropped by default deny; None removes a field."""
    body: dict[str, Any] = {
        "time": "2026-03-02T10:15:02.000184220Z",
        "uuid": "0b6a4c1e-6f0e-4d1c-9d36-6f2b6a6c1f02",
        "emitter": {"name": "Hubble", "version": "1.19.3+g1a2b3c4d"},
        "verdict": "DROPPED",
        "drop_reason": 133,
        "ethernet": {"source": "5e:1f:a2:0c:77:31", "destination": "d2:90:4e:aa:61:0b"},
        "IP": {"source": "10.42.2.17", "destination": "10.42.5.88", "ipVersion": "IPv4"},
        "l4": {"TCP": {"source_port": 40122, "destination_port": 3000, "flags": {"SYN": True}}},
        "source": SOURCE,
        "destination": DESTINATION,
        "Type": "L3_L4",
        "node_name": "tre/worker-2",
        "node_labels": ["kubernetes.io/arch=amd64", "kubernetes.io/hostname=worker-2"],
        "event_type": {"type": 1, "sub_type": 133},
        "traffic_direction": "EGRESS",
        "file": {"name": "bpf_lxc.c", "line": 1382},
        "drop_reason_desc": "POLICY_DENIED",
        "Summary": "TCP Flags: SYN",
    }
    body.update(changes)
    return {key: value for key, value in body.items() if value is not None}


def envelope(body: dict[str, Any]) -> dict[str, Any]:
    """What `hubble observe -o json` prints around a flow."""
    return {
        "flow": body,
        "node_name": body.get("node_name", ""),
        "time": body.get("time", "2026-03-02T10:15:02Z"),
    }


def line(**changes: Any) -> bytes:
    """One JSON line of `flow(**changes)` in its envelope."""
    return json.dumps(envelope(flow(**changes)), separators=(",", ":")).encode()


EVERY_FIELD: list[dict[str, Any]] = [
    flow(),
    flow(
        verdict="FORWARDED",
        drop_reason=None,
        drop_reason_desc=None,
        event_type={"type": 4},
        trace_observation_point="TO_ENDPOINT",
        trace_reason="NEW",
        is_reply=False,
        interface={"index": 48, "name": "lxc6b1f0c2d9a3e"},
        IP={
            "source": "10.42.2.17",
            "destination": "203.0.113.25",
            "ipVersion": "IPv4",
            "encrypted": True,
            "source_xlated": "192.0.2.9",
        },
        proxy_port=12345,
        destination_names=["packages.example.org"],
        source_names=["alice.example.org"],
        destination=WORLD,
        ip_trace_id={"trace_id": "77", "ip_option_type": 136},
        file=None,
    ),
    flow(
        verdict="DROPPED",
        event_type={"type": 5},
        policy_match_type=1,
        auth_type="SPIRE",
        ingress_denied_by=[
            {
                "name": "deny-cross",
                "labels": ["k8s:io.cilium.k8s.policy.name=deny-cross"],
                "revision": "214",
                "kind": "CiliumClusterwideNetworkPolicy",
            }
        ],
        egress_allowed_by=[{"name": "a", "namespace": "prj-a", "kind": "NetworkPolicy"}, {}],
        policy_log=["cross-project deny"],
    ),
    flow(
        verdict="FORWARDED",
        Type="L7",
        ethernet=None,
        l4={"UDP": {"source_port": 38811, "destination_port": 53}},
        l7={
            "type": "RESPONSE",
            "dns": {
                "query": "packages.example.org.",
                "ips": ["203.0.113.25"],
                "ttl": 30,
                "cnames": ["cdn.example.org."],
                "observation_source": "proxy",
                "rcode": 3,
                "qtypes": ["A"],
                "rrtypes": ["CNAME", "A"],
            },
        },
        event_type={"type": 129},
        reply=True,
        is_reply=True,
    ),
    flow(
        Type="L7",
        l7={
            "type": "RESPONSE",
            "latency_ns": "432656",
            "http": {
                "code": 403,
                "method": "DELETE",
                "url": "http://catalogue.prj-a.svc/v1/datasets/42",
                "protocol": "HTTP/1.1",
                "headers": [{"key": "X-Request-Id", "value": "5f0e2f7b"}, {"key": "Empty"}],
            },
        },
        trace_context={"parent": {"trace_id": "4bf92f3577b34da6"}},
    ),
    flow(l7={"type": "REQUEST", "kafka": {"error_code": 3, "api_key": "fetch", "topic": "t"}}),
    flow(
        verdict="TRANSLATED",
        Type="SOCK",
        sock_xlate_point="SOCK_XLATE_POINT_POST_DIRECTION_FWD",
        socket_cookie="98765432101",
        cgroup_id="18446744073709551615",
        source_service={"name": "hub", "namespace": "jupyterhub"},
        destination_service={"name": "gitea", "namespace": "gitea"},
        event_type={"type": 7, "sub_type": 2},
    ),
    flow(
        l4={"ICMPv4": {"type": 3, "code": 1}},
        debug_capture_point="DBG_CAPTURE_DELIVERY",
        tunnel={
            "protocol": "VXLAN",
            "IP": {"source": "192.0.2.1", "destination": "192.0.2.2", "ipVersion": "IPv4"},
            "l4": {"UDP": {"source_port": 1, "destination_port": 8472}},
            "vni": 2,
        },
        aggregate={"ingress_flow_count": 3, "egress_flow_count": 4},
        extensions={"@type": "type.googleapis.com/vendor.Thing", "a": 1},
    ),
    flow(l4={"ICMPv4": {}}),
    flow(l4={"ICMPv6": {"type": 128}}, IP={"source": "fd00::1", "ipVersion": "IPv6"}),
    flow(l4={"SCTP": {"source_port": 1, "destination_port": 2}}),
    flow(l4={"VRRP": {"type": 1, "vrid": 7, "priority": 100}}),
    flow(l4={"IGMP": {"type": 22, "group_address": "224.0.0.1"}}),
    flow(l4={"TCP": {"flags": {}}}, IP={}, source={}, destination={}, event_type={}),
    flow(l4={}, l7={}, ethernet={}, emitter={}, file={}),
    flow(
        source={
            **SOURCE,
            "workloads": [
                {"name": "a", "kind": "Job"},
                {"name": "b", "kind": "CronJob"},
                {"name": "c"},
            ],
        }
    ),
    {"verdict": "FORWARDED"},
]
"""Flows that between them set every field of `flow.Flow`."""
