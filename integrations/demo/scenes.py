"""The kinds of things that happen in the demo TRE; each writes itself down into a script."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from app.core.model.verdict import HttpRequest
from integrations.demo.cast import Cast
from integrations.demo.script import Script

_SCAN_STEP_MS = 60
_HEALTH_PORT = 4240
"""Where cilium-health answers. Source: Cilium `pkg/defaults/defaults.go`."""


class Scene(Protocol):
    """Something that happens, from its first packet to its last."""

    def write(self, script: Script, cast: Cast) -> None:
        """Write the flows it causes."""
        ...


def _requests(lines: tuple[str, ...], host: str) -> tuple[HttpRequest, ...]:
    pairs = (line.split(" ", 1) for line in lines)
    return tuple(HttpRequest(method, path, host) for method, path in pairs)


@dataclass(frozen=True, slots=True)
class Call:
    """A pod calls a pod, by the DNS `name` of a Service or directly; `http` are its requests."""

    source: str
    target: str
    port: int
    name: str = ""
    http: tuple[str, ...] = ()

    def write(self, script: Script, cast: Cast) -> None:
        """Ask for the name, connect, send the requests."""
        source, target = cast.pod(self.source), cast.pod(self.target)
        if self.name and not script.look_up(source, self.name):
            return
        host = self.name or f"{target.address}:{self.port}"
        script.connect(source, target, self.port, requests=_requests(self.http, host))


@dataclass(frozen=True, slots=True)
class Leave:
    """A pod calls a name, or an address, outside the cluster."""

    source: str
    name: str
    port: int = 443

    def write(self, script: Script, cast: Cast) -> None:
        """Ask for the name, connect to its address."""
        source = cast.pod(self.source)
        named = not self.name[0].isdigit()
        if named and not script.look_up(source, self.name):
            return
        learned = named and script.learns(source)
        script.connect(source, cast.outside(self.name, learned=learned), self.port)


@dataclass(frozen=True, slots=True)
class Ask:
    """A pod asks DNS for a name and does nothing with the answer."""

    source: str
    name: str

    def write(self, script: Script, cast: Cast) -> None:
        """Ask."""
        script.look_up(cast.pod(self.source), self.name)


@dataclass(frozen=True, slots=True)
class Detour:
    """A pod calls a name that the cluster's own gateway serves: two connections, two verdicts."""

    source: str
    host: str
    target: str
    port: int

    def write(self, script: Script, cast: Cast) -> None:
        """Ask, connect to the gateway, and see whether the gateway gets through."""
        source = cast.pod(self.source)
        if not script.look_up(source, self.host):
            return
        if script.connect(source, cast.front_door(), 443):
            script.connect(cast.gateway(source.node), cast.pod(self.target), self.port)


@dataclass(frozen=True, slots=True)
class Visit:
    """A browser's request arrives at a pod through the gateway."""

    node: str
    target: str
    port: int

    def write(self, script: Script, cast: Cast) -> None:
        """Connect from the gateway's proxy."""
        script.connect(cast.gateway(self.node), cast.pod(self.target), self.port)


@dataclass(frozen=True, slots=True)
class Probe:
    """The kubelet asks a pod whether it is ready."""

    target: str
    port: int

    def write(self, script: Script, cast: Cast) -> None:
        """Connect from the pod's own node."""
        target = cast.pod(self.target)
        host = cast.node(target.node, seen_from=target.node)
        script.connect(host, target, self.port)


@dataclass(frozen=True, slots=True)
class NodeCall:
    """A pod calls a node: the API server, a kubelet, an agent."""

    source: str
    node: str
    port: int

    def write(self, script: Script, cast: Cast) -> None:
        """Connect to the node's address."""
        source = cast.pod(self.source)
        script.connect(source, cast.node(self.node, seen_from=source.node), self.port)


@dataclass(frozen=True, slots=True)
class Scan:
    """Somebody tries the ports of pods, one after the other."""

    source: str
    targets: tuple[str, ...]
    ports: tuple[int, ...]

    def write(self, script: Script, cast: Cast) -> None:
        """One SYN for every port, never repeated."""
        source = cast.pod(self.source)
        for target in self.targets:
            for port in self.ports:
                script.connect(source, cast.pod(target), port, retry=False)
                script.wait(_SCAN_STEP_MS)


@dataclass(frozen=True, slots=True)
class Ping:
    """An ICMP echo from a pod to another, or to an address outside."""

    source: str
    target: str

    def write(self, script: Script, cast: Cast) -> None:
        """Send it."""
        outside = "/" not in self.target
        target = cast.outside(self.target, learned=False) if outside else cast.pod(self.target)
        script.ping(cast.pod(self.source), target)


@dataclass(frozen=True, slots=True)
class Health:
    """The agents' own probe from node to node."""

    source: str
    target: str

    def write(self, script: Script, cast: Cast) -> None:
        """Ping the health endpoint, then connect to it."""
        node = cast.node(self.source, seen_from=self.target)
        endpoint = cast.health(self.target)
        script.ping(node, endpoint)
        script.wait(5)
        script.connect(node, endpoint, _HEALTH_PORT)


@dataclass(frozen=True, slots=True)
class Backendless:
    """A pod calls a Service that no pod stands behind."""

    source: str
    service: str
    port: int

    def write(self, script: Script, cast: Cast) -> None:
        """Ask for the Service, and get nowhere."""
        namespace, _, name = self.service.partition("/")
        source = cast.pod(self.source)
        host = f"{name}.{namespace}.svc.cluster.local"
        if script.look_up(source, host):
            script.miss_backend(source, cast.resolve(host), self.port)


@dataclass(frozen=True, slots=True)
class Past:
    """A drop from before the policies were as they are now."""

    source: str
    target: str
    port: int

    def write(self, script: Script, cast: Cast) -> None:
        """Drop what today's policies would let through."""
        script.drop_of_the_past(cast.pod(self.source), cast.pod(self.target), self.port)


@dataclass(frozen=True, slots=True)
class Exhaustion:
    """A connection that fails because a node's tables are full, whatever the policies say."""

    source: str
    target: str
    port: int

    def write(self, script: Script, cast: Cast) -> None:
        """Try, and try again."""
        script.fail_tracking(cast.pod(self.source), cast.pod(self.target), self.port)


@dataclass(frozen=True, slots=True)
class Knock:
    """Somebody outside tries a pod."""

    address: str
    target: str
    port: int

    def write(self, script: Script, cast: Cast) -> None:
        """Connect from the address."""
        outside = cast.outside(self.address, learned=False)
        script.connect(outside, cast.pod(self.target), self.port)
