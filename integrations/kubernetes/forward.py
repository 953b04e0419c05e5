"""Relay through the API server, when it has no address of its own.

As the `hubble` CLI's `--port-forward` does it: Service `hubble-relay` → a ready pod of its selector
→ the container port behind the first Service port → the pod's `portforward` subresource. The
stream is bridged to a Unix socket in a directory only this user may enter, because a TCP port on
loopback would let every local user see the flows of every namespace (Relay asks nobody who they
are). Windows has no such socket for gRPC, so there it is a loopback port.

Source: Cilium `hubble/cmd/common/conn`, Kubernetes "port-forward over WebSocket" (KEP-4006).
"""

from __future__ import annotations

import contextlib
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from app.core.errors import SourceCause, SourceUnavailable
from app.core.text import clean
from integrations.kubernetes.client import ApiServer
from integrations.kubernetes.wire import PodObject, PodPage, ServiceObject, decoded

RELAY_SERVICE = "hubble-relay"
_TLS_PORT = 443
"""Of Relay's Service when hubble.relay.tls.server.enabled is set."""
_CHUNK = 1 << 16
_BACKLOG = 8

_service = msgspec.json.Decoder(ServiceObject)
_pods = msgspec.json.Decoder(PodPage)


@dataclass(frozen=True, slots=True)
class RelayPod:
    """The pod and port that serve Relay; `tls` is guessed from the Service's port 443."""

    namespace: str
    pod: str
    port: int
    tls: bool


def find_relay(api: ApiServer, namespace: str) -> RelayPod:
    """Find a ready Relay pod.

    Raises `SourceUnavailable`: NOT_FOUND when Relay is not installed or has no ready pod.
    """
    root = f"/api/v1/namespaces/{namespace}"
    try:
        body = api.get(f"{root}/services/{RELAY_SERVICE}")
    except SourceUnavailable as error:
        if error.cause is not SourceCause.NOT_FOUND:
            raise
        raise SourceUnavailable(
            f"there is no Service {RELAY_SERVICE} in {namespace}",
            source="hubble",
            cause=SourceCause.NOT_FOUND,
            hint="enable it (helm hubble.relay.enabled=true), or give --hubble-address",
        ) from error
    spec = decoded(_service, body, api.name).spec
    selector = ",".join(f"{key}={value}" for key, value in sorted(spec.selector.items()))
    listed = api.get(f"{root}/pods", {"labelSelector": selector})
    pods = decoded(_pods, listed, api.name).items or ()
    ready = next((pod for pod in pods if _is_ready(pod)), None)
    if ready is None:
        raise SourceUnavailable(
            f"no pod of {RELAY_SERVICE} in {namespace} is ready",
            source="hubble",
            cause=SourceCause.NOT_FOUND,
            hint=f"kubectl -n {namespace} get pods -l {selector}",
        )
    first = spec.ports[0]
    number = _container_port(ready, first.port if first.targetPort is None else first.targetPort)
    return RelayPod(namespace, clean(ready.metadata.name), number, first.port == _TLS_PORT)


def _is_ready(pod: PodObject) -> bool:
    conditions = (pod.status and pod.status.conditions) or ()
    return any(one.type == "Ready" and one.status == "True" for one in conditions)


def _container_port(pod: PodObject, target: int | str) -> int:
    if isinstance(target, int):
        return target
    for container in (pod.spec and pod.spec.containers) or ():
        for port in container.ports or ():
            if port.name == target:
                return port.containerPort
    raise SourceUnavailable(
        f"the Relay pod has no port named `{clean(target)}`",
        source="hubble",
        cause=SourceCause.PROTOCOL,
    )


class RelayForward:
    """A local address that leads to Relay for as long as it is open.

    Each connection to it opens a port-forward of its own; when that breaks (they die with their
    pod), the next connection looks for a pod again.
    """

    def __init__(self, api: ApiServer, namespace: str) -> None:
        self._api = api
        self._namespace = namespace
        self._listener: socket.socket | None = None
        self._directory: tempfile.TemporaryDirectory[str] | None = None
        self.pod: RelayPod | None = None

    def open(self) -> str:
        """Find Relay, listen, and give the gRPC target. Raises `SourceUnavailable`."""
        self.pod = find_relay(self._api, self._namespace)
        if self._listener is None:
            self._listener, self._target = self._listen()
            threading.Thread(target=self._serve, name="relay forward", daemon=True).start()
        return self._target

    def close(self) -> None:
        """Stop listening; open streams end."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        if self._directory is not None:
            self._directory.cleanup()
            self._directory = None

    def _listen(self) -> tuple[socket.socket, str]:
        if sys.platform == "win32":
            listener = socket.create_server(("127.0.0.1", 0))
            return listener, f"127.0.0.1:{listener.getsockname()[1]}"
        self._directory = tempfile.TemporaryDirectory(prefix="k8tre-tui-")
        path = Path(self._directory.name) / "relay.sock"
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(path))
        listener.listen(_BACKLOG)
        return listener, f"unix:{path}"

    def _serve(self) -> None:
        listener = self._listener
        while listener is not None:
            try:
                local, _ = listener.accept()
            except OSError:  # closed
                return
            threading.Thread(
                target=self._bridge, args=(local,), name="relay bridge", daemon=True
            ).start()

    def _bridge(self, local: socket.socket) -> None:
        with local:
            try:
                pod = find_relay(self._api, self._namespace)
                remote = _open_stream(self._api, pod)
            except SourceUnavailable:
                return  # gRPC sees the closed connection and reports UNAVAILABLE
            with contextlib.closing(remote):
                back = threading.Thread(target=_pump, args=(remote, local), daemon=True)
                back.start()
                _pump(local, remote)
                back.join()


def _open_stream(api: ApiServer, pod: RelayPod) -> Any:
    from kubernetes.client import ApiException
    from kubernetes.stream.ws_client import portforward_call

    path = f"/api/v1/namespaces/{pod.namespace}/pods/{pod.pod}/portforward"
    url, headers = api.signed(path, {"ports": str(pod.port)})
    try:
        forward = portforward_call(api.configuration, "GET", url, headers=headers)
    except ApiException as error:
        raise SourceUnavailable(
            f"the port-forward to {pod.pod} failed: {clean(str(error.reason), 200)}",
            source="hubble",
            cause=SourceCause.REFUSED,
            hint="it needs create on pods/portforward: see deploy/rbac.yaml",
        ) from error
    return forward.socket(pod.port)


def _pump(source: Any, sink: Any) -> None:
    """Copy bytes until one side ends, then let the other side know."""
    for data in _received(source):
        try:
            sink.sendall(data)
        except OSError:
            break
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


def _received(source: Any) -> Iterator[bytes]:
    while True:
        try:
            data = source.recv(_CHUNK)
        except OSError:
            return
        if not data:
            return
        yield data
