import json
import threading
from pathlib import Path

import pytest

from app.bot.audit import FIRST, AuditLog, Entry, Unrecorded
from app.bot.audit_check import check_log
from app.core.errors import BadInput


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


def broken(path: Path) -> list[int]:
    return [one.line for one in check_log(path).broken]


def test_chain_goes_on_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    for start in (0, 3):
        log = AuditLog(path)
        for number in range(start, start + 3):
            log.record(entry(number))
    checked = check_log(path)
    assert (checked.lines, checked.begins, checked.broken) == (6, 1, ())


@pytest.mark.parametrize(
    ("tampered", "at"),
    [("changed", [3]), ("removed", [2, 2]), ("put in", [3, 3]), ("swapped", [2, 2, 3, 3, 4, 4])],
)
def test_tampering_breaks_the_chain(tmp_path: Path, tampered: str, at: list[int]) -> None:
    path = tmp_path / "audit.jsonl"
    log = AuditLog(path)
    for number in range(4):
        log.record(entry(number))
    kept = lines(path)
    match tampered:
        case "changed":
            kept[1] = kept[1].replace(b"why 1", b"why 9")
        case "removed":
            del kept[1]
        case "put in":
            kept.insert(2, kept[1])
        case "swapped":
            kept[1], kept[2] = kept[2], kept[1]
    path.write_bytes(b"".join(kept))
    assert broken(path) == at


def test_begin_that_was_cut_off_is_told_by_its_number(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    log = AuditLog(path)
    for number in range(4):
        log.record(entry(number))
    path.write_bytes(b"".join(lines(path)[2:]))
    assert (check_log(path).begins, check_log(path).broken) == (3, ())


def test_full_file_is_set_aside_and_the_chain_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    for number in range(40):
        AuditLog(path, rotate_bytes=1000).record(entry(number))  # a new program each time
    aside = sorted(tmp_path.glob("audit.*.jsonl"))
    assert len(aside) > 9
    assert all(file.stat().st_size <= 1000 for file in (path, *aside))
    checked = check_log(path)
    assert (checked.lines, checked.files, checked.broken) == (40, len(aside) + 1, ())


def test_chain_goes_on_when_the_program_ended_between_two_files(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    AuditLog(path).record(entry(0))
    path.rename(path.with_suffix(".1.jsonl"))
    assert check_log(path).broken == ()
    AuditLog(path).record(entry(1))
    assert (check_log(path).lines, check_log(path).broken) == (2, ())


def test_line_that_was_half_written_is_told_and_the_chain_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    AuditLog(path).record(entry(0))
    with path.open("ab") as file:
        file.write(b'{"number":2,"ti')
    AuditLog(path).record(entry(1))
    checked = check_log(path)
    assert [(one.line, one.why[:13]) for one in checked.broken] == [(2, "no whole line")]
    assert checked.lines == 2


def test_record_that_is_not_there_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"audit\.jsonl"):
        check_log(tmp_path / "audit.jsonl")


def test_two_programs_write_one_chain(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    first, second = AuditLog(path, rotate_bytes=2000), AuditLog(path, rotate_bytes=2000)
    for number in range(10):
        (first if number % 3 else second).record(entry(number))
    assert (check_log(path).lines, check_log(path).broken) == (10, ())


def test_threads_share_one_chain(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    log = AuditLog(path)
    threads = [threading.Thread(target=log.record, args=(entry(n),)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (check_log(path).lines, check_log(path).broken) == (12, ())


def test_unrecorded_leaves_nothing(tmp_path: Path) -> None:
    Unrecorded().record(entry())
    assert list(tmp_path.iterdir()) == []
