from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from app.cli import main
from app.services.contract import SCHEMA
from app.services.forms import FORMS
from tests.forms import check_form, form_of


@dataclass(frozen=True)
class Ran:
    """What one command did."""

    code: int
    out: str
    err: str
    words: tuple[str, ...] = ()

    @property
    def json(self) -> Any:
        """What was printed, held to its published form."""
        document = msgspec.json.decode(self.out)
        if isinstance(document, dict) and "schema" in document:
            check_form(form_of(self.words, document), document)
        return document

    @property
    def jsonl(self) -> list[Any]:
        """What was printed line by line, each held to the form of an item of its list."""
        items = [msgspec.json.decode(line) for line in self.out.splitlines()]
        if (name := form_of(self.words, {"items": ()})) in FORMS:
            check_form(name, {"schema": SCHEMA, "items": items, "notices": []})
        return items


Run = Callable[..., Ran]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Run:
    """Run a command in this process, away from the settings of whoever runs the tests."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("K8TRE_TUI_CONFIG", "KUBECONFIG", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)

    def run_command(*words: str | Sequence[str]) -> Ran:
        argv = [part for word in words for part in ([word] if isinstance(word, str) else word)]
        code = main(argv)
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err, tuple(argv))

    return run_command
