"""The import contract, proven at run time: what a level must not load, it does not load."""

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("textual", "kubernetes", "grpc", "httpx", "slack_bolt", "slack_sdk", "aiohttp", "rich")

PROGRAM = """
import importlib, sys
for name in {modules!r}:
    importlib.import_module(name)
{then}
print(*sorted(name for name in {heavy!r} if name in sys.modules))
"""


def loaded_by(modules: list[str], then: str = "") -> list[str]:
    code = PROGRAM.format(modules=modules, then=then, heavy=HEAVY)
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    return ran.stdout.splitlines()[-1].split()


def modules_under(*folders: str) -> list[str]:
    return sorted(
        ".".join(path.with_suffix("").parts).removesuffix(".__init__")
        for folder in folders
        for path in Path(folder).rglob("*.py")
        if path.name != "__main__.py"
    )


def test_core_loads_no_outside_library() -> None:
    assert loaded_by(modules_under("app/core")) == []


def test_services_and_ports_load_no_outside_library() -> None:
    assert loaded_by([*modules_under("app/services"), "app.ports", "app.config"]) == []


def test_bootstrap_loads_no_outside_library_before_it_builds() -> None:
    assert loaded_by(modules_under("app/bootstrap")) == []


@pytest.mark.parametrize(
    "words", [["--help"], ["--version"], ["why", "--help"], ["config", "path"]]
)
def test_light_commands_load_no_outside_library(words: list[str]) -> None:
    assert loaded_by(["app.cli"], f"from app.cli import main\nmain({words!r})") == []


def test_help_loads_no_engine_either() -> None:
    code = (
        "import sys; from app.cli import main; main(['--help']); "
        "print('app.services' in sys.modules or 'app.core.policy' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "False"


OUTSIDE = (*HEAVY, "google.protobuf", "publicsuffixlist", "importlib.metadata", "email")
READING = ("yaml", "integrations.manifests.reader", "integrations.manifests.kustomize")
ANSWERING = ("app.core.diagnose.boundaries", "app.core.lint.registry", "app.core.drafts.choice")
TERMINAL = ("app.tui", "app.bot", "widgets")
QUESTION = ("project-lung/jupyter-alice", "svc:mirror/mirror:80")
NEEDLESS = {
    ("policies", "--demo"): (*OUTSIDE, *READING, *ANSWERING, *TERMINAL),
    ("endpoints", "--demo"): (*OUTSIDE, *READING, *ANSWERING, *TERMINAL),
    ("flows", "--demo", "--last", "3"): (*OUTSIDE, *READING, *ANSWERING, *TERMINAL),
    ("why", *QUESTION, "--demo"): (*HEAVY, "google.protobuf", *READING, *TERMINAL),
    ("policies", "--snapshot", "integrations/demo/gitops/projects"): (
        *OUTSIDE,
        *ANSWERING,
        *TERMINAL,
    ),
}
"""What a command must not load before its answer: each takes longer than the answer itself."""


@pytest.mark.parametrize("words", NEEDLESS, ids=" ".join)
def test_command_when_it_has_answered_then_nothing_needless_was_loaded(
    words: tuple[str, ...],
) -> None:
    then = f"from app.cli import main\nassert main({list(words)!r}) in (0, 1)"
    code = PROGRAM.format(modules=["app.cli"], then=then, heavy=NEEDLESS[words])
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    assert ran.stdout.count("\n") > 1
    assert ran.stdout.splitlines()[-1].split() == []


def test_first_screen_when_it_is_imported_then_nothing_that_answers_is() -> None:
    needless = [name for name in HEAVY if name not in {"textual", "rich"}]
    needless += ["yaml", "app.services.ask", "app.services.lint", "app.services.drafting"]
    needless += ["app.core.lint.scope", "integrations"]
    modules = ["app.tui.app", "app.tui.screens.flows", "app.tui.screens.policies"]
    code = PROGRAM.format(modules=modules, then="", heavy=needless)
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    assert ran.stdout.split() == []
