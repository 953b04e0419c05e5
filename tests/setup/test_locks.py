"""The locks are closed: whatever a pinned package needs is pinned too, spelled as it is asked for.

`metadata.json` records what each pinned package says that it needs (`tools/lock.sh` writes it, with
pip's report on the very files that the hashes name), so that closure is proved without the network
and for Pythons and platforms that are not here. What is installed must say the same as the record.
"""

from __future__ import annotations

import ast
import json
import re
import sys
import tomllib
from importlib import metadata
from itertools import product
from pathlib import Path

import pytest
from packaging.markers import Marker, default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
GROUPS = PROJECT["dependency-groups"]
WANTED = {
    "requirements.lock": PROJECT["project"]["dependencies"],
    "requirements-build.lock": [*GROUPS["build"], *PROJECT["build-system"]["requires"]],
    "requirements-dev.lock": [*PROJECT["project"]["dependencies"], *GROUPS["dev"]],
    "requirements-ci.lock": GROUPS["ci"],
}
RECORD = json.loads((Path(__file__).parent / "metadata.json").read_text(encoding="utf-8"))
PYTHONS = ("3.11.0", "3.11.2", "3.12.0", "3.13.0", "3.14.0")
PLATFORMS = (("linux", "Linux", "posix"), ("darwin", "Darwin", "posix"), ("win32", "Windows", "nt"))


class Pin:
    """One line of a lock."""

    def __init__(self, block: str) -> None:
        line = block.split("\\", 1)[0].split(" #", 1)[0]
        self.requirement = Requirement(line.strip())
        self.name = canonicalize_name(self.requirement.name)
        self.extras = {canonicalize_name(extra) for extra in self.requirement.extras}
        (one,) = self.requirement.specifier
        assert one.operator == "=="
        self.version = one.version
        self.hashes = re.findall(r"--hash=sha256:[0-9a-f]{64}\b", block)


def _read(text: str) -> dict[str, Pin]:
    blocks = re.findall(r"^[A-Za-z0-9].*(?:\n[ ]+.*)*", text, flags=re.MULTILINE)
    pins = [Pin(block) for block in blocks]
    assert len({pin.name for pin in pins}) == len(pins), "a package is pinned twice"
    return {pin.name: pin for pin in pins}


def _environment(python: str, platform: tuple[str, str, str]) -> dict[str, str]:
    sys_platform, system, os_name = platform
    return {
        **{key: str(value) for key, value in default_environment().items()},
        "python_version": python.rsplit(".", 1)[0],
        "python_full_version": python,
        "implementation_version": python,
        "sys_platform": sys_platform,
        "platform_system": system,
        "os_name": os_name,
    }


def _holds(marker: Marker | None, environment: dict[str, str], extra: str = "") -> bool:
    return marker is None or marker.evaluate({**environment, "extra": extra})


def _missing(
    pins: dict[str, Pin], wanted: list[str], environment: dict[str, str]
) -> tuple[list[str], set[str]]:
    """Give what is asked for and not pinned, and the names that are reached."""
    holes: list[str] = []
    reached: set[tuple[str, str]] = set()
    waiting = [("pyproject.toml", Requirement(text)) for text in wanted]
    while waiting:
        asker, need = waiting.pop()
        if not _holds(need.marker, environment):
            continue
        pin = pins.get(canonicalize_name(need.name))
        extras = {canonicalize_name(extra) for extra in need.extras}
        if (
            pin is None
            or not _holds(pin.requirement.marker, environment)
            or not need.specifier.contains(pin.version, prereleases=True)
            or not extras <= pin.extras
        ):
            holes.append(f"{asker} needs {need}")
            continue
        for extra in {"", *extras} - {extra for name, extra in reached if name == pin.name}:
            reached.add((pin.name, extra))
            for line in RECORD[pin.name]["requires"]:
                deeper = Requirement(line)
                if _holds(deeper.marker, environment, extra):
                    deeper.marker = None
                    waiting.append((pin.name, deeper))
    return holes, {name for name, _ in reached}


@pytest.mark.parametrize("name", WANTED)
def test_lock_when_installed_on_any_supported_python_and_platform_then_asks_for_nothing_unpinned(
    name: str,
) -> None:
    pins = _read((ROOT / name).read_text(encoding="utf-8"))
    reached: set[str] = set()
    for python, platform in product(PYTHONS, PLATFORMS):
        holes, names = _missing(pins, WANTED[name], _environment(python, platform))
        assert not holes, f"{name} on Python {python}, {platform[0]}"
        reached |= names
    assert reached == set(pins), "pinned, and needed by nothing"


@pytest.mark.parametrize("name", WANTED)
def test_pin_when_read_then_has_hashes_its_record_and_a_python_that_we_support(name: str) -> None:
    for pin in _read((ROOT / name).read_text(encoding="utf-8")).values():
        assert pin.hashes, pin.name
        assert RECORD[pin.name]["version"] == pin.version
        wanted = SpecifierSet(RECORD[pin.name]["requires_python"] or "")
        assert all(wanted.contains(python) for python in PYTHONS), pin.name


def test_lock_when_an_extra_is_stripped_or_a_pin_is_taken_away_then_is_not_closed() -> None:
    text = (ROOT / "requirements-dev.lock").read_text(encoding="utf-8")
    here = _environment("3.11.2", PLATFORMS[0])
    for damaged in (
        text.replace("coverage[toml]==", "coverage=="),
        re.sub(r"^h11==.*(?:\n[ ]+.*)*\n", "", text, flags=re.MULTILINE),
        re.sub(r"^idna==\S+", "idna==1.0", text, flags=re.MULTILINE),
    ):
        assert damaged != text
        assert _missing(_read(damaged), WANTED["requirements-dev.lock"], here)[0]


def test_locks_when_they_name_the_same_package_then_pin_the_same_version() -> None:
    versions: dict[str, str] = {}
    for name in WANTED:
        for pin in _read((ROOT / name).read_text(encoding="utf-8")).values():
            assert versions.setdefault(pin.name, pin.version) == pin.version, pin.name


def test_locks_when_read_then_name_no_index_and_no_address() -> None:
    for name in WANTED:
        text = (ROOT / name).read_text(encoding="utf-8")
        assert not re.findall(r"https?://|--(?:extra-)?index-url|--find-links|--trusted-host", text)


def test_installed_package_when_pinned_then_says_what_the_record_says() -> None:
    compared = 0
    for name in ("requirements.lock", "requirements-dev.lock"):
        for pin in _read((ROOT / name).read_text(encoding="utf-8")).values():
            try:
                installed = metadata.distribution(pin.name)
            except metadata.PackageNotFoundError:
                continue
            if installed.version == pin.version:
                assert sorted(installed.requires or ()) == RECORD[pin.name]["requires"], pin.name
                compared += 1
    assert compared > 40


def test_import_of_another_package_when_written_in_the_program_then_is_declared() -> None:
    declared = {canonicalize_name(Requirement(one).name) for one in WANTED["requirements.lock"]}
    names: dict[str, set[str]] = {
        module: {canonicalize_name(name) for name in owners}
        for module, owners in metadata.packages_distributions().items()
    }
    used: set[str] = set()
    for folder in ("app", "widgets", "integrations"):
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_bytes())):
                if isinstance(node, ast.Import):
                    used |= {alias.name.split(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    used.add(node.module.split(".")[0])
    foreign = used - sys.stdlib_module_names - {"app", "widgets", "integrations"}
    assert {module for module in foreign if not names.get(module, set()) & declared} == set()
