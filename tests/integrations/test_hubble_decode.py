from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.message import DecodeError

from app.core.flows.codec import Decoder
from app.core.model.flow import Flow, LostEvents, NodeStatus
from app.core.text import is_clean
from integrations.hubble.decode import ResponseDecoder
from integrations.hubble.protocol import message_class
from tests.core.flows.lines import EVERY_FIELD, SOURCE, envelope, flow

EMPTY_MESSAGES = "emitter"
"""Agents never send it empty; only the JSON reader keeps that apart from absent."""


def to_wire(event: dict[str, Any]) -> bytes:
    message = message_class("observer.GetFlowsResponse")()
    data: bytes = json_format.ParseDict(event, message).SerializeToString()
    return data


def decode(body: dict[str, Any]) -> Flow:
    item = ResponseDecoder().decode(to_wire(envelope(body)))
    assert isinstance(item, Flow)
    return item


@pytest.mark.parametrize(
    "body", [body for body in EVERY_FIELD if body.get(EMPTY_MESSAGES) != {} and "time" in body]
)
def test_decode_when_bytes_and_json_say_the_same_then_flows_are_equal(body: dict[str, Any]) -> None:
    body = {name: value for name, value in body.items() if name != "extensions"}
    assert decode(body) == Decoder().decode_line(json.dumps(envelope(body)))


def test_decode_when_content_repeats_then_objects_are_shared() -> None:
    decoder = ResponseDecoder()
    first, second = (decoder.decode(to_wire(envelope(flow(uuid=text)))) for text in "ab")
    assert isinstance(first, Flow)
    assert isinstance(second, Flow)
    assert first.source is second.source
    assert first.detail is second.detail


def test_decode_when_numbers_are_unknown_then_they_are_kept_and_counted() -> None:
    decoder = ResponseDecoder()
    body = flow(verdict=99, drop_reason_desc=206, trace_observation_point=55)
    item = decoder.decode(to_wire(envelope(body)))
    assert isinstance(item, Flow)
    assert (item.verdict, item.drop_reason, item.trace_point) == ("99", "206", "55")
    assert decoder.unknown == {
        "verdict=99": 1,
        "drop_reason_desc=206": 1,
        "trace_observation_point=55": 1,
    }


def varint(number: int, value: int) -> bytes:
    """Field `number` (16 to 2047) holding a small `value`."""
    key = number << 3
    return bytes([key & 0x7F | 0x80, key >> 7, value])


def test_decode_when_fields_are_unknown_then_each_is_counted_per_flow() -> None:
    endpoint = message_class("flow.Endpoint")(pod_name="p").SerializeToString() + varint(77, 1)
    body = message_class("flow.Flow")(uuid="u").SerializeToString() + varint(900, 1)
    body += bytes([8 << 3 | 2, len(endpoint)]) + endpoint
    policy = message_class("flow.Policy")(name="q").SerializeToString() + varint(88, 1)
    body += bytes([0xCA, 0xA0, 0x0A, len(policy)]) + policy  # field 21001
    response = bytes([1 << 3 | 2, len(body)]) + body
    decoder = ResponseDecoder()
    for _ in range(2):
        item = decoder.decode(response)
        assert isinstance(item, Flow)
        assert item.source.pod == "p"
    assert decoder.unknown == {
        "flow.field 900": 2,
        "flow.Endpoint.field 77": 2,
        "flow.Policy.field 88": 2,
    }


def test_decode_when_events_were_lost_then_they_are_counted() -> None:
    event = {
        "lost_events": {"source": "HUBBLE_RING_BUFFER", "num_events_lost": "137", "cpu": 0},
        "node_name": "n",
        "time": "2026-03-02T10:15:13Z",
    }
    item = ResponseDecoder().decode(to_wire(event))
    assert item == Decoder().decode_line(json.dumps(event))
    assert isinstance(item, LostEvents)


def test_decode_when_relay_speaks_of_nodes_then_it_is_read() -> None:
    event = {
        "node_status": {"state_change": "NODE_ERROR", "node_names": ["a"], "message": "m"},
        "node_name": "relay",
        "time": "2026-03-02T10:15:13Z",
    }
    item = ResponseDecoder().decode(to_wire(event))
    assert item == Decoder().decode_line(json.dumps(event))
    assert isinstance(item, NodeStatus)


def test_decode_when_the_answer_is_of_a_kind_not_known_then_there_is_nothing() -> None:
    assert ResponseDecoder().decode(b"") is None


def test_decode_when_bytes_are_no_answer_then_it_says_so() -> None:
    with pytest.raises(DecodeError):
        ResponseDecoder().decode(b"\xff")


def test_decode_when_text_is_hostile_then_nothing_dangerous_is_left() -> None:
    nasty = "a\x1b[31m\u202eb\n[/red]"
    item = decode(
        flow(
            Summary=nasty,
            uuid=nasty,
            source={**SOURCE, "pod_name": nasty, "labels": [nasty]},
            destination_names=[nasty],
            l7={"type": "REQUEST", "http": {"url": nasty}},
        )
    )
    assert item.l7 is not None
    assert item.l7.http is not None
    texts = (item.summary, item.uuid, item.source.pod, item.l7.http.url, *item.destination_names)
    assert all(map(is_clean, texts))
