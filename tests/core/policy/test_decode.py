from collections.abc import Callable

import pytest

from app.core.model.provenance import Source
from app.core.policy.decode import (
    Reader,
    Refused,
    flag,
    items,
    kind_of,
    number,
    text,
    text_map,
    texts,
)
from tests.core.policy.build import cnp, manifest


def _reader() -> Reader:
    source = Source("p.yaml", 1, lines={"spec": 3, "spec.ingress": 5})
    return Reader(manifest(cnp({}), source))


def test_fields_when_unknown_then_are_dropped_with_a_warning_at_their_line() -> None:
    reader = _reader()

    fields = reader.fields({"known": 1, "toPort": 2}, "spec.ingress", ("known",))

    assert fields == {"known": 1}
    (warning,) = reader.warnings
    assert "`toPort`" in warning.text
    assert (warning.file, warning.line) == ("p.yaml", 5)


def test_rule_ref_when_line_is_known_then_says_it() -> None:
    ref = _reader().rule_ref("spec.ingress[0]")

    assert str(ref) == "CiliumNetworkPolicy/a/p: spec.ingress[0] (p.yaml:5)"


@pytest.mark.parametrize(
    "read",
    [
        lambda: _reader().fields([], "x", ()),
        lambda: list(items({}, "x")),
        lambda: text(1, "x"),
        lambda: number("1", "x"),
        lambda: number(True, "x"),  # noqa: FBT003  # the wrong type on purpose
        lambda: flag("true", "x"),
        lambda: text_map([], "x"),
        lambda: text_map({"a": 1}, "x"),
        lambda: texts([1], "x"),
    ],
)
def test_value_when_of_the_wrong_type_then_is_refused_with_its_path(
    read: Callable[[], object],
) -> None:
    with pytest.raises(Refused) as caught:
        read()

    assert str(caught.value).startswith("x")


def test_value_when_missing_then_has_its_default() -> None:
    assert _reader().fields(None, "x", ("a",)) == {}
    assert list(items(None, "x")) == []
    assert text(None, "x", default="d") == "d"
    assert number(None, "x") == 0
    assert flag(None, "x") is None
    assert text_map(None, "x") == {}
    assert flag(False, "x") is False  # noqa: FBT003  # the value under test


WORDS: tuple[object, ...] = (True, 1, "x", [], {}, None)


def test_kind_when_named_then_is_plain_english() -> None:
    named = [kind_of(value) for value in WORDS]

    assert named == ["true or false", "a number", "text", "a list", "an object", "nothing"]
