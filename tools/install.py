"""Makes `.venv` from the hash-locked requirements: `python3 tools/install.py [--tests]`.

What `make demo` and `make test` call; it needs the standard library only. `.venv` holds
`requirements.lock` and the project itself; `--tests` adds `requirements-dev.lock`. The build tools
of `requirements-build.lock` are used from a temporary folder and are not kept. A stamp remembers
what was installed, from where and with which Python; a lock makes a second run wait for the first.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
RUN = ("requirements.lock", "requirements-build.lock", "pyproject.toml")
TESTS = ("requirements-dev.lock",)
# Settings of pip that would send the packages somewhere else than into .venv.
DIVERTING = ("PYTHONPATH", "PYTHONHOME", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER")


class Stop(Exception):
    """Set-up cannot go on; the message says why and what to do."""


def main(arguments: list[str]) -> int:
    """Install what is not there yet; 0, or 1 with one sentence on stderr."""
    try:
        check_python()
        with one_at_a_time():
            install(tests="--tests" in arguments)
    except Stop as stop:
        print("set-up: " + str(stop), file=sys.stderr)
        return 1
    return 0


def check_python() -> None:
    """Raise `Stop` where this Python cannot make a virtual environment."""
    try:
        import ensurepip  # noqa: F401  # Debian ships venv without it
        import venv  # noqa: F401
    except ImportError as missing:
        raise Stop(
            f"{sys.executable} has no `{missing.name}`, so it cannot make a virtual environment: "
            "on Debian and Ubuntu `apt-get install python3-venv`, or name another Python 3.11 or "
            "later: make demo PYTHON=/path/to/python3"
        ) from None


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """Hold the lock beside `.venv`; who comes second waits and then finds the work done."""
    try:
        file = (ROOT / ".venv.lock").open("w")
    except OSError as refused:
        raise Stop(f"cannot write in {ROOT}: {refused.strerror}") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("another set-up is at work here; waiting for it …")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def install(*, tests: bool) -> None:
    """Bring `.venv` to what the locks say; do nothing where the stamps say that it is there."""
    if not usable():
        make_venv()
    began = time.monotonic()
    changed = False
    if not stamped("run", RUN):
        say("installing what the program needs into .venv …")
        pip("install", "--require-hashes", "-r", ROOT / "requirements.lock")
        install_project()
        write_stamp("run", RUN)
        changed = True
    if tests and not stamped("tests", RUN + TESTS):
        say("installing the test tools into .venv …")
        pip("install", "--require-hashes", "-r", ROOT / "requirements-dev.lock")
        write_stamp("tests", RUN + TESTS)
        changed = True
    if changed:
        say(f"{measure()} in {time.monotonic() - began:.0f} s")


def usable() -> bool:
    """Whether `.venv` is a whole environment of this Python in this folder."""
    if not (VENV / "bin" / "pip").exists() and not (VENV / "bin" / "pip3").exists():
        return False
    ask = "import sys, pip; print(sys.prefix, *sys.version_info[:2], sep='\\n')"
    command = [str(PYTHON), "-I", "-c", ask]
    try:
        told = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return False
    return told.stdout.split("\n")[:3] == [str(VENV), *map(str, sys.version_info[:2])]


def make_venv() -> None:
    """Make `.venv` anew; what is there goes away if it is an environment, and stays otherwise."""
    if VENV.exists():
        if any(VENV.iterdir()) and not (VENV / "pyvenv.cfg").exists():
            raise Stop(f"{VENV} is there and is no virtual environment: move it away")
        shutil.rmtree(VENV)
    made = subprocess.run([sys.executable, "-m", "venv", str(VENV)], env=environment(), check=False)
    if made.returncode:
        shutil.rmtree(VENV, ignore_errors=True)
        raise Stop(f"`{sys.executable} -m venv` failed; what it said is above")


def install_project() -> None:
    """Install this checkout as it stands, editable, with the locked build tools."""
    with tempfile.TemporaryDirectory(prefix="k8tre-tui-build-") as folder:
        wanted = ROOT / "requirements-build.lock"
        pip("install", "--target", folder, "--require-hashes", "-r", wanted)
        pip(
            "install", "--no-deps", "--no-build-isolation", "--editable", ROOT,
            env={"PYTHONPATH": folder},
        )  # fmt: skip


def pip(*words: str | Path, env: dict[str, str] | None = None) -> None:
    """Run the environment's pip; raise `Stop` with the command that can be typed again."""
    command = [str(PYTHON), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    command += [str(word) for word in words]
    done = subprocess.run(command, cwd=str(ROOT), env={**environment(), **(env or {})}, check=False)
    if done.returncode:
        raise Stop(
            "pip could not install; what it said is above. Behind a proxy or a mirror, pip's own "
            "settings (`pip config`, PIP_*) are used. To see more: "
            + " ".join(shlex.quote(word) for word in command if word != "--quiet")
        )


def environment() -> dict[str, str]:
    """Give the environment for pip and venv: the caller's, less what would divert it."""
    kept = {name: value for name, value in os.environ.items() if name not in DIVERTING}
    return {**kept, "PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0", "PIP_NO_INPUT": "1"}


def stamped(name: str, files: tuple[str, ...]) -> bool:
    """Whether the stamp says that exactly these files were installed."""
    with contextlib.suppress(OSError):
        return (VENV / (".installed-" + name)).read_text() == digest(files)
    return False


def write_stamp(name: str, files: tuple[str, ...]) -> None:
    """Remember that these files were installed."""
    (VENV / (".installed-" + name)).write_text(digest(files))


def digest(files: tuple[str, ...]) -> str:
    """One word for the contents of these files of the repository."""
    return hashlib.sha256(b"\0".join((ROOT / name).read_bytes() for name in files)).hexdigest()


def measure() -> str:
    """Count what `.venv` holds: packages and megabytes (10^6 bytes)."""
    packages = sum(1 for _ in VENV.glob("lib/python*/site-packages/*.dist-info"))
    size = sum(item.lstat().st_size for item in VENV.rglob("*") if not item.is_symlink())
    return f"{packages} packages, {size / 1e6:.0f} MB"


def say(text: str) -> None:
    """Tell the person who waits."""
    print("set-up: " + text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
