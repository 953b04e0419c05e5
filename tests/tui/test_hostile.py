"""Names, paths and labels chosen by workloads: nothing of them acts on the terminal or the app."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.core.model.flow import (
    DnsInfo,
    Flow,
    FlowBatch,
    FlowEndpoint,
    HttpInfo,
    L7Info,
    PolicyEvidence,
)
from app.core.model.provenance import Manifest, Notice, ObjectRef, Source
from app.testing.builders import manifest, namespace, pod
from app.testing.clock import START_NS
from app.testing.sources import FakeCluster, FakeFlows
from app.tui.app import K8treApp
from app.tui.places import Place
from tests.tui.lab import driven, make_app, press, shown
from tests.widgets.hostile import PIECES, hostile_text, offending

TEXTS = ("[/]", "[@click=app.quit]go[/] [b=1]/[/x]" + "".join(PIECES[5:9]), "".join(PIECES[9:]))
"""All of the pieces in three names: the least markup, markup with escapes, and wide or long."""

PLACES = (
    *("policies", "endpoints", "flows", "sources", "can-i", "log", "doctor", "why"),
    *("pulse", "alerts", "boundaries", "matrix", "services", "workloads", "lint"),
)


def hostile_flow(text: str) -> Flow:
    end = FlowEndpoint(7, text, text, (text, f"k8s:app={text}"), text, text)
    evidence = PolicyEvidence(text, text, text, (text,))
    return Flow(
        START_NS,
        "DROPPED",
        source=end,
        destination=end,
        source_ip=text,
        destination_ip=text,
        protocol="TCP",
        direction="EGRESS",
        drop_reason=text or "x",
        node=text,
        uuid=text,
        l7=L7Info(text, http=HttpInfo(text, text, text, 200, ((text, text),)), dns=DnsInfo(text)),
        source_names=(text,),
        destination_names=(text,),
        tcp_flags=text,
        trace_point=text,
        egress_denied_by=(evidence,),
        summary=text,
    )


def hostile_objects(text: str) -> list[Manifest]:
    spec = {
        "description": text,
        "endpointSelector": {"matchLabels": {"app": text}},
        "egress": [{"toEndpoints": [{"matchLabels": {text or "x": text}}]}],
    }
    body = {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNetworkPolicy",
        "metadata": {"name": text, "namespace": text, "creationTimestamp": text},
        "spec": spec,
    }
    ref = ObjectRef("CiliumNetworkPolicy", text, text)
    policy = Manifest(ref, "cilium.io/v2", body, Source(text, 3, deployed_by=(text,)))
    service = manifest("Service", text, text, spec={"selector": {"app": text}, "ports": []})
    return [
        namespace(text),
        pod(f"{text}/{text}", "10.0.0.1", labels={"app": text, text or "x": text}),
        pod("lab/plain", "10.0.0.2"),
        policy,
        service,
    ]


def hostile_app(text: str, start: Place) -> K8treApp:
    cluster = FakeCluster.holding(hostile_objects(text), text or "x")
    cluster.notices = (Notice(text, file=text, line=1),)
    flows = FakeFlows((FlowBatch((hostile_flow(text),)),), "flows")
    return make_app(cluster, flows, start=start)


def assert_clean(app: K8treApp) -> None:
    text = shown(app)
    assert not offending(text.replace("\n", "")), repr(text)


@pytest.mark.parametrize("screen", PLACES)
async def test_screens_when_every_name_is_hostile_then_drawn_clean_and_alive(screen: str) -> None:
    for text in TEXTS:
        app = hostile_app(text, Place(screen))
        async with driven(app, (100, 20)) as pilot:
            assert_clean(app)
            await press(pilot, "j", "enter")
            assert_clean(app)
        assert app.return_code in (0, None)


@pytest.mark.parametrize(
    "keys", [("d",), ("y",), ("enter", "enter"), ("u", "enter"), ("x", "enter"), ("ctrl+w",)]
)
async def test_policy_when_hostile_then_every_way_from_it_is_clean(keys: tuple[str, ...]) -> None:
    for text in TEXTS:
        app = hostile_app(text, Place("policies"))
        async with driven(app, (100, 20)) as pilot:
            await press(pilot, *keys)
            assert_clean(app)


@pytest.mark.parametrize(
    "keys", [("enter",), ("y",), ("x", "enter"), ("a", "ctrl+w"), ("v",), ("J",), ("enter", "x")]
)
async def test_flow_when_hostile_then_every_way_from_it_is_clean(keys: tuple[str, ...]) -> None:
    for text in TEXTS:
        app = hostile_app(text, Place("flows"))
        async with driven(app, (140, 30)) as pilot:
            await press(pilot, *keys)
            assert_clean(app)


async def test_palette_when_names_are_hostile_then_listed_clean() -> None:
    app = hostile_app("[/] [bold]lab\x1b]52;c;x\x07", Place("policies"))
    async with driven(app, (100, 30)) as pilot:
        await press(pilot, "ctrl+p", "l", "a", "b")
        await pilot.pause(0.3)
        assert "[/] [bold]lab" in shown(app)
        assert_clean(app)


@given(st.one_of(hostile_text, st.text(max_size=30)))
@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
async def test_flows_when_any_text_then_no_control_reaches_the_screen(text: str) -> None:
    app = hostile_app(text, Place("flows"))
    async with driven(app, (140, 20)) as pilot:
        await press(pilot, "k", "enter")
        assert_clean(app)
