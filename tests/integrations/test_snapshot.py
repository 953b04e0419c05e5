from __future__ import annotations

import asyncio
from itertools import product
from pathlib import Path

import pytest

from app.core.cluster.build import build_cluster
from app.core.model.cluster import Cluster
from app.core.model.provenance import Manifest, ObjectRef
from app.core.model.verdict import Protocol, Question, Verdict
from app.core.policy.engine import Engine
from app.core.redaction.redactor import Redactor
from app.ports import ClusterPicture
from integrations.demo.cluster import DemoCluster
from integrations.kubernetes.snapshot import write_snapshot
from integrations.manifests.reader import load

KEY = b"one key"


@pytest.fixture(scope="module")
def demo() -> ClusterPicture:
    return asyncio.run(DemoCluster(now_ns=lambda: 0).read())


def verdicts(cluster: Cluster, ports: tuple[int, ...] = (53, 80, 8080, 443)) -> list[Verdict]:
    """Every pair of pods, in the order of their addresses, which redaction leaves alone."""
    engine = Engine.build(cluster)
    ends = sorted(cluster.endpoints, key=lambda one: (one.addresses, one.ports))
    peers = [engine.peer_of(one) for one in ends if one.addresses][::3]
    return [
        engine.decide(Question(source, destination, port, Protocol.TCP)).verdict
        for source, destination in product(peers, peers)
        for port in ports
    ]


@pytest.mark.parametrize("name", ["s.yaml", "s.yaml.gz", "s.json", "s.json.gz"])
def test_snapshot_when_read_again_gives_the_same_verdicts(
    demo: ClusterPicture, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).touch(0o644)
    count = write_snapshot(demo.manifests, tmp_path / name)
    again = load([str(tmp_path / name)])
    assert len(again.manifests) == count
    before, after = build_cluster(demo.manifests), build_cluster(again.manifests)
    assert verdicts(before, (8080,)) == verdicts(after, (8080,))
    assert (tmp_path / name).stat().st_mode & 0o777 == 0o600


def test_redacted_snapshot_holds_no_name_and_says_what_it_holds(
    demo: ClusterPicture, tmp_path: Path
) -> None:
    file = tmp_path / "s.yaml"
    write_snapshot(demo.manifests, file, redact_key=KEY)
    text = file.read_text()
    for name in ("alice", "project-lung", "keycloak", "mirror"):
        assert name not in text
    assert "redacted: names" in text


def secret(kind: str, **body: object) -> Manifest:
    tree = {"metadata": {"name": "x", "namespace": "a"}, **body}
    return Manifest(ObjectRef(kind, "a", "x"), "v1", tree)


@pytest.mark.parametrize(
    "manifest",
    [
        secret("Secret", data={"password": "hunter2"}),
        secret("ConfigMap", data={"password": "hunter2"}),
        secret("Pod", spec={"containers": [{"name": "c", "env": [{"value": "hunter2"}]}]}),
        secret("Deployment", spec={"template": {"spec": {"volumes": ["hunter2"]}}}),
        secret("Application", spec={"source": {"helm": {"values": "hunter2"}}}),
        secret("Application", spec={"source": {"repoURL": "https://u:hunter2@git.example/x"}}),
        secret("Pod", spec="hunter2"),
    ],
)
def test_snapshot_never_holds_a_secret(manifest: Manifest, tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    write_snapshot([manifest], file)
    assert "hunter2" not in file.read_text()


def test_alias_is_stable_under_one_key_and_other_under_another() -> None:
    one, other = Redactor(KEY), Redactor(b"another")
    assert one.alias("alice") == Redactor(KEY).alias("alice") != other.alias("alice")
    assert one.alias("kube-system") == "kube-system"


def test_alias_of_dns_keeps_stars_and_well_known_endings() -> None:
    redactor = Redactor(KEY)
    pypi = redactor.alias("pypi")
    assert redactor.alias_dns("*.pypi.org.") == f"*.{pypi}.org."
    assert redactor.alias_dns("pypi") == pypi
