from ipaddress import ip_address

import pytest

from app.core.cluster.build import build_cluster
from app.core.cluster.settings import apply_settings
from app.core.model.cluster import ClusterConfig
from app.core.model.provenance import Manifest, ObjectRef
from app.core.model.verdict import (
    DnsRequest,
    HttpRequest,
    Peer,
    Protocol,
    Question,
    Request,
    SniRequest,
)
from app.core.policy.engine import Engine
from tests.core.policy.cases import CASES, Tree, expand, fixture, load

FILES = sorted(path.name for path in (CASES / "mistakes").glob("*.yaml"))
MISTAKES = [mistake for name in FILES for mistake in load(f"mistakes/{name}")]
SHORT_KINDS = {
    "knp": "NetworkPolicy",
    "cnp": "CiliumNetworkPolicy",
    "ccnp": "CiliumClusterwideNetworkPolicy",
}


def _policy(written: Tree) -> Tree:
    short = next(iter(written))
    namespace, _, name = written[short].rpartition("/")
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return expand({"kind": SHORT_KINDS[short], "metadata": metadata, "spec": written["spec"]})


def _engine(mistake: Tree, variant: Tree) -> Engine:
    major, minor, patch = (int(part) for part in variant.get("version", "1.19.3").split("."))
    settings = mistake.get("settings", {}) | variant.get("settings", {})
    config = apply_settings(ClusterConfig(cilium_version=(major, minor, patch)), settings)
    extra = [*mistake.get("objects", ()), *variant.get("objects", ())]
    objects = [*fixture(), *map(expand, extra), *map(_policy, variant["policies"])]
    return Engine.build(build_cluster([_manifest(item) for item in objects], config))


def _manifest(body: Tree) -> Manifest:
    metadata = body["metadata"]
    ref = ObjectRef(body["kind"], metadata.get("namespace", ""), metadata["name"])
    return Manifest(ref, body["apiVersion"], body)


def _end(text: str, engine: Engine) -> Peer:
    kind, _, rest = text.partition(":")
    if kind == "pod":
        return next(engine.peer_of(pod) for pod in engine.cluster.endpoints if pod.key == rest)
    if kind == "entity":
        return engine.peer_of_entity(rest)
    name, found, address = rest.rpartition("=")
    return engine.peer_of_address(ip_address(address), frozenset([name] if found else []))


def _request(ask: Tree) -> Request | None:
    if "dns" in ask:
        return DnsRequest(ask["dns"])
    if "sni" in ask:
        return SniRequest(ask["sni"])
    return HttpRequest(**ask["http"]) if "http" in ask else None


def _question(ask: Tree, engine: Engine) -> Question:
    source, destination, where = ask["ask"].split(" ")
    port, protocol = where.split("/")
    ends = _end(source, engine), _end(destination, engine)
    return Question(*ends, int(port), Protocol(protocol), _request(ask))


def test_mistakes_when_counted_then_each_of_the_eighty_is_there() -> None:
    assert sorted(mistake["code"] for mistake in MISTAKES) == [f"M{n:02}" for n in range(1, 81)]


@pytest.mark.parametrize("variant", ["mistake", "fix"])
@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: str(mistake["code"]))
def test_verdict_when_a_mistake_or_its_fix_is_asked_then_is_what_was_written(
    mistake: Tree, variant: str
) -> None:
    if variant not in mistake:
        assert mistake["runtime"]
        return
    engine = _engine(mistake, mistake[variant])
    asks = mistake[variant]["asks"]

    verdicts = [engine.decide(_question(ask, engine)).verdict.value for ask in asks]
    traced = [engine.trace(_question(ask, engine)).verdict.value for ask in asks]

    assert verdicts == [ask["verdict"] for ask in asks]
    assert traced == verdicts
    refused = [str(policy.ref) for policy in engine.rejected]
    assert refused == mistake[variant].get("invalid", [])


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: str(mistake["code"]))
def test_fix_when_compared_with_its_mistake_then_changes_a_verdict(mistake: Tree) -> None:
    if "fix" not in mistake:
        assert mistake["runtime"]
        return
    before, after = (
        {str(ask | {"verdict": ""}): ask["verdict"] for ask in mistake[variant]["asks"]}
        for variant in ("mistake", "fix")
    )

    assert any(before[ask] != after[ask] for ask in before.keys() & after.keys())
