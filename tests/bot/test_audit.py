import json
import threading
from pathlib import Path

import pytest

from app.bot.audit import FIRST, AuditLog, Entry, Unrecorded, broken_at


def entry(number: int = 0) -> Entry:
    return Entry("2026-01-01T00:00:00.000Z", "T1", "C1", "U1", f"why {number}", "answered", "x", 3)


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def test_entries_are_json_lines_for_the_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "state" / "audit.jsonl"
    AuditLog(path).record(entry())
    (line,) = lines(path)
    written = json.loads(line)
    assert (written["user"], written["decision"], written["previous"]) == ("U1", "answered", FIRST)
    assert path.stat().st_mode & 0o777 == 0o600


def test_chain_goes_on_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    for start in (0, 3):
        log = AuditLog(path)
        for number in range(start, start + 3):
            log.record(entry(number))
    assert broken_at(lines(path), FIRST) is None


@pytest.mark.parametrize("tampered", ["changed", "removed"])
def test_tampering_breaks_the_chain(tmp_path: Path, tampered: str) -> None:
    path = tmp_path / "audit.jsonl"
    log = AuditLog(path)
    for number in range(4):
        log.record(entry(number))
    kept = lines(path)
    if tampered == "changed":
        kept[1] = kept[1].replace(b"why 1", b"why 9")
        assert broken_at(kept, FIRST) == 3
    else:
        del kept[1]
        assert broken_at(kept, FIRST) == 2


def test_full_file_is_set_aside_and_the_chain_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    log = AuditLog(path, rotate_bytes=700)
    for number in range(6):
        log.record(entry(number))
    aside = sorted(tmp_path.glob("audit.*.jsonl"))
    assert aside
    assert all(file.stat().st_size <= 700 for file in (path, *aside))
    assert broken_at([line for file in (*aside, path) for line in lines(file)], FIRST) is None


def test_threads_share_one_chain(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    log = AuditLog(path)
    threads = [threading.Thread(target=log.record, args=(entry(n),)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(lines(path)) == 12
    assert broken_at(lines(path), FIRST) is None


def test_unrecorded_leaves_nothing(tmp_path: Path) -> None:
    Unrecorded().record(entry())
    assert list(tmp_path.iterdir()) == []
