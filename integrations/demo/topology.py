"""The demo TRE as tables, read from `objects/topology.toml` beside this module."""

from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec


class Workload(msgspec.Struct, frozen=True):
    """Something that runs pods: one on each node of `nodes`, numbered from `first` where numbered.

    `kind` is the pods' owner; `Pod` means none, `Node` a static pod. Ordinals in `not_ready` run
    but are not ready.
    """

    namespace: str
    name: str
    nodes: tuple[int, ...]
    labels: dict[str, str]
    kind: str = "Deployment"
    ports: dict[str, int] = {}
    account: str = "default"
    host_network: bool = False
    managed: bool = True
    first: int = 0
    phase: str = "Running"
    not_ready: tuple[int, ...] = ()


class ServiceSpec(msgspec.Struct, frozen=True):
    """A Service: `ports` maps its port to the target's number or container port name."""

    namespace: str
    name: str
    selector: dict[str, str]
    ports: dict[int, int | str]
    udp: tuple[int, ...] = ()


class Route(msgspec.Struct, frozen=True):
    """A host under the own domain, served by the gateway, and the Service behind it."""

    host: str
    namespace: str
    service: str
    port: int


class Topology(msgspec.Struct, frozen=True):
    """Everything the demo's objects are made of.

    `outside` maps names to addresses, `blocks` addresses to the block that policies name.
    """

    domain: str
    cilium_version: str
    gateway_address: str
    apiserver_node: str
    nodes: dict[str, str]
    namespaces: dict[str, dict[str, str]]
    outside: dict[str, str]
    blocks: dict[str, str]
    workload: tuple[Workload, ...]
    service: tuple[ServiceSpec, ...]
    route: tuple[Route, ...]


msgspec.json.Decoder(Topology)
"""Describes the tables here, once: two threads that do it first at the same time crash msgspec."""


def read_topology() -> Topology:
    """Read the packaged tables."""
    text = Path(__file__).with_name("objects").joinpath("topology.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), Topology, strict=False)
