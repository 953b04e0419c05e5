from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
import pytest

from app.core.flows.parts import KEEP_DISTINCT, Addresses, Fields, Texts, camel
from app.core.flows.pieces import EMPTY_ENDPOINT, LAST_PORT, Pieces, Ports, Shared
from app.core.model.flow import NO_ENDPOINT


def pieces() -> Pieces:
    return Pieces(lambda _name, raw: msgspec.json.decode(raw), empty_message=b"{}")


def test_texts_when_more_come_than_are_kept_then_they_start_afresh() -> None:
    texts = Texts()
    for number in range(KEEP_DISTINCT + 1):
        assert texts[str(number)] == str(number)
    assert len(texts) == 1


def test_ports_when_asked_again_then_it_is_the_same_object() -> None:
    ports = Ports()
    assert ports[int("40000")] is ports[int("40000")]


def test_ports_when_a_number_is_none_then_it_is_given_and_not_kept() -> None:
    ports = Ports()
    assert ports[LAST_PORT + 1] == LAST_PORT + 1
    assert not ports


def test_shared_when_full_then_what_was_always_known_stays() -> None:
    built: list[bytes] = []

    def build(raw: bytes) -> str:
        built.append(raw)
        return raw.decode()

    shared = Shared(build, {b"": "nothing"})
    for number in range(KEEP_DISTINCT):
        shared[b"%d" % number]
    assert shared[b""] == "nothing"
    assert len(shared) == 2
    assert len(built) == KEEP_DISTINCT


def test_endpoints_when_empty_or_absent_then_they_are_told_apart() -> None:
    endpoints = pieces().endpoints
    assert endpoints[b""] is NO_ENDPOINT
    assert endpoints[b"{}"] is EMPTY_ENDPOINT


def test_details_when_more_come_than_are_kept_then_they_start_afresh() -> None:
    known = pieces()
    options: dict[str, Any] = {"addresses": Addresses(), "set_empty": ()}
    first = known.detail(0, lambda: {"Type": "L7"}, l4_code=0, **options)
    assert known.detail(0, dict, l4_code=0, **options) is first
    for key in range(KEEP_DISTINCT + 1):
        known.detail(key, dict, l4_code=0, **options)
    assert known.detail(0, dict, l4_code=0, **options).kind == ""


def test_flaws_when_too_many_pieces_have_some_then_old_ones_are_forgotten() -> None:
    known = pieces()
    for number in range(KEEP_DISTINCT + 1):
        known.endpoints[b'{"shoe":%d}' % number]
    assert len(known.flawed) == 1
    known.count_flaws([b'{"shoe":%d}' % KEEP_DISTINCT, b"none"])
    assert known.unknown == {"flow.Endpoint.shoe": 1}


@pytest.mark.parametrize(
    ("name", "wanted"),
    [("pod_name", "podName"), ("IP", "IP"), ("drop_reason_desc", "dropReasonDesc")],
)
def test_camel_when_given_a_proto_name_then_it_is_what_other_printers_write(
    name: str, wanted: str
) -> None:
    assert camel(name) == wanted


@pytest.mark.parametrize("value", ["text", 3, ["a"]])
def test_fields_when_it_is_no_message_then_it_says_so(value: Any) -> None:
    with pytest.raises(TypeError):
        Fields(value, Texts(), Counter(), "flow")


@pytest.mark.parametrize(("take", "value"), [("text", 3), ("number", {}), ("number", "x")])
def test_fields_when_a_value_has_another_type_then_it_says_so(take: str, value: Any) -> None:
    fields = Fields({"a": value}, Texts(), Counter(), "flow")
    with pytest.raises((TypeError, ValueError)):
        getattr(fields, take)("a")


def test_fields_when_an_enum_is_no_name_or_number_then_it_says_so() -> None:
    fields = Fields({"a": [1]}, Texts(), Counter(), "flow")
    with pytest.raises(TypeError):
        fields.enum("a", {0: "ZERO"})
