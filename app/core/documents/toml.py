"""TOML text to a tree, with the line of what is wrong."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from app.core.errors import BadInput
from app.core.text import clean

SIZE_MAX = 1 << 20
"""Characters of one file: settings and boundaries are written by hand."""

_LINE = re.compile(r"line (\d+)")


def parse_toml(text: str) -> dict[str, Any]:
    """Give the tree. Raises `BadInput` with the line."""
    if len(text) > SIZE_MAX:
        raise BadInput(f"more than {SIZE_MAX >> 20} MiB of TOML")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        at = _LINE.search(str(error))
        said = clean(str(error).lower(), 200)
        raise BadInput(f"not TOML: {said}", line=int(at[1]) if at else 0) from error
    except ValueError as error:  # a number of thousands of digits, a date that is none
        raise BadInput(f"not TOML: {clean(str(error), 200)}") from error
    except RecursionError as error:
        raise BadInput("not TOML: nested too deeply") from error
