"""A running Cilium: an API server, agents with their datapath, Relay, pods, and the world outside.

Nothing here is Kubernetes' own controllers: pods, Services and EndpointSlices are written as those
would write them, and a pod's network is made by the CNI plugin as the kubelet would have it made.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Self

import yaml

from tests.testbed.cilium.node import Node, Prober, forward_packets, wait_until
from tests.testbed.cilium.objects import (
    KubernetesObject,
    PodSpec,
    collection,
    endpoint_slice,
    has_local_policy,
    pod_object,
    ready_backends,
    running_status,
)
from tests.testbed.cilium.settings import Mode
from tests.testbed.cilium.spaces import Guard, Run, Space, in_cgroup, ip, sweep
from tests.testbed.kube.server import KubeError, KubeServer

OUTSIDE = "outside"
OUTSIDE_ADDRESSES = ("203.0.113.9", "203.0.113.77", "198.18.0.9", "169.254.169.254")
OUTSIDE_ADDRESSES6 = ("2001:db8::9", "2001:db8::77")
SERVICE_NETS = ("10.0.0.0/24", "198.51.100.0/24")
SERVICE_NETS6 = ("fd00:10::/112", "2001:db8:51::/112")
RELAY = "127.0.0.1:4245"
SERVICE_NAME = "kubernetes.io/service-name"


class NodeKube(KubeServer):
    """The API server on a node: as a process of it, on the node's address."""

    def __init__(self, folder: Path, node: Node) -> None:
        services = "10.0.0.0/24" + (",fd00:10::/112" if node.mode.ipv6 else "")
        extra = ("--bind-address=0.0.0.0", f"--service-cluster-ip-range={services}")
        super().__init__(folder, node.binaries, (*extra, "--allow-privileged=true"))
        self._node = node
        self.node_kubeconfig = folder / "kubeconfig.nodes"

    def start(self) -> None:
        """Start it inside the node, and write how the other nodes reach it."""
        self._node.space.run(super().start)
        config = yaml.safe_load(self.kubeconfig.read_text())
        config["clusters"][0]["cluster"] |= {
            "server": f"https://{self._node.address}:{self.port}",
            "tls-server-name": "localhost",
        }
        self.node_kubeconfig.write_text(yaml.safe_dump(config))

    def _spawn(self, name: str, *words: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            command = self._node.command(str(self._binaries / name), *words, folder=self.folder)
            self._processes[name] = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)

    def call(self, method: str, path: str, body: Any = None, token: str = "admin-token") -> Any:
        """One request, sent from the node."""
        return self._node.space.run(super().call, method, path, body, token)


class Cluster:
    """Use as a context manager; its end leaves nothing behind."""

    def __init__(self, run: Run, binaries: Path, mode: Mode | None = None, nodes: int = 2) -> None:
        self.run, self.binaries, self.mode = run, binaries, mode or Mode()
        self.nodes = [Node(run, number, self.mode, binaries) for number in range(1, nodes + 1)]
        self.outside = Space(run.namespace(OUTSIDE))
        self.kube = NodeKube(run.folder / "kube", self.nodes[0])
        self.probers: dict[str, Prober] = {}
        self.addresses: dict[str, list[str]] = {}
        self.pods: dict[str, PodSpec] = {}
        self.timings: dict[str, float] = {}
        self._guard: Guard | None = None
        self._relay: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._guard = Guard(self.run)
        try:
            started = time.monotonic()
            self._make_spaces()
            self._timed("namespaces", started)
            self._start_kube()
            self._timed("API server", started)
            self._start_agents()
            self._timed("agents", started)
            self._start_relay()
            self._timed("relay", started)
        except BaseException:
            self.__exit__()
            raise
        return self

    def _timed(self, what: str, started: float) -> None:
        self.timings[what] = round(time.monotonic() - started, 1)

    def __exit__(self, *_: object) -> None:
        for prober in self.probers.values():
            prober.stop()
        with suppress(KeyError, OSError):
            self.kube.stop()
        for child in (self._relay,):
            if child is not None:
                child.kill()
                child.wait()
        for node in self.nodes:
            node.close()
        self.outside.close()
        sweep(self.run)
        if self._guard is not None:
            self._guard.dismiss()

    # Start

    def _make_spaces(self) -> None:
        self.run.cgroup.mkdir()
        self.run.folder.mkdir(mode=0o700)
        self.outside.make()
        for address in OUTSIDE_ADDRESSES:
            ip("-n", self.outside.name, "address", "add", f"{address}/32", "dev", "lo")
        if self.mode.ipv6:
            for address in OUTSIDE_ADDRESSES6:
                ip("-n", self.outside.name, "address", "add", f"{address}/128", "dev", "lo")
        self.outside.run(forward_packets, ipv6=self.mode.ipv6)
        for node in self.nodes:
            node.make(self.outside)
        first = self.nodes[0]
        for net in (*SERVICE_NETS, *(SERVICE_NETS6 if self.mode.ipv6 else ())):
            via = first.address6 if ":" in net else first.address
            ip("-n", self.outside.name, "route", "add", net, "via", via)
        inside = ["ip", "netns", "exec", self.outside.name]
        self.probers[OUTSIDE] = Prober(OUTSIDE, in_cgroup(self.run.cgroup, inside))
        self.addresses[OUTSIDE] = [OUTSIDE_ADDRESSES[0], *OUTSIDE_ADDRESSES6[: int(self.mode.ipv6)]]
        for node in self.nodes:
            self.probers[node.name] = node.prober()
            self.addresses[node.name] = node.addresses

    def _start_kube(self) -> None:
        self.kube.start()
        self._install_kinds()
        self.label_namespace("kube-system")
        for node in self.nodes:
            self._create_node(node)
        self.create(
            {
                "kind": "ConfigMap",
                "metadata": {"name": "cilium-config", "namespace": "kube-system"},
                "data": self.mode.config,
            },
            endpoint_slice(
                "kubernetes",
                "default",
                [{"name": "https", "port": self.kube.port, "protocol": "TCP"}],
                [self.nodes[0].address],
            ),
        )

    def _install_kinds(self) -> None:
        """Create Cilium's definitions of its kinds and wait until they are served."""
        root = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        files = sorted((self.binaries / f"cilium-{self.mode.version}" / "crds").glob("*.yaml"))
        bodies = [yaml.load(one.read_text(), Loader=yaml.CSafeLoader) for one in files]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda body: self.kube.call("POST", root, body), bodies))
        wait_until(lambda: all(map(_is_established, self.kube.call("GET", root)["items"])), "kinds")

    def _create_node(self, node: Node) -> None:
        labels = {"kubernetes.io/hostname": node.name, "tier": "node", "rack": f"r{node.number}"}
        spec = {"podCIDR": node.pod_cidrs[0], "podCIDRs": node.pod_cidrs}
        self.create(
            {"kind": "Node", "metadata": {"name": node.name, "labels": labels}, "spec": spec}
        )
        addresses = [{"type": "InternalIP", "address": one} for one in node.addresses]
        addresses.append({"type": "Hostname", "address": node.name})
        status = {"addresses": addresses, "conditions": [{"type": "Ready", "status": "True"}]}
        self.kube.call("PATCH", f"/api/v1/nodes/{node.name}/status", {"status": status})

    def _start_agents(self) -> None:
        library = self.run.folder / "lib"
        library.mkdir()
        release = self.binaries / f"cilium-{self.mode.version}"
        shutil.copytree(release / "bpf", library / "bpf")
        with ThreadPoolExecutor(len(self.nodes)) as pool:
            config = self.kube.node_kubeconfig
            list(pool.map(lambda node: node.start_agent(config, library), self.nodes))

    def _start_relay(self) -> None:
        first = self.nodes[0]
        words = (
            *("serve", "--gops=false", "--peer-service", "unix:///var/run/cilium/hubble.sock"),
            *("--listen-address", RELAY, "--health-listen-address", "127.0.0.1:4222"),
            *("--disable-client-tls", "--disable-server-tls", "--retry-timeout", "1s"),
            *("--sort-buffer-drain-timeout", "100ms"),
        )
        command = first.command(str(self.binaries / "hubble-relay"), *words)
        with (self.run.folder / "relay.log").open("wb") as log:
            self._relay = subprocess.Popen(command, stdout=log, stderr=log)
        wait_until(self._relay_has_all, "Relay's connection to every node")

    def _relay_has_all(self) -> bool:
        told = self.nodes[0].space.run(
            subprocess.run,
            [str(self.binaries / "hubble"), "status", "--server", RELAY, "-o", "json"],
            capture_output=True,
            check=False,
        )
        status = json.loads(told.stdout or b"{}")
        return int(status.get("num_connected_nodes") or 0) == len(self.nodes)

    def kill_relay(self) -> None:
        """End Relay as a crash would."""
        if self._relay is not None:
            self._relay.send_signal(signal.SIGKILL)
            self._relay.wait()

    def restart_relay(self) -> None:
        """Start Relay again after `kill_relay`."""
        self._start_relay()

    def hubble(self, *words: str) -> list[dict[str, Any]]:
        """Run the upstream `hubble` CLI against Relay and give its JSON lines."""
        ended = self.nodes[0].space.run(
            subprocess.run,
            [str(self.binaries / "hubble"), *words, "--server", RELAY],
            capture_output=True,
            timeout=60,
            check=False,
        )
        return [json.loads(line) for line in ended.stdout.splitlines() if line.startswith(b"{")]

    # Objects

    def create(self, *objects: KubernetesObject) -> list[KubernetesObject]:
        """Create objects, or replace them where they are, and give what the server made of them."""
        return [self._create(body) for body in objects]

    def _create(self, body: KubernetesObject) -> KubernetesObject:
        path = collection(body)
        made: KubernetesObject
        try:
            made = self.kube.call("POST", path, body)
        except KubeError as error:
            if error.code != 409:
                raise
            name = body["metadata"]["name"]
            there = self.kube.call("GET", f"{path}/{name}")
            metadata = {**body["metadata"], "resourceVersion": there["metadata"]["resourceVersion"]}
            made = self.kube.call("PUT", f"{path}/{name}", {**body, "metadata": metadata})
        return made

    def delete(self, *objects: KubernetesObject) -> None:
        """Delete objects; one that is not there is gone already."""
        for body in objects:
            try:
                self.kube.call("DELETE", f"{collection(body)}/{body['metadata']['name']}")
            except KubeError as error:
                if error.code != 404:
                    raise

    def ensure_namespace(self, name: str) -> None:
        """Create a namespace unless it is there."""
        try:
            self.kube.call("GET", f"/api/v1/namespaces/{name}")
        except KubeError:
            self.label_namespace(name)

    def label_namespace(self, name: str, labels: Mapping[str, str] | None = None) -> None:
        """Create a namespace, or give it other labels."""
        body = {"metadata": {"name": name, "labels": dict(labels or {})}}
        try:
            self.kube.call("POST", "/api/v1/namespaces", body)
        except KubeError as error:
            if error.code != 409:
                raise
            self.kube.call("PATCH", f"/api/v1/namespaces/{name}", body)

    # Pods

    def add_pods(self, specs: Iterable[PodSpec]) -> None:
        """Make pods, attach them by the CNI plugin, and wait until their endpoints are ready."""
        specs = list(specs)
        for namespace in {one.namespace for one in specs}:
            self.ensure_namespace(namespace)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(self._add_pod, specs))
        managed = [one for one in specs if not one.host_network]
        wait_until(lambda: all(map(self.is_ready, managed)), "the pods' endpoints")

    def _add_pod(self, spec: PodSpec) -> None:
        node = self.nodes[spec.node - 1]
        made = self._create(pod_object(spec, node.name))
        addresses = node.addresses
        if not spec.host_network:
            addresses = node.attach(spec.namespace, spec.name, made["metadata"]["uid"])
        status = running_status(addresses, node.address)
        path = f"/api/v1/namespaces/{spec.namespace}/pods/{spec.name}/status"
        self.kube.call("PATCH", path, {"status": status})
        prober = (
            self.probers[node.name]
            if spec.host_network
            else node.pod_prober(spec.namespace, spec.name)
        )
        hosts = addresses if spec.host_network else []
        prober.tell("serve", tcp=list(spec.tcp), udp=list(spec.udp), hosts=hosts).result(30)
        self.probers[spec.key] = prober
        self.addresses[spec.key] = addresses
        self.pods[spec.key] = spec

    def is_ready(self, spec: PodSpec) -> bool:
        """Whether the endpoint of a pod has an identity and its datapath."""
        for endpoint in self.nodes[spec.node - 1].api("/endpoint"):
            if endpoint["status"]["external-identifiers"].get("k8s-pod-name") != spec.name:
                continue
            if endpoint["status"]["external-identifiers"].get("k8s-namespace") == spec.namespace:
                return bool(endpoint["status"]["state"] == "ready")
        return False

    # Waiting

    def settle(
        self, there: Iterable[KubernetesObject] = (), gone: Iterable[KubernetesObject] = ()
    ) -> None:
        """Wait until every agent holds the given policies and its endpoints are computed with them.

        A policy that Cilium refuses never appears, so `there` names valid ones only. An agent takes
        objects of a kind in the order they come, so a last one stands for all of its kind.
        """
        wanted = {one["metadata"]["uid"] for one in there}
        unwanted = {one["metadata"]["uid"] for one in gone}
        for node in self.nodes:
            held = partial(_holds, node, wanted, unwanted)
            wait_until(held, f"policies in force on {node.name}", 60)

    def settle_services(self, services: Iterable[KubernetesObject]) -> None:
        """Wait until every agent balances the given Services to all their ready backends."""
        services = list(services)
        backends = {
            (one["metadata"]["namespace"], one["metadata"]["labels"][SERVICE_NAME]): one
            for one in services
            if one["kind"] == "EndpointSlice"
        }
        wanted = {}
        for body in services:
            key = (body["metadata"]["namespace"], body["metadata"]["name"])
            if body["kind"] == "Service":  # of a local one, the other node has no backend
                known = key in backends and not has_local_policy(body)
                wanted[key] = ready_backends(backends[key]) if known else 0
        for node in self.nodes:
            wait_until(partial(_balances, node, wanted), f"Services of {node.name}", 60)


def _holds(node: Node, wanted: set[str], unwanted: set[str]) -> bool:
    """Whether an agent's repository has these policies, and every endpoint its newest revision."""
    policy = node.api("/policy")
    text = policy.get("policy") or ""
    if not all(uid in text for uid in wanted) or any(uid in text for uid in unwanted):
        return False
    revision = policy["revision"]
    for endpoint in node.api("/endpoint"):
        status = endpoint["status"]
        if status["state"] == "disconnecting":
            continue
        if status["state"] != "ready":
            return False
        realized = (status["policy"].get("realized") or {}).get("policy-revision", 0)
        if realized < revision:
            return False
    return True


def _balances(node: Node, wanted: Mapping[tuple[str, str], int]) -> bool:
    seen: dict[tuple[str, str], int] = {}
    for one in node.api("/service") or ():
        realized = (one.get("status") or {}).get("realized") or one.get("spec") or {}
        flags = realized.get("flags") or {}
        key = (flags.get("namespace", ""), flags.get("name", ""))
        backends = {
            (backend.get("ip"), backend.get("port"))
            for backend in realized.get("backend-addresses") or ()
        }
        seen[key] = max(seen.get(key, 0), len({address for address, _ in backends}))
    return all(seen.get(key, -1) >= count for key, count in wanted.items())


def _is_established(definition: Mapping[str, Any]) -> bool:
    conditions = (definition.get("status") or {}).get("conditions") or ()
    return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)
