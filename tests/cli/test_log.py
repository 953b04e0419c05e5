"""The log: what is in it, what is never in it, and where it goes."""

from __future__ import annotations

import io
import json
import logging
import os
import re
from pathlib import Path

import pytest

from app.bootstrap.log import HIDDEN, LogChoice, open_log
from app.core.errors import ConfigError
from tests.cli.conftest import Run

LINE = re.compile(r'time=\S+Z level=(?:debug|info|warning|error) area=\w+ event=(?:\S+|".*")')
WEB_TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl"


def _written(form: str, message: str, **fields: object) -> str:
    stderr = io.StringIO()
    with open_log(LogChoice("-", "debug", form), {"MY_PASSWORD": "correct-horse"}, stderr):
        logging.getLogger("k8tre_tui.test").info(message, extra=fields)
    return stderr.getvalue()


def test_log_when_a_command_runs_then_each_line_is_key_value_and_nothing_else_changes(
    run: Run, tmp_path: Path
) -> None:
    file = tmp_path / "deep" / "k8tre.log"
    plain = run("policies", "--demo")
    logged = run("policies", "--demo", "--log-file", str(file), "--log-level", "debug")
    assert (logged.code, logged.out, logged.err) == (plain.code, plain.out, plain.err)
    lines = file.read_text(encoding="utf-8").splitlines()
    assert all(LINE.match(line) for line in lines)
    told = "\n".join(lines)
    assert 'event="command started" command=policies' in told
    assert "source=demo phase=live" in told
    assert re.search(r"policies=[1-9]\d*", told)
    assert re.search(r'event="command ended" command=policies code=0 ms=\d+$', told)


def test_log_when_level_is_info_then_debug_is_left_out(run: Run, tmp_path: Path) -> None:
    run("policies", "--demo", "--log-file", str(tmp_path / "log"))
    assert "picture built" not in (tmp_path / "log").read_text(encoding="utf-8")


def test_log_when_environment_names_it_then_is_written_as_json(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("K8TRE_TUI_LOG", str(tmp_path / "log"))
    monkeypatch.setenv("K8TRE_TUI_LOG_FORMAT", "json")
    assert run("why", "no-such-end", "b", "--demo").code == 2
    items = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert items[0]["event"] == "command started"
    failed = next(item for item in items if item["event"] == "command failed")
    assert (failed["level"], failed["kind"]) == ("error", "NotFound")
    assert failed["hint"]


def test_log_file_when_made_then_only_its_owner_can_read_it(run: Run, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        run("policies", "--demo", "--log-file", str(tmp_path / "new" / "log"))
    finally:
        os.umask(before)
    assert (tmp_path / "new" / "log").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700


def test_log_file_when_others_could_read_it_then_no_longer(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.touch()
    file.chmod(0o644)
    run("policies", "--demo", "--log-file", str(file))
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize(
    "hostile",
    ["a\nlevel=error event=forged", "\x1b]52;c;aGk=\x07", "a\u202eb", "a\rb", 'quote" end', ""],
)
def test_value_when_hostile_then_is_one_line_without_control_characters(
    form: str, hostile: str
) -> None:
    text = _written(form, "seen", text=hostile)
    assert text.count("\n") == 1
    assert text.endswith("\n")
    assert text[:-1].isprintable()
    if form == "json":
        assert json.loads(text)["event"] == "seen"
    else:
        assert " event=forged" not in re.sub(r'"(?:[^"\\]|\\.)*"', '""', text)


@pytest.mark.parametrize(
    "secret",
    [
        "Authorization: Bearer abcdefghijklmnop",
        "xoxb-1234567890-abcdef",
        "xapp-1-A0123-456-abcdef",
        "ghp_0123456789abcdefghij",
        "github_pat_0123456789abcdefghij",
        WEB_TOKEN,
        "https://user:hunter2hunter2@host/path",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----",
        "the word is correct-horse",
    ],
)
@pytest.mark.parametrize("form", ["text", "json"])
def test_secret_when_logged_then_is_hidden(form: str, secret: str) -> None:
    text = _written(form, f"told {secret}", field=secret)
    for word in ("abcdef", "hunter2", "MIIEow", "eyJhbG", "correct-horse"):
        assert word not in text
    assert text.count(HIDDEN) >= 2


def test_unforeseen_error_when_logged_then_is_one_line_with_where_it_was_raised() -> None:
    stderr = io.StringIO()
    with open_log(LogChoice("-"), {}, stderr):
        try:
            int("x\ny")
        except ValueError:
            logging.getLogger("k8tre_tui.test").exception("failed")
    assert stderr.getvalue().count("\n") == 1
    assert "ValueError" in stderr.getvalue()
    assert "test_log.py" in stderr.getvalue()


def test_log_when_nobody_asked_then_nothing_is_written_and_all_is_as_before() -> None:
    stderr = io.StringIO()
    ours, root = logging.getLogger("k8tre_tui"), logging.getLogger()
    before = (ours.level, ours.propagate, root.level, list(root.handlers), list(ours.handlers))
    with open_log(LogChoice(), {}, stderr):
        logging.getLogger("k8tre_tui.test").error("lost")
    after = (ours.level, ours.propagate, root.level, list(root.handlers), list(ours.handlers))
    assert stderr.getvalue() == ""
    assert after == before


def test_log_when_the_disk_is_full_then_the_command_goes_on(run: Run) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    ran = run("policies", "--demo", "--log-file", "/dev/full")
    assert ran.code == 0
    assert "Traceback" not in ran.err


def test_log_when_file_cannot_be_opened_then_says_why_and_the_way_out(
    run: Run, tmp_path: Path
) -> None:
    ran = run("policies", "--demo", "--log-file", str(tmp_path))
    assert ran.code == 2
    assert "cannot write the log" in ran.err


def test_log_when_level_of_the_environment_is_unknown_then_names_the_variable(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("K8TRE_TUI_LOG_LEVEL", "chatty")
    ran = run("policies", "--demo")
    assert ran.code == 2
    assert "K8TRE_TUI_LOG_LEVEL: `chatty` is none of debug" in ran.err


def test_log_when_the_screen_would_be_drawn_over_it_then_is_refused(run: Run) -> None:
    ran = run("--demo", "--log-file", "-")
    assert ran.code == 2
    assert "name a file" in ran.err


def test_bot_when_it_serves_a_chat_then_standard_error_is_json_lines(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    ran = run("bot", "--snapshot", str(tmp_path))
    assert ran.code == 2  # no token
    items = [json.loads(line) for line in ran.err.splitlines() if line.startswith("{")]
    assert items[0]["event"] == "command started"
    assert items[-1]["event"] == "command failed"
    assert items[-1]["said"] == "no Slack token"


def test_log_when_opened_wrongly_then_names_the_file(tmp_path: Path) -> None:
    with (
        pytest.raises(ConfigError) as caught,
        open_log(LogChoice(str(tmp_path / "a\0b")), {}, io.StringIO()),
    ):
        pass
    assert "cannot write the log" in str(caught.value)
