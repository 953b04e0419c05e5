"""The small cases that packets gave, answered without a cluster: these run everywhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.bootstrap.sources import Sources
from app.bootstrap.workspace import build_workspace
from app.config import Settings
from app.ports import FlowRequest
from app.services.ask import make_question, why
from tests.testbed.cilium.cases import FOLDER

CASES = sorted(FOLDER.glob("*.yaml"))


@pytest.mark.parametrize("file", CASES, ids=lambda one: one.stem)
async def test_case_when_asked_then_the_answer_is_the_fate_of_the_packet(
    file: Path, tmp_path: Path
) -> None:
    case: dict[str, Any] = yaml.load(file.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    objects, flows = tmp_path / "objects.json", tmp_path / "flows.jsonl"
    objects.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": case["objects"]}))
    flows.write_text("".join(f"{json.dumps({'flow': one})}\n" for one in case.get("flows", ())))
    sources = Sources(snapshots=(str(objects),), flows=str(flows) if "flows" in case else "")
    workspace = build_workspace(sources, Settings(), follow=False, flows="flows" in case)
    picture = await workspace.load()
    if "flows" in case:
        await workspace.load_flows(FlowRequest(follow=False))
        picture = workspace.picture
    evidence = workspace.evidence() if "flows" in case else None
    wrong = []
    for one in case["questions"]:
        answer = why(picture, evidence, make_question(one["from"], one["to"], one["port"]))
        code = answer.cause.code.value
        passed = answer.verdict.value in ("allowed", "redirected") and code == "none"
        if passed != one["is"].startswith("arrives") or code == "flows-disagree":
            wrong.append(f"{one}: {answer.verdict} ({answer.cause.code}: {answer.cause.summary})")

    assert not wrong, "\n".join(wrong)


def test_cases_when_counted_then_there_are_some() -> None:
    assert CASES
