from __future__ import annotations

import importlib.util
import re
from dataclasses import fields
from pathlib import Path

from app.core.insights.patterns.all import KINDS
from app.core.model.answer import CauseCode
from app.services.forms import FORMS
from app.services.picture import Picture

ROOT = Path(__file__).parents[1]


def test_troubleshooting_page_is_what_the_program_says() -> None:
    file = ROOT / "docs" / "troubleshooting.py"
    spec = importlib.util.spec_from_file_location("troubleshooting", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.PAGE.read_text(encoding="utf-8") == module.write_page()


def test_table_of_causes_when_compared_then_has_every_code_and_no_other() -> None:
    page = (ROOT / "docs" / "forms.md").read_text(encoding="utf-8")
    table = page.partition("| code | what it means |")[2].partition("\n\n")[0]
    told = {code for line in table.splitlines() for code in _codes(line.partition(" | ")[0])}
    assert told == {code.value for code in CauseCode}


def test_table_of_forms_when_compared_then_has_every_form_that_is_published() -> None:
    page = (ROOT / "docs" / "forms.md").read_text(encoding="utf-8")
    table = page.partition("| form | printed by |")[2].partition("\n\n")[0]
    told = {code for line in table.splitlines() for code in _codes(line.partition(" | ")[0])}
    assert told == set(FORMS)


def test_table_of_patterns_when_compared_then_has_every_kind() -> None:
    page = (ROOT / "docs" / "forms.md").read_text(encoding="utf-8")
    table = page.partition("| `kind` | when |")[2].partition("\n\n")[0]
    told = {code for line in table.splitlines() for code in _codes(line.partition(" | ")[0])}
    assert told == set(KINDS)


def test_picture_when_compared_then_the_architecture_shows_all_of_it() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    shown = page.partition("class Picture:")[2].partition("```")[0]
    assert re.findall(r"^    (\w+):", shown, re.MULTILINE) == [one.name for one in fields(Picture)]


def test_packages_when_listed_then_the_architecture_names_every_one() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    packages = [
        path.parent.relative_to(ROOT).as_posix()
        for folder in ("app", "integrations")
        for path in (ROOT / folder).glob("*/**/__init__.py")
    ]
    inner = [one for one in packages if one.count("/") == 1 or one.startswith("app/core/")]
    missing = [
        one for one in inner
        if one.count("/") <= 2 and not re.search(rf"\b{one.removeprefix('app/core/')}\b", page)
    ]  # fmt: skip
    assert not missing


def _codes(cell: str) -> list[str]:
    return re.findall(r"`([\w-]+)`", cell)
