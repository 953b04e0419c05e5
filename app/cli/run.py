"""One command from words to exit code: parse, run, and say what went wrong in one line."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import PurePath

from app.bootstrap.collector import relax_collector
from app.cli.context import Context
from app.cli.logged import run_logged
from app.cli.output import Output, Style, standard_input, standard_output
from app.cli.parser import PROGRAM, parse
from app.core.errors import BadInput, K8treError, SourceUnavailable
from app.core.text import clean

INTERRUPTED = 130
READER_GONE = 141
"""128 and SIGPIPE, as a program dies of it: 0 would read as "allowed" where a pipe's head stops."""

UNFORESEEN = 70
"""`EX_SOFTWARE` of sysexits.h: a defect of this program, never to be taken for an answer."""

OUTPUT_LOST = 74
"""`EX_IOERR` of sysexits.h: what was printed did not arrive whole."""

_OUTPUT_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF})
_OURS = ("app", "integrations", "widgets")
_SAID = 300


def run(argv: Sequence[str]) -> int:
    """Run the command in `argv`; every error becomes one line and an exit code."""
    relax_collector()
    stdout, stderr = standard_output(sys.stdout), standard_output(sys.stderr)
    out = Output.of(stdout, stderr, os.environ, plain="--no-color" in argv)
    try:
        code = _run(argv, out)
        out.stdout.flush()
    except BrokenPipeError:
        code = READER_GONE
    except OSError as error:
        code = _lost(out, error) if error.errno in _OUTPUT_ERRORS else _unforeseen(out, error)
    if (left := out.close()) is not None and code != READER_GONE:
        code = READER_GONE if isinstance(left, BrokenPipeError) else _lost(out, left)
    return code


def _run(argv: Sequence[str], out: Output) -> int:
    """The named supervisor of the command line: nothing but lost output leaves it."""
    try:
        args = parse(argv)
        code = run_logged(Context(args, out, os.environ, standard_input(sys.stdin)))
    except K8treError as error:
        say_error(out, error)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except SystemExit as left:  # argparse's --help and --version
        return left.code if isinstance(left.code, int) else 0
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001  # the named supervisor: it says what it caught
        return _unforeseen(out, error)
    return code


def say_error(out: Output, error: K8treError) -> None:
    """`k8tre-tui: message`, and the way out on a line of its own; words typed come back visible."""
    source = error.source if isinstance(error, SourceUnavailable) else ""
    where = f"{source}: " if source and source not in error.message else ""
    if isinstance(error, BadInput) and error.file and error.file not in error.message:
        where = f"{error.file}:{error.line}: " if error.line else f"{error.file}: "
    _say(out, f"{where}{error.message}", error.hint)


def _say(out: Output, message: str, hint: str) -> None:
    out.say(f"{out.paint(f'{PROGRAM}:', Style.BAD)} {clean(message)}")
    if hint:
        out.say(f"  {clean(hint)}")


def _lost(out: Output, error: OSError) -> int:
    _say(out, f"the output could not be written: {error.strerror or error}", "")
    return OUTPUT_LOST


def _unforeseen(out: Output, error: Exception) -> int:
    """One line about a defect: what, where, and whom to tell."""
    kind, place = type(error).__name__, _place(error)
    message = f"unforeseen {kind} in {place}: {clean(str(error), _SAID) or 'no message'}"
    _say(
        out,
        message,
        f"this is a defect of {PROGRAM}: please report it in its issue tracker, with this line",
    )
    return UNFORESEEN


def _place(error: Exception) -> str:
    """The last line of our own code that the error passed."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        parts = PurePath(frame.filename).parts
        for root in _OURS:
            if root in parts:
                at = len(parts) - 1 - parts[::-1].index(root)
                return f"{'/'.join(parts[at:])}:{frame.lineno}"
    return "a library"
