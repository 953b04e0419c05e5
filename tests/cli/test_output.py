import io

from app.cli.output import Cell, Output, Style


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def piped() -> tuple[Output, io.StringIO, io.StringIO]:
    out, err = io.StringIO(), io.StringIO()
    return Output.of(out, err, {}, plain=False), out, err


def test_pipe_gets_no_colour_and_is_not_folded() -> None:
    output, out, _ = piped()
    output.line(output.paint("x", Style.BAD) + output.wrap("word " * 100, 4))
    assert "\x1b" not in out.getvalue()
    assert out.getvalue().count("\n") == 1


def test_terminal_gets_colour_unless_told_otherwise() -> None:
    for environ, plain, coloured in (
        ({}, False, True),
        ({"NO_COLOR": "1"}, False, False),
        ({"TERM": "dumb"}, False, False),
        ({}, True, False),
    ):
        output = Output.of(Terminal(), io.StringIO(), environ, plain=plain)
        assert ("\x1b" in output.paint("x", Style.BAD)) is coloured


def test_wrap_folds_with_a_hanging_indent_and_breaks_no_path() -> None:
    output = Output(io.StringIO(), io.StringIO(), columns=60)
    text = output.wrap("a " * 40 + "apps/a-long-name/with-hyphens.yaml:12", 11)
    lines = text.splitlines()
    assert all(line.startswith(" " * 11) for line in lines[1:])
    assert all(len(line) <= 60 for line in lines)
    assert "apps/a-long-name/with-hyphens.yaml:12" in text


def test_table_aligns_wide_and_combining_characters() -> None:
    output, out, _ = piped()
    output.table(("A", "B"), [("日本", "x"), ("e\u0301", Cell("y", Style.GOOD))])
    assert out.getvalue() == "A     B\n日本  x\ne\u0301     y\n"


def test_table_without_rows_is_its_head() -> None:
    output, out, _ = piped()
    output.table(("A", "B"), [])
    assert out.getvalue() == "A  B\n"


def test_talk_goes_to_stderr_and_is_said_once() -> None:
    output, out, err = piped()
    output.say("careful")
    output.say("careful")
    assert (out.getvalue(), err.getvalue()) == ("", "careful\n")


def test_json_forms_keep_unicode_and_order() -> None:
    output, out, _ = piped()
    output.jsonl([{"b": "é", "a": 1}])
    assert out.getvalue() == '{"b":"é","a":1}\n'
