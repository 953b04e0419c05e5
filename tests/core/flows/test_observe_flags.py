from __future__ import annotations

from typing import Any

import pytest

from app.core.errors import UsageError
from app.core.flows.observe_flags import (
    FLAGS,
    Given,
    build_filters,
    check_filter,
    parse_raw_filters,
)


def given(*words: str) -> list[Given]:
    """`name=value` words; `!` before one stands for `--not`."""
    typed = []
    for word in words:
        name, _, value = word.removeprefix("!").partition("=")
        typed.append(Given(name, value, word.startswith("!")))
    return typed


ONE: list[tuple[str, list[dict[str, Any]]]] = [
    ("uuid=u", [{"uuid": ["u"]}]),
    ("pod=a/b", [{"source_pod": ["a/b"]}, {"destination_pod": ["a/b"]}]),
    ("from-pod=a/b", [{"source_pod": ["a/b"]}]),
    ("namespace=a", [{"source_pod": ["a/"]}, {"destination_pod": ["a/"]}]),
    ("to-namespace=a", [{"destination_pod": ["a/"]}]),
    ("from-all-namespaces", [{"source_pod": ["/"]}]),
    ("all-namespaces", [{"source_pod": ["/"]}, {"destination_pod": ["/"]}]),
    ("type=trace:to-stack", [{"event_type": [{"type": 4, "match_sub_type": True, "sub_type": 3}]}]),
    ("type=drop:133", [{"event_type": [{"type": 1, "match_sub_type": True, "sub_type": 133}]}]),
    ("type=129", [{"event_type": [{"type": 129}]}]),
    ("tcp-flags=syn,ack", [{"tcp_flags": [{"SYN": True, "ACK": True}]}]),
    ("http-header=A:b:c", [{"http_header": [{"key": "A", "value": "b:c"}]}]),
    ("ip-trace-id=7", [{"ip_trace_id": [7]}]),
    ("ipv6", [{"ip_version": ["IPv6"]}]),
    ("ip-version=none", [{"ip_version": ["IP_NOT_USED"]}]),
    ("to-workload=Job/x", [{"destination_workload": [{"kind": "Job", "name": "x"}]}]),
    ("to-workload=x", [{"destination_workload": [{"kind": "", "name": "x"}]}]),
    ("from-identity=world", [{"source_identity": [2]}]),
    ("traffic-direction=INGRESS", [{"traffic_direction": ["INGRESS"]}]),
    ("cel-expression=true", [{"experimental": {"cel_expression": ["true"]}}]),
    ("interface=eth0", [{"interface": [{"name": "eth0"}]}]),
    ("unencrypted", [{"encrypted": [False]}]),
    ("not-reply", [{"reply": [False]}]),
]


@pytest.mark.parametrize(("word", "wanted"), ONE)
def test_filters_when_one_flag_is_given_then_these_are_asked(
    word: str, wanted: list[dict[str, Any]]
) -> None:
    assert build_filters(given(word)).allow == tuple(wanted)
    assert build_filters(given(f"!{word}")).deny == tuple(wanted)


def test_filters_when_flags_repeat_then_values_are_alternatives() -> None:
    filters = build_filters(given("verdict=DROPPED", "verdict=AUDIT", "!port=53", "to-pod=a/"))
    assert filters.allow == ({"verdict": ["DROPPED", "AUDIT"], "destination_pod": ["a/"]},)
    assert filters.deny == ({"source_port": ["53"]}, {"destination_port": ["53"]})


def test_filters_when_two_flags_have_two_sides_then_both_are_of_one_side() -> None:
    assert build_filters(given("pod=a/b", "port=80")).allow == (
        {"source_pod": ["a/b"], "source_port": ["80"]},
        {"destination_pod": ["a/b"], "destination_port": ["80"]},
    )


def test_filters_when_a_namespace_is_given_then_bare_names_are_in_it() -> None:
    filters = build_filters(given("from-pod=x", "from-namespace=a", "from-namespace=b"))
    assert filters.allow == ({"source_pod": ["a/x", "b/x"]},)
    services = build_filters(given("to-service=git", "to-namespace=a"))
    assert services.allow == ({"destination_service": ["a/git"]},)
    both = build_filters(given("to-pod=a/x", "to-service=a/git", "to-service=a/b"))
    assert both.allow == ({"destination_pod": ["a/x"], "destination_service": ["a/git", "a/b"]},)


def test_filters_when_nothing_is_given_then_there_are_none() -> None:
    filters = build_filters([])
    assert (filters.allow, filters.deny) == ((), ())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["pod=a/b", "ip=10.0.0.1"], "filters --pod and --ip cannot be combined"),
        (["port=1", "to-port=2"], "cannot be combined"),
        (["encrypted", "unencrypted"], "cannot be combined"),
        (["pod=a/b", "namespace=c"], "namespace `c` does not contain `a/b`"),
        (["pod=a/b", "service=c/d"], "is not in the namespace of"),
        (["pods=a"], "`pods` is not a flag"),
        (["verdict=DROP"], "`DROP` is not a verdict"),
        (["drop-reason-desc="], "is not a drop reason"),
        (["type=trace:up"], "`up` is not a sub-type"),
        (["type=drop:up"], "`up` is not a sub-type"),
        (["identity=nobody"], "`nobody` is not a security identity"),
        (["ip-trace-id=0"], "is not an IP trace id"),
        (["http-header=x"], "is not an HTTP header"),
        (["http-status=200", "type=drop"], "`http_status_code` needs events of type l7"),
        (["cluster="], "a cluster name must not be empty"),
        (["pod="], "must not be empty"),
    ],
)
def test_filters_when_hubble_would_refuse_then_so_do_we(words: list[str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        build_filters(given(*words))
    assert message in str(caught.value)


def test_conflicts_when_on_different_lists_then_they_are_none() -> None:
    filters = build_filters(given("port=1", "!to-port=2"))
    assert len(filters.allow) == 2
    assert filters.deny == ({"destination_port": ["2"]},)


def test_raw_filters_when_they_are_json_objects_then_they_are_taken() -> None:
    assert parse_raw_filters(['{"verdict":["DROPPED"]}']) == ({"verdict": ["DROPPED"]},)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "must be a JSON object"),
        ('{"verdicts":["DROPPED"]}', "no field `verdicts`"),
        ('{"verdict":["X"]}', "does not fit the filter field `verdict`"),
        ('{"source_workload":["x"]}', "does not fit"),
    ],
)
def test_raw_filters_when_an_agent_would_refuse_them_then_so_do_we(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_raw_filters([text])
    assert message in str(caught.value)


def test_check_when_a_filter_is_for_the_agents_only_then_it_passes() -> None:
    check_filter({"experimental": {"cel_expression": ["no CEL here"]}})


def test_flags_when_listed_then_names_are_unique_and_explained() -> None:
    assert len({flag.name for flag in FLAGS}) == len(FLAGS)
    assert all(flag.help for flag in FLAGS)
