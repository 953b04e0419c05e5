"""What Cilium's own filters answer to recorded flows is still what our tests hold ours to."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.core.flows.asked import Words, answers, recorded
from tests.core.flows.lines import envelope
from tests.testbed.binaries import require

pytestmark = pytest.mark.testbed


def ask(hubble: Path, file: Path, words: Words) -> list[str] | None:
    """The uuids that `hubble observe --input-file` prints; None when it refuses."""
    command = [str(hubble), "observe", "-o", "json", "--input-file", str(file), *words]
    ended = subprocess.run(command, capture_output=True, timeout=60, check=False)
    if ended.returncode:
        return None
    return [json.loads(line)["flow"]["uuid"] for line in ended.stdout.splitlines()]


def test_recorded_answers_are_what_cilium_answers(tmp_path: Path) -> None:
    file = tmp_path / "flows.jsonl"
    file.write_text("".join(json.dumps(envelope(body)) + "\n" for body in recorded()))
    hubble = require("hubble") / "hubble"
    differing = {
        words: (uuids, found)
        for words, uuids in answers().items()
        if (found := ask(hubble, file, words)) != uuids
    }
    assert differing == {}
