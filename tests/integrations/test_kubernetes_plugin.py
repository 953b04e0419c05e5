from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from app.core.errors import ConfigError, SourceCause, SourceUnavailable
from app.testing.kube_api import FakeKubeApi
from integrations.kubernetes import plugin as plugin_module
from integrations.kubernetes.client import Credentials, connect
from integrations.kubernetes.plugin import Plugin, plugin_of

V1 = "client.authentication.k8s.io/v1"
BROKEN = "a\r\nX-Forged: b"
PODS = "/api/v1/pods"


def credential(**status: Any) -> str:
    return json.dumps({"apiVersion": V1, "kind": "ExecCredential", "status": status})


def script(tmp_path: Path, body: str) -> Path:
    file = tmp_path / "plugin.sh"
    file.write_text(f"#!/bin/sh\n{body}\n")
    file.chmod(0o755)
    return file


def made(tmp_path: Path, body: str, cluster: dict[str, Any] | None = None, **more: Any) -> Plugin:
    """The plugin of a kubeconfig in `tmp_path` that runs `body`."""
    file = script(tmp_path, body)
    raw = {"command": f"./{file.name}", "apiVersion": V1, **more}
    found = plugin_of({"exec": raw}, file=str(tmp_path / "config"), cluster=cluster or {})
    assert found is not None
    return found


class Configuration:
    def __init__(self) -> None:
        self.api_key: dict[str, str] = {}
        self.cert_file = self.key_file = ""


def kubeconfig(tmp_path: Path, url: str, user: dict[str, Any]) -> str:
    file = tmp_path / "config"
    file.write_text(
        json.dumps(
            {
                "clusters": [{"name": "c", "cluster": {"server": url}}],
                "users": [{"name": "u", "user": user}],
                "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
                "current-context": "x",
            }
        )
    )
    return str(file)


@pytest.mark.parametrize(("expires", "runs"), [("", 1), ("2020-01-01T00:00:00Z", 2)])
def test_token_reaches_the_server_and_is_renewed_once_it_has_expired(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expires: str, runs: int
) -> None:
    count = tmp_path / "count"
    more = {"expirationTimestamp": expires} if expires else {}
    script(tmp_path, f"echo x >>{count}; echo '{credential(token='t', **more)}'")
    user = {"exec": {"command": "./plugin.sh", "apiVersion": V1}}
    with FakeKubeApi() as api:
        api.put(PODS)
        server = connect(Credentials(kubeconfig(tmp_path, api.url, user)))
        monkeypatch.setattr(plugin_module, "_AGAIN_S", 0.0)
        assert server.signed(PODS, {})[1]["authorization"] == "Bearer t"
        monkeypatch.setattr(plugin_module, "_AGAIN_S", 60.0)
        assert b"items" in server.get(PODS)
    assert count.read_text().count("x") == runs


def test_plugin_has_no_terminal_and_no_input(tmp_path: Path) -> None:
    body = (
        'if [ -t 0 ] || [ -t 2 ] || (: </dev/tty) 2>/dev/null || [ -n "$(cat)" ]; then exit 9; fi\n'
        f"echo '{credential(token='t')}'"
    )
    configuration = Configuration()
    made(tmp_path, body).freshen(configuration)
    assert configuration.api_key == {"BearerToken": "Bearer t"}


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals")
def test_what_a_plugin_writes_never_reaches_the_terminal_raw(tmp_path: Path) -> None:
    """OSC 52 on both streams, and to the terminal itself, while a command runs on a terminal."""
    import pty

    osc = r"\033]52;c;cm0gLXJmIH4=\007"
    script(tmp_path, f"printf '{osc}'; printf 'denied {osc}' >&2; printf '{osc}' >/dev/tty; exit 3")
    user = {"exec": {"command": "./plugin.sh", "apiVersion": V1, "interactiveMode": "IfAvailable"}}
    config = kubeconfig(tmp_path, "https://127.0.0.1:1", user)
    pid, terminal = pty.fork()
    if not pid:  # pragma: no cover  # the other process
        os.execv(  # noqa: S606
            sys.executable,
            [sys.executable, "-m", "app.cli", "policies", "--kubeconfig", config],
        )
    seen = b""
    while True:
        try:
            read = os.read(terminal, 4096)
        except OSError:
            break
        seen += read
    os.waitpid(pid, 0)
    os.close(terminal)
    assert b"denied" in seen
    assert b"\x1b]52" not in seen


def test_a_plugin_that_hangs_is_ended_with_what_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugin_module, "LIMIT_S", 0.5)
    child = tmp_path / "child"
    body = f"sleep 60 &\necho $! >{child}\necho 'open https://login.example' >&2\nwait"
    start = time.monotonic()
    with pytest.raises(SourceUnavailable, match=r"longer than 0.5 s.*login\.example") as caught:
        made(tmp_path, body).freshen(Configuration())
    assert time.monotonic() - start < 10
    assert caught.value.cause is SourceCause.UNAUTHENTICATED
    state = subprocess.run(
        ["ps", "-o", "stat=", "-p", child.read_text().strip()],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    assert not state or state.startswith("Z")


def test_a_daemon_left_behind_does_not_hold_up_the_answer(tmp_path: Path) -> None:
    configuration = Configuration()
    start = time.monotonic()
    made(tmp_path, f"sleep 20 &\necho '{credential(token='t')}'").freshen(configuration)
    assert time.monotonic() - start < 10
    assert configuration.api_key


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("yes", "more than 1 MiB"),
        ("exit 7", "ended with 7"),
        ("echo '{'", "no ExecCredential"),
        (r"printf '\377'", "no ExecCredential"),
        (f"echo '{credential()}'", "neither token nor certificate"),
        (f"echo '{credential(clientCertificateData='x')}'", "not both"),
        (f"echo '{credential(token='t').replace('/v1', '/v1beta1')}'", "where .*/v1 was asked"),
        (f"printf '%s' '{credential(token=BROKEN)}'", "no header may carry"),
    ],
)
def test_plugin_that_gives_no_credentials_says_why(tmp_path: Path, body: str, says: str) -> None:
    with pytest.raises(SourceUnavailable, match=says):
        made(tmp_path, body).freshen(Configuration())


def test_after_a_failure_the_plugin_is_left_alone_for_a_while(tmp_path: Path) -> None:
    count = tmp_path / "count"
    plugin = made(tmp_path, f"echo x >>{count}; exit 1")
    for _ in range(3):
        with pytest.raises(SourceUnavailable):
            plugin.freshen(Configuration())
    assert count.read_text().count("x") == 1


def test_certificate_of_a_plugin_is_written_for_its_owner_only(tmp_path: Path) -> None:
    configuration = Configuration()
    body = f"echo '{credential(clientCertificateData='C', clientKeyData='K')}'"
    plugin = made(tmp_path, body)
    assert plugin.freshen(configuration)
    key = Path(configuration.key_file)
    assert (Path(configuration.cert_file).read_text(), key.read_text()) == ("C", "K")
    assert key.stat().st_mode & 0o777 == 0o600
    assert key.parent.stat().st_mode & 0o777 == 0o700
    del plugin
    assert not key.exists()


def test_plugin_is_told_of_the_cluster_when_it_asks(tmp_path: Path) -> None:
    (tmp_path / "ca").write_bytes(b"CA")
    told = tmp_path / "told"
    cluster = {
        "server": "https://c",
        "certificate-authority": "ca",
        "extensions": [{"name": V1.replace("/v1", "/exec"), "extension": {"audience": "a"}}],
    }
    body = f"echo \"$KUBERNETES_EXEC_INFO $EXTRA\" >{told}; echo '{credential(token='t')}'"
    env = [{"name": "EXTRA", "value": "more"}]
    made(tmp_path, body, cluster, provideClusterInfo=True, env=env).freshen(Configuration())
    info, _, extra = told.read_text().strip().rpartition(" ")
    assert extra == "more"
    assert json.loads(info) == {
        "apiVersion": V1,
        "kind": "ExecCredential",
        "spec": {
            "interactive": False,
            "cluster": {
                "server": "https://c",
                "certificate-authority-data": base64.b64encode(b"CA").decode(),
                "config": {"audience": "a"},
            },
        },
    }


def test_rejected_credentials_are_asked_for_anew(tmp_path: Path) -> None:
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    count = tmp_path / "count"
    body = f"echo x >>{count}; echo '{credential(token='t', expirationTimestamp=later)}'"
    plugin = made(tmp_path, body)
    plugin.freshen(Configuration())
    plugin.rejected()  # dozens of watches are refused at once: they had the old token
    plugin.freshen(Configuration())
    assert count.read_text().count("x") == 1
    plugin._tried_s -= 60
    plugin.rejected()
    plugin.freshen(Configuration())
    assert count.read_text().count("x") == 2


@pytest.mark.parametrize(
    "raw",
    [
        [],
        "x",
        {},
        {"command": 1, "apiVersion": V1},
        {"command": "x", "apiVersion": "v9"},
        {"command": "x", "apiVersion": V1, "args": "a"},
        {"command": "x", "apiVersion": V1, "env": [{"value": "b"}]},
        {"command": "x", "apiVersion": V1, "interactiveMode": "Sometimes"},
    ],
)
def test_exec_section_of_another_form_is_a_config_error(raw: object, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        connect(Credentials(kubeconfig(tmp_path, "https://c", {"exec": raw})))


def test_missing_plugin_gives_its_install_hint(tmp_path: Path) -> None:
    raw = {"command": "no-such-plugin", "apiVersion": V1, "installHint": "brew\x1b[0m it"}
    with pytest.raises(SourceUnavailable, match="no such command") as caught:
        connect(Credentials(kubeconfig(tmp_path, "https://c", {"exec": raw})))
    assert caught.value.hint == "brew␛[0m it"


def test_plugin_that_wants_a_terminal_is_not_run(tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable, match="interactiveMode"):
        made(tmp_path, "exit 0", interactiveMode="Always").freshen(Configuration())


def test_token_comes_before_the_plugin_and_old_commands_are_refused(tmp_path: Path) -> None:
    raw = {"command": "no-such-plugin", "apiVersion": V1}
    connect(Credentials(kubeconfig(tmp_path, "https://c", {"exec": raw, "token": "t"})))
    old = {"auth-provider": {"name": "gcp", "config": {"cmd-path": "/bin/false"}}}
    with pytest.raises(ConfigError, match="no longer runs"):
        connect(Credentials(kubeconfig(tmp_path, "https://c", old)))
