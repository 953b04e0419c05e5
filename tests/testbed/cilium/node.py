"""One node: its namespaces, its agent, and the pods that the agent's CNI plugin attaches."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from tests.testbed.cilium.settings import COMPILERS, Mode, compiler
from tests.testbed.cilium.spaces import Run, Space, in_cgroup, ip

READY_WITHIN_S = 120.0
"""Far above the usual two seconds: a build may be running beside it."""

PROBER = Path(__file__).with_name("prober.py")

_HOLDER = """
mount -t sysfs sysfs /sys
mount -t bpf bpf /sys/fs/bpf
mkdir -p "$0"/run/netns "$0"/run/cilium "$0"/cgroup
mount -t cgroup2 none "$0"/cgroup
mount --bind /proc/sys/kernel /proc/sys/kernel
mount -o remount,ro,bind /proc/sys/kernel
mount --rbind /run/netns "$0"/run/netns
mount --rbind "$0"/run /run
echo $$ >"$0"/holder.pid
exec sleep infinity
"""
"""What holds a node's namespaces: an own /run, so that no file of an agent is on the machine, an
own BPF file system, and the kernel's own sysctls for reading only, since they are the machine's."""


class TestbedFailed(Exception):
    """Something of the testbed itself did not come up; says what it logged."""


def wait_until(ready: Callable[[], object], what: str, within_s: float = READY_WITHIN_S) -> None:
    """Ask again and again, with an error or a falsy answer meaning not yet."""
    deadline = time.monotonic() + within_s
    while True:
        error: Exception | None = None
        try:
            if ready():
                return
        except (OSError, http.client.HTTPException, ValueError) as caught:
            error = caught
        if time.monotonic() > deadline:
            raise TestbedFailed(
                f"not within {within_s:.0f} s: {what}" + (f" ({error})" if error else "")
            )
        time.sleep(0.03)


class Prober:
    """A process in one namespace that answers there and sends packets when told."""

    def __init__(self, name: str, command: Sequence[str]) -> None:
        self.name = name
        self._process = subprocess.Popen(
            [*command, sys.executable, "-S", "-E", str(PROBER), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._waiting: dict[int, Future[dict[str, Any]]] = {}
        self._lock = threading.Lock()
        self._number = 0
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            answer = json.loads(line)
            with self._lock:
                waiting = self._waiting.pop(answer["id"])
            waiting.set_result(answer)
        with self._lock:
            for waiting in self._waiting.values():
                waiting.set_exception(TestbedFailed(f"the prober of {self.name} ended"))

    def tell(self, do: str, **command: Any) -> Future[dict[str, Any]]:
        """Send a command; its answer comes when it comes."""
        assert self._process.stdin is not None
        future: Future[dict[str, Any]] = Future()
        with self._lock:
            self._number += 1
            self._waiting[self._number] = future
            text = json.dumps({"id": self._number, "do": do, **command})
            self._process.stdin.write(text.encode() + b"\n")
            self._process.stdin.flush()
        return future

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()


class Node:
    """A node in namespaces of its own, joined to the router `outside` by one link."""

    def __init__(self, run: Run, number: int, mode: Mode, binaries: Path) -> None:
        self.run, self.number, self.mode = run, number, mode
        self.name = f"node{number}"
        self.binaries = binaries
        self.folder = run.folder / self.name
        self.cgroup = run.cgroup / self.name
        self.space = Space(run.namespace(self.name))
        self.address, self.gateway = f"172.20.{number}.10", f"172.20.{number}.1"
        self.address6, self.gateway6 = f"fd00:20:{number}::10", f"fd00:20:{number}::1"
        self.pod_cidrs = [f"10.244.{number}.0/24"]
        if mode.ipv6:
            self.pod_cidrs.append(f"fd00:244:{number}::/64")
        self._spaces: dict[str, Space] = {}
        self._holder = 0
        self._children: list[subprocess.Popen[bytes]] = []
        self._agent: subprocess.Popen[bytes] | None = None

    @property
    def addresses(self) -> list[str]:
        """Its own addresses, of each family in use."""
        return [self.address, self.address6] if self.mode.ipv6 else [self.address]

    # Namespaces

    def make(self, outside: Space) -> None:
        """Make namespaces and links, and the routes to its pods and Services at the router."""
        self.folder.mkdir(parents=True)
        self.cgroup.mkdir(parents=True)
        self.space.make()
        here, there = self.space.name, outside.name
        ip(
            "-n",
            here,
            "link",
            "add",
            "eth0",
            "type",
            "veth",
            "peer",
            f"eth{self.number}",
            "netns",
            there,
        )
        ip("-n", here, "address", "add", f"{self.address}/24", "dev", "eth0")
        ip("-n", there, "address", "add", f"{self.gateway}/24", "dev", f"eth{self.number}")
        if self.mode.ipv6:
            ip("-n", here, "address", "add", f"{self.address6}/64", "dev", "eth0", "nodad")
            ip(
                "-n",
                there,
                "address",
                "add",
                f"{self.gateway6}/64",
                "dev",
                f"eth{self.number}",
                "nodad",
            )
        ip("-n", here, "link", "set", "eth0", "up")
        ip("-n", there, "link", "set", f"eth{self.number}", "up")
        ip("-n", here, "route", "add", "default", "via", self.gateway)
        if self.mode.ipv6:
            ip("-n", here, "-6", "route", "add", "default", "via", self.gateway6)
        for cidr in self.pod_cidrs:
            via = self.address6 if ":" in cidr else self.address
            ip("-n", there, "route", "add", cidr, "via", via)
        self.space.run(forward_packets, ipv6=self.mode.ipv6)
        self._hold()

    def _hold(self) -> None:
        holder = ["unshare", "-m", "--propagation", "slave", "-C", "sh", "-e", "-c", _HOLDER]
        command = in_cgroup(self.cgroup, [*holder, str(self.folder)])
        with (self.folder / "holder.log").open("wb") as log:
            self._children.append(
                self.space.run(
                    subprocess.Popen, command, stdout=log, stderr=log, start_new_session=True
                )
            )
        file = self.folder / "holder.pid"
        wait_until(
            lambda: file.exists() and file.read_text().strip(), f"namespaces of {self.name}", 10
        )
        self._holder = int(file.read_text())

    def command(self, *words: str, folder: Path | None = None) -> list[str]:
        """The command line that runs `words` on this node, as a process of the node.

        The way into another mount namespace loses the working directory, so `folder` names it.
        """
        enter = 'echo $$ >"$0"/cgroup.procs; cd "$1"; shift; exec "$@"'
        inside = ["nsenter", "-t", str(self._holder), "-m", "-n", "-C", "--"]
        return [*inside, "sh", "-c", enter, str(self.folder / "cgroup"), str(folder or "/"), *words]

    def prober(self) -> Prober:
        """A prober among the node's own processes."""
        return Prober(self.name, self.command())

    # The agent

    def start_agent(self, kubeconfig: Path, library: Path) -> None:
        """Start the agent, which compiles its datapath with clang, and wait until it is healthy."""
        tools = self.folder / "tools"
        tools.mkdir(exist_ok=True)
        for name in COMPILERS:
            if not (tools / name).exists():
                (tools / name).symlink_to(compiler(name) or name)
        flags = {
            **self.mode.config,
            "k8s-kubeconfig-path": str(kubeconfig),
            "lib-dir": str(library),
            "bpf-root": "/sys/fs/bpf",
            "cgroup-root": str(self.folder / "cgroup"),
            "devices": "eth0",
            "direct-routing-device": "eth0",
            "external-envoy-proxy": "true",
            "enable-health-checking": "false",
            "enable-endpoint-health-checking": "false",
            "hubble-listen-address": ":4244",
            "hubble-disable-tls": "true",
            "hubble-event-buffer-capacity": "65535",
        }
        path = f"{tools}:{self._release()}:{os.environ['PATH']}"
        words = [f"--{name}={value}" for name, value in flags.items()]
        agent = (
            "env",
            f"PATH={path}",
            f"K8S_NODE_NAME={self.name}",
            str(self._release() / "cilium-agent"),
        )
        with (self.folder / "agent.log").open("ab") as log:
            self._agent = subprocess.Popen(self.command(*agent, *words), stdout=log, stderr=log)
        wait_until(self._is_healthy, f"the agent of {self.name}")

    def _release(self) -> Path:
        return self.binaries / f"cilium-{self.mode.version}"

    def _is_healthy(self) -> bool:
        if self._agent is None or self._agent.poll() is not None:
            raise TestbedFailed((self.folder / "agent.log").read_text()[-3000:])
        return bool(self.api("/healthz", {"brief": "true"})["cilium"]["state"] == "Ok")

    def api(self, path: str, headers: Mapping[str, str] | None = None) -> Any:
        """Ask the agent's own API (`api/v1/openapi.yaml`) over its Unix socket."""
        connection = http.client.HTTPConnection("localhost", timeout=10)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(10)
        try:
            connection.sock.connect(str(self.folder / "run/cilium/cilium.sock"))
            connection.request("GET", f"/v1{path}", headers=dict(headers or {}))
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        if answer.status >= http.HTTPStatus.BAD_REQUEST:
            raise OSError(f"{path}: {answer.status} {text[:200]!r}")
        return json.loads(text)

    def stop_agent(self) -> None:
        """End the agent as a crash would; its datapath goes on."""
        if self._agent is not None:
            self._agent.kill()
            self._agent.wait()
            self._agent = None

    # Pods

    def attach(self, namespace: str, name: str, uid: str) -> list[str]:
        """Make a pod's network namespace and attach it by CNI; give its addresses, IPv4 first."""
        key = f"{namespace}.{name}"
        space = Space(self.run.namespace(key)).make()
        self._spaces[key] = space
        identity = hashlib.sha256(f"{key}{uid}".encode()).hexdigest()
        environment = {
            "CNI_COMMAND": "ADD",
            "CNI_CONTAINERID": identity,
            "CNI_NETNS": f"/run/netns/{space.name}",
            "CNI_IFNAME": "eth0",
            "CNI_PATH": str(self._release()),
            "CNI_ARGS": f"IgnoreUnknown=1;K8S_POD_NAMESPACE={namespace};K8S_POD_NAME={name}"
            f";K8S_POD_UID={uid}",
        }
        words = [f"{key}={value}" for key, value in environment.items()]
        ended = subprocess.run(
            self.command("env", *words, str(self._release() / "cilium-cni")),
            input=b'{"cniVersion": "0.3.1", "name": "cilium", "type": "cilium-cni"}',
            capture_output=True,
            check=False,
        )
        if ended.returncode:
            raise TestbedFailed(f"cilium-cni ADD {key}: {(ended.stdout + ended.stderr).decode()}")
        given = [one["address"].partition("/")[0] for one in json.loads(ended.stdout)["ips"]]
        return sorted(given, key=lambda one: ":" in one)

    def pod_prober(self, namespace: str, name: str) -> Prober:
        """A prober inside a pod, among the node's processes."""
        inside = ["ip", "netns", "exec", self._spaces[f"{namespace}.{name}"].name]
        return Prober(f"{namespace}/{name}", in_cgroup(self.cgroup, inside))

    def close(self) -> None:
        """End its agent, and what keeps its namespaces alive."""
        self.stop_agent()
        for child in self._children:
            child.kill()
            child.wait()
        for space in (self.space, *self._spaces.values()):
            space.close()


def forward_packets(*, ipv6: bool) -> None:
    """Let the namespace that the calling thread is in forward packets."""
    for name in ("ipv4/ip_forward", *(["ipv6/conf/all/forwarding"] if ipv6 else [])):
        Path("/proc/sys/net", name).write_text("1")
