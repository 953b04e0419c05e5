"""A small cluster with flows, and an app over it that stands at a fixed moment."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC

import yaml
from textual.pilot import Pilot
from textual.widgets import Input

from app.config import Settings, UiSettings
from app.core.flows.times import NS_PER_S
from app.core.model.flow import (
    DnsInfo,
    Flow,
    FlowBatch,
    FlowEndpoint,
    HttpInfo,
    L7Info,
    LostEvents,
    PolicyEvidence,
)
from app.core.model.provenance import Manifest, ObjectRef, Source
from app.services.contexts import Contexts
from app.services.drafting import Drafter
from app.services.workspace import Workspace
from app.testing.builders import manifest, namespace, pod
from app.testing.clock import START_NS, FakeClock
from app.testing.repo import FakeRepo
from app.testing.sources import FakeCluster, FakeFlows
from app.tui.app import K8treApp
from app.tui.places import Place
from app.tui.session import ReadLines, no_lines

POLICIES = """
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: workspace, namespace: project-lung}
spec:
  endpointSelector: {matchLabels: {app: jupyter}}
  egress:
  - toEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: mirror, app: mirror}}]
    toPorts: [{ports: [{port: "80", protocol: TCP}]}]
  ingress:
  - fromEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: jupyterhub}}]
    toPorts: [{ports: [{port: "8888", protocol: TCP}]}]
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: mirror-in, namespace: mirror}
spec:
  description: who may read the package mirror
  endpointSelector: {matchLabels: {app: mirror}}
  ingress:
  - fromEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: project-lung}}]
    toPorts:
    - ports: [{port: "8080", protocol: TCP}]
      rules: {http: [{method: GET}]}
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: refused, namespace: mirror}
spec:
  endpointSelector: {}
  egress: [{toEndpoints: [{}], toFQDNs: [{matchName: example.org}]}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: hub-in, namespace: jupyterhub}
spec: {podSelector: {}, policyTypes: [Ingress], ingress: [{ports: [{port: 8000}]}]}
---
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: no-metadata}
spec:
  endpointSelector: {matchLabels: {app: jupyter}}
  egressDeny: [{toCIDR: [169.254.169.254/32]}]
"""

ALICE = FlowEndpoint(14000, "project-lung", "jupyter-alice", ("k8s:app=jupyter",))
MIRROR = FlowEndpoint(14001, "mirror", "mirror-1", ("k8s:app=mirror",))
HUB = FlowEndpoint(14002, "jupyterhub", "hub-0", ("k8s:app=hub",), "Deployment", "hub")
WORLD = FlowEndpoint(2, labels=("reserved:world",))


def policy_manifests() -> list[Manifest]:
    found = []
    for at, body in enumerate(yaml.safe_load_all(POLICIES)):
        metadata = body["metadata"]
        ref = ObjectRef(body["kind"], metadata.get("namespace", ""), metadata["name"])
        source = Source(f"policies/{ref.name}.yaml", 1, at, deployed_by=("overlays/prod",))
        found.append(Manifest(ref, body["apiVersion"], body, source))
    return found


def objects() -> list[Manifest]:
    names = ("jupyterhub", "mirror", "project-lung", "project-heart")
    return [
        *(namespace(name) for name in names),
        pod("project-lung/jupyter-alice", "10.0.1.10", labels={"app": "jupyter"}),
        pod("project-heart/jupyter-bob", "10.0.1.11", labels={"app": "jupyter"}),
        pod("mirror/mirror-1", "10.0.2.20", labels={"app": "mirror"}),
        pod("jupyterhub/hub-0", "10.0.3.30", labels={"app": "hub"}, ready=False),
        manifest(
            "Service",
            "mirror",
            "mirror",
            spec={
                "clusterIP": "10.96.0.10",
                "selector": {"app": "mirror"},
                "ports": [{"port": 80, "targetPort": 8080, "protocol": "TCP"}],
            },
        ),
        *policy_manifests(),
    ]


def drop(at_s: float = 0, **changes: object) -> Flow:
    fields: dict[str, object] = {
        "time_ns": START_NS + round(at_s * NS_PER_S),
        "verdict": "DROPPED",
        "source": ALICE,
        "destination": MIRROR,
        "source_ip": "10.0.1.10",
        "destination_ip": "10.0.2.20",
        "protocol": "TCP",
        "source_port": 40000,
        "destination_port": 8080,
        "direction": "EGRESS",
        "drop_reason": "POLICY_DENIED",
        "event": 1,
        "node": "node-2",
        "uuid": f"uuid-{at_s}",
    }
    return Flow(**{**fields, **changes})  # type: ignore[arg-type]


def forward(at_s: float = 0, **changes: object) -> Flow:
    plain: dict[str, object] = {
        "verdict": "FORWARDED",
        "source": HUB,
        "source_ip": "10.0.3.30",
        "destination": ALICE,
        "destination_ip": "10.0.1.10",
        "destination_port": 8888,
        "direction": "INGRESS",
        "drop_reason": "",
        "event": 4,
        "is_reply": False,
        "ingress_allowed_by": (PolicyEvidence("CiliumNetworkPolicy", "project-lung", "workspace"),),
    }
    return drop(at_s, **{**plain, **changes})


def flows() -> tuple[Flow, ...]:
    return (
        forward(-60),
        forward(
            -50,
            source=ALICE,
            source_ip="10.0.1.10",
            destination=WORLD,
            destination_ip="203.0.113.7",
            destination_port=53,
            protocol="UDP",
            direction="EGRESS",
            event=129,
            l7=L7Info("REQUEST", dns=DnsInfo("pypi.org", qtypes=("A",))),
        ),
        forward(-45, event=129, l7=L7Info("REQUEST", http=HttpInfo("GET", "/hub/api", code=0))),
        drop(-40),
        drop(-30),
        drop(
            -20,
            destination=WORLD,
            destination_ip="203.0.113.7",
            destination_port=443,
            destination_names=("pypi.org",),
        ),
        forward(-10, verdict="AUDIT"),
        drop(-5),
    )


def batch() -> FlowBatch:
    return FlowBatch(flows(), lost=(LostEvents("OBSERVER_EVENTS_QUEUE", 12, "node-1"),))


def make_app(
    cluster: FakeCluster | None = None,
    source: FakeFlows | None = None,
    *,
    start: Place | None = None,
    clock: FakeClock | None = None,
    settings: Settings | None = None,
    keep: int = 1000,
    drafter: Drafter | None = None,
    contexts: Contexts | None = None,
    read_lines: ReadLines = no_lines,
    kind: type[K8treApp] = K8treApp,
) -> K8treApp:
    clock = clock or FakeClock()
    cluster = cluster or FakeCluster.holding(objects(), "lab")
    source = source or FakeFlows((batch(),), "hubble")
    workspace = Workspace([cluster], [source], clock=clock, keep_flows=keep, jitter=lambda: 1.0)
    return kind(
        workspace,
        settings or Settings(ui=UiSettings(glyphs="unicode")),
        clock=clock,
        context="lab",
        start=start or Place("policies"),
        zone=UTC,
        make_drafter=lambda: drafter,
        contexts=contexts,
        read_lines=read_lines,
    )


def repository() -> FakeRepo:
    """The files that the policies claim to come from."""
    return FakeRepo(
        {
            one.file: yaml.safe_dump(one.body, sort_keys=False)
            for one in policy_manifests()
            if one.file
        }
    )


def with_ui(**changes: object) -> Settings:
    ui = replace(UiSettings(glyphs="unicode"), **changes)  # type: ignore[arg-type]
    return Settings(ui=ui)


@asynccontextmanager
async def driven(app: K8treApp, size: tuple[int, int] = (120, 36)) -> AsyncIterator[Pilot[None]]:
    """Run the app until its first picture and flows are there."""
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.session.picture.revision > 0)
        await until(pilot, lambda: app.session.workspace.ring.seen > 0)
        await ticked(pilot, app)
        yield pilot


async def until(pilot: Pilot[None], condition: Callable[[], bool]) -> None:
    """Let the app work until a condition holds; a hundred turns are always enough."""
    for _ in range(100):
        if condition():
            return
        await pilot.pause()
        await pilot.pause(0.01)
    raise AssertionError("the app never got there")


async def ticked(pilot: Pilot[None], app: K8treApp) -> None:
    """Let a frame pass, without waiting for the timer."""
    app.tick()
    await pilot.pause()


def shown(app: K8treApp) -> str:
    """The text on screen."""
    return "\n".join(strip.text.rstrip() for strip in app.screen._compositor.render_strips())


async def command(pilot: Pilot[None], app: K8treApp, text: str) -> None:
    """Open the prompt by the first character, put the rest in, press enter."""
    await pilot.press(typed(text[0])[0])
    app.screen.query_one("#prompt Input", Input).value = text[1:]
    await press(pilot, "enter")


def said(app: K8treApp) -> str:
    """Every message shown for a moment, together."""
    return "\n".join(one.message for one in app._notifications)


async def press(pilot: Pilot[None], *keys: str) -> None:
    await pilot.press(*keys)
    await pilot.pause()
    await pilot.pause()  # what the first one set off


def typed(text: str) -> Sequence[str]:
    names = {"/": "slash", ":": "colon", " ": "space", "-": "minus", ".": "full_stop"}
    return [names.get(character, character) for character in text]
