"""Every edit of every file is guarded, minimal, and can be taken back to the very bytes."""

import json
from random import Random

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.drafts.diff import count_changes, unified_diff
from app.core.drafts.edits import (
    AddKey,
    Append,
    Edit,
    RemoveItem,
    RemoveKey,
    RenameKey,
    Restore,
    apply_edit,
)
from app.core.drafts.inverse import inverse
from app.core.drafts.splice import locate, remove_object, splice
from app.core.errors import DraftRejected
from app.testing.policy_files import PolicyFile, make_edits, make_file
from tests.core.drafts.test_splice import (
    EDITS,
    EGRESS_PATH,
    EMPTY,
    FILE,
    REF,
    RULE,
    SHAPES,
    as_item,
)

MORE: dict[str, Edit] = {
    **EDITS,
    "port": Append((*EGRESS_PATH, 0, "toPorts", 0, "ports"), {"port": "8443", "protocol": "TCP"}),
    "spec key": AddKey(("spec",), "enableDefaultDeny", {"egress": False}),
    "rename": RenameKey((*EGRESS_PATH, 0, "toFQDNs"), "toEntities"),
    "remove ports": RemoveKey((*EGRESS_PATH, 0, "toPorts")),
    "remove egress": RemoveKey(EGRESS_PATH),
}
VALUE = yaml.safe_load(FILE)
JSON = {
    "two": json.dumps(VALUE, indent=2) + "\n",
    "four, crlf, unended": json.dumps(VALUE, indent=4).replace("\n", "\r\n"),
    "tabs": json.dumps(VALUE, indent="\t") + "\n",
    "one line": json.dumps(VALUE),
    "no blanks": json.dumps(VALUE, separators=(",", ":")),
    "list": json.dumps({"apiVersion": "v1", "kind": "List", "items": [VALUE]}, indent=2),
}


@given(st.integers(0, 2**32), st.integers(0, 8))
@settings(max_examples=60, deadline=None)
def test_inverse_when_any_file_and_edit_then_the_bytes_of_before(seed: int, which: int) -> None:
    random = Random(seed)  # noqa: S311  # no secret
    file = make_file(random)
    edit = [edit for _, edit in make_edits(random, file.value)][which]
    try:
        edited = splice(file.text, file.ref, [edit])
    except DraftRejected:
        return
    assert _others(edited, file) == _others(file.text, file)
    assert locate(edited, file.ref)[1] == apply_edit(file.value, edit)
    back = inverse(file.text, file.ref, [edit])
    assert splice(edited, file.ref, back) == file.text


def _others(text: str, file: PolicyFile) -> list[object]:
    """What else the file says, as another reader of YAML has it."""
    documents = yaml.load_all(text.removeprefix("\ufeff"), Loader=yaml.CSafeLoader)
    objects = [item for one in documents for item in one.get("items", [one])]
    return [one for one in objects if one["metadata"]["name"] != file.ref.name]


@pytest.mark.parametrize("edit", MORE.values(), ids=MORE)
@pytest.mark.parametrize("shape", [*SHAPES, *EMPTY])
def test_inverse_when_a_shape_that_broke_editors_then_the_bytes_of_before(
    shape: str, edit: Edit
) -> None:
    text = {**SHAPES, **EMPTY}[shape]
    try:
        edited = splice(text, REF, [edit])
    except DraftRejected:
        return
    assert splice(edited, REF, inverse(text, REF, [edit])) == text


@pytest.mark.parametrize("name", ["rule", "name", "port", "key", "spec key", "scalar", "rename"])
def test_inverse_when_nothing_was_empty_then_an_edit_that_holds_wherever_it_stands(
    name: str,
) -> None:
    for shape in SHAPES.values():
        try:
            (back,) = inverse(shape, REF, [MORE[name]])
        except DraftRejected:
            continue
        assert not isinstance(back, Restore)


def test_inverse_when_several_edits_then_in_turn() -> None:
    edits = [MORE["rule"], RemoveItem((*EGRESS_PATH, 0)), MORE["spec key"]]
    edited = splice(FILE, REF, edits)
    assert splice(edited, REF, inverse(FILE, REF, edits)) == FILE


def test_restore_when_the_text_has_changed_then_refused() -> None:
    edit = RemoveItem((*EGRESS_PATH, 0, "toFQDNs", 0))
    text = SHAPES["comments"]
    back = inverse(text, REF, [edit])
    edited = splice(text, REF, [edit])
    assert isinstance(back[0], Restore)
    with pytest.raises(DraftRejected, match=r"cannot be put back|would not"):
        splice(edited.replace("pypi", "pipy").replace("egress:", "egress :"), REF, back)


@pytest.mark.parametrize("shape", JSON)
@pytest.mark.parametrize("edit", MORE.values(), ids=MORE)
def test_splice_when_json_then_json_and_back(shape: str, edit: Edit) -> None:
    edited = splice(JSON[shape], REF, [edit])
    read = json.loads(edited)
    assert read.get("items", [read])[0] == apply_edit(VALUE, edit)
    assert splice(edited, REF, inverse(JSON[shape], REF, [edit])) == JSON[shape]


def test_splice_when_json_has_lines_then_new_ones_are_written_as_its_own() -> None:
    edited = splice(JSON["two"], REF, [MORE["port"]])
    diff = unified_diff("f", JSON["two"], edited)
    assert count_changes(diff) == (4, 0)
    assert '+              {\n+                "port": "8443",\n' in diff


def test_remove_object_when_it_is_alone_then_nothing_is_left() -> None:
    assert remove_object(FILE, REF) is None
    assert remove_object("\ufeff# head\n" + FILE, REF) is None


def test_remove_object_when_there_are_others_then_those_as_they_were() -> None:
    text = SHAPES["many documents"]
    left = remove_object(text, REF)
    assert left == text[: text.index("---\n# mine")] + text[text.index("---\n# next") :]
    items = SHAPES["item of a List"]
    assert remove_object(items, REF) == items.replace(as_item(FILE), "")
    alone = f"{items.partition('items:')[0]}items:\n{as_item(FILE)}"
    assert remove_object(alone, REF) is None
    assert remove_object(f"{alone}---\na: 1\n", REF) == "---\na: 1\n"


def test_remove_rule_when_only_one_then_an_empty_list_that_still_denies() -> None:
    edited = splice(FILE, REF, [RemoveItem((*EGRESS_PATH, 0))])
    assert "  egress: []\n" in edited
    assert splice(edited, REF, [Append(EGRESS_PATH, RULE)]).startswith(FILE[: FILE.index("egress")])
