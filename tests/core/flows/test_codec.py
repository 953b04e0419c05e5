from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.flows.codec import Decoder
from app.core.flows.encode import encode, encode_line
from app.core.model.flow import Flow, LostEvents, NodeStatus
from app.core.text import is_clean
from tests.core.flows.lines import EVERY_FIELD, envelope, flow, line


def decode(text: bytes | str) -> Flow:
    item = Decoder().decode_line(text)
    assert isinstance(item, Flow)
    return item


@pytest.mark.parametrize("body", EVERY_FIELD)
def test_encode_when_any_field_is_set_then_it_comes_back(body: dict[str, Any]) -> None:
    event = envelope(body)
    decoder = Decoder()
    item = decoder.decode_line(json.dumps(event))
    assert item is not None
    written = json.loads(encode_line(item))
    assert written["flow"] == {**body, "time": event["time"]} | (
        {"node_name": body["node_name"]} if "node_name" in body else {}
    )
    assert not decoder.unknown


def test_decode_when_read_then_every_view_field_is_there() -> None:
    item = decode(line())
    assert (item.source.namespace, item.source.pod) == ("prj-a", "workspace-alice-0")
    assert (item.source.workload_kind, item.source.workload) == ("StatefulSet", "workspace-alice")
    assert (item.protocol, item.source_port, item.destination_port) == ("TCP", 40122, 3000)
    assert (item.verdict, item.drop_reason, item.direction) == (
        "DROPPED",
        "POLICY_DENIED",
        "EGRESS",
    )
    assert item.time_ns == 1772446502000184220
    assert item.tcp_flags == "SYN"
    assert (item.event, item.sub_event, item.node) == (1, 133, "tre/worker-2")
    assert item.detail.file == ("bpf_lxc.c", 1382)


def test_decode_when_content_repeats_then_objects_are_shared() -> None:
    decoder = Decoder()
    first, second = (decoder.decode_line(line(uuid=str(i))) for i in range(2))
    assert isinstance(first, Flow)
    assert isinstance(second, Flow)
    assert first.source is second.source
    assert first.detail is second.detail
    assert first.source_port is second.source_port


CAMEL = {
    "flow": {
        "time": "2026-03-02T10:15:02.5+01:00",
        "verdict": "DROPPED",
        "dropReasonDesc": "POLICY_DENIED",
        "source": {"podName": "a", "namespace": "n", "clusterName": "c"},
        "l4": {"TCP": {"sourcePort": 1, "destinationPort": 443}},
        "eventType": {"type": 5, "subType": 0},
        "trafficDirection": "INGRESS",
        "isReply": None,
        "nodeName": "w",
    },
    "nodeName": "w",
    "time": "2026-03-02T09:15:02.5Z",
}


def test_decode_when_keys_are_camel_case_then_they_are_known() -> None:
    decoder = Decoder()
    item = decoder.decode_line(json.dumps(CAMEL))
    assert isinstance(item, Flow)
    assert (item.source.pod, item.source.cluster) == ("a", "c")
    assert (item.destination_port, item.event, item.direction) == (443, 5, "INGRESS")
    assert item.time_ns == 1772442902500000000
    assert item.node == "w"
    assert not decoder.unknown


BARE = json.dumps(flow())


@pytest.mark.parametrize(
    "text",
    [
        BARE,
        BARE + "\r\n",
        "\ufeff" + BARE,
        "2026-09-15T16:20:01.123456789Z stdout F " + BARE,
        json.dumps({"log": BARE + "\n", "stream": "stdout"}),
        json.dumps({"message": line().decode(), "host": "h"}),
        json.dumps({"log": json.dumps({"message": BARE})}),
        json.dumps({"log": "2026-09-15T16:20:01Z stdout F " + BARE}),
        json.dumps({"message": flow()}),
        json.dumps({"flow": flow(), "node_name": "tre/worker-2", "time": flow()["time"]}),
    ],
    ids=lambda text: text[:24],
)
def test_decode_when_a_shipper_wrapped_it_then_the_flow_is_read(text: str) -> None:
    assert decode(text) == decode(line())


def test_decode_when_fields_are_unknown_then_each_is_counted_and_the_rest_read() -> None:
    decoder = Decoder()
    body = envelope(flow(new_field=1, source={"pod_name": "p", "shoe_size": 43}, l4={"QUIC": {}}))
    body["later"] = True
    for _ in range(3):
        item = decoder.decode_line(json.dumps(body))
        assert isinstance(item, Flow)
        assert item.source.pod == "p"
    assert decoder.unknown == {
        "later": 3,
        "flow.new_field": 3,
        "flow.l4.QUIC": 3,
        "flow.Endpoint.shoe_size": 3,
    }


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("verdict", "PONDERED", "PONDERED"),
        ("verdict", 99, "99"),
        ("drop_reason_desc", 206, "206"),
        ("traffic_direction", "SIDEWAYS", "SIDEWAYS"),
        ("trace_observation_point", 55, "55"),
    ],
)
def test_decode_when_an_enum_value_is_unknown_then_it_is_kept_and_counted(
    field: str, value: str | int, text: str
) -> None:
    decoder = Decoder()
    item = decoder.decode_line(line(**{field: value}))
    assert isinstance(item, Flow)
    assert decoder.unknown == {f"{field}={text}": 1}
    assert encode(item)["flow"][field] == value


def test_decode_when_an_enum_is_a_known_number_then_it_gets_its_name() -> None:
    item = decode(line(verdict=2, drop_reason_desc=181, trace_observation_point=101))
    assert (item.verdict, item.drop_reason, item.trace_point) == (
        "DROPPED",
        "POLICY_DENY",
        "TO_ENDPOINT",
    )


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"drop_reason": 151, "drop_reason_desc": None}, "STALE_OR_UNROUTABLE_IP"),
        ({"drop_reason": None, "drop_reason_desc": None}, "POLICY_DENIED"),
        ({"drop_reason": 251, "drop_reason_desc": None}, "251"),
        ({"drop_reason": None, "event_type": {"type": 5, "sub_type": 133},
          "drop_reason_desc": None}, ""),
        ({"drop_reason": 151}, "POLICY_DENIED"),
        ({"drop_reason": None, "event_type": None, "drop_reason_desc": None}, ""),
    ],
)  # fmt: skip
def test_decode_when_a_drop_has_a_number_only_then_it_has_a_reason_and_comes_back_as_it_was(
    fields: dict[str, Any], reason: str
) -> None:
    item = decode(line(**fields))
    assert item.drop_reason == reason
    written = encode(item)["flow"]
    assert written.get("drop_reason_desc") == fields.get("drop_reason_desc", "POLICY_DENIED")
    assert written.get("drop_reason") == fields.get("drop_reason")


@pytest.mark.parametrize(
    "text",
    [
        line()[:-40],
        b"not json",
        b"[]",
        b"{}",
        b'"text"',
        b"\xff\xfe",
        b'{"flow": 3}',
        b'{"flow": {"verdict": {}}}',
        b'{"flow": {"source": "pod"}}',
        b'{"flow": {"time": "yesterday"}}',
        b'{"log": "{"}',
        b"[" * 5000,
        b'{"log":' * 300 + b"1" + b"}" * 300,
    ],
)
def test_decode_when_a_line_cannot_be_read_then_it_is_counted(text: bytes) -> None:
    decoder = Decoder()
    assert decoder.decode_line(text) is None
    assert decoder.unreadable == 1


def test_decode_when_a_line_is_empty_then_it_is_not_counted() -> None:
    decoder = Decoder()
    assert decoder.decode_line(b" \r\n") is None
    assert decoder.unreadable == 0


def test_decode_when_the_exporter_writes_other_events_then_they_are_ignored_by_name() -> None:
    decoder = Decoder()
    assert decoder.decode_line('{"agent_event":{"type":"AGENT_STARTED"},"time":""}') is None
    assert decoder.decode_line('{"debug_event":{}}') is None
    assert decoder.ignored == {"agent_event": 1, "debug_event": 1}
    assert decoder.unreadable == 0


LOST = {
    "lost_events": {
        "source": "HUBBLE_RING_BUFFER",
        "num_events_lost": "137",
        "cpu": 0,
        "first": "2026-03-02T10:15:12.010Z",
        "last": "2026-03-02T10:15:12.990120Z",
    },
    "node_name": "tre/worker-2",
    "time": "2026-03-02T10:15:13Z",
}
STATUS = {
    "node_status": {
        "state_change": "NODE_ERROR",
        "node_names": ["tre/worker-3"],
        "message": "invalid fieldmask",
    },
    "node_name": "hubble-relay-1",
    "time": "2026-03-02T10:15:13.100Z",
}


def test_decode_when_events_were_lost_then_they_are_counted_and_come_back() -> None:
    item = Decoder().decode_line(json.dumps(LOST))
    assert isinstance(item, LostEvents)
    assert (item.source, item.count, item.cpu) == ("HUBBLE_RING_BUFFER", 137, 0)
    assert json.loads(encode_line(item)) == LOST


def test_decode_when_a_loss_has_no_cpu_then_none_is_written() -> None:
    item = Decoder().decode_line('{"lost_events":{"num_events_lost":"1"},"node_name":"n"}')
    assert item is not None
    assert json.loads(encode_line(item)) == {
        "lost_events": {"num_events_lost": "1"},
        "node_name": "n",
    }


def test_decode_when_an_extension_holds_lists_then_they_come_back_clean() -> None:
    item = decode(line(extensions={"a": ["\x1b", 1, {"b": None}]}))
    assert encode(item)["flow"]["extensions"] == {"a": ["\u241b", 1, {"b": None}]}


def test_decode_when_relay_speaks_of_nodes_then_it_is_read_and_comes_back() -> None:
    item = Decoder().decode_line(json.dumps(STATUS))
    assert isinstance(item, NodeStatus)
    assert item.nodes == ("tre/worker-3",)
    assert json.loads(encode_line(item)) == STATUS


def test_decode_when_text_is_hostile_then_nothing_dangerous_is_left() -> None:
    nasty = "a\x1b[31m\u202eb\x00\n[/red]"
    item = decode(
        line(
            Summary=nasty,
            uuid=nasty,
            node_name=nasty,
            source={"pod_name": nasty, "labels": [nasty]},
            l7={"type": "REQUEST", "http": {"url": nasty, "headers": [{"key": nasty}]}},
            destination_names=[nasty],
            tunnel={"x": nasty},
        )
    )
    texts = [
        item.summary,
        item.uuid,
        item.source.pod,
        *item.source.labels,
        item.detail.other.decode(),
    ]
    assert all(is_clean(text) for text in texts)
    assert is_clean(encode_line(item).decode())


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(max_size=8), st.floats(allow_nan=False)
)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(sorted(flow())), TREES)
def test_decode_when_any_field_holds_anything_then_it_never_raises(name: str, value: Any) -> None:
    decoder = Decoder()
    item = decoder.decode_line(json.dumps(envelope(flow() | {name: value})))
    assert item is not None or decoder.unreadable == 1


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=60))
def test_decode_when_bytes_are_arbitrary_then_it_never_raises(noise: bytes) -> None:
    Decoder().decode_line(noise)
    Decoder().decode_line(b'{"flow":' + noise)
