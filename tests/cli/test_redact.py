"""What leaves with --redact: recordings and flows."""

import json
from pathlib import Path

import pytest
import yaml

from tests.cli.conftest import Run
from tests.fuzz import corpus


def flows_file(folder: Path) -> str:
    file = folder / "flows.jsonl"
    file.write_text(json.dumps(corpus.FLOW) + "\n", encoding="utf-8")
    return str(file)


@pytest.mark.parametrize("form", ["json", "jsonl", "yaml"])
def test_flows_leave_by_stand_ins(run: Run, tmp_path: Path, form: str) -> None:
    ran = run("flows", "--flows", flows_file(tmp_path), "-o", form, "--redact")
    assert ran.code == 0
    body = yaml.safe_load(ran.out)
    flow = (body[0] if form == "yaml" else body)["flow"]
    assert flow["verdict"] == "DROPPED"
    assert flow["l4"]["TCP"]["destination_port"] == 8080
    for name in ("web-1", "=db", "db-1", "pypi", "10.0.0.1", "node-1", "u-1"):
        assert name not in ran.out


def test_stand_ins_are_not_for_tables(run: Run, tmp_path: Path) -> None:
    ran = run("flows", "--flows", flows_file(tmp_path), "--redact")
    assert ran.code == 2
    assert "-o jsonl" in ran.err


def test_a_recording_leaves_by_stand_ins_and_is_private(run: Run, tmp_path: Path) -> None:
    copy = tmp_path / "copy.jsonl"
    copy.touch(0o644)
    run("flows", "--flows", flows_file(tmp_path), "--record", str(copy), "--redact", "-o", "jsonl")
    assert "web-1" not in copy.read_text()
    assert json.loads(copy.read_text())["flow"]["verdict"] == "DROPPED"
    assert copy.stat().st_mode & 0o777 == 0o600


def test_a_recording_of_objects_is_redacted_too(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    assert run("--redact", "snapshot", "--demo", "-o", str(file)).code == 0
    assert "project-lung" not in file.read_text()
    assert run("policies", "--snapshot", str(file)).code == 0
