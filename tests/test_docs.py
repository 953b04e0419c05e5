from __future__ import annotations

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_troubleshooting_page_is_what_the_program_says() -> None:
    file = ROOT / "docs" / "troubleshooting.py"
    spec = importlib.util.spec_from_file_location("troubleshooting", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.PAGE.read_text(encoding="utf-8") == module.write_page()
