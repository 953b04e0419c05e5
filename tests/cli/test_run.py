import json
import os
import subprocess
import sys

import pytest

from app.cli import run as cli_run
from app.cli.options import collect
from app.cli.parser import COMMANDS, parse
from app.core.errors import UsageError
from tests.cli.conftest import Run


def test_help_lists_every_command_and_exits_with_0(run: Run) -> None:
    ran = run("--help")
    assert ran.code == 0
    assert all(f"  {command.name} " in ran.out for command in COMMANDS)


@pytest.mark.parametrize("command", [command.name for command in COMMANDS])
def test_help_of_every_command_has_an_example(run: Run, command: str) -> None:
    ran = run(command, "--help")
    assert ran.code == 0
    assert f"k8tre-tui {command} " in ran.out.partition("example:")[2]


@pytest.mark.parametrize(
    "argv", [("nonsense",), ("policies", "--nonsense"), ("why", "a/b"), ("policies", "-o", "xml")]
)
def test_wrong_words_exit_with_2_one_line_and_a_hint(run: Run, argv: tuple[str, ...]) -> None:
    ran = run(argv)
    assert ran.code == 2
    assert ran.out == ""
    first, second = ran.err.splitlines()
    assert first.startswith("k8tre-tui: ")
    assert second.endswith("--help")


def test_source_options_are_taken_before_and_after_the_command() -> None:
    args = parse(["--snapshot", "a", "policies", "--snapshot", "b"])
    assert collect(args, "snapshot") == ("a", "b")
    args = parse(["--demo", "policies"])
    assert args.demo is True
    args = parse(["--context", "x", "policies"])
    assert args.context == "x"
    args = parse(["policies", "--context", "x"])
    assert args.context == "x"


def test_abbreviated_options_are_refused() -> None:
    with pytest.raises(UsageError):
        parse(["policies", "--snap", "a"])


@pytest.mark.parametrize("pair", ["DOMAIN", "=x"])
def test_set_wants_name_and_value(run: Run, pair: str, tmp_path: object) -> None:
    ran = run("policies", "--snapshot", str(tmp_path), "--set", pair)
    assert ran.code == 2
    assert "NAME=VALUE" in ran.err


def test_interrupt_exits_with_130(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_argv: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli_run, "parse", interrupt)
    assert run("policies").code == 130


def test_reader_that_goes_away_is_no_error(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def close(_argv: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(cli_run, "parse", close)
    ran = run("policies")
    assert (ran.code, ran.err) == (141, "")


def test_what_nobody_foresaw_is_one_line_with_its_place_and_70(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_argv: object) -> None:
        raise ValueError("odd\x1b[2J\nsecond line")

    monkeypatch.setattr(cli_run, "parse", fail)
    ran = run("policies")
    assert ran.code == 70
    first, second = ran.err.splitlines()
    assert first.startswith("k8tre-tui: unforeseen ValueError in app/cli/run.py:")
    assert "odd␛[2J␊second line" in first
    assert "report it" in second


def in_a_process(words: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run `words` by the shell, where `$RUN` is this program."""
    program = f"{sys.executable} -m app.cli"
    environ = {**os.environ, "RUN": program, **(env or {})}
    return subprocess.run(
        ["bash", "-c", words],
        check=False,
        capture_output=True,
        encoding="latin-1",
        env=environ,
        timeout=60,
    )


def test_a_reader_that_stops_is_141_and_silent() -> None:
    ran = in_a_process("$RUN policies --demo -o json | true; exit ${PIPESTATUS[0]}")
    assert ran.returncode == 141
    assert "Error" not in ran.stderr


def test_a_full_disk_is_one_line_and_74() -> None:
    ran = in_a_process("$RUN policies --demo -o json > /dev/full")
    assert ran.returncode == 74
    assert ran.stderr.splitlines()[-1] == (
        "k8tre-tui: the output could not be written: No space left on device"
    )


def test_closed_streams_are_no_crash() -> None:
    assert in_a_process("$RUN policies --demo >&-").returncode == 0
    assert "Traceback" not in in_a_process("$RUN flows --flows - <&-").stderr
    assert in_a_process("$RUN --demo <&-").returncode == 2


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_without_unicode_gets_escapes(encoding: str) -> None:
    env = {"PYTHONIOENCODING": encoding}
    ran = in_a_process("$RUN why project-lung/jupyter-alice pypi.org 443 --demo", env)
    assert ran.returncode == 1
    assert "\\u2717 DENIED" in ran.stdout
    ran = in_a_process("$RUN why project-lung/jupyter-alice pypi.org 443 --demo -o json", env)
    assert json.loads(ran.stdout)["verdict"] == "denied"


def test_missing_snapshot_is_one_line_and_2(run: Run) -> None:
    ran = run("policies", "--snapshot", "/nonexistent/file.yaml")
    assert ran.code == 2
    assert ran.err.splitlines()[0].startswith("k8tre-tui: ")
    assert "Traceback" not in ran.err


def test_interface_without_a_terminal_is_refused_with_a_way_out(run: Run) -> None:
    ran = run("--demo")
    assert ran.code == 2
    assert "--help" in ran.err


@pytest.mark.parametrize(
    "words", [("policies", "\x1b[31mx"), ("\x1b[31mx",), ("why", "\x9b/a", "b")]
)
def test_what_was_typed_comes_back_visible(run: Run, words: tuple[str, ...]) -> None:
    ran = run(words, "--demo")
    assert ran.code == 2
    assert not set(ran.err) & {"\x1b", "\x9b"}


def test_unknown_word_leads_to_the_help_of_its_command(run: Run) -> None:
    assert run("policies", "--nonsense").err.splitlines() == [
        "k8tre-tui: unknown: --nonsense",
        "  k8tre-tui policies --help",
    ]


def test_colour_can_be_switched_off_before_and_after_the_command(run: Run) -> None:
    for argv in (("--no-color", "policies", "--demo"), ("policies", "--demo", "--no-color")):
        assert run(argv).code == 0
