"""`conformance`: judge the engine against verdicts recorded from Cilium's own."""

from __future__ import annotations

import argparse

from app.cli.context import Context

EXAMPLE = """  k8tre-tui conformance cases.jsonl.gz
  k8tre-tui conformance --print cases.jsonl > computed.jsonl

exit code 1 when any verdict disagrees"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The words of this command."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="JSON lines, also .gz; - is stdin")
    parser.add_argument(
        "--print", dest="computed", action="store_true", help="write the computed answers instead"
    )


def run(context: Context) -> int:
    """Print each disagreement, then the totals."""
    from app.services.conformance import run as judge

    report = judge(context.args.files, print_expect=context.args.computed)
    for found in report:
        context.out.line(str(found))
    talk = context.out.say if context.args.computed else context.out.line
    talk(report.summary)
    return 1 if report.disagreements else 0
