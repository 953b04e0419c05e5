from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.flows import records
from app.core.flows.codec import Decoder
from app.core.flows.records import Records
from app.core.model.flow import Flow
from tests.core.flows.lines import envelope, flow, line

ONE, TWO = (line(uuid=uuid, Summary='{"a [{"').decode() for uuid in ("u1", "u2"))
OBJECTS = [json.loads(ONE), json.loads(TWO)]
SECOND = "1772446502000184220"


def uuids(text: str) -> tuple[list[str], int]:
    """The flows read from a file with this text, and how much of it could not be read."""
    decoder, cutter = Decoder(), Records()
    found = [
        record for one in text.encode().splitlines(keepends=True) for record in cutter.feed(one)
    ]
    items = [item for one in (*found, *cutter.rest()) for item in decoder.decode_record(one)]
    return [item.uuid for item in items if isinstance(item, Flow)], decoder.unreadable


def loki(*lines: str) -> dict[str, object]:
    values = [[SECOND, one] for one in lines]
    streams = [{"stream": {"job": "hubble"}, "values": values}]
    return {"status": "success", "data": {"resultType": "streams", "result": streams}}


def as_csv(*lines: str) -> str:
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    writer.writerows([["Time", "Line", "tsNs"], *([SECOND, one, SECOND] for one in lines)])
    return text.getvalue()


FORMS = {
    "lines": f"{ONE}\n{TWO}\n",
    "array": json.dumps(OBJECTS),
    "array, pretty": json.dumps(OBJECTS, indent=2),
    "array, an item a line": f"[\n{ONE},\n{TWO}\n]\n",
    "array of texts": json.dumps([ONE, TWO]),
    "objects, pretty": "\n".join(json.dumps(one, indent=4) for one in OBJECTS),
    "logcli": f'2026-03-02T10:15:02Z {{job="hubble", node="a"}} {ONE}\n2026-03-02Z {{}} {TWO}\n',
    "logcli jsonl": "\n".join(
        json.dumps({"labels": {"job": "hubble"}, "line": one, "timestamp": "2026-03-02T10:15:02Z"})
        for one in (ONE, TWO)
    ),
    "Loki's API": json.dumps(loki(ONE, TWO)),
    "Loki's API, pretty": json.dumps(loki(ONE, TWO), indent=1),
    "Grafana, JSON": json.dumps(
        [{"line": one, "timestamp": SECOND, "fields": {"job": "hubble"}} for one in (ONE, TWO)],
        indent=2,
    ),
    "Grafana, text": f"2026-03-02T10:15:02.000Z\t{ONE}\n2026-03-02T10:15:03.000Z\t{TWO}\n",
    "Elasticsearch hits": json.dumps(
        {"took": 3, "hits": {"total": {"value": 2}, "hits": [
            {"_index": "hubble", "_source": {"@timestamp": "x", "message": ONE}},
            {"_index": "hubble", "_source": OBJECTS[1]},
        ]}}
    ),
    "Elasticsearch, a document a line": "\n".join(
        json.dumps({"_id": str(i), "_source": {"hubble": one}}) for i, one in enumerate(OBJECTS)
    ),
    "a time in brackets": f"[2026-03-02 10:15:02] {ONE}\n[2026-03-02 10:15:03] {TWO}\n",
    "the same line in two forms": "\n".join(
        json.dumps({"log": text, "log_processed": body})
        for text, body in zip((ONE, TWO), OBJECTS, strict=True)
    ),
}  # fmt: skip


@pytest.mark.parametrize("text", FORMS.values(), ids=FORMS)
def test_file_when_a_tool_wrote_it_then_every_flow_is_read_once(text: str) -> None:
    assert uuids(text) == (["u1", "u2"], 0)


def test_file_when_it_is_a_table_with_commas_then_only_its_head_is_not_read() -> None:
    assert uuids(as_csv(ONE, TWO)) == (["u1", "u2"], 1)


@pytest.mark.parametrize(
    "broken",
    [
        ONE[:-20],
        ONE[:60],
        ONE[: ONE.index('"Summary"')],
        json.dumps(OBJECTS[0], indent=2)[:-200],
        "nonsense",
        '{"level": "info", "msg": "no flow"}',
        '{"status": "error", "message": "{broken"}',
    ],
    ids=lambda text: text[-12:],
)
def test_file_when_a_record_is_broken_then_it_is_counted_and_the_rest_is_read(broken: str) -> None:
    assert uuids(f"{broken}\n{ONE}\n{TWO}\n") == (["u1", "u2"], 1)
    assert uuids(f"{ONE}\n{TWO}\n{broken}") == (["u1", "u2"], 1)


def test_answer_when_one_of_its_lines_is_broken_then_the_others_are_read() -> None:
    assert uuids(json.dumps(loki(ONE, '{"flow": {"time": "yesterday"}}', TWO))) == (["u1", "u2"], 1)


def test_record_when_it_never_ends_then_it_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "LONGEST_RECORD", 100)
    text = "{\n" + '"a": 1,\n' * 20
    assert uuids(f"{text}\n{ONE}\n{TWO}\n")[0] == ["u1", "u2"]


@given(st.lists(st.sampled_from(["{", "}", "[", "]", '"', ",", "\n", "\\", " ", "a", ONE])))
def test_file_when_it_is_anything_then_what_stands_on_its_own_line_is_read(
    pieces: list[str],
) -> None:
    found, _ = uuids("".join(pieces) + f"\n{json.dumps(envelope(flow(uuid='last')))}\n")
    assert found[-1] == "last"
