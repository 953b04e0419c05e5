"""One file into objects: what encoding it is in, whether it is JSON, YAML or a chart's template."""

from __future__ import annotations

import codecs
from pathlib import Path

from app.core.errors import BadInput
from integrations.manifests.files import is_chart, read_bytes
from integrations.manifests.found import Found
from integrations.manifests.json_file import JsonFile
from integrations.manifests.placeholders import Placeholders
from integrations.manifests.templates import could_hold_policies
from integrations.manifests.yaml_file import YamlFile

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def read_file(path: Path, shown: str, placeholders: Placeholders, found: Found) -> None:
    """Add what a file holds to `found`, as objects or as the reason why it was not read."""
    try:
        content = decoded(read_bytes(path, shown))
    except BadInput as error:
        found.broken(error, shown)
        return
    read_content(content, path, shown, placeholders, found)


def read_content(
    content: bytes, path: Path, shown: str, placeholders: Placeholders, found: Found
) -> None:
    """Add what the text of a file, in UTF-8, holds."""
    if in_chart_templates(path):
        _leave_out_template(content, shown, found)
        return
    try:
        if (
            content.lstrip()[:1] in (b"{", b"[")
            and JsonFile(content, shown, placeholders, found).read()
        ):
            return
        text = content.decode()
    except BadInput as error:
        found.broken(error, shown)
        return
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        found.broken(BadInput("not UTF-8", line=line), shown)
        return
    YamlFile(text, shown, placeholders, found).read()


def decoded(content: bytes) -> bytes:
    """The text as UTF-8 without a byte order mark.

    Source: YAML 1.2 §5.2: the encoding is told by its mark; UTF-16 is what PowerShell's `>` writes.
    """
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return _transcoded(content[len(mark) :], encoding)
    if content[:2].count(0) == 1:  # an ASCII character in two bytes, without a mark
        return _transcoded(content, "utf-16-be" if content[0] == 0 else "utf-16-le")
    if b"\0" in content:
        line = content.count(b"\n", 0, content.index(b"\0")) + 1
        raise BadInput("not text: a NUL byte stands in it", line=line)
    return content


def _transcoded(content: bytes, encoding: str) -> bytes:
    try:
        return content.decode(encoding).encode()
    except UnicodeDecodeError as error:
        raise BadInput(f"not {encoding.upper()}, which its first bytes announce") from error


def _leave_out_template(content: bytes, shown: str, found: Found) -> None:
    """A chart's template; one that makes policies is more than something to know of."""
    found.skip("template", shown)
    if could_hold_policies(content.decode(errors="replace")):
        found.broken(BadInput("a policy in a chart that was not rendered"), shown)


def in_chart_templates(path: Path) -> bool:
    """Source: Helm's chart layout: `templates/` beside `Chart.yaml`."""
    if "templates" not in path.parts:
        return False
    return any(folder.name == "templates" and is_chart(folder.parent) for folder in path.parents)
