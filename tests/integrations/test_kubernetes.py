from __future__ import annotations

import ast
import threading
import time
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.core.errors import ConfigError, SourceCause, SourceUnavailable
from app.core.model.provenance import ObjectRef
from app.testing.kube_api import FakeKubeApi
from integrations.kubernetes import reader as reader_module
from integrations.kubernetes.client import ApiServer, Credentials, connect
from integrations.kubernetes.reader import KubernetesReader
from integrations.kubernetes.reflector import Delta, Reflector
from integrations.kubernetes.resources import RESOURCES, Resource

PODS = "/api/v1/pods"
POLICIES = "/apis/cilium.io/v2/ciliumnetworkpolicies"
GROUPS_OLD = "/apis/cilium.io/v2alpha1/ciliumcidrgroups"
POD_KIND = next(one for one in RESOURCES if one.kind == "Pod")
POLICY_KIND = next(one for one in RESOURCES if one.kind == "CiliumNetworkPolicy")
GROUP_KIND = next(one for one in RESOURCES if one.kind == "CiliumCIDRGroup")


class StillClock:
    def now_ns(self) -> int:
        return 42

    def monotonic(self) -> float:
        return 0.0


def thing(name: str, version: str = "1", **more: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "a", "resourceVersion": version}, **more}


def status(code: int, message: str) -> tuple[int, dict[str, Any]]:
    return code, {"kind": "Status", "code": code, "message": message}


@pytest.fixture
def api() -> Iterator[FakeKubeApi]:
    with FakeKubeApi() as server:
        yield server


@pytest.fixture
def server(api: FakeKubeApi, tmp_path: Path) -> ApiServer:
    return connect(Credentials(str(api.kubeconfig(tmp_path / "config"))))


def names(objects: Any) -> set[str]:
    return {ref.name for ref in objects}


def watched(server: ApiServer, api: FakeKubeApi, resource: Resource, path: str) -> Any:
    """A reflector after its list, and a function that watches until `count` steps came."""
    reflector = Reflector(server, resource)
    reflector.list_pages()
    deltas: list[Delta] = []

    def run() -> list[Delta]:
        reflector.watch(deltas.append)
        return deltas

    return reflector, run


def feed(api: FakeKubeApi, path: str, *events: tuple[str, dict[str, Any]]) -> threading.Thread:
    """Send events once somebody watches anew, then end the watch."""
    before = list(api.collections[path].watches)

    def work() -> None:
        while api.collections[path].watches[len(before) :] == []:
            time.sleep(0.001)
        for kind, body in events:
            api.emit(path, kind, body)
        api.end_watches(path)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_list_when_longer_than_a_page_follows_the_token(
    api: FakeKubeApi, server: ApiServer
) -> None:
    api.put(PODS, *(thing(f"p{number}") for number in range(1201)))
    listing = Reflector(server, POD_KIND).list_pages()
    assert len(listing.objects) == 1201
    assert sum(path.startswith(PODS) for _, path in api.requests) == 3


def test_list_when_a_page_is_gone_starts_again(api: FakeKubeApi, server: ApiServer) -> None:
    api.put(PODS, thing("p")).refusals = [status(410, "too old")]
    assert names(Reflector(server, POD_KIND).list_pages().objects) == {"p"}


def test_list_when_only_an_older_version_is_served_uses_it(
    api: FakeKubeApi, server: ApiServer
) -> None:
    api.put(GROUPS_OLD, {"metadata": {"name": "g"}})
    listing = Reflector(server, GROUP_KIND).list_pages()
    [manifest] = listing.objects.values()
    assert manifest.api_version == "cilium.io/v2alpha1"


def test_list_with_one_bad_object_keeps_the_others(api: FakeKubeApi, server: ApiServer) -> None:
    api.put(PODS, thing("good"), thing("bad", spec={"containers": 7}), {"metadata": {}})
    listing = Reflector(server, POD_KIND).list_pages()
    assert names(listing.objects) == {"good"}
    assert len(listing.notices) == 2


def test_list_of_policies_keeps_fields_nobody_knows(api: FakeKubeApi, server: ApiServer) -> None:
    spec = {"ingress": [{"fromNowhere": [{"x": None}]}]}
    api.put(POLICIES, thing("p", spec=spec))
    [manifest] = Reflector(server, POLICY_KIND).list_pages().objects.values()
    assert manifest.body["spec"] == spec
    assert manifest.body["kind"] == "CiliumNetworkPolicy"


def test_list_of_pods_keeps_what_verdicts_need_and_no_environment(
    api: FakeKubeApi, server: ApiServer
) -> None:
    container = {
        "name": "c",
        "env": [{"name": "PASSWORD", "value": "hunter2"}],
        "ports": [{"name": "http", "containerPort": 8080}],
    }
    api.put(
        PODS,
        thing(
            "p",
            spec={"nodeName": "n", "hostNetwork": True, "containers": [container]},
            status={"podIP": "10.0.0.1", "phase": "Running", "conditions": None},
        ),
    )
    [manifest] = Reflector(server, POD_KIND).list_pages().objects.values()
    assert manifest.body["spec"] == {
        "nodeName": "n",
        "hostNetwork": True,
        "containers": [{"name": "c", "ports": [{"name": "http", "containerPort": 8080}]}],
    }
    assert manifest.body["status"] == {"podIP": "10.0.0.1", "phase": "Running"}


def test_names_of_objects_are_cleaned(api: FakeKubeApi, server: ApiServer) -> None:
    api.put(POLICIES, thing("a\x1b]0;x"))
    assert names(Reflector(server, POLICY_KIND).list_pages().objects) == {"a␛]0;x"}


def test_watch_delivers_steps_and_resumes_from_the_bookmark(
    api: FakeKubeApi, server: ApiServer
) -> None:
    api.put(POLICIES, thing("old"))
    _, run = watched(server, api, POLICY_KIND, POLICIES)
    feed(
        api,
        POLICIES,
        ("ADDED", thing("new", "5")),
        ("DELETED", thing("old", "6")),
        ("BOOKMARK", {"metadata": {"resourceVersion": "9"}}),
    )
    deltas = run()
    assert [names(delta.upserts) for delta in deltas] == [{"new"}, set(), set()]
    assert [names(delta.deletes) for delta in deltas] == [set(), {"old"}, set()]
    feed(api, POLICIES)
    run()
    assert "resourceVersion=9" in api.requests[-1][1]


def test_watch_with_an_unreadable_event_says_so_and_goes_on(
    api: FakeKubeApi, server: ApiServer
) -> None:
    api.put(PODS)
    _, run = watched(server, api, POD_KIND, PODS)
    feed(api, PODS, ("ADDED", thing("x", spec=7)), ("ADDED", thing("y")))
    first, second = run()
    assert "could not be read" in first.notices[0].text
    assert names(second.upserts) == {"y"}


@pytest.mark.parametrize("kind", ["BOOKMARK", "ERROR"])
def test_watch_with_an_unreadable_mark_breaks_off_with_a_reason(
    api: FakeKubeApi, server: ApiServer, kind: str
) -> None:
    api.put(PODS)
    _, run = watched(server, api, POD_KIND, PODS)
    feed(api, PODS, (kind, {"metadata": 7, "code": "x"}))
    with pytest.raises(SourceUnavailable, match="not the Kubernetes API's") as caught:
        run()
    assert caught.value.cause is SourceCause.PROTOCOL


@pytest.mark.parametrize("streams", [True, False])
def test_start_over_gives_the_difference(
    api: FakeKubeApi, server: ApiServer, *, streams: bool
) -> None:
    collection = api.put(POLICIES, thing("gone"), thing("kept"))
    reflector, run = watched(server, api, POLICY_KIND, POLICIES)
    feed(api, POLICIES, ("ERROR", dict(status(410, "expired")[1])))
    with pytest.raises(SourceUnavailable, match="expired"):
        run()
    collection = api.put(POLICIES, thing("kept"), thing("new"))
    collection.streams_lists, collection.version = streams, 77
    deltas: list[Delta] = []
    reflector.start_over(deltas.append)
    assert names(deltas[0].upserts) == {"kept", "new"}
    assert names(deltas[0].deletes) == {"gone"}
    feed(api, POLICIES)
    run()
    assert "resourceVersion=77" in api.requests[-1][1]


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        (401, SourceCause.UNAUTHENTICATED),
        (403, SourceCause.FORBIDDEN),
        (404, SourceCause.NOT_FOUND),
        (429, SourceCause.OVERLOADED),
        (503, SourceCause.OVERLOADED),
        (418, SourceCause.PROTOCOL),
    ],
)
def test_get_when_refused_says_why(
    api: FakeKubeApi, server: ApiServer, code: int, cause: SourceCause
) -> None:
    api.put(PODS).refusals = [status(code, "no \x1b[31mway")]
    with pytest.raises(SourceUnavailable, match=r"no ␛\[31mway") as caught:
        server.get(PODS)
    assert caught.value.cause is cause


def test_get_when_nobody_listens_is_refused(tmp_path: Path) -> None:
    with FakeKubeApi() as api:
        config = api.kubeconfig(tmp_path / "config")
    with pytest.raises(SourceUnavailable) as caught:
        connect(Credentials(str(config))).get("/version")
    assert caught.value.cause is SourceCause.REFUSED


def test_connect_without_kubeconfig_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        connect(Credentials(str(tmp_path / "absent")))
    assert "--demo" in caught.value.hint


def test_error_text_never_holds_the_token(api: FakeKubeApi, server: ApiServer) -> None:
    api.put(PODS).refusals = [(500, {"message": "broken"})]
    with pytest.raises(SourceUnavailable) as caught:
        server.get(PODS)
    assert "secret-token" not in repr(caught.value)


async def test_read_when_a_kind_is_forbidden_or_absent_narrows_the_view(
    api: FakeKubeApi, tmp_path: Path
) -> None:
    api.put(PODS, thing("p"))
    api.put(POLICIES).refusals = [status(403, "forbidden: cannot list")]
    source = live(api, tmp_path, POD_KIND, POLICY_KIND, GROUP_KIND)
    picture = await source.read()
    assert [one.ref for one in picture.manifests] == [ObjectRef("Pod", "a", "p")]
    allowed = {right.kind: right.allowed for right in picture.rights}
    expected = {"Pod": True, "CiliumNetworkPolicy": False, "CiliumCIDRGroup": None}
    assert allowed == expected
    assert len(picture.notices) == 2


def live(api: FakeKubeApi, folder: Path, *resources: Resource) -> KubernetesReader:
    credentials = Credentials(str(api.kubeconfig(folder / "config")))
    return KubernetesReader(
        credentials, clock=StillClock(), resources=resources, jitter=lambda: 1.0
    )


async def test_read_when_every_list_breaks_raises(api: FakeKubeApi, tmp_path: Path) -> None:
    api.put(PODS).refusals = [status(500, "etcd is away")]
    with pytest.raises(SourceUnavailable, match="etcd is away"):
        await live(api, tmp_path, POD_KIND).read()


async def test_watch_merges_steps_of_one_object_and_only_ever_sends_get(
    api: FakeKubeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader_module, "HEARTBEAT_S", 0.02)
    api.put(PODS, thing("p"))
    source = live(api, tmp_path, POD_KIND)
    await source.read()
    feed(api, PODS, ("MODIFIED", thing("p", "2")), ("DELETED", thing("p", "3")))
    seen: list[ObjectRef] = []
    async with aclosing(source.watch()) as changes:  # type: ignore[type-var]  # the port's type is wider
        async for change in changes:
            seen.extend(change.deletes)
            if seen:
                break
    assert seen == [ObjectRef("Pod", "a", "p")]
    assert {method for method, _ in api.requests} == {"GET"}


@pytest.mark.parametrize("refusal", [None, status(403, "forbidden")])
async def test_watch_when_an_unreadable_kind_becomes_readable_asks_for_a_new_read(
    api: FakeKubeApi,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    refusal: tuple[int, dict[str, Any]] | None,
) -> None:
    monkeypatch.setattr(reader_module, "HEARTBEAT_S", 0.02)
    monkeypatch.setattr(reader_module, "RECHECK_BEATS", 2)
    api.put(PODS, thing("p"))
    if refusal is not None:
        api.put(POLICIES).refusals = [refusal, refusal]
    source = live(api, tmp_path, POD_KIND, POLICY_KIND)
    await source.read()
    changes = source.watch()
    await anext(changes)
    api.put(POLICIES, thing("granted"))
    with pytest.raises(SourceUnavailable, match="ciliumnetworkpolicies may be read now"):
        async for _ in changes:
            pass
    picture = await source.read()
    assert ObjectRef("CiliumNetworkPolicy", "a", "granted") in {
        one.ref for one in picture.manifests
    }


def test_rbac_grants_what_is_read_and_no_other_verb() -> None:
    text = (Path(__file__).parents[2] / "deploy/rbac.yaml").read_text()
    documents = list(yaml.safe_load_all(text))
    rules = [rule for one in documents for rule in one.get("rules", ())]
    cluster = next(one for one in documents if one["kind"] == "ClusterRole")
    granted = {
        (group, resource)
        for rule in cluster["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    assert granted == {(one.group, one.plural) for one in RESOURCES if not one.name}
    for rule in rules:
        if rule["resources"] == ["pods/portforward"]:
            assert rule["verbs"] == ["get", "create"]
        else:
            assert set(rule["verbs"]) <= {"get", "list", "watch"}


def test_adapter_has_one_way_to_send_and_it_is_get() -> None:
    """Every call that could carry another verb is listed here, so that a new one is noticed."""
    folder = Path(reader_module.__file__).parent
    sends = {"request", "urlopen", "call_api", "param_serialize", "portforward_call", "stream"}
    found = {
        (file.name, ast.unparse(node.func).rpartition(".")[2], _first_text(node))
        for file in folder.glob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in sends
    }
    assert found == {
        ("client.py", "param_serialize", "GET"),
        ("client.py", "request", "GET"),
        ("client.py", "stream", ""),
        ("reflector.py", "stream", ""),
        ("forward.py", "portforward_call", "GET"),
    }


def _first_text(call: ast.Call) -> str:
    texts = (arg.value for arg in call.args if isinstance(arg, ast.Constant))
    return next((text for text in texts if isinstance(text, str)), "")
