"""One command from words to exit code: parse, run, and say what went wrong in one line."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

from app.cli.context import Context
from app.cli.output import Output, Style
from app.cli.parser import PROGRAM, parse
from app.core.errors import K8treError, SourceUnavailable
from app.core.text import clean

INTERRUPTED = 130


def run(argv: Sequence[str]) -> int:
    """Run the command in `argv`; errors of ours become one line and their exit code."""
    out = Output.of(sys.stdout, sys.stderr, os.environ, plain="--no-color" in argv)
    try:
        args = parse(argv)
        code: int = import_module(args.module).run(Context(args, out, os.environ, sys.stdin))
        out.stdout.flush()
    except K8treError as error:
        say_error(out, error)
        code = error.exit_code
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:
        code = 0
    except SystemExit as left:  # argparse's --help and --version
        code = left.code if isinstance(left.code, int) else 0
    out.close()
    return code


def say_error(out: Output, error: K8treError) -> None:
    """`k8tre-tui: message`, and the way out on a line of its own; words typed come back visible."""
    source = error.source if isinstance(error, SourceUnavailable) else ""
    where = f"{source}: " if source and source not in error.message else ""
    out.say(f"{out.paint(f'{PROGRAM}:', Style.BAD)} {where}{clean(error.message)}")
    if error.hint:
        out.say(f"  {clean(error.hint)}")
