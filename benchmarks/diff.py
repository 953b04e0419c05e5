"""How many lines an edit of a policy file changes, beside what ruamel.yaml changes for the same.

`python benchmarks/diff.py`: 300 generated files, nine edits each. ruamel.yaml is given every
chance: its width is unbounded, quotes stay, indents are those that most lists of the file have.
Every edited file is read again by PyYAML and must mean what was wanted; a missed bar ends the run
with 1.
"""

from __future__ import annotations

import io
import re
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import yaml
from _figures import Figure, report
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from app.core.drafts.diff import count_changes, unified_diff
from app.core.drafts.edits import Edit, apply_edit
from app.core.drafts.splice import splice
from app.core.errors import DraftRejected
from app.testing.policy_files import PolicyFile, make_edits, make_file

FILES = 300
_DASH = re.compile(r"^( *)- ", re.MULTILINE)
_KEY = re.compile(r"^( *)(?:- )*[^\s#-][^\n]*:[ \t]*(?:#[^\n]*)?\r?\n( *)- ", re.MULTILINE)


@dataclass
class Tally:
    """Lines added and removed, and what could not be compared."""

    edits: int = 0
    ours: int = 0
    theirs: int = 0
    refused: int = 0
    wrong: list[str] = field(default_factory=list)
    failed: int = 0
    changed_meaning: int = 0
    seconds: float = 0.0


def main() -> int:
    """Edit, compare, and hold the figures to their bars."""
    tally = Tally()
    for seed in range(FILES):
        random = Random(seed)  # noqa: S311  # no secret
        file = make_file(random)
        for name, edit in make_edits(random, file.value):
            _measure(file, edit, f"file {seed}: {name}", tally)
    for words in tally.wrong:
        print(f"diff: wrong: {words}")
    ratio = tally.ours / tally.theirs
    compared = f"of {tally.edits:,} edits of {FILES} files"
    against = f"ruamel.yaml {tally.theirs:,}, {tally.failed} of them failed there"
    meaning = f"{tally.changed_meaning} mean something else with ruamel.yaml"
    right = 1 - len(tally.wrong) / (tally.edits + tally.failed)
    each = tally.seconds / (tally.edits + tally.refused)
    figures = [
        Figure(f"lines changed {compared}", tally.ours, "lines", against),
        Figure("lines, ours to ruamel.yaml's", ratio, "", bar=0.5),
        Figure("edits that mean what was wanted", right, "", meaning, bar=1, more=True),
        Figure("edits refused", tally.refused / (tally.edits + tally.refused), "", bar=0.03),
        Figure("one edit, guarded", each * 1000, "ms", bar=25),
    ]
    return 0 if report(figures) else 1


def _measure(file: PolicyFile, edit: Edit, words: str, tally: Tally) -> None:
    started = time.perf_counter()
    try:
        edited = splice(file.text, file.ref, [edit])
    except DraftRejected:
        tally.refused += 1
        return
    finally:
        tally.seconds += time.perf_counter() - started
    wanted = _wanted(file, edit)
    if _means(edited) != wanted:
        tally.wrong.append(words)
    theirs = _by_ruamel(file, edit)
    if theirs is None or _means(theirs) is None:
        tally.failed += 1
        return
    tally.changed_meaning += _means(theirs) != wanted
    tally.edits += 1
    tally.ours += sum(count_changes(unified_diff("f", file.text, edited)))
    tally.theirs += sum(count_changes(unified_diff("f", file.text, theirs)))


def _read(text: str) -> list[Any]:
    return list(yaml.load_all(text.removeprefix("\ufeff"), Loader=yaml.CSafeLoader))


def _means(text: str) -> list[Any] | None:
    """What a file says; None where it is no YAML any more."""
    try:
        return _read(text)
    except yaml.YAMLError:
        return None


def _wanted(file: PolicyFile, edit: Edit) -> list[Any]:
    return [_edited(document, file, edit) for document in _read(file.text)]


def _edited(document: Any, file: PolicyFile, edit: Edit) -> Any:
    """The document with the edit done where it is, or holds, the policy."""
    if document["kind"] == "List":
        items = [_edited(one, file, edit) for one in document["items"]]
        return {**document, "items": items}
    return apply_edit(document, edit) if document["metadata"]["name"] == file.ref.name else document


def _by_ruamel(file: PolicyFile, edit: Edit) -> str | None:
    """The same edit by a round trip; None where that ends with an error."""
    text = file.text.removeprefix("\ufeff")
    tool = YAML()
    tool.width = 10**6
    tool.preserve_quotes = True
    tool.explicit_start = text.startswith("---")
    offset = _usual(len(dash) - len(key) for key, dash in _KEY.findall(text))
    tool.indent(mapping=2, sequence=offset + 2, offset=offset)
    written = io.StringIO()
    try:
        documents = [_edited_there(one, file, edit) for one in tool.load_all(text)]
        tool.dump_all(documents, written)
    except (YAMLError, DraftRejected, ValueError):
        return None
    bom = "\ufeff" if file.text.startswith("\ufeff") else ""
    ends = "\r\n" if "\r\n" in text else "\n"
    return bom + written.getvalue().replace("\n", ends)


def _edited_there(document: Any, file: PolicyFile, edit: Edit) -> Any:
    if document["kind"] != "List":
        return apply_edit(document, edit) if _is_it(document, file) else document
    at = next(number for number, one in enumerate(document["items"]) if _is_it(one, file))
    document["items"][at] = apply_edit(document["items"][at], edit)
    return document


def _is_it(document: Any, file: PolicyFile) -> bool:
    return bool(document["metadata"]["name"] == file.ref.name)


def _usual(offsets: Iterable[int]) -> int:
    counted = Counter(one for one in offsets if one >= 0)
    return counted.most_common(1)[0][0] if counted else 2


if __name__ == "__main__":
    raise SystemExit(main())
