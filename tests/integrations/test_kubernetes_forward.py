from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import WSMsgType, web

from app.core.errors import SourceCause, SourceUnavailable
from integrations.kubernetes.client import ApiServer, Credentials, connect
from integrations.kubernetes.forward import RelayForward, find_relay

ROOT = "/api/v1/namespaces/kube-system"
KUBECONFIG = """\
apiVersion: v1
kind: Config
clusters: [{{name: t, cluster: {{server: "{url}"}}}}]
users: [{{name: t, user: {{token: t}}}}]
contexts: [{{name: t, context: {{cluster: t, user: t}}}}]
current-context: t
"""


def relay_pod(*, ready: bool = True, port_name: str = "grpc") -> dict[str, Any]:
    return {
        "metadata": {"name": "hubble-relay-1"},
        "spec": {"containers": [{"ports": [{"name": port_name, "containerPort": 4245}]}]},
        "status": {"conditions": [{"type": "Ready", "status": str(ready)}]},
    }


class PortForwardingApi:
    """Serves Relay's Service and pod, and echoes upper-case over the pod's port-forward."""

    def __init__(self) -> None:
        self.service: dict[str, Any] | None = {
            "spec": {
                "selector": {"k8s-app": "hubble-relay"},
                "ports": [{"port": 80, "targetPort": "grpc"}],
            }
        }
        self.pods = [relay_pod()]
        self.forwarded = 0

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get(f"{ROOT}/services/hubble-relay", self._service)
        app.router.add_get(f"{ROOT}/pods", self._pods)
        app.router.add_get(f"{ROOT}/pods/hubble-relay-1/portforward", self._forward)
        return app

    async def _service(self, _: web.Request) -> web.Response:
        if self.service is None:
            return web.json_response({"message": "not found"}, status=404)
        return web.json_response(self.service)

    async def _pods(self, request: web.Request) -> web.Response:
        assert request.query["labelSelector"] == "k8s-app=hubble-relay"
        return web.json_response({"items": self.pods})

    async def _forward(self, request: web.Request) -> web.WebSocketResponse:
        """The v4/v5 channel protocol: each channel starts with the port as two bytes."""
        self.forwarded += 1
        socket_ = web.WebSocketResponse(protocols=("v4.channel.k8s.io", "v5.channel.k8s.io"))
        await socket_.prepare(request)
        port = int(request.query["ports"]).to_bytes(2, "little")
        await socket_.send_bytes(b"\0" + port)
        await socket_.send_bytes(b"\1" + port)
        async for message in socket_:
            if message.type is WSMsgType.BINARY and message.data[:1] == b"\0":
                await socket_.send_bytes(b"\0" + message.data[1:].upper())
        return socket_


@pytest.fixture
async def cluster() -> AsyncIterator[tuple[PortForwardingApi, str]]:
    fake = PortForwardingApi()
    runner = web.AppRunner(fake.app(), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    yield fake, f"http://{host}:{port}"
    await runner.cleanup()


def server(folder: Path, url: str) -> ApiServer:
    file = folder / "config"
    file.write_text(KUBECONFIG.format(url=url))
    return connect(Credentials(str(file)))


def say(target: str, words: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as local:
        local.settimeout(10)
        local.connect(target.removeprefix("unix:"))
        local.sendall(words)
        return local.recv(100)


async def test_open_bridges_a_private_socket_to_the_relay_pod(
    cluster: tuple[PortForwardingApi, str], tmp_path: Path
) -> None:
    fake, url = cluster
    forward = RelayForward(server(tmp_path, url), "kube-system")
    target = await asyncio.to_thread(forward.open)
    folder = Path(target.removeprefix("unix:")).parent
    assert folder.stat().st_mode & 0o777 == 0o700
    assert await asyncio.to_thread(say, target, b"hello") == b"HELLO"
    assert await asyncio.to_thread(say, target, b"again") == b"AGAIN"
    assert fake.forwarded == 2
    assert forward.pod is not None
    assert (forward.pod.port, forward.pod.tls) == (4245, False)
    forward.close()
    assert not folder.exists()
    await asyncio.to_thread(join_bridges)


def join_bridges() -> None:
    for thread in threading.enumerate():
        if thread.name == "relay bridge":
            thread.join(5)


@pytest.mark.parametrize(
    ("service", "pods", "words"),
    [
        (None, [relay_pod()], "no Service hubble-relay"),
        ("kept", [relay_pod(ready=False)], "is ready"),
        ("kept", [relay_pod(port_name="other")], "no port named `grpc`"),
        ("headless", [relay_pod()], "not the Kubernetes API's"),
    ],
)
async def test_find_relay_when_something_is_missing_names_it(
    cluster: tuple[PortForwardingApi, str],
    tmp_path: Path,
    service: str | None,
    pods: list[dict[str, Any]],
    words: str,
) -> None:
    fake, url = cluster
    fake.pods = pods
    if service is None:
        fake.service = None
    elif service == "headless":
        fake.service = {"spec": {"ports": [{"port": 80}]}}
    with pytest.raises(SourceUnavailable, match=words) as caught:
        await asyncio.to_thread(find_relay, server(tmp_path, url), "kube-system")
    assert caught.value.cause in {SourceCause.NOT_FOUND, SourceCause.PROTOCOL}
