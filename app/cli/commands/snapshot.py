"""`snapshot`: write down what was read, for `--snapshot` on another day or machine."""

from __future__ import annotations

import argparse

from app.cli.context import Context

EXAMPLE = """  k8tre-tui snapshot -o tre.yaml.gz
  k8tre-tui snapshot -o for-support.json --redact

Secrets are never read. --redact replaces names by aliases, the same name by the same alias;
K8TRE_TUI_REDACT_KEY keeps aliases the same from one snapshot to the next"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The words of this command."""
    parser.add_argument(
        "-o", "--output", required=True, metavar="FILE", help=".yaml or .json, also with .gz"
    )
    parser.add_argument("--redact", action="store_true", help="aliases in place of names")


def run(context: Context) -> int:
    """Read everything once and write it."""
    from app.bootstrap.workspace import redaction_key, save_snapshot

    workspace = context.load()
    key = redaction_key(context.environ) if context.args.redact else None
    written = save_snapshot(workspace.manifests(), context.args.output, redact_key=key)
    context.out.say(f"{context.args.output}: {written} objects")
    return 0
