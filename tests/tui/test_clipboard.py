from __future__ import annotations

import sys
from pathlib import Path

import pytest

from app.tui.clipboard import OSC52_LIMIT, fits_osc52, native_tool, run_tool


def test_tool_when_over_ssh_then_none() -> None:
    assert native_tool({"SSH_CONNECTION": "a b", "DISPLAY": ":0"}) is None


def test_tool_when_on_a_desktop_then_the_one_that_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "xclip"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert native_tool({"DISPLAY": ":0"}) == ("xclip", "-selection", "clipboard")
    assert native_tool({}) is None


def test_osc52_when_the_text_is_long_then_it_does_not_fit() -> None:
    assert fits_osc52("x" * OSC52_LIMIT)
    assert not fits_osc52("é" * OSC52_LIMIT)


async def test_run_tool_when_it_works_then_it_gets_the_text(tmp_path: Path) -> None:
    out = tmp_path / "copied"
    code = f"import sys; open({str(out)!r}, 'w').write(sys.stdin.read())"
    assert await run_tool((sys.executable, "-c", code), "a text")
    assert out.read_text() == "a text"


async def test_run_tool_when_missing_or_failing_then_false() -> None:
    assert not await run_tool(("no-such-tool-anywhere",), "x")
    assert not await run_tool((sys.executable, "-c", "raise SystemExit(3)"), "x")
