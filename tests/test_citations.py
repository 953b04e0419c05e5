"""Whatever a file of this repository cites of this repository is there."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXTS = {".py", ".md", ".toml", ".sh", ".yaml", ".yml", ""}
TOP = "app|benchmarks|deploy|docs|integrations|tests|tools|widgets"
PATH = re.compile(rf"(?<![\w/.-])(?:{TOP})/[\w./-]+\.(?:py|md|sh|toml|yaml|yml|json|svg|lock)\b")
PAGE = re.compile(r"(?<![\w/.<-])[\w./-]+\.md\b")
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)\s#]+)")
PROJECTS = (
    "Cilium|CoreDNS|Hubble|Kubernetes|Textual|Slack|GitHub|[Kk]ustomize|Argo CD|Flux|Helm|Envoy"
)
FOREIGN = re.compile(rf"(?:{PROJECTS})[^`.]{{0,40}}`[^`]+`(?:(?:[,;]| and|\s|\([^)]*\))*`[^`]+`)*")
"""What is cited of another project, right after its name."""

GONE = re.compile(r"contracts\.md|hubble\.md|cilium-policy\.md|(?<![\w/])design/[\w-]+\.md")
NOT_HERE = re.compile(r"(?<![\w/])(?:shared|design|reference)/[\w./-]+")
EXAMPLES = (
    "tests/cases/",
    "integrations/demo/",
    "tests/core/",
    "tests/integrations/",
    "tests/cli/",
    "tests/tui/",
)
"""Where files are made up; a citation in them is checked by its words only."""

WRITTEN = frozenset({"evidence.md"})
"""What the program writes and documents: such a page is in no checkout."""


def _files() -> list[str]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.check_output(command, cwd=ROOT, text=True).splitlines()
    return [one for one in listed if Path(one).suffix in TEXTS and (ROOT / one).is_file()]


def _is_here(cited: str, citing: Path) -> bool:
    cited = cited.rstrip(".")
    places = (ROOT, citing.parent, ROOT / "docs")
    return any((place / cited).exists() for place in places)


def _broken(name: str) -> list[str]:
    path = ROOT / name
    text = path.read_text(encoding="utf-8", errors="replace")
    if name.startswith(EXAMPLES):
        return GONE.findall(text)
    ours = FOREIGN.sub("", text)
    cited = {found[0] for pattern in (PATH, PAGE) for found in pattern.finditer(ours)}
    if path.suffix == ".md":
        cited |= set(LINK.findall(text))
    ours_to_have = (one for one in sorted(cited - WRITTEN) if "NAME" not in one)
    missing = [one for one in ours_to_have if not _is_here(one, path)]
    return [*missing, *(found[0] for found in NOT_HERE.finditer(ours))]


def test_citation_when_it_names_a_file_of_this_repository_then_the_file_is_there() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    ours = Path(__file__).relative_to(ROOT).as_posix()
    names = [one for one in _files() if one != ours]
    broken = {name: missing for name in names if (missing := _broken(name))}
    assert not broken


@pytest.mark.parametrize(
    "text",
    ["see contracts.md §4", "as design/answers.md says", "[here](docs/nowhere.md)", "tests/no.py"],
)
def test_citation_when_the_file_is_missing_then_is_found(tmp_path: Path, text: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)
    assert _broken(str(page))


def test_citation_when_it_is_of_another_project_then_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("Source: Kubernetes `cluster/addons/dns/nodelocaldns/README.md`.")
    assert not _broken(str(page))


def test_property_when_it_names_its_test_then_the_test_is_there() -> None:
    table = (ROOT / "docs" / "properties.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", table)
    missing = [
        (file, test)
        for file, test in named
        if not re.search(rf"^(?:async )?def {test}\b", (ROOT / file).read_text(), re.MULTILINE)
    ]
    assert len(named) > 20
    assert not missing
