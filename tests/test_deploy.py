"""What deploy/ gives the bot: rights to read, no privileges, and its own network policy."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from app.cli import main
from app.config import is_private, load_settings
from integrations.manifests.reader import load

FOLDER = Path("deploy")


@pytest.fixture(name="objects", scope="module")
def _objects() -> dict[str, dict[str, Any]]:
    return {str(one.ref): dict(one.body) for one in load([str(FOLDER)], {}).manifests}


def test_everything_is_built_and_refers_to_what_is_there(objects: dict[str, Any]) -> None:
    kinds = {key.partition(" ")[0].partition("/")[0] for key in objects}
    assert {"Deployment", "CiliumNetworkPolicy", "ServiceAccount", "ConfigMap"} <= kinds
    pod = _pod(objects)
    (config,) = [one for one in pod["volumes"] if one["name"] == "config"]
    names = {body["metadata"]["name"] for body in objects.values()}
    assert config["configMap"]["name"] in names
    assert pod["serviceAccountName"] in names


def _pod(objects: dict[str, Any]) -> dict[str, Any]:
    (deployment,) = [body for body in objects.values() if body["kind"] == "Deployment"]
    pod: dict[str, Any] = deployment["spec"]["template"]["spec"]
    return pod


def test_pod_has_no_privileges_and_writes_to_its_volumes_only(objects: dict[str, Any]) -> None:
    pod = _pod(objects)
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    assert pod["terminationGracePeriodSeconds"] > 20
    (namespace,) = [body for body in objects.values() if body["kind"] == "Namespace"]
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_rights_are_to_read(objects: dict[str, Any]) -> None:
    rules = [
        rule
        for body in objects.values()
        if body["kind"] in ("ClusterRole", "Role")
        for rule in body["rules"]
    ]
    verbs = {(verb, name) for rule in rules for verb in rule["verbs"] for name in rule["resources"]}
    writing = {one for one in verbs if one[0] not in ("get", "list", "watch")}
    assert writing == {("create", "pods/portforward")}


def test_lint_finds_nothing_in_its_network_policy(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint", "--snapshot", str(FOLDER), "--fail-on", "info"]) == 0
    assert "nothing found" in capsys.readouterr().out


BOT = "k8tre-tui/k8tre-tui-bot"
POD = """
apiVersion: v1
kind: Pod
metadata:
  name: k8tre-tui-bot-1
  namespace: k8tre-tui
  labels: {app.kubernetes.io/name: k8tre-tui-bot}
spec: {containers: [{name: bot}]}
status: {podIP: 10.0.0.9, phase: Running}
---
apiVersion: v1
kind: Pod
metadata: {name: coredns-1, namespace: kube-system, labels: {k8s-app: kube-dns}}
spec: {containers: [{name: dns}]}
status: {podIP: 10.0.0.10, phase: Running}
---
apiVersion: v1
kind: Pod
metadata: {name: hubble-relay-1, namespace: kube-system, labels: {k8s-app: hubble-relay}}
spec: {containers: [{name: relay}]}
status: {podIP: 10.0.0.11, phase: Running}
---
apiVersion: v1
kind: Namespace
metadata: {name: kube-system}
"""


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("fqdn:slack.com=192.0.2.1", "443"), 0),
        (("fqdn:wss-primary.slack.com=192.0.2.2", "443"), 0),
        (("kube-system/hubble-relay", "4245"), 0),
        (("entity:kube-apiserver", "6443"), 0),
        (("fqdn:example.org=192.0.2.3", "443"), 1),
        (("entity:world", "22"), 1),
    ],
)
def test_bot_reaches_what_it_needs_and_nothing_else(
    words: tuple[str, str], code: int, tmp_path: Path
) -> None:
    (tmp_path / "pods.yaml").write_text(POD, encoding="utf-8")
    policy = FOLDER / "bot/network-policy.yaml"
    argv = ["why", BOT, *words, "--snapshot", str(policy), "--snapshot", str(tmp_path)]
    assert main(argv) == code


def test_its_settings_are_settings() -> None:
    path = FOLDER / "bot/config.toml"
    settings = load_settings({}, path).settings
    assert settings.bot.level == "minimal"
    assert settings.bot.team == ""
    port = settings.bot.status.rpartition(":")[2]
    text = (FOLDER / "bot/deployment.yaml").read_text(encoding="utf-8")
    assert f"containerPort: {port}" in text
    assert tomllib.loads(path.read_text(encoding="utf-8"))["flows"]["history"] is False


@pytest.mark.parametrize(
    ("mode", "owner", "me", "private"),
    [
        (0o100600, 1000, 1000, True),
        (0o100400, 0, 0, True),
        (0o100440, 0, 65532, True),
        (0o100440, 1000, 1000, False),
        (0o100440, 0, 0, False),
        (0o100460, 0, 65532, False),
        (0o100444, 0, 65532, False),
        (0o100604, 1000, 1000, False),
    ],
)
def test_secret_file_is_for_its_owner_or_mounted_for_a_group(
    mode: int, owner: int, me: int, *, private: bool
) -> None:
    assert is_private(mode, owner, me) is private
