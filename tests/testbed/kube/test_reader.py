"""The live reader against a real kube-apiserver, with exactly the rights of deploy/rbac.yaml."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.core.errors import SourceCause, SourceUnavailable
from app.core.model.provenance import Manifest, ObjectRef
from app.ports import ClusterChange, ClusterPicture
from integrations.kubernetes import reader as reader_module
from integrations.kubernetes.client import Credentials
from integrations.kubernetes.reader import KubernetesReader
from tests.testbed.kube.server import KubeError, KubeServer

pytestmark = pytest.mark.testbed

SOON_S = 20.0
CNP = "/apis/cilium.io/v2/namespaces/{}/ciliumnetworkpolicies"


class RealClock:
    def now_ns(self) -> int:
        return time.time_ns()

    def monotonic(self) -> float:
        return time.monotonic()


def policy(name: str, port: str = "80") -> dict[str, Any]:
    rule = {"toPorts": [{"ports": [{"port": port, "protocol": "TCP"}]}]}
    spec = {"endpointSelector": {"matchLabels": {"app": "web"}}, "ingress": [rule]}
    head = {"apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy"}
    return {**head, "metadata": {"name": name}, "spec": spec}


def new_namespace(kube: KubeServer, name: str) -> str:
    kube.call("POST", "/api/v1/namespaces", {"metadata": {"name": name, "labels": {"team": "a"}}})
    return name


def reader(kube: KubeServer, context: str = "admin", **options: Any) -> KubernetesReader:
    credentials = Credentials(str(kube.kubeconfig), context)
    return KubernetesReader(credentials, clock=RealClock(), jitter=lambda: 1.0, **options)


def found(picture: ClusterPicture, kind: str, namespace: str, name: str) -> Manifest:
    ref = ObjectRef(kind, namespace, name)
    return next(one for one in picture.manifests if one.ref == ref)


@asynccontextmanager
async def watching(source: KubernetesReader) -> AsyncIterator[AsyncIterator[ClusterChange]]:
    async with asyncio.timeout(SOON_S * 3), aclosing(source.watch()) as changes:  # type: ignore[type-var]
        yield changes


async def until(changes: AsyncIterator[ClusterChange], wanted: Any) -> ClusterChange:
    async for change in changes:
        if wanted(change):
            return change
    raise AssertionError("the watch ended")


def has(name: str, port: str) -> Any:
    def wanted(change: ClusterChange) -> bool:
        return any(
            one.ref.name == name
            and one.body["spec"]["ingress"][0]["toPorts"][0]["ports"][0]["port"] == port
            for one in change.upserts
            if one.ref.kind == "CiliumNetworkPolicy"
        )

    return wanted


def grant(kube: KubeServer) -> None:
    """Give the group `readers` the rights of deploy/rbac.yaml, and nothing else."""
    text = (Path(__file__).parents[3] / "deploy/rbac.yaml").read_text()
    group = {"kind": "Group", "name": "readers", "apiGroup": "rbac.authorization.k8s.io"}
    for document in yaml.safe_load_all(text):
        kind, meta = document["kind"], document["metadata"]
        if kind == "ServiceAccount":
            continue
        if kind.endswith("Binding"):
            document["subjects"] = [group]
        namespace = meta.get("namespace")
        root = "/apis/rbac.authorization.k8s.io/v1"
        within = f"{root}/namespaces/{namespace}" if namespace else root
        try:
            kube.call("POST", f"{within}/{kind.lower()}s", document)
        except KubeError as error:
            if error.code != 409:
                raise


async def test_read_with_the_shipped_rights_gives_every_kind(kube: KubeServer) -> None:
    grant(kube)
    ns = new_namespace(kube, "rights")
    kube.call("POST", CNP.format(ns), policy("web"))
    async with asyncio.timeout(SOON_S):
        while True:  # RBAC goes through the server's informers
            picture = await reader(kube, "reader").read()
            refused = {right.kind for right in picture.rights if right.allowed is False}
            if not refused:
                break
    assert found(picture, "CiliumNetworkPolicy", ns, "web").body["spec"]["ingress"]
    assert found(picture, "Namespace", "", ns).body["metadata"]["labels"]["team"] == "a"
    absent = {right.kind for right in picture.rights if right.allowed is None}
    routes = {"Gateway", "GatewayClass", "ReferenceGrant", "HTTPRoute", "GRPCRoute", "TLSRoute"}
    assert absent == routes | {"CiliumLocalRedirectPolicy", "Application"}


@pytest.mark.parametrize("context", ["client", "plugin"])
async def test_read_with_certificate_or_exec_plugin_authenticates(
    kube: KubeServer, context: str
) -> None:
    grant(kube)
    new_namespace(kube, f"auth-{context}")
    picture = await reader(kube, context).read()
    assert found(picture, "Namespace", "", f"auth-{context}").body["metadata"]["uid"]


async def test_read_with_unknown_token_is_unauthenticated(kube: KubeServer) -> None:
    with pytest.raises(SourceUnavailable) as caught:
        await reader(kube, "stranger").read()
    assert caught.value.cause is SourceCause.UNAUTHENTICATED


async def test_read_without_rights_names_every_missing_one(kube: KubeServer) -> None:
    picture = await reader(kube, "nobody").read()
    assert not picture.manifests
    refused = {right.kind for right in picture.rights if right.allowed is False}
    assert {"Pod", "NetworkPolicy", "CiliumNetworkPolicy"} <= refused
    assert any("Pods may not be listed" in notice.text for notice in picture.notices)


async def test_read_with_rights_in_one_namespace_reads_that_one(kube: KubeServer) -> None:
    ns = new_namespace(kube, "alone")
    role = {"metadata": {"name": "r"}, "rules": [_read_rule("cilium.io", "*")]}
    root = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{ns}"
    kube.call("POST", f"{root}/roles", role)
    ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"}
    user = {"kind": "User", "name": "nobody", "apiGroup": "rbac.authorization.k8s.io"}
    body = {"metadata": {"name": "r"}, "roleRef": ref, "subjects": [user]}
    kube.call("POST", f"{root}/rolebindings", body)
    kube.call("POST", CNP.format(ns), policy("only"))
    async with asyncio.timeout(SOON_S):
        picture = await reader(kube, "nobody", namespaces=[ns]).read()
        while not any(one.ref.name == "only" for one in picture.manifests):
            picture = await reader(kube, "nobody", namespaces=[ns]).read()
    right = next(one for one in picture.rights if one.kind == "CiliumNetworkPolicy")
    assert right.allowed
    assert right.scope == "1 of 1 namespaces"


def _read_rule(group: str, resource: str) -> dict[str, list[str]]:
    return {"apiGroups": [group], "resources": [resource], "verbs": ["get", "list", "watch"]}


async def test_watch_delivers_add_change_and_delete_within_half_a_second(kube: KubeServer) -> None:
    ns = new_namespace(kube, "changes")
    source = reader(kube)
    await source.read()
    async with watching(source) as changes:
        kube.call("POST", CNP.format(ns), policy("p", "80"))
        await until(changes, has("p", "80"))
        started = time.monotonic()
        kube.call("PATCH", f"{CNP.format(ns)}/p", {"spec": policy("p", "81")["spec"]})
        await until(changes, has("p", "81"))
        assert time.monotonic() - started < 0.5
        kube.call("DELETE", f"{CNP.format(ns)}/p")
        gone = ObjectRef("CiliumNetworkPolicy", ns, "p")
        await until(changes, lambda change: gone in change.deletes)


async def test_watch_after_apiserver_restart_misses_nothing(kube: KubeServer) -> None:
    ns = new_namespace(kube, "restart")
    source = reader(kube)
    await source.read()
    async with watching(source) as changes:
        kube.kill_apiserver()
        kube.start_apiserver()
        kube.call("POST", CNP.format(ns), policy("after", "8080"))
        await until(changes, has("after", "8080"))


async def test_watch_while_frozen_says_so_and_then_recovers(
    kube: KubeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader_module, "HEARTBEAT_S", 0.5)
    ns = new_namespace(kube, "frozen")
    source = reader(kube)
    await source.read()
    async with watching(source) as changes:
        await until(changes, lambda change: change.state and change.state.phase == "live")
        kube.signal(signal.SIGSTOP)
        try:
            stuck = await until(
                changes, lambda change: change.state and change.state.phase == "retrying"
            )
        finally:
            kube.signal(signal.SIGCONT)
        assert stuck.state is not None
        assert stuck.state.detail["cause"] == "timeout"
        kube.call("POST", CNP.format(ns), policy("thawed", "9090"))
        await until(changes, has("thawed", "9090"))
        await until(changes, lambda change: change.state and change.state.phase == "live")


async def test_watch_after_410_lists_again_and_drops_what_is_gone(
    forgetful_kube: KubeServer,
) -> None:
    kube = forgetful_kube
    maps = "/api/v1/namespaces/default/services"
    port = {"ports": [{"port": 80}]}
    kube.call("POST", maps, {"metadata": {"name": "old"}, "spec": port})
    source = reader(kube)
    await source.read()
    kube.call("DELETE", f"{maps}/old")
    kube.call("POST", maps, {"metadata": {"name": "new"}, "spec": port})
    await asyncio.sleep(4)  # compaction runs once a second and keeps the last interval
    async with watching(source) as changes:
        gone, kept = ObjectRef("Service", "default", "old"), ObjectRef("Service", "default", "new")
        change = await until(changes, lambda change: gone in change.deletes)
        seen = {one.ref for one in change.upserts}
        if kept not in seen:
            await until(changes, lambda change: any(one.ref == kept for one in change.upserts))
