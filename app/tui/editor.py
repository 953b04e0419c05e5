"""The operator's own editor, over the screen: `$VISUAL`, `$EDITOR`, else `vi`.

It is given a file of its own in a new folder that only the owner can read, never a file of a
checkout; the folder is gone afterwards.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from textual.app import App, SuspendNotSupported

from app.core.errors import BadInput
from app.core.text import clean
from app.tui.messages import Repaint

SIZE_MAX = 256 * 1024
"""Bytes of a text that are taken back from an editor."""
_AT_LINE = frozenset({"vi", "vim", "nvim", "nano", "emacs", "ed", "micro", "kak", "joe"})
"""Editors that take `+LINE`; others are given the file alone."""


def edit_text(app: App[None], text: str, name: str) -> str:
    """Let the operator edit a text; gives it as it was left.

    Raises `BadInput` when there is no editor, it fails, or what it left cannot be read.
    """
    return _edited(app, text, name, 0)


def show_file(app: App[None], lines: Sequence[str], name: str, line: int) -> str:
    """Show a copy of a file; gives what to say of it afterwards."""
    text = "\n".join(lines)
    try:
        edited = _edited(app, text, Path(name).name, line)
    except BadInput as error:
        return str(error)
    if edited != text:
        return f"that was a copy: {name} is as it was"
    return f"{name} was shown in the editor"


def _edited(app: App[None], text: str, name: str, line: int) -> str:
    command = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")
    environ = dict(os.environ)
    if app.no_color:
        environ["NO_COLOR"] = "1"
    with tempfile.TemporaryDirectory(prefix="k8tre-tui-") as folder:
        path = Path(folder) / (name or "text")
        path.write_text(text, encoding="utf-8")
        at = [f"+{line}"] if line and Path(command[0]).name in _AT_LINE else []
        try:
            with app.suspend():
                code = subprocess.run([*command, *at, str(path)], env=environ, check=False)  # noqa: S603  # the operator's own editor
        except SuspendNotSupported as error:
            raise BadInput("there is no terminal for an editor here") from error
        except OSError as error:
            raise BadInput(f"`{clean(command[0])}` cannot be run: {error.strerror}") from error
        app.post_message(Repaint())
        if code.returncode:
            raise BadInput(f"`{clean(command[0])}` ended with {code.returncode}: nothing is taken")
        return _read_back(path)


def _read_back(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(SIZE_MAX + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput("what the editor left cannot be read as text") from error
    if len(text) > SIZE_MAX:
        raise BadInput("what the editor left is too long")
    return text
