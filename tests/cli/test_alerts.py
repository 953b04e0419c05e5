"""`alerts` over the demo and over files."""

from pathlib import Path

import pytest

from app.core.flows.encode import encode_line
from tests.cli.conftest import Run
from tests.core.insights.sights import Pod, refused

ALICE = Pod("project-lung", "jupyter-alice", "10.0.1.1")
BOB = Pod("project-heart", "jupyter-bob", "10.0.1.2")


def record(folder: Path) -> str:
    file = folder / "flows.jsonl"
    flows = [one for at in (0, 1, 3) for one in refused(ALICE, BOB, 8888, at)]
    file.write_bytes(b"\n".join(map(encode_line, flows)))
    return str(file)


def snapshot(folder: Path) -> str:
    file = folder / "objects.yaml"
    file.write_text("apiVersion: v1\nkind: Namespace\nmetadata: {name: project-lung}\n")
    return str(file)


def test_alerts_when_of_the_demo_then_faults_and_isolation_are_told_apart(run: Run) -> None:
    items = run("alerts", "--demo", "-o", "jsonl", "--fail-on", "never").jsonl
    by_code = {item["cause"]["code"]: item for item in items}
    assert by_code["service-port-not-target-port"]["block"] == "fault"
    assert by_code["egress-explicit-deny"]["tried"] == "cloud-metadata"
    assert by_code["egress-explicit-deny"]["boundary"] == "no-credentials-from-the-cloud"
    assert {item["severity"] for item in items} >= {"medium", "low", "expected"}
    assert all(item["schema"] == "k8tre-tui/v1" for item in items)


def test_alerts_when_of_a_recording_then_the_code_follows_the_severity(
    run: Run, tmp_path: Path
) -> None:
    words = ("alerts", "--snapshot", snapshot(tmp_path), "--flows", record(tmp_path))
    ran = run(*words, "-o", "json")
    (item,) = ran.json["items"]
    assert (item["count"], item["attempts"], item["state"]) == (3, 1, "new")
    assert (item["severity"], ran.code) == ("high", 1)
    assert ran.json["window_s"] == 3
    assert run(*words, "--fail-on", "never").code == 0
    assert run(*words, "-n", "elsewhere").code in (0, 2)
    assert not run(*words, "--kind", "port-scan", "-o", "jsonl").out


def test_alerts_as_a_table_say_why_and_how_much_was_looked_at(run: Run, tmp_path: Path) -> None:
    ran = run("alerts", "--snapshot", snapshot(tmp_path), "--flows", record(tmp_path))
    assert "project-lung/jupyter-alice → project-heart/jupyter-bob 8888/TCP:" in ran.out
    assert "1 alert in 3 s of flows (6 seen)" in ran.out


def test_alerts_when_there_are_no_flows_then_it_says_how_to_give_some(
    run: Run, tmp_path: Path
) -> None:
    ran = run("alerts", "--snapshot", snapshot(tmp_path))
    assert ran.code == 2
    assert "--flows FILE" in ran.err


def test_alerts_when_followed_as_one_document_then_it_is_refused(run: Run) -> None:
    assert run("alerts", "--demo", "-f", "-o", "json").code == 2


def test_alerts_when_nobody_is_named_to_be_told_then_it_says_where(run: Run) -> None:
    ran = run("alerts", "--demo", "--notify")
    assert ran.code == 2
    assert "alerts.alertmanager" in ran.err


def test_alerts_when_the_pager_does_not_answer_then_the_alerts_are_printed_all_the_same(
    run: Run,
) -> None:
    ran = run("alerts", "--demo", "--webhook", "http://127.0.0.1:1", "-o", "jsonl")
    assert ran.jsonl
    assert "webhook 127.0.0.1:1: alerts were not delivered" in ran.err


def test_alerts_when_there_are_only_flows_then_they_are_looked_at_without_a_cluster(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    ran = run("alerts", "--flows", record(tmp_path), "-o", "jsonl")
    (item,) = ran.jsonl
    assert item["cause"]["code"] == "egress-default-deny"
    assert item["cause"]["confidence"] == "possible"
    assert item["not_known"] == ["which policy it was: no policies were read"]
    assert "going on without" in ran.err
    assert run("alerts", "--flows", record(tmp_path), "--context", "gone").code in (2, 3)
