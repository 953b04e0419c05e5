from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from app.core.errors import UsageError
from app.core.flows.filters import LONGEST_FILTER, MOST_ALTERNATIVES, parse_filter
from app.core.flows.match import compile_filters
from app.core.flows.selectors import KEEP_ANSWERS
from app.core.flows.terms import KEYS, parse_span
from app.core.model.flow import (
    DnsInfo,
    Flow,
    FlowEndpoint,
    HttpInfo,
    L7Info,
    PolicyEvidence,
)

HUB = FlowEndpoint(
    identity=300,
    namespace="jupyterhub",
    pod="hub-5f7b-x",
    labels=("k8s:app=hub",),
    workload="hub",
    workload_kind="Deployment",
)
ALICE = FlowEndpoint(identity=301, namespace="prj-a", pod="jupyter-alice", labels=("k8s:app=nb",))
DNS = FlowEndpoint(identity=302, namespace="kube-system", pod="coredns-1")
WORLD = FlowEndpoint(identity=2, labels=("reserved:world",))
HOST = FlowEndpoint(identity=1, labels=("reserved:host",))

BASE = Flow(
    time_ns=1_000,
    verdict="DROPPED",
    drop_reason="POLICY_DENIED",
    source=ALICE,
    destination=HUB,
    source_ip="10.0.1.1",
    destination_ip="10.0.2.2",
    protocol="TCP",
    source_port=40_000,
    destination_port=8081,
    direction="EGRESS",
    event=1,
    node="tre/worker-1",
    uuid="u1",
    summary="TCP Flags: SYN",
)


def change(**fields: Any) -> Flow:
    return structs.replace(BASE, **fields)


TO_DNS = change(
    destination=DNS,
    destination_ip="10.0.3.3",
    protocol="UDP",
    destination_port=53,
    verdict="FORWARDED",
    drop_reason="",
    event=129,
    l7=L7Info("REQUEST", dns=DnsInfo(query="files.pypi.org")),
    is_reply=False,
)
TO_WORLD = change(
    destination=WORLD,
    destination_ip="203.0.113.9",
    destination_port=443,
    destination_names=("cdn.pypi.org",),
    event=5,
    egress_denied_by=(PolicyEvidence("CiliumNetworkPolicy", "prj-a", "no-net"),),
)
HTTP = change(
    verdict="FORWARDED",
    l7=L7Info("RESPONSE", http=HttpInfo("GET", "http://hub/api/users?x=1", "", 403)),
    source=HUB,
    destination=ALICE,
    event=129,
    is_reply=True,
    source_port=8081,
    destination_port=40_000,
    direction="INGRESS",
)
FROM_HOST = change(source=HOST, source_ip="192.0.2.1", node="worker-2", uuid="u5", direction="")
FLOWS = (BASE, TO_DNS, TO_WORLD, HTTP, FROM_HOST)
NAMES = ("base", "dns", "world", "http", "host")


def passing(text: str, **options: int) -> set[str]:
    matches = parse_filter(text, **options).matches
    return {name for name, flow in zip(NAMES, FLOWS, strict=True) if matches(flow)}


ALL = set(NAMES)

TABLE: list[tuple[str, set[str]]] = [
    ("", ALL),
    ("JUPYTER-A", {"base", "dns", "world", "http"}),
    ("!jupyter", set()),
    ("!jupyter-a", {"host"}),
    ("pypi", {"dns", "world"}),
    ("api/users", {"http"}),
    ("8081", {"base", "http", "host"}),
    ("203.0.113", {"world"}),
    ("policy_denied worker-2", {"host"}),
    ('"tcp flags"', ALL),
    ('"no: such"', set()),
    ("fd00::1", set()),
    ("from:prj-a/jupyter*", {"base", "dns", "world"}),
    ("from:prj-a/jupyter", {"base", "dns", "world"}),
    ("from:prj-a/jupyter-al", set()),
    ("from:PRJ-A", {"base", "dns", "world"}),
    ("from:prj-*", {"base", "dns", "world"}),
    ("from:jupyterhub/", {"http"}),
    ("from:*/hub", {"http"}),
    ("from:hub", {"http"}),
    ("from:host,jupyterhub", {"http", "host"}),
    ("!from:host", ALL - {"host"}),
    ("to:world", {"world"}),
    ("to:203.0.113.0/24", {"world"}),
    ("to:203.0.113.9", {"world"}),
    ("to:*.pypi.org", {"world"}),
    ("to:cdn.pypi.org", {"world"}),
    ("to:kube-system port:53,443", {"dns"}),
    ("pod:hub", {"base", "http", "host"}),
    ("ns:prj-a", {"base", "dns", "world", "http"}),
    ("ns:jupyter*", {"base", "http", "host"}),
    ("!ns:jupyterhub", {"dns", "world"}),
    ("ip:10.0.0.0/16", ALL - {"host"} | {"host"}),
    ("port:443", {"world"}),
    ("proto:udp", {"dns"}),
    ("proto:dns,http", {"dns", "http"}),
    ("verdict:dropped", {"base", "world", "host"}),
    ("verdict:forwarded,dropped dir:egress", {"base", "dns", "world"}),
    ("reason:policy_denied", {"base", "world", "host"}),
    ("policy:none", ALL - {"world"}),
    ("policy:no-*", {"world"}),
    ("policy:prj-a/no-net,none", ALL),
    ("!policy:none", {"world"}),
    ("fqdn:*.pypi.org", {"dns", "world"}),
    ("fqdn:files.pypi.org", {"dns"}),
    ("status:4+", {"http"}),
    ("method:get", {"http"}),
    ("path:^/api/", {"http"}),
    ("node:worker-2", {"host"}),
    ("type:l7", {"dns", "http"}),
    ("reply:yes", {"http"}),
    ("reply:no", {"base", "dns", "world", "host"}),
    ("id:301", {"base", "dns", "world", "http"}),
    ("id:world", {"world"}),
    ("workload:hub", {"base", "http", "host"}),
    ("uuid:u5", {"host"}),
    ("-l app=hub", {"base", "http", "host"}),
    ("!-l app=hub", {"dns", "world"}),
    ('-l "app in (nb)" type:drop', {"base"}),
    ("-f pjadns", {"dns"}),
    ("dir:unknown", set()),
    ("FROM:prj-a VERDICT:Forwarded", {"dns"}),
]


@pytest.mark.parametrize(("text", "wanted"), TABLE)
def test_filter_when_parsed_then_exactly_these_pass(text: str, wanted: set[str]) -> None:
    assert passing(text) == wanted


@pytest.mark.parametrize("text", [text for text, _ in TABLE])
def test_filter_when_sent_to_hubble_then_nothing_wanted_is_lost(text: str) -> None:
    parsed = parse_filter(text)
    server = parsed.to_hubble()
    fetched = compile_filters(server.allow, server.deny)
    for flow in FLOWS:
        if parsed.matches(flow):
            assert fetched is None or fetched(flow)


PIECES = st.lists(st.sampled_from([text for text, _ in TABLE if text]), min_size=1, max_size=4)


@settings(deadline=None, max_examples=300)
@given(PIECES, st.sampled_from(FLOWS))
def test_filter_when_terms_are_joined_then_all_hold_and_hubble_sends_enough(
    pieces: list[str], flow: Flow
) -> None:
    joined = parse_filter(" ".join(pieces))
    assert joined.matches(flow) == all(parse_filter(each).matches(flow) for each in pieces)
    server = joined.to_hubble()
    fetched = compile_filters(server.allow, server.deny)
    assert not joined.matches(flow) or fetched is None or fetched(flow)


def test_filter_when_hubble_can_say_it_all_then_it_does() -> None:
    server = parse_filter("verdict:dropped to:kube-system port:53 !type:l7 gitea").to_hubble()
    assert server.allow == (
        {
            "verdict": ["DROPPED"],
            "destination_pod": ["kube-system/", "/kube-system"],
            "source_port": ["53"],
        },
        {
            "verdict": ["DROPPED"],
            "destination_pod": ["kube-system/", "/kube-system"],
            "destination_port": ["53"],
        },
    )
    assert server.deny == ({"event_type": [{"type": 129}]},)


def test_filter_when_two_terms_need_one_field_then_hubble_gets_the_first() -> None:
    server = parse_filter("verdict:dropped verdict:audit,dropped").to_hubble()
    assert server.allow == ({"verdict": ["DROPPED"]},)


def test_filter_when_alternatives_multiply_then_their_number_has_an_end() -> None:
    text = "port:1 ns:a id:1 workload:w -l a=b fqdn:x ip:10.0.0.1"
    assert len(parse_filter(text).to_hubble().allow) <= MOST_ALTERNATIVES


def test_filter_when_nothing_is_typed_then_it_is_empty() -> None:
    assert parse_filter("  ").is_empty
    assert parse_filter("").to_hubble().allow == ()
    assert not parse_filter("since:1s").is_empty


def test_since_when_given_then_older_flows_do_not_pass() -> None:
    now_ns = 60_000_000_000
    parsed = parse_filter("since:30s", now_ns=now_ns)
    assert parsed.since_ns == 30_000_000_000
    assert parsed.matches(change(time_ns=30_000_000_000))
    assert not parsed.matches(change(time_ns=29_999_999_999))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("15m", 900), ("1h43m", 6180), ("2d", 172_800), ("1.5s", 1.5)],
)
def test_span_when_written_then_it_is_seconds(text: str, seconds: float) -> None:
    assert parse_span(text) == seconds


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("a prot:udp", "`prot` is not a filter key (column 3)", "did you mean `proto:`"),
        ("zzzzz:1", "`zzzzz` is not a filter key (column 1)", "keys are"),
        ("verdict:droped", "`DROPED` is not a verdict (column 1)", "did you mean `DROPPED`"),
        ("port:", "`port:` needs a value (column 1)", ""),
        ("port:99999", "does not fit the filter field `source_port` (column 1)", ""),
        ("x -l", "`-l` needs a value (column 3)", ""),
        ("-l a=b=c", "`a=b=c` is not a label selector (column 1)", ""),
        ("!", "`!` needs a term after it (column 1)", ""),
        ("since:soon", "`soon` is not a span of time (column 1)", "90s"),
        ("since:", "`` is not a span of time (column 1)", ""),
        ("path:(", "`(` is not a regular expression of RE2 (column 1)", "look-around"),
        ("fqdn:a/b", "`/` cannot be in a name pattern: `a/b` (column 1)", ""),
        ("dir:up", "`up` is not a traffic direction (column 1)", ""),
        ("reply:maybe", "`maybe` is not a truth value (column 1)", ""),
        ("proto:quic", "`quic` is not a protocol", ""),
        ("-f " + "a" * 65, "a fuzzy term has at most 64 letters (column 1)", ""),
        ("x" * (LONGEST_FILTER + 1), "a filter has at most", ""),
    ],
)
def test_filter_when_it_is_wrong_then_the_error_leads_to_the_right_one(
    text: str, message: str, hint: str
) -> None:
    with pytest.raises(UsageError) as caught:
        parse_filter(text)
    assert message in str(caught.value)
    assert hint in caught.value.hint


@settings(deadline=None, max_examples=300)
@given(st.text(max_size=40))
def test_filter_when_anything_is_typed_then_it_parses_or_is_a_usage_error(text: str) -> None:
    try:
        parsed = parse_filter(text)
    except UsageError:
        return
    for flow in FLOWS:
        parsed.matches(flow)
    parsed.to_hubble()


@pytest.mark.parametrize(
    "text", ["from:" + "*a" * 400, "path:(a*)*b", "-f " + "a" * 64, "ns:" + "*" * 900, "*" * 999]
)
def test_filter_when_a_pattern_is_hostile_then_it_is_still_fast(text: str) -> None:
    long = change(source=structs.replace(ALICE, pod="a" * 253, namespace="a" * 63))
    with suppress(UsageError):  # too long is an answer as well
        parse_filter(text).matches(long)


def test_keys_when_shown_then_each_has_its_help() -> None:
    assert all(key.help for key in KEYS.values())


def test_filter_when_endpoints_never_repeat_then_answers_stay_right() -> None:
    matches = parse_filter("from:prj-a/jupyter-alice").matches
    ends = [structs.replace(ALICE, id=number) for number in range(KEEP_ANSWERS + 2)]
    assert all(matches(change(source=end)) for end in ends)
    assert not matches(change(source=HUB))
