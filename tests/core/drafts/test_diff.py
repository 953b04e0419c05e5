import subprocess
from pathlib import Path

import pytest

from app.core.drafts.diff import count_changes, diff_lines, unified_diff


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a\nb\nc\n", "a\nB\nc\n"),
        ("a\nb", "a\nb\nc"),
        ("a\r\nb\r\n", "a\r\nb\r\nc\r\n"),
        ("a\n", "a"),
        (None, "new\nfile\n"),
        (None, "no end"),
        ("a\u2028b\nc\n", "a\u2028b\nd\n"),
        ("a\r\nb", None),
    ],
)
def test_unified_diff_when_git_applies_it_then_the_new_text(
    tmp_path: Path, before: str | None, after: str | None
) -> None:
    file = tmp_path / "d" / "f.yaml"
    file.parent.mkdir()
    if before is not None:
        file.write_bytes(before.encode())
    patch = unified_diff("d/f.yaml", before, after)
    command = ["git", "apply", "--unsafe-paths", "-p1", "-"]
    subprocess.run(command, cwd=tmp_path, input=patch.encode(), check=True)
    assert (file.read_bytes() if file.exists() else None) == (after.encode() if after else None)


def test_unified_diff_when_nothing_changed_then_empty() -> None:
    assert unified_diff("f", "a\n", "a\n") == ""


def test_count_changes_when_headers_then_not_counted() -> None:
    assert count_changes(unified_diff("f", "a\nb\n", "a\nc\nd\n")) == (2, 1)


def test_count_changes_when_lines_look_like_headers_or_end_within_then_counted_once() -> None:
    assert count_changes(unified_diff("f", "-- a\nb\n", "++ c\nd\re\u2028f\r\n")) == (2, 2)


def test_diff_lines_when_crlf_then_without_line_ends_and_cut_nowhere_else() -> None:
    diff = unified_diff("f", "a\r\n", "a\r\nb\u2028c\r\n")
    assert diff_lines(diff)[4:] == [" a", "+b\u2028c"]
