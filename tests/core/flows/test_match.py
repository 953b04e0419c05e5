from __future__ import annotations

import json

import pytest
from msgspec import structs

from app.core.errors import UsageError
from app.core.flows.codec import Decoder
from app.core.flows.match import all_of, any_of, compile_filter, compile_filters, ip_version
from app.core.flows.observe_flags import build_filters
from app.core.model.flow import Flow, HttpInfo, L7Info
from tests.core.flows.asked import PAIRS, REFUSED, SINGLE, Words, answers, given, recorded
from tests.core.flows.lines import envelope

ANSWERS = answers()


def read(bodies: list[dict[str, object]]) -> list[Flow]:
    decoder = Decoder()
    items = [decoder.decode_line(json.dumps(envelope(body))) for body in bodies]
    return [item for item in items if isinstance(item, Flow)]


FLOWS = read(recorded())


def ours(words: Words) -> list[str] | None:
    try:
        filters = build_filters(given(words))
    except UsageError:
        return None
    passes = compile_filters(filters.allow, filters.deny)
    return [flow.uuid for flow in FLOWS if passes is None or passes(flow)]


def test_answers_when_recorded_then_they_are_of_every_question() -> None:
    assert set(ANSWERS) == {*SINGLE, *PAIRS, *REFUSED}
    assert len(FLOWS) == len(recorded())
    assert all(ANSWERS[words] is None for words in REFUSED)


@pytest.mark.parametrize("words", ANSWERS, ids=" ".join)
def test_filters_when_asked_as_cilium_was_then_they_let_the_same_through(words: Words) -> None:
    assert ours(words) == ANSWERS[words]


def test_filter_when_dns_query_is_asked_then_it_is_a_pattern_over_the_name_with_its_dot() -> None:
    matches = compile_filter({"dns_query": [r"(?i)^pypi\.org\.$"]})
    assert [flow.l7 is not None and flow.l7.dns is not None for flow in FLOWS if matches(flow)] == [
        True
    ]


def test_filter_when_reply_is_asked_then_an_unknown_one_counts_as_no_only_for_drops() -> None:
    no_reply, reply = compile_filter({"reply": [False]}), compile_filter({"reply": [True]})
    unknown = structs.replace(FLOWS[0], is_reply=None)
    assert no_reply(unknown)
    assert not reply(unknown)
    assert not no_reply(structs.replace(unknown, verdict="AUDIT"))
    assert reply(structs.replace(unknown, is_reply=True))


def test_filter_when_it_is_empty_then_everything_passes() -> None:
    assert all(map(compile_filter({}), FLOWS))


def test_filter_when_an_experiment_is_asked_of_a_file_then_it_says_who_can() -> None:
    with pytest.raises(UsageError, match="agents"):
        compile_filter({"experimental": {"cel_expression": ["true"]}})


def test_ip_version_when_the_source_does_not_say_then_the_address_does() -> None:
    plain = Flow(time_ns=1, source_ip="10.0.0.1")
    assert ip_version(plain) == "IPv4"
    assert ip_version(structs.replace(plain, source_ip="fd00::1")) == "IPv6"
    assert ip_version(structs.replace(plain, source_ip="")) == "IP_NOT_USED"


@pytest.mark.parametrize("count", [0, 1, 2, 5, 40])
def test_joins_when_there_are_many_tests_then_they_mean_and_and_or(count: int) -> None:
    flow = FLOWS[0]
    yes, no = (lambda _flow: True), (lambda _flow: False)
    assert all_of([yes] * count)(flow)
    assert not all_of([*[yes] * count, no])(flow)
    assert not any_of([no] * count)(flow)
    assert any_of([*[no] * count, yes])(flow)


@pytest.mark.parametrize("url", ["http://[", "/%zz", "plain", ""])
def test_filter_when_a_url_is_none_then_its_path_matches_nothing(url: str) -> None:
    flow = structs.replace(FLOWS[0], l7=L7Info("REQUEST", http=HttpInfo("GET", url)))
    assert not compile_filter({"http_path": [""]})(flow)
