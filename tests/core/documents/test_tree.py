from typing import Any

import pytest

from app.core.documents.limits import EDITING, Limits
from app.core.documents.tree import TreeBuilder, compose, may_alias, scalar_of
from app.core.errors import BadInput


def _load(text: str, limits: Limits = EDITING) -> Any:
    return TreeBuilder(limits).build(compose(text))


def _lines(text: str) -> dict[str, int]:
    lines: dict[str, int] = {}
    TreeBuilder(EDITING, lines=lines).build(compose(text))
    return lines


def test_build_when_quoted_then_text_stays_text() -> None:
    assert _load("a: '8080'\nb: 8080\nc: !!str 8080\n") == {
        "a": "8080",
        "b": 8080,
        "c": "8080",
    }


def test_build_when_keys_are_no_text_then_as_json_has_them() -> None:
    assert _load("1: a\ny: b\n1.5: c\n") == {"1": "a", "true": "b", "1.5": "c"}


def test_build_when_empty_then_none() -> None:
    assert _load("# nothing\n") is None


def test_build_when_anchors_and_merge_keys_then_own_keys_win() -> None:
    text = "p: &p {a: 1, b: 2}\nq: {<<: *p, b: 3}\nr: {<<: [{a: 9}, *p]}\n"
    assert _load(text) == {"p": {"a": 1, "b": 2}, "q": {"a": 1, "b": 3}, "r": {"a": 9, "b": 2}}


def test_lines_when_policy_then_every_path_has_its_line() -> None:
    text = (
        "kind: X\n"
        "spec:\n"
        "  egress:\n"
        "  - toFQDNs: []\n"
        "  # why\n"
        "  - toPorts:\n"
        "      - ports:\n"
        '          - port: "53"\n'
        "            protocol: UDP\n"
    )
    lines = _lines(text)
    assert lines["spec.egress"] == 3
    assert lines["spec.egress[0]"] == 4
    assert lines["spec.egress[1]"] == 6
    assert lines["spec.egress[1].toPorts[0].ports[0].port"] == 8
    assert lines["spec.egress[1].toPorts[0].ports[0].protocol"] == 9


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a: 1\nb: [\n", 3, "not YAML"),
        ("a: 1\nb: 2\na: 3\n", 3, "key `a` stands twice"),
        ("a: 1\nb: !secret x\n", 2, "tag `!secret` is not supported"),
        ("a: 1\nb: !thing {x: 1}\n", 2, "tag `!thing` is not supported"),
        ("a: .inf\n", 1, "`.inf` has no JSON form"),
        ("{a: 1}: 2\n", 1, "a key is not a plain value"),
        ("~: 2\n", 1, "a key is empty"),
        ("a:\n  <<: [1]\n", 2, "a merge key takes mappings only"),
        ("a: 1\nb: *nowhere\n", 2, "undefined alias"),
        ("a: \x07\n", 1, "not YAML"),
    ],
)
def test_build_when_not_acceptable_then_refused_with_line(
    text: str, line: int, message: str
) -> None:
    with pytest.raises(BadInput, match=message.replace("*", r"\*")) as caught:
        _load(text)
    assert caught.value.line == line


def test_compose_when_text_starts_later_in_a_file_then_error_line_counts_from_there() -> None:
    with pytest.raises(BadInput) as caught:
        compose("a: [\n", 41)
    assert caught.value.line == 42


def test_build_when_deeper_than_allowed_then_refused() -> None:
    with pytest.raises(BadInput, match="nested deeper than 50"):
        _load("[" * 60 + "]" * 60)


def test_compose_when_nested_without_end_then_refused_and_no_crash() -> None:
    with pytest.raises(BadInput, match="nesting"):
        compose("[" * 100_000)


def test_build_when_aliases_multiply_then_refused() -> None:
    bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{new}: &{new} [{','.join(['*' + old] * 9)}]\n"
        for old, new in zip("abcdefg", "bcdefgh", strict=True)
    )
    with pytest.raises(BadInput, match="aliases stand for more than 100,000 values"):
        _load(bomb)


def test_build_when_many_aliases_stand_for_little_then_fine() -> None:
    uses = "".join(f"b{number}: *a\n" for number in range(500))
    assert _load(f"a: &a {{x: 1}}\n{uses}")["b499"] == {"x": 1}


def test_compose_when_an_anchor_is_defined_again_then_the_last_one_counts() -> None:
    text = "a: &a 1\nb: *a\nc: &a 2\nd: *a\n"
    assert _load(text) == {"a": 1, "b": 1, "c": 2, "d": 2}


def test_compose_when_too_many_values_then_refused_before_it_costs() -> None:
    with pytest.raises(BadInput, match="more than 10 values"):
        compose("[" + "0," * 20 + "]", limits=Limits(size=100, documents=1, nodes=10))


@pytest.mark.parametrize(
    "text", ["? " + "k" * 2000 + "\n: 1\n", "a:\n  ? " + "k" * 2000 + "\n  : 1\n"]
)
def test_build_when_a_key_is_too_long_then_refused(text: str) -> None:
    with pytest.raises(BadInput, match="longer than 1,024 characters"):
        _load(text)


def test_build_when_one_alias_repeats_a_large_part_then_it_counts_once() -> None:
    big = ", ".join(str(number) for number in range(100))
    assert _load(f"a: &a [{big}]\nb: *a\n")["b"] == list(range(100))


def test_build_when_too_many_values_then_refused() -> None:
    with pytest.raises(BadInput, match="more than 5 values"):
        _load("[1, 2, 3, 4, 5]", Limits(size=100, documents=1, nodes=5))


def test_build_when_alias_points_to_itself_then_refused() -> None:
    with pytest.raises(BadInput, match=r"nested deeper|aliases|recursive"):
        _load("a: &a [*a]\n")


def test_build_when_placeholder_is_filled_then_resolved_as_if_it_stood_there() -> None:
    builder = TreeBuilder(EDITING, fill=lambda text: text.replace("${PORT}", "443"))
    assert builder.build(compose("a: ${PORT}\nb: '${PORT}'\n")) == {"a": 443, "b": "443"}


@pytest.mark.parametrize("text", ["a: *x\n", "[*x, *y]\n", "- *x\n"])
def test_may_alias_when_an_alias_stands_there_then_true(text: str) -> None:
    assert may_alias(text)


@pytest.mark.parametrize("text", ['a: "*"\n', 'a: "*.pypi.org"\n', "a: x*y\n"])
def test_may_alias_when_star_is_quoted_or_inside_then_false(text: str) -> None:
    assert not may_alias(text)


def test_scalar_of_when_absent_or_not_a_scalar_then_empty() -> None:
    node = compose("kind: Pod\nspec: {}\n")
    assert scalar_of(node, "kind") == "Pod"
    assert scalar_of(node, "spec") == ""
    assert scalar_of(node, "none") == ""
    assert scalar_of(compose("[1]"), "kind") == ""
