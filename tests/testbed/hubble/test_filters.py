"""`hubble observe` and our own flags ask Relay the same, and get the same flows."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format

from app.core.flows.encode import encode_line
from app.core.flows.observe_flags import FLAGS, Given, build_filters
from app.core.model.flow import (
    DnsInfo,
    Flow,
    FlowBatch,
    FlowDetail,
    FlowEndpoint,
    HttpInfo,
    L7Info,
)
from app.ports import FlowRequest
from app.testing.clock import FakeClock
from integrations.hubble.live import RelayFlows
from integrations.hubble.relay import Relay
from tests.testbed.hubble.server import RelayServer

pytestmark = pytest.mark.testbed

SECOND = 1_000_000_000
START = 1_770_000_000
MOST = "100"

WEB = FlowEndpoint(
    identity=2001,
    namespace="shop",
    pod="web-0",
    labels=("k8s:app=web", "k8s:tier=front"),
    workload_kind="Deployment",
    workload="web",
    id=12,
)
DB = FlowEndpoint(identity=2002, namespace="data", pod="db-0", labels=("k8s:app=db",), id=13)
DEFAULT = FlowEndpoint(identity=2003, namespace="default", pod="job-1", labels=("k8s:app=job",))
WORLD = FlowEndpoint(identity=2, labels=("reserved:world",))
HOST = FlowEndpoint(identity=1, labels=("reserved:host",))

SHAPES: tuple[dict[str, Any], ...] = (
    {"source": WEB, "destination": DB, "destination_port": 5432, "tcp_flags": "SYN"},
    {"source": WEB, "destination": DB, "destination_port": 5432, "tcp_flags": "SYN,ACK"},
    {"source": DB, "destination": WEB, "source_port": 5432, "is_reply": True},
    {"source": WEB, "destination": WORLD, "destination_port": 443, "destination_ip": "192.0.2.7"},
    {"source": DEFAULT, "destination": WEB, "destination_port": 80, "verdict": "DROPPED"},
    {"source": HOST, "destination": DB, "destination_port": 5432, "direction": "INGRESS"},
    {"source": WEB, "destination": DB, "protocol": "UDP", "destination_port": 53},
    {"source": WEB, "destination": DB, "protocol": "ICMPv4", "destination_port": 8},
    {"source": WEB, "destination": WORLD, "verdict": "AUDIT", "event": 5},
)


def flows() -> list[Flow]:
    """One flow of each shape, and a few with more to them."""
    common = {"verdict": "FORWARDED", "protocol": "TCP", "event": 4, "source_ip": "10.0.0.1"}
    direction = {"direction": "EGRESS", "destination_ip": "10.0.0.2"}
    detail = FlowDetail(kind="L3_L4", ip_version="IPv4")
    plain = [{**common, **direction, "detail": detail, **shape} for shape in SHAPES]
    dropped = FlowDetail(kind="L3_L4", ip_version="IPv4", drop_reason=133)
    plain[4] |= {"drop_reason": "POLICY_DENIED", "event": 1, "sub_event": 133, "detail": dropped}
    plain[3] |= {"destination_names": ("packages.example.org",)}
    layer7 = {**common, **direction, "source": WEB, "destination": DB, "event": 129}
    layer7 |= {"detail": FlowDetail(kind="L7", ip_version="IPv4")}
    http = HttpInfo("GET", "http://db/items?x=1", "HTTP/1.1", 404, (("X-Request-Id", "7"),))
    dns = DnsInfo(query="pypi.org", qtypes=("A",), source="proxy")
    v6 = FlowDetail(kind="L3_L4", ip_version="IPv6", interface=(4, "eth0"))
    more = [
        {**layer7, "l7": L7Info("RESPONSE", 5, http), "is_reply": True},
        {**layer7, "l7": L7Info("REQUEST", dns=dns), "protocol": "UDP", "is_reply": False},
        {**common, "source": WEB, "source_ip": "2001:db8::1", "detail": v6},
    ]
    return [
        Flow(time_ns=(START + number) * SECOND, uuid=f"u{number:02}", **shape)
        for number, shape in enumerate([*plain, *more])
    ]


COMBINATIONS: tuple[tuple[str, ...], ...] = (
    (),
    ("--verdict", "DROPPED"),
    ("--verdict", "DROPPED", "--verdict", "AUDIT"),
    ("--not", "--verdict", "FORWARDED"),
    ("--drop-reason-desc", "POLICY_DENIED"),
    ("--protocol", "udp"),
    ("--protocol", "http"),
    ("--protocol", "dns"),
    ("--protocol", "icmp"),
    ("--port", "5432"),
    ("--to-port", "5432"),
    ("--from-port", "5432"),
    ("--port", "5432", "--protocol", "tcp"),
    ("--pod", "shop/web"),
    ("--from-pod", "shop/web-0"),
    ("--to-pod", "data/db"),
    ("--from-pod", "job"),
    ("--namespace", "data"),
    ("--from-namespace", "shop", "--to-namespace", "data"),
    ("--to-namespace", "shop"),
    ("--all-namespaces",),
    ("--label", "app=web"),
    ("--from-label", "app in (web,job)"),
    ("--to-label", "reserved:world"),
    ("--label", "tier!=front"),
    ("--identity", "2002"),
    ("--from-identity", "host"),
    ("--to-identity", "world"),
    ("--ip", "192.0.2.0/24"),
    ("--from-ip", "10.0.0.1"),
    ("--to-fqdn", "*.example.org"),
    ("--fqdn", "packages.example.org"),
    ("--workload", "web"),
    ("--from-workload", "deployment/web"),
    ("--type", "l7"),
    ("--type", "drop"),
    ("--type", "policy-verdict"),
    ("--tcp-flags", "SYN"),
    ("--tcp-flags", "SYN,ACK"),
    ("--traffic-direction", "ingress"),
    ("--http-status", "404"),
    ("--http-status", "4+"),
    ("--http-method", "get"),
    ("--http-path", "/items.*"),
    ("--http-url", "x=1"),
    ("--http-header", "X-Request-Id:7"),
    ("--ipv6",),
    ("--ip-version", "v4"),
    ("--interface", "eth0"),
    ("--node-name", "node-1"),
    ("--uuid", "u03"),
    ("--verdict", "FORWARDED", "--not", "--protocol", "tcp", "--pod", "shop/"),
    ("--pod", "shop/", "--port", "5432"),
    ("--unencrypted",),
    ("--cluster", "default"),
)


@pytest.fixture
def relay(start_relay: Callable[..., RelayServer]) -> RelayServer:
    server = start_relay()
    server.agents[0].emit(*flows())
    return server


def given(words: tuple[str, ...]) -> list[Given]:
    """What our command line hands to `build_filters` for these words."""
    switches = {flag.name for flag in FLAGS if not flag.metavar}
    left, typed, negated = list(words), list[Given](), False
    while left:
        name = left.pop(0).removeprefix("--")
        if name == "not":
            negated = True
            continue
        typed.append(Given(name, "" if name in switches else left.pop(0), negated))
        negated = False
    return typed


async def ours(relay: RelayServer, words: tuple[str, ...]) -> list[dict[str, Any]]:
    filters = build_filters(given(words))
    request = FlowRequest(follow=False, last=int(MOST), allow=filters.allow, deny=filters.deny)
    connection = Relay(lambda: relay.address)
    source = RelayFlows(connection, clock=FakeClock())
    batches = [one async for one in source.flows(request) if isinstance(one, FlowBatch)]
    connection.close()
    return [json.loads(encode_line(flow)) for batch in batches for flow in batch.flows]


def filters_seen(relay: RelayServer) -> tuple[list[Any], list[Any]]:
    """The filters of the newest request that reached the agent."""
    newest = relay.agents[0].requests[-1]
    allow, deny = (
        sorted(json_format.MessageToJson(one) for one in filters)
        for filters in (newest.whitelist, newest.blacklist)
    )
    return allow, deny


async def test_every_filter_gives_what_the_upstream_command_gives(
    relay: RelayServer, tmp_path: Path
) -> None:
    """One Relay for all combinations: starting it is most of the time."""
    assert len(COMBINATIONS) >= 30
    differing = {}
    matched = 0
    for words in COMBINATIONS:
        command = ("observe", "-o", "json", "--last", MOST, "--use-default-field-masks=false")
        theirs = await asyncio.to_thread(relay.cli, *command, *words)
        asked = filters_seen(relay)
        mine = await ours(relay, words)
        matched += len(mine)
        if sorted(map(uuid, theirs)) != sorted(map(uuid, mine)) or asked != filters_seen(relay):
            differing[words] = (sorted(map(uuid, theirs)), sorted(map(uuid, mine)), asked)
    assert differing == {}
    assert matched > len(COMBINATIONS)


def uuid(line: dict[str, Any]) -> str:
    return str(line["flow"]["uuid"])


async def test_flows_come_out_as_the_upstream_command_prints_them(relay: RelayServer) -> None:
    command = ("observe", "-o", "json", "--last", MOST, "--use-default-field-masks=false")
    theirs = await asyncio.to_thread(relay.cli, *command)
    mine = await ours(relay, ())
    assert sorted(mine, key=uuid) == sorted(theirs, key=uuid)
