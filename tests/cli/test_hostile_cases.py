"""Small inputs that once ended in a traceback, a leak, a forged line or silence."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest
import yaml

from tests.cli.conftest import Ran, Run

CASES = Path(__file__).parents[1] / "cases" / "hostile"
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
FORGED = re.compile(r"^\s*✓ FAKE", re.MULTILINE)
PLANTED = re.compile(
    r"jupyter|alice|tre-worker|tre-prod|6f0e|db-0|lung|project|BackendNotFound|10\.9\.0\.2"
    r"|gateway-x|a\.tre\.org"
)


def case(name: str) -> str:
    return str(CASES / name)


def told(ran: Ran) -> str:
    """Everything a command wrote, which is clean text without forged lines."""
    text = ran.out + ran.err
    assert "Traceback" not in text
    assert ran.code in {0, 1, 2, 3}, text
    assert not CONTROL.search(text), text
    assert not FORGED.search(text), text
    return text


@pytest.mark.parametrize("name", ["list-template.yaml", "list-plain.yaml", "annot-template.yaml"])
def test_templates_in_text_hide_no_policy(run: Run, name: str) -> None:
    shown = run("policies", "--snapshot", case(name), "-o", "json")
    told(shown)
    assert [item["name"] for item in shown.json["items"]] == ["deny-all"]


@pytest.mark.parametrize("name", ["list-template.yaml", "list-plain.yaml"])
def test_standard_input_is_a_snapshot_like_a_file(
    run: Run, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    words = ("why", "ns1/a", "ns1/b", "80", "-o", "json", "--snapshot")
    of_file = run(*words, case(name))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(Path(case(name)).read_bytes())))
    of_pipe = run(*words, "-")
    assert (of_pipe.code, of_pipe.json["verdict"]) == (of_file.code, "denied")
    assert of_pipe.json["cause"]["code"] == of_file.json["cause"]["code"]
    (matched,) = of_pipe.json["egress"]["nearest"]
    assert matched["file"] == "standard input"


@pytest.mark.parametrize(
    "text", [b"", b"# nothing\n---\n", b"a: 1\n", b"kind: List\nitems: [", b"\x1f\x8b\x08"]
)
def test_standard_input_of_which_nothing_is_read_is_an_error(
    run: Run, monkeypatch: pytest.MonkeyPatch, text: bytes
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text)))
    ran = run("policies", "--snapshot", "-")
    assert ran.code == 3
    assert "standard input" in told(ran)


def test_empty_list_on_standard_input_is_an_answer(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = b"apiVersion: v1\nkind: List\nitems: []\n"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text)))
    assert run("policies", "--snapshot", "-").code == 0


def test_demo_with_a_template_in_an_annotation_answers_as_without(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "demo.yaml"
    assert run("snapshot", "--demo", "-o", str(file)).code == 0
    question = ("why", "project-lung/jupyter-alice", "svc:mirror/mirror:80", "-o", "json")
    before = run(*question, "--snapshot", str(file)).json
    held = yaml.safe_load(file.read_text())
    for item in held["items"]:
        if item["kind"] == "Service":
            item["metadata"]["annotations"] = {"note": "see {{ .Values.url }}"}
    file.write_text(json.dumps(held))
    after = run(*question, "--snapshot", str(file)).json
    assert after["verdict"] == before["verdict"] == "denied"
    assert after["cause"]["summary"] == before["cause"]["summary"]
    ran = run("check", case("bal.toml"), "--snapshot", str(file))
    assert ran.code == 1
    assert "is denied" in told(ran)


@pytest.mark.parametrize("name", ["redact-real.yaml", "clusterlabel.yaml"])
def test_redacted_file_holds_no_word_of_its_source(run: Run, tmp_path: Path, name: str) -> None:
    file = tmp_path / "out.yaml"
    told(run("snapshot", "--redact", "--snapshot", case(name), "-o", str(file)))
    assert not PLANTED.search(file.read_text())


def test_redacted_cluster_gives_the_same_verdict(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "out.yaml"
    run("snapshot", "--redact", "--snapshot", case("clusterlabel.yaml"), "-o", str(file))
    pods = [
        f"{item['metadata']['namespace']}/{item['metadata']['name']}"
        for item in yaml.safe_load(file.read_text())["items"]
        if item["kind"] == "Pod"
    ]
    before = run(
        "why", "ns1/a", "ns1/b", "80", "-o", "json", "--snapshot", case("clusterlabel.yaml")
    )
    found = {
        run("why", one, other, "80", "-o", "json", "--snapshot", str(file)).json["verdict"]
        for one, other in ((pods[0], pods[1]), (pods[1], pods[0]))
    }
    assert before.json["verdict"] in found


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("policies", "--snapshot", "trunc.yaml.gz"), 3, "cut off"),
        (("flows", "--flows", "fl-flip3.jsonl.gz"), 3, "corrupt gzip"),
        (("policies", "--snapshot", "min-toports.yaml"), 0, "refused"),
        (("policies", "--snapshot", "hexint.yaml"), 0, "refused"),
        (
            ("matrix", "--snapshot", "min-lowercase-protocol.yaml"),
            0,
            ":4: Deployment/ns1/web is left out: `spec.template.spec.containers[0].ports[0].pro",
        ),
        (("policies", "--snapshot", "ciliumds.yaml"), 0, ":9: DaemonSet/kube-system/cilium"),
        (("policies", "--snapshot", "ciliumds2.yaml"), 0, "goodnp"),
        (("policies", "--snapshot", "ciliumds3.yaml"), 0, "`spec.template.spec.containers[0]`"),
        (("policies", "--snapshot", "ciliumds4.yaml"), 0, "goodnp"),
        (("policies", "--snapshot", "ciliumds5.yaml"), 0, "`latest` is not a Cilium version"),
        (("policies", "--kubeconfig", "min-kubeconfig.yaml"), 2, "no usable kubeconfig"),
        (("check", "b-esc.toml", "--demo"), 1, "␛]52"),
        (("check", "bxml.toml", "--demo", "-o", "junit"), 1, "gitea ␛[2J"),
        (("policies", "p", "-n", "ns1", "--snapshot", "nlinject.yaml"), 0, "refused by Cilium"),
        (("why", "ns1/a", "ns1/b", "80", "--explain", "--snapshot", "nlinject.yaml"), 1, "ns1/b"),
        (("lint", "nlinject.yaml"), 1, "nlinject.yaml"),
        (("matrix", "--snapshot", "nlinject.yaml"), 0, "ns1/a"),
        (("config", "show", "--config", "sec.toml"), 0, "***@"),
    ],
)
def test_case_ends_with_an_answer_or_one_clear_line(
    run: Run, words: tuple[str, ...], code: int, says: str
) -> None:
    given = [case(word) if (CASES / word).is_file() else word for word in words]
    ran = run(*given)
    text = told(ran)
    assert ran.code == code, text
    assert says in text
    assert "hunter2" not in text
    assert "ghp_secret" not in text
