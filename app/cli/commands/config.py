"""`config`: the settings: where they are, whether they are right; the schemas of JSON forms."""

from __future__ import annotations

import argparse

from app.cli.context import Context
from app.cli.options import add_output_options

EXAMPLE = """  k8tre-tui config path
  k8tre-tui config validate ./config.toml
  k8tre-tui config show --origin
  k8tre-tui config schema --form why > why.schema.json"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The words of this command."""
    parser.add_argument(
        "what",
        choices=("path", "validate", "show", "example", "schema"),
        help="print the file's path, check it, show every setting, print an example file, or the "
        "schema of a JSON form",
    )
    parser.add_argument("file", nargs="?", help="the file to use instead of the usual one")
    parser.add_argument("--form", default="", metavar="NAME", help="of `schema`: why, policies, …")
    parser.add_argument("--origin", action="store_true", help="where each value comes from")
    add_output_options(parser, ("table", "json", "yaml"))


def run(context: Context) -> int:
    """Do what was asked for."""
    context.args.config = context.args.file or context.args.config
    return {
        "path": _path,
        "validate": _validate,
        "show": _show,
        "example": _example,
        "schema": _schema,
    }[context.args.what](context)


def _path(context: Context) -> int:
    from app.config import config_path

    context.out.line(context.args.config or str(config_path(context.environ)))
    return 0


def _validate(context: Context) -> int:
    """Check what the declarations cannot know: names of themes, actions and keys."""
    from app.tui.app import check_keys, check_theme

    file, settings = context.config.file, context.config.settings
    check_theme(settings.ui.theme)
    check_keys(settings)
    context.out.line(f"{file}: fine" if file else "no file: every setting is at its default")
    return 0


def _show(context: Context) -> int:
    from app.config import show

    rows = list(show(context.config))
    if context.args.output != "table":
        from app.services.contract import document

        items = [
            {"key": key, "value": list(value) if isinstance(value, tuple) else value, "origin": at}
            for key, value, at in rows
        ]
        context.print_documents([document({"items": items})])
        return 0
    head = ("KEY", "VALUE", "ORIGIN") if context.args.origin else ("KEY", "VALUE")
    cells = [(key, _word(value), origin)[: len(head)] for key, value, origin in rows]
    context.out.table(head, cells)
    return 0


def _word(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "-"
    return str(value).lower() if isinstance(value, bool) else str(value) or "-"


def _example(context: Context) -> int:
    from app.config import example

    context.out.line(example().rstrip())
    return 0


def _schema(context: Context) -> int:
    from app.services.forms import form_schema

    context.out.json(form_schema(context.args.form))
    return 0
