"""`make demo` and `make test` set up: what they say when they cannot, and real environments.

Those need a package index (`SETUP=required`): behind a path with blanks, twice at once, as nobody.
`SETUP_PYTHON` names the Python to set up with.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
REQUIRED = os.environ.get("SETUP") == "required"
network = pytest.mark.network
needs_index = pytest.mark.skipif(not REQUIRED, reason="SETUP=required makes real environments")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A clean copy of what Git would give, in a folder with blanks in its path."""
    target = tmp_path / "a folder" / "k8tre tui"
    names = subprocess.check_output(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, text=True
    )
    for name in names.strip("\0").split("\0"):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    return target


def _make(folder: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = ["make", "--silent", *words]
    if not any(word.startswith("PYTHON=") for word in words):
        command.append(f"PYTHON={os.environ.get('SETUP_PYTHON') or sys.executable}")
    kept = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    return subprocess.run(
        command, cwd=folder, env=kept | env, capture_output=True, text=True, check=False
    )


def test_set_up_when_venv_cannot_be_made_then_one_sentence_says_what_to_install(
    checkout: Path, tmp_path: Path
) -> None:
    (tmp_path / "ensurepip.py").write_text("raise ImportError(name='ensurepip')")
    refused = _make(checkout, "demo", PYTHONPATH=str(tmp_path))
    assert refused.returncode
    assert "has no `ensurepip`" in refused.stderr
    assert "apt-get install python3-venv" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (checkout / ".venv").exists()


@pytest.mark.parametrize("target", ["demo", "test"])
def test_set_up_when_python_is_too_old_then_says_which_and_what_is_needed(
    checkout: Path, tmp_path: Path, target: str
) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.version_info = (3, 8, 18)")
    refused = _make(checkout, target, PYTHONPATH=str(tmp_path))
    assert refused.returncode
    assert "is Python 3.8, and k8tre-tui needs 3.11 or later" in refused.stderr


def test_set_up_when_there_is_no_python_then_says_so(checkout: Path) -> None:
    refused = _make(checkout, "demo", "PYTHON=missing")
    assert refused.returncode
    assert "there is no python3 here" in refused.stderr


def test_set_up_when_venv_is_a_folder_of_something_else_then_leaves_it(checkout: Path) -> None:
    (checkout / ".venv").mkdir()
    (checkout / ".venv" / "thesis.txt").write_text("mine")
    refused = _make(checkout, "demo")
    assert "is no virtual environment" in refused.stderr
    assert (checkout / ".venv" / "thesis.txt").read_text() == "mine"


def test_set_up_when_pip_fails_then_names_the_command_and_leaves_no_stamp(checkout: Path) -> None:
    (checkout / "requirements.lock").write_text("h11==0.16.0 --hash=sha256:" + "0" * 64 + "\n")
    refused = _make(checkout, "demo", PIP_NO_INDEX="1", PIP_FIND_LINKS="")
    assert refused.returncode
    assert "pip could not install" in refused.stderr
    assert "-m pip" in refused.stderr
    assert not list((checkout / ".venv").glob(".installed-*"))


@network
@needs_index
@pytest.mark.timeout(600)
def test_demo_when_the_clone_is_clean_then_installs_what_it_needs_to_run_and_nothing_else(
    checkout: Path,
) -> None:
    first = _make(checkout, "demo", "ARGS=--version")
    assert first.returncode == 0, first.stderr
    assert first.stdout.startswith("k8tre-tui ")
    listed = subprocess.check_output(
        [checkout / ".venv/bin/python", "-m", "pip", "list", "--format", "freeze"], text=True
    )
    installed = {line.split("==")[0].lower().replace("_", "-") for line in listed.splitlines()}
    lines = (checkout / "requirements.lock").read_text().splitlines()
    pinned = {line.split("==")[0].split("[")[0] for line in lines if line[:1].isalnum()}
    assert installed - {"pip", "setuptools", "wheel", "k8tre-tui"} == pinned
    answer = subprocess.run(
        [checkout / ".venv/bin/k8tre-tui", "policies", "--demo"],
        cwd="/", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    assert "installing" not in _make(checkout, "demo", "ARGS=--version").stderr


@network
@needs_index
@pytest.mark.timeout(600)
def test_set_up_when_run_twice_at_once_then_one_waits_and_both_work(checkout: Path) -> None:
    command = ["make", "--silent", "demo", "ARGS=--version"]
    command.append(f"PYTHON={os.environ.get('SETUP_PYTHON') or sys.executable}")
    runs = [
        subprocess.Popen(command, cwd=checkout, stdout=-1, stderr=-1, text=True) for _ in range(2)
    ]
    told = [run.communicate() for run in runs]
    assert [run.returncode for run in runs] == [0, 0], told
    assert sum("installing what the program needs" in err for _, err in told) == 1
    assert sum("waiting for it" in err for _, err in told) == 1


@network
@needs_index
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.timeout(600)
def test_set_up_when_nobody_runs_it_without_a_home_then_works(checkout: Path) -> None:
    python = "/usr/bin/python3"
    if not Path(python).exists():
        pytest.skip("no system Python that everybody may run")
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folders are closed to others
        home = Path(folder) / "k8tre-tui"
        shutil.copytree(checkout, home)
        for item in [Path(folder), home, *home.rglob("*")]:
            os.chown(item, 65534, 65534)
        done = subprocess.run(
            ["make", "--silent", "demo", "ARGS=--version", f"PYTHON={python}"],
            cwd=home, user=65534, group=65534, extra_groups=[], capture_output=True, text=True,
            env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", **_pip_settings()}, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("k8tre-tui ")


def _pip_settings() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if key.startswith(("PIP_", "SSL_"))}


@network
@needs_index
@pytest.mark.timeout(600)
def test_wheel_when_installed_as_a_user_would_then_the_demo_answers(
    checkout: Path, tmp_path: Path
) -> None:
    python = os.environ.get("SETUP_PYTHON") or sys.executable
    subprocess.check_call([python, "-m", "venv", tmp_path / "venv"])
    pip: list[str | Path] = [tmp_path / "venv/bin/python", "-m", "pip", "--quiet"]
    subprocess.check_call([*pip, "wheel", "--no-deps", "-w", tmp_path / "dist", "."], cwd=checkout)
    (wheel,) = (tmp_path / "dist").iterdir()
    # the versions of the lock, but as a plain installation from a wheel: hashes are not asked for
    subprocess.check_call([*pip, "install", "-r", checkout / "requirements.lock"])
    subprocess.check_call([*pip, "install", wheel])
    shutil.rmtree(checkout)
    asked = [str(tmp_path / "venv/bin/k8tre-tui"), "why", "--demo"]
    question = ["project-lung/jupyter-alice", "svc:mirror/mirror:80"]
    answer = subprocess.run(
        [*asked, *question], cwd="/", capture_output=True, text=True, check=False
    )
    assert answer.returncode == 1, answer.stderr
    assert "service-port-not-target-port" in answer.stdout


@network
@needs_index
@pytest.mark.skipif(shutil.which("uv") is None, reason="uv is not installed")
@pytest.mark.timeout(600)
def test_uv_when_it_installs_the_tool_then_the_demo_answers(checkout: Path, tmp_path: Path) -> None:
    python = os.environ.get("SETUP_PYTHON") or sys.executable
    folders = {"UV_TOOL_DIR": str(tmp_path / "tools"), "UV_TOOL_BIN_DIR": str(tmp_path / "bin")}
    command = ["uv", "tool", "install", "--quiet", "--python", python, "."]
    done = subprocess.run(
        command, cwd=checkout, env=os.environ | folders, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    shutil.rmtree(checkout)
    answer = subprocess.run(
        [tmp_path / "bin" / "k8tre-tui", "policies", "--demo"],
        cwd="/", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
