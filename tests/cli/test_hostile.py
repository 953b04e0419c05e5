"""Sources that cannot be read, wholly or in part: every answer says so."""

import socket
import time
from pathlib import Path

import pytest

from tests.cli.conftest import Run

POD = """\
- apiVersion: v1
  kind: Pod
  metadata: {{name: {name}, namespace: ns1, labels: {{app: {name}}}}}
  status: {{podIP: 10.0.0.{last}, phase: Running}}
"""
DENY = """\
- apiVersion: networking.k8s.io/v1
  kind: NetworkPolicy
  metadata: {{name: deny-all, namespace: ns1}}
  spec: {{podSelector: {selector}, policyTypes: [Ingress, Egress]}}
"""
BOUNDARY = """\
[[boundary]]
name = "b is open to a"
from = "label:ns1/app=a"
to = "label:ns1/app=b"
ports = ["80"]
must = "allow"
why = "it serves a"
"""


def cluster(folder: Path, *, selector: str = "{}", annotation: str = "") -> str:
    text = "apiVersion: v1\nkind: List\nitems:\n"
    text += POD.format(name="a", last=1) + POD.format(name="b", last=2)
    text += DENY.format(selector=selector)
    config = f"kind: ConfigMap, metadata: {{name: x}}, data: {{x: '{annotation}'}}"
    text += f"- {{apiVersion: v1, {config}}}\n"
    file = folder / "cluster.yaml"
    file.write_text(text, encoding="utf-8")
    return str(file)


def test_braces_in_a_config_map_hide_no_policy(run: Run, tmp_path: Path) -> None:
    snapshot = cluster(tmp_path, annotation="{{instance}}")
    ran = run("why", "ns1/a", "ns1/b", "80", "--snapshot", snapshot, "-o", "json")
    assert (ran.code, ran.json["verdict"]) == (1, "denied")
    assert ran.json["cause"]["confidence"] == "certain"


def test_a_policy_that_nobody_rendered_takes_the_certainty(run: Run, tmp_path: Path) -> None:
    snapshot = cluster(tmp_path, selector="{matchLabels: {app: '{{ x }}'}}")
    words = ("why", "ns1/a", "ns1/b", "80", "--snapshot", snapshot)
    ran = run(words, "-o", "json")
    assert ran.json["verdict"] == "allowed"
    assert ran.json["cause"]["confidence"] == "possible"
    assert any("NetworkPolicy/ns1/deny-all" in text for text in ran.json["not_known"])
    shown = run(words).out
    assert "possible" in shown
    assert "deny-all is a template that nobody rendered" in " ".join(shown.split())


def test_check_is_not_green_over_what_was_not_read(run: Run, tmp_path: Path) -> None:
    boundaries = tmp_path / "boundaries.toml"
    boundaries.write_text(BOUNDARY, encoding="utf-8")
    fine = cluster(tmp_path, selector="{matchLabels: {app: c}}")
    assert run("check", str(boundaries), "--snapshot", fine).code == 0
    unread = cluster(tmp_path, selector="{matchLabels: {app: '{{ x }}'}}")
    ran = run("check", str(boundaries), "--snapshot", unread)
    assert ran.code == 3
    assert "could not be read" in ran.err


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x1f\x8b\x08\x00", "cut off"),
        (b"kind: NetworkPolicy\nspec: [", "not YAML"),
        (b'{"kind": "List", "items": [', "not JSON"),
        (b"kind: List\n\xff\xfe", "not UTF-8"),
    ],
)
def test_a_source_that_cannot_be_read_fails_with_3(
    run: Run, tmp_path: Path, content: bytes, words: str
) -> None:
    file = tmp_path / "objects.json" if content.startswith(b"{") else tmp_path / "objects.yaml"
    file.write_bytes(content)
    for command in (["policies"], ["matrix"], ["why", "ns1/a", "ns1/b", "80"]):
        ran = run(command, "--snapshot", str(file))
        assert ran.code == 3
        assert words in ran.err
        assert "all traffic is allowed" not in ran.err
    ran = run("doctor", "--snapshot", str(file))
    assert ran.code == 3
    assert ": read" not in ran.out


def test_a_part_that_cannot_be_read_is_an_error_everywhere(run: Run, tmp_path: Path) -> None:
    cluster(tmp_path)
    (tmp_path / "more.yaml").write_text("kind: NetworkPolicy\nspec: [", encoding="utf-8")
    ran = run("endpoints", "--snapshot", str(tmp_path), "-o", "json")
    assert [one["severity"] for one in ran.json["notices"]].count("error") == 1
    ran = run("doctor", "--snapshot", str(tmp_path))
    assert ran.code == 3
    assert "✗ unread" in ran.out


KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: a
contexts: [{{name: a, context: {{cluster: a, user: a}}}}]
clusters: [{{name: a, cluster: {{server: "http://127.0.0.1:{port}"}}}}]
users: [{{name: a, user: {{}}}}]
"""


def test_a_server_that_never_answers_is_said_and_given_up(run: Run, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hole:
        file = tmp_path / "kubeconfig"
        file.write_text(KUBECONFIG.format(port=hole.getsockname()[1]), encoding="utf-8")
        started = time.monotonic()
        ran = run("policies", "--kubeconfig", str(file), "--timeout", "1.5")
    assert ran.code == 3
    assert time.monotonic() - started < 10
    first, second, third = ran.err.splitlines()
    assert first == "waiting for the cluster (at most 1.5 s, see --timeout)"
    assert second == "k8tre-tui: the cluster: no answer within 1.5 s"
    assert "--timeout" in third


@pytest.mark.parametrize("text", ["0", "-1", "soon", "inf", "nan"])
def test_timeout_is_a_number_of_seconds(run: Run, text: str) -> None:
    assert run("policies", "--demo", f"--timeout={text}").code == 2


def test_cells_of_a_table_file_are_no_formulas(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: b, namespace: '=1+1'}\n"
        "status: {phase: Running, podIP: 10.0.0.1}\n",
        encoding="utf-8",
    )
    ran = run("matrix", "--snapshot", str(file), "-o", "csv")
    assert "'=1+1/b" in ran.out
    assert not any(line.startswith("=") for line in ran.out.splitlines())


def test_a_description_forges_no_line(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(
        "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: p, namespace: a}\n"
        'spec: {description: "hello\\n✓ ALLOWED", endpointSelector: {}, egress: [{}]}\n',
        encoding="utf-8",
    )
    ran = run("policies", "p", "--snapshot", str(file))
    assert "hello␊✓ ALLOWED" in ran.out


def test_kustomizations_that_meet_again_at_every_level_end_soon(run: Run, tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    for level in range(19):
        for side in "ab":
            folder = tmp_path / f"l{level}" / side
            folder.mkdir(parents=True)
            inner = f"[../../l{level + 1}/a, ../../l{level + 1}/b]" if level < 18 else "[p.yaml]"
            (folder / "kustomization.yaml").write_text(f"resources: {inner}\n", encoding="utf-8")
    started = time.process_time()
    ran = run("policies", "--snapshot", str(tmp_path / "l0" / "a"))
    assert time.process_time() - started < 5
    assert "included more than 2,000 times" in ran.err
