"""`snapshot`: write down what was read, for `--snapshot` on another day or machine."""

from __future__ import annotations

import argparse

from app.cli.context import Context

EXAMPLE = """  k8tre-tui snapshot -o tre.yaml.gz
  k8tre-tui snapshot -o for-support.json --redact

Secrets are never read. --redact writes only fields that decide a verdict, and by stand-ins: names,
label keys and values, DNS names, paths; addresses keep which block holds them. Verdicts stay what
they were. K8TRE_TUI_REDACT_KEY keeps stand-ins the same from one file to the next"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The words of this command."""
    parser.add_argument(
        "-o", "--output", required=True, metavar="FILE", help=".yaml or .json, also with .gz"
    )
    parser.add_argument(
        "--keep-addresses", action="store_true", help="with --redact: addresses as they are"
    )


def run(context: Context) -> int:
    """Read everything once and write it."""
    from app.bootstrap.sources import redaction_key
    from app.bootstrap.workspace import save_snapshot

    workspace = context.load()
    key = redaction_key(context.environ) if context.args.redact else None
    written = save_snapshot(
        workspace.manifests(),
        context.args.output,
        redact_key=key,
        keep_addresses=context.args.keep_addresses,
    )
    context.out.say(f"{context.args.output}: {written} objects")
    return 0
