"""Rules of security, each with a test: the table in the docs, and what has no test elsewhere."""

import ast
import re
from pathlib import Path

import pytest

from app.bootstrap.drafts import build_checkout, build_drafter
from app.bootstrap.sources import Sources
from app.config import RepoSettings, Settings
from app.core.drafts.paths import check_path
from app.core.errors import DraftRejected

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "docs/security-rules.md"
ROW = re.compile(r"(?m)^\| S(\d+) \| [^|]+ \| ([^|]+) \|$")
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
MODELS = frozenset({"openai", "anthropic", "transformers", "torch", "langchain", "llama_cpp"})


def test_table_when_read_then_every_rule_has_tests_that_are_there() -> None:
    rows = ROW.findall(TABLE.read_text())
    assert [int(number) for number, _ in rows] == list(range(1, 33))
    for number, cell in rows:
        named = TEST.findall(cell)
        assert named, number
        for file, name in named:
            assert re.search(rf"def {name}\(", (ROOT / file).read_text()), (number, file, name)


@pytest.mark.parametrize(
    "path",
    [
        "../a.yaml",
        "/etc/a.yaml",
        "a/../b.yaml",
        "a//b.yaml",
        ".github/workflows/a.yaml",
        "apps/.hidden/a.yaml",
        ".git/config.yaml",
        "a.sh",
        "a.yaml\n",
        "-a.yaml",
        f"{'a' * 500}.yaml",
    ],
)
def test_path_when_a_draft_must_not_write_it_then_refused(path: str) -> None:
    with pytest.raises(DraftRejected):
        check_path(path)


def test_forges_when_asked_then_never_to_merge_approve_or_delete() -> None:
    """No request of any forge's adapter has such a path or method."""
    forbidden = re.compile(r"/merge\b|/merges\b|/approve|/reviews\b|\bDELETE\b|\.delete\(")
    for file in (ROOT / "integrations/git").glob("*.py"):
        code = ast.unparse(ast.parse(file.read_text()))
        found = forbidden.findall(re.sub(r"merge_requests|merge_request_templates", "", code))
        assert not found, (file.name, found)


async def test_drafts_when_switched_off_then_none_is_submitted(tmp_path: Path) -> None:
    settings = Settings(repo=RepoSettings(path=str(tmp_path), read_only=True))
    checkout = build_checkout(Sources(), settings, {}, pull_request=False)
    drafter = build_drafter(checkout, Sources(), settings)
    with pytest.raises(DraftRejected, match="switched off"):
        await drafter.submit(None)  # type: ignore[arg-type]  # refused before it is looked at


def test_program_when_shipped_then_it_asks_no_language_model() -> None:
    for folder in ("app", "integrations", "widgets"):
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_bytes())):
                names = []
                if isinstance(node, ast.Import):
                    names = [one.name for one in node.names]
                elif isinstance(node, ast.ImportFrom):
                    names = [node.module or ""]
                assert not MODELS & {one.partition(".")[0] for one in names}, file
