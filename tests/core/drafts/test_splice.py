"""Every shape of file that has broken a YAML editor, against every kind of edit."""

import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from app.core.documents.limits import EDITING
from app.core.documents.split import split_documents
from app.core.documents.tree import TreeBuilder, compose
from app.core.drafts.diff import count_changes, unified_diff
from app.core.drafts.edits import (
    AddKey,
    Append,
    Edit,
    MergeItem,
    RemoveItem,
    RenameKey,
    SetScalar,
    apply_edit,
)
from app.core.drafts.splice import splice
from app.core.errors import DraftRejected
from app.core.model.provenance import ObjectRef

REF = ObjectRef("CiliumNetworkPolicy", "lung", "web")
HEAD = (
    "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\n"
    "metadata:\n  name: web\n  namespace: lung\nspec:\n"
)
SUBJECT = "  endpointSelector: {}\n"
EGRESS = """\
  egress:
    - toFQDNs:
        - matchName: pypi.org
      toPorts:
        - ports:
            - port: "443"
              protocol: TCP
"""
INDENTLESS = """\
  egress:
  - toFQDNs:
    - matchName: pypi.org
    toPorts:
    - ports:
      - port: '443'
        protocol: TCP
"""
FILE = HEAD + SUBJECT + EGRESS


def as_item(text: str) -> str:
    """Write a document as an item of a `List`."""
    return f"- {text.rstrip()}".replace("\n", "\n  ") + "\n"


SHAPES = {
    "indented": FILE,
    "indentless": HEAD + SUBJECT + INDENTLESS,
    "crlf": FILE.replace("\n", "\r\n"),
    "byte order mark": "\ufeff" + FILE,
    "no final newline": FILE[:-1],
    "crlf without the final one": FILE.replace("\n", "\r\n")[:-2],
    "flow list": HEAD + SUBJECT + "  egress: [{toFQDNs: [{matchName: pypi.org}]}]\n",
    "flow list on lines": HEAD
    + SUBJECT
    + "  egress: [\n    {toFQDNs: [{matchName: pypi.org}]},\n    {toEntities: [host]}  # x\n  ]\n",
    "flow list with a last comma": HEAD
    + SUBJECT
    + "  egress: [\n    {toFQDNs: [{matchName: pypi.org},]},\n  ]\n",
    "flow document": (
        "{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy,"
        " metadata: {name: web, namespace: lung},"
        " spec: {endpointSelector: {}, egress: [{toFQDNs: [{matchName: pypi.org}]}]}}\n"
    ),
    "anchored item": HEAD
    + SUBJECT
    + "  egress:\n    - &r\n      toFQDNs:\n        - matchName: pypi.org\n",
    "anchored list": HEAD
    + SUBJECT
    + "  egress: &all # c\n    - toFQDNs:\n        - matchName: pypi.org\n",
    "alias elsewhere": HEAD
    + "  ingress:\n    - &i {fromEntities: [cluster]}\n    - *i\n"
    + SUBJECT
    + EGRESS,
    "end marker": FILE + "...\n",
    "many documents": (
        "# head\n---\n"
        + HEAD.replace("web", "one")
        + SUBJECT
        + "---\n# mine\n"
        + FILE
        + "# end of mine\n\n---\n# next\n"
        + HEAD.replace("web", "two")
        + SUBJECT
    ),
    "block scalar last": FILE + "    - toFQDNs:\n        - matchName: |\n            a.org\n\n",
    "folded scalar after": FILE + "  description: >-\n    some\n    text\n\n# tail\n",
    "kept blank lines last": FILE + "    - toFQDNs:\n        - matchName: |+\n            a\n\n\n",
    "dash on its own line": HEAD
    + SUBJECT
    + "  egress:\n    -\n      toFQDNs:\n        -\n          matchName: pypi.org\n",
    "wide dash": HEAD
    + SUBJECT
    + "  egress:\n    -   toFQDNs:\n          -   matchName: pypi.org\n",
    "placeholder": FILE.replace("pypi.org", '"**.${DOMAIN}"'),
    "comments": HEAD
    + SUBJECT
    + "  egress:\n    # first\n    - toFQDNs:  # names\n        # a\n"
    + "        - matchName: pypi.org # why\n        # - matchName: old.org\n"
    + "    # tail of egress\n  # tail of spec\n# tail\n",
    "blank tail": FILE + "\n   \n\n",
    "yaml 1.1 words": HEAD + "  no: 010\n  on: yes\n" + SUBJECT + EGRESS,
    "tags": HEAD + SUBJECT + "  egress: !!seq\n  - toFQDNs:\n    - matchName: !!str pypi.org\n",
    "line separator in a string": HEAD + '  description: "a\u2028b"\n' + SUBJECT + EGRESS,
    "empty last item": HEAD + SUBJECT + EGRESS + "    -\n",
    "comment after the end": FILE + "# one\n# two",
    "item of a List": "apiVersion: v1\nkind: List\nitems:\n"
    + as_item(FILE.replace("web", "one"))
    + as_item(FILE)
    + as_item(HEAD.replace("web", "two") + SUBJECT),
}
EMPTY = {
    "empty list": HEAD + "  egress: []  # nothing yet\n" + SUBJECT,
    "null": HEAD + "  egress:\n" + SUBJECT,
    "tilde": HEAD + "  egress: ~\n" + SUBJECT,
    "null and comments": HEAD + "  egress: # later\n    # really\n" + SUBJECT,
    "absent": HEAD + SUBJECT,
    "absent, no final newline": (HEAD + SUBJECT)[:-1],
    "empty in flow": HEAD[:-6] + "spec: {endpointSelector: {}, egress: []}\n",
    "absent in flow": HEAD[:-6] + "spec: {endpointSelector: {}}\n",
    "empty spec": HEAD[:-6] + "spec: {}\n",
    "null spec": HEAD[:-6] + "spec:\n",
}
RULE = {
    "toEndpoints": [{"matchLabels": {"app": "hub", "k8s:io.kubernetes.pod.namespace": "hub"}}],
    "toPorts": [{"ports": [{"port": "8081", "protocol": "TCP"}]}],
}
EGRESS_PATH = ("spec", "egress")
EDITS: dict[str, Edit] = {
    "rule": Append(EGRESS_PATH, RULE),
    "name": Append((*EGRESS_PATH, 0, "toFQDNs"), {"matchName": "files.pythonhosted.org"}),
    "scalar": SetScalar((*EGRESS_PATH, 0, "toFQDNs", 0, "matchName"), "cran.r-project.org"),
    "remove rule": RemoveItem((*EGRESS_PATH, 0)),
    "remove name": RemoveItem((*EGRESS_PATH, 0, "toFQDNs", 0)),
    "key": AddKey((*EGRESS_PATH, 0), "icmps", [{"fields": [{"type": 8}]}]),
}
WITHIN_LINES = ("flow list", "flow list on lines", "flow list with a last comma", "flow document")
UNENDED = ("no final newline", "crlf without the final one")
LINE_SHAPES = [name for name in SHAPES if name not in WITHIN_LINES + UNENDED]


def _value_of(text: str) -> object:
    for chunk in split_documents(text.removeprefix("\ufeff")):
        value = TreeBuilder(EDITING).build(compose(chunk.text))
        for item in value.get("items", [value]):
            if item["metadata"]["name"] == "web":
                return item
    raise AssertionError(text)


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
@pytest.mark.parametrize("shape", SHAPES)
def test_splice_when_any_shape_then_the_value_is_the_wanted_one(shape: str, edit: Edit) -> None:
    text = SHAPES[shape]
    if shape in ("anchored list", "tags") and edit is EDITS["remove rule"]:
        with pytest.raises(DraftRejected, match="the only item of its list"):
            splice(text, REF, [edit])
        return
    assert _value_of(splice(text, REF, [edit])) == apply_edit(_value_of(text), edit)


@pytest.mark.parametrize("edit", ["rule", "name", "key"])
@pytest.mark.parametrize("shape", LINE_SHAPES)
def test_splice_when_adding_then_no_line_is_removed(shape: str, edit: str) -> None:
    text = SHAPES[shape]
    added, removed = count_changes(unified_diff("f", text, splice(text, REF, [EDITS[edit]])))
    assert added
    assert not removed


@pytest.mark.parametrize("shape", SHAPES)
def test_splice_when_setting_a_scalar_then_one_line_changes(shape: str) -> None:
    text = SHAPES[shape]
    diff = unified_diff("f", text, splice(text, REF, [EDITS["scalar"]]))
    assert count_changes(diff) == (1, 1)


@pytest.mark.parametrize("shape", UNENDED)
def test_splice_when_no_final_newline_then_it_stays_so(shape: str) -> None:
    edited = splice(SHAPES[shape], REF, [EDITS["rule"]])
    assert edited.startswith(SHAPES[shape])
    assert not edited.endswith("\n")


@pytest.mark.parametrize("shape", ["crlf", "crlf without the final one"])
def test_splice_when_crlf_then_every_new_line_has_it(shape: str) -> None:
    edited = splice(SHAPES[shape], REF, [EDITS["rule"], EDITS["name"], EDITS["key"]])
    assert "\n" not in edited.replace("\r\n", "")


@pytest.mark.parametrize("text", EMPTY.values(), ids=EMPTY)
def test_splice_when_the_list_is_empty_or_absent_then_made(text: str) -> None:
    absent = "egress" not in text
    edit: Edit = AddKey(("spec",), "egress", [RULE]) if absent else Append(EGRESS_PATH, RULE)
    value = _value_of(splice(text, REF, [edit]))
    assert isinstance(value, dict)
    assert value["spec"]["egress"] == [RULE]


def test_splice_when_rule_is_appended_then_in_the_files_own_style() -> None:
    edited = splice(SHAPES["indentless"], REF, [EDITS["rule"]])
    assert edited == SHAPES["indentless"] + (
        "  - toEndpoints:\n"
        "    - matchLabels:\n"
        "        app: hub\n"
        "        k8s:io.kubernetes.pod.namespace: hub\n"
        "    toPorts:\n"
        "    - ports:\n"
        "      - port: '8081'\n"
        "        protocol: TCP\n"
    )


def test_splice_when_dashes_are_wide_then_the_new_one_is_too() -> None:
    edited = splice(SHAPES["wide dash"], REF, [EDITS["name"]])
    assert edited == SHAPES["wide dash"] + "          -   matchName: files.pythonhosted.org\n"


def test_splice_when_siblings_are_quoted_then_the_new_value_is_too() -> None:
    text = FILE.replace("pypi.org", '"pypi.org"')
    assert '        - matchName: "files.pythonhosted.org"\n' in splice(text, REF, [EDITS["name"]])


def test_splice_when_comments_follow_the_last_item_then_the_new_one_stands_before_them() -> None:
    edited = splice(SHAPES["comments"], REF, [EDITS["name"]])
    why = "        - matchName: pypi.org # why\n"
    new = "        - matchName: files.pythonhosted.org\n"
    assert why + new + "        # - matchName: old.org\n" in edited


def test_splice_when_a_rule_goes_then_the_comment_right_above_goes_too() -> None:
    text = FILE.replace("    - toFQDNs", "    # the package index\n    - toFQDNs")
    text += "    # the hub\n    - toEntities:\n        - host\n"
    assert splice(text, REF, [RemoveItem((*EGRESS_PATH, 1))]) == text[: text.index("    # the hub")]


def test_splice_when_the_last_item_goes_then_an_empty_list_stays() -> None:
    assert splice(FILE, REF, [EDITS["remove rule"]]) == HEAD + SUBJECT + "  egress: []\n"


def test_splice_when_empty_list_is_filled_then_its_comment_stays() -> None:
    edited = splice(EMPTY["empty list"], REF, [Append(EGRESS_PATH, {"toEntities": ["host"]})])
    assert "  egress:  # nothing yet\n    - toEntities:\n        - host\n" in edited


def test_splice_when_several_edits_then_all_are_done() -> None:
    edits = [
        EDITS["name"],
        EDITS["rule"],
        SetScalar(("spec", "egress", 1, "toPorts", 0, "ports", 0, "port"), "80"),
    ]
    value = _value_of(splice(FILE, REF, edits))
    assert isinstance(value, dict)
    assert [len(rule) for rule in value["spec"]["egress"]] == [2, 2]
    assert value["spec"]["egress"][1]["toPorts"][0]["ports"][0]["port"] == "80"


def test_splice_when_a_set_scalar_was_null_then_a_blank_is_written() -> None:
    text = FILE.replace("name: web\n", "name: web\n  labels:\n    a:\n")
    edited = splice(text, REF, [SetScalar(("metadata", "labels", "a"), "b c")])
    assert '    a: "b c"\n' in edited


def test_splice_when_the_object_was_renamed_by_an_overlay_then_found_by_its_line() -> None:
    text = SHAPES["many documents"]
    renamed = ObjectRef("CiliumNetworkPolicy", "heart", "dev-web")
    line = text.splitlines().index("# mine") + 3
    edited = splice(text, renamed, [EDITS["name"]], line=line)
    assert edited == splice(text, REF, [EDITS["name"]])


def test_splice_when_two_documents_carry_the_name_then_the_line_decides() -> None:
    text = f"{FILE}---\n{FILE}"
    with pytest.raises(DraftRejected, match="stands 2 times"):
        splice(text, REF, [EDITS["name"]])
    edited = splice(text, REF, [EDITS["name"]], line=20)
    assert edited.startswith(FILE)
    assert "files.pythonhosted.org" in edited[len(FILE) :]


def test_splice_when_a_list_holds_the_name_twice_then_the_line_decides() -> None:
    text = "kind: List\nitems:\n" + as_item(FILE) + as_item(FILE)
    with pytest.raises(DraftRejected, match="stands 2 times"):
        splice(text, REF, [EDITS["name"]])
    first = splice(text, REF, [EDITS["name"]], line=3)
    second = splice(text, REF, [EDITS["name"]], line=text.count("\n"))
    assert first.endswith(as_item(FILE))
    assert second.startswith("kind: List\nitems:\n" + as_item(FILE))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (FILE + "# {{ x }}\n", "is a template"),
        (FILE.replace("  endpoint", "\tendpoint"), "indented with tabs"),
        (FILE + "#" * (512 << 10), "larger than 512 KiB"),
        (FILE.replace("web", "other"), "is not in the file"),
        (HEAD.replace("spec:\n", "spec: &s\n") + SUBJECT + EGRESS + "x: *s\n", "not mean what"),
        (HEAD + "  x: &e\n    - toFQDNs: [{matchName: a}]\n  egress: *e\n", "is an alias"),
        (HEAD + "  egress: text\n", "neither a list nor empty"),
        ("a: 1\n---\n" * 201 + FILE, "more than 200 documents"),
    ],
)
def test_splice_when_not_safe_then_refused(text: str, message: str) -> None:
    with pytest.raises(DraftRejected, match=message):
        splice(text, REF, [EDITS["rule"]])


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (RemoveItem(("spec", "egress")), "not an item of a list"),
        (RemoveItem(("spec", "egress", 7)), "not written"),
        (SetScalar(("spec", "egress"), "x"), "not a scalar"),
        (SetScalar(("spec", "gone"), "x"), "not written"),
        (AddKey(("spec",), "egress", []), "cannot be added"),
        (AddKey(("spec", "egress"), "x", []), "neither a list nor empty"),
        (Append(("spec", "egress", 0), {}), "neither a list nor empty"),
    ],
)
def test_splice_when_the_place_does_not_fit_then_refused(edit: Edit, message: str) -> None:
    with pytest.raises(DraftRejected, match=message):
        splice(FILE, REF, [edit])


_scalars = st.one_of(
    st.text(max_size=8), st.booleans(), st.none(), st.integers(-(10**6), 10**6), st.just("yes")
)
_trees = st.recursive(
    _scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    rules=st.lists(_trees, min_size=1, max_size=3),
    item=_trees,
    indent=st.integers(2, 5),
    flow=st.sampled_from([None, False, True]),
)
def test_splice_when_any_yaml_and_any_item_then_guarded_result_or_refusal(
    *, rules: list[object], item: object, indent: int, flow: bool | None
) -> None:
    body = {
        "kind": "CiliumNetworkPolicy",
        "metadata": {"name": "web", "namespace": "lung"},
        "spec": {"egress": rules, "z": 1},
    }
    text = yaml.safe_dump(body, indent=indent, default_flow_style=flow, allow_unicode=True)
    edit = Append(EGRESS_PATH, item)
    try:
        edited = splice(text, REF, [edit])
    except DraftRejected:
        assert "{{" in text or re.search(r"^ *\t", text, re.MULTILINE)
        return
    assert _value_of(edited) == apply_edit(_value_of(text), edit)
    assert count_changes(unified_diff("f", text, edited))[1] <= 1


def test_splice_when_an_item_joins_the_one_before_then_only_its_dash_goes() -> None:
    text = HEAD + "  egress:\n    - toFQDNs: []\n    # ports\n    - toPorts: []  # none\n"
    edited = splice(text, REF, [MergeItem(("spec", "egress", 1))])
    assert edited == text.replace("    - toPorts", "      toPorts")


@pytest.mark.parametrize(
    "text",
    [
        HEAD[:-6] + "spec: {egress: [{toFQDNs: []}, {toPorts: []}]}\n",
        HEAD + SUBJECT + "  egress:\n  - toPorts: [{}]\n  - toPorts: []\n",
        HEAD + SUBJECT + "  egress:\n  -   toFQDNs: []\n  - toPorts: []\n",
        HEAD + SUBJECT + "  egress:\n  - toPorts: []\n",
    ],
)
def test_splice_when_two_items_cannot_be_joined_then_refused(text: str) -> None:
    with pytest.raises(DraftRejected):
        splice(text, REF, [MergeItem(("spec", "egress", 1))])


@pytest.mark.parametrize("quote", ["", "'", '"'])
def test_splice_when_a_key_is_renamed_then_quotes_and_value_stay(quote: str) -> None:
    text = HEAD + f"  endpointSelector:\n    matchLabels:\n      {quote}a.b/c{quote}: x  # why\n"
    path = ("spec", "endpointSelector", "matchLabels", "a.b/c")
    edited = splice(text, REF, [RenameKey(path, "k8s:d.e")])
    assert edited == text.replace("a.b/c", "k8s:d.e")
    with pytest.raises(DraftRejected):
        splice(text.replace("x  #", "x\n      k8s:d.e: y  #"), REF, [RenameKey(path, "k8s:d.e")])
