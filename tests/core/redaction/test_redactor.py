"""Nothing of a site leaves with a redacted file, and everything that decides stays decided."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from ipaddress import ip_address, ip_network
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.cluster.build import build_cluster
from app.core.diagnose.why import diagnose
from app.core.flows.codec import Decoder
from app.core.flows.encode import encode
from app.core.model.cluster import Endpoint
from app.core.model.provenance import Manifest, ObjectRef
from app.core.policy.engine import Engine
from app.core.redaction.addresses import AddressMap
from app.core.redaction.redactor import Redactor
from app.services.ask import make_question
from tests.fuzz import corpus
from tests.fuzz.mutate import places

KEY = b"one key"
WORD = st.from_regex(r"[a-z]{3}planted[a-z0-9]{2}", fullmatch=True)


def manifest(body: dict[str, Any]) -> Manifest:
    metadata = body["metadata"]
    ref = ObjectRef(body["kind"], metadata.get("namespace", ""), str(metadata["name"]))
    return Manifest(ref, body["apiVersion"], body)


def plant(tree: Any, path: tuple[Any, ...], word: str, how: str) -> None:
    """Put a word where a text stands: in its place, in its middle, as a key, or beside it."""
    *way, last = path
    for step in way:
        tree = tree[step]
    value = tree[last]
    if how == "key" and isinstance(tree, dict):
        tree[word] = tree.pop(last)
    elif how == "beside" and isinstance(tree, dict):
        tree[word] = {"note": word, "name": word}
    elif isinstance(value, str):
        tree[last] = {"mixed": f"{value}-{word}", "dotted": f"{word}.{value}"}.get(how, word)


BODIES = corpus.objects()
PLACES = [(at, path) for at, body in enumerate(BODIES) for path in places(body)]
FLOW_PLACES = list(places(corpus.FLOW))


@settings(max_examples=1500, deadline=None)
@given(
    st.sampled_from(PLACES), WORD, st.sampled_from(["whole", "mixed", "dotted", "key", "beside"])
)
def test_no_planted_word_leaves_with_an_object(
    place: tuple[int, tuple[Any, ...]], word: str, how: str
) -> None:
    at, path = place
    body = corpus.copy(BODIES[at])
    if path in (("kind",), ("apiVersion",)) or (how == "key" and path[0] == "metadata"):
        how = "beside"
    plant(body, path, word, how)
    redacted = Redactor(KEY, [manifest(body)]).manifest(manifest(body))
    assert "planted" not in json.dumps([str(redacted.ref), redacted.api_version, redacted.body])


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(FLOW_PLACES), WORD, st.sampled_from(["whole", "mixed", "key", "beside"]))
def test_no_planted_word_leaves_with_a_flow(path: tuple[Any, ...], word: str, how: str) -> None:
    tree = corpus.copy(corpus.FLOW)
    plant(tree, path, word, how)
    assert "planted" not in json.dumps(Redactor(KEY).flow(tree))
    decoded = Decoder().decode_line(json.dumps(tree))
    if decoded is not None:
        assert "planted" not in json.dumps(Redactor(KEY).flow(encode(decoded)))


def redacted(bodies: Sequence[dict[str, Any]]) -> tuple[list[Manifest], list[Manifest], Redactor]:
    before = [manifest(body) for body in bodies if body["kind"] != "Application"]
    redactor = Redactor(KEY, before)
    return before, [redactor.manifest(one) for one in before], redactor


def answers(manifests: Sequence[Manifest], questions: Iterator[tuple[str, str, str]]) -> list[Any]:
    engine = Engine.build(build_cluster(manifests))
    found = []
    for source, destination, port in questions:
        answer = diagnose(make_question(source, destination, port), engine)
        found.append((answer.verdict, answer.cause.code, answer.cause.confidence))
    return found


def test_every_verdict_and_cause_stays_what_it_was() -> None:
    before, after, redactor = redacted(corpus.objects() + corpus.neighbours())
    pods = ["lab/web-1", "next/good", "next/other", "deploy:lab/db", "sts:lab/store"]
    outside = ["entity:world", "198.51.100.7", "203.0.113.9", "192.168.0.1", "169.254.169.254"]
    names = ["pypi.org", "a.tre.org", "web.tre.org", "other.example.net"]
    addresses = AddressMap(KEY)

    def stand_in(end: str) -> str:
        kind, colon, rest = end.rpartition(":")
        if "/" in rest:
            space, _, name = rest.partition("/")
            return f"{kind}{colon}{redactor.alias(space)}/{redactor.alias(name)}"
        if end in names:
            return redactor.alias_dns(end)
        return addresses.replace(end) or end

    questions = [
        *product(pods, pods, ("80", "8080", "5432")),
        *product(pods[:2], [*outside, *names], ("443", "80")),
        *product(outside[:3], pods[:2], ("8080",)),
    ]
    there = [(stand_in(one), stand_in(other), port) for one, other, port in questions]
    assert answers(before, iter(questions)) == answers(after, iter(there))


def test_the_name_of_the_cluster_is_the_same_in_settings_and_selectors() -> None:
    bodies = corpus.objects()
    policy = next(body for body in bodies if body["metadata"]["name"] == "cnp")
    rule = {"matchLabels": {"app": "db", "io.cilium.k8s.policy.cluster": "tre"}}
    policy["spec"]["ingress"] = [{"fromEndpoints": [rule]}]
    before, after, redactor = redacted(bodies)
    question = ("deploy:lab/db", "lab/web-1", "8080")
    lab, db, web = map(redactor.alias, ("lab", "db", "web-1"))
    there = (f"deploy:{lab}/{db}", f"{lab}/{web}", "8080")
    assert answers(before, iter([question])) == answers(after, iter([there]))


def test_a_star_between_letters_goes_on_to_match_what_it_did() -> None:
    names = ["git-a.tre.org", "git-b.tre.org", "svn-a.tre.org", "tre.org"]
    policy = manifest(
        {
            "apiVersion": "cilium.io/v2",
            "kind": "CiliumNetworkPolicy",
            "metadata": {"name": "p", "namespace": "lab"},
            "spec": {"egress": [{"toFQDNs": [{"matchPattern": "git-*.tre.org"}]}]},
        }
    )
    redactor = Redactor(KEY, [policy])
    body = redactor.manifest(policy).body
    pattern = body["spec"]["egress"][0]["toFQDNs"][0]["matchPattern"]
    assert "git" not in pattern
    head, _, tail = pattern.partition("*")
    found = [redactor.alias_dns(name) for name in names]
    assert [one.startswith(head) and one.endswith(tail) for one in found] == [
        True,
        True,
        False,
        False,
    ]


@given(st.ip_addresses(), st.ip_addresses(), st.integers(0, 128))
def test_addresses_share_as_many_leading_bits_as_before(one: Any, other: Any, length: int) -> None:
    if one.version != other.version or length > one.max_prefixlen:
        return
    mapped = AddressMap(KEY)
    block = ip_network((other, length), strict=False)
    there = ip_network(mapped.replace(str(block)) or "", strict=False)
    assert (one in block) == (ip_address(mapped.replace(str(one)) or "") in there)
    assert mapped.replace(str(one)) == AddressMap(KEY).replace(str(one))


@pytest.mark.parametrize(
    "text", ["169.254.169.254", "127.0.0.1", "0.0.0.0/0", "::1", "192.192.192.192"]
)
def test_addresses_with_a_meaning_of_their_own_stay(text: str) -> None:
    assert AddressMap(KEY).replace(text) == text


@pytest.mark.parametrize("text", ["10.1.2.3", "192.168.0.9", "172.20.0.1", "fd00::7"])
def test_private_addresses_become_others_of_their_block(text: str) -> None:
    there = ip_address(AddressMap(KEY).replace(text) or "")
    assert there.is_private
    assert str(there) != text


def test_addresses_stay_where_they_are_asked_to() -> None:
    body = corpus.objects()[1]
    kept = Redactor(KEY, keep_addresses=True).manifest(manifest(body)).body
    assert kept["status"]["podIP"] == "10.0.0.1"


def test_endpoints_are_as_many_and_of_as_many_identities() -> None:
    before, after, _ = redacted(corpus.objects() + corpus.neighbours())

    def shape(endpoints: Sequence[Endpoint]) -> list[tuple[int, int]]:
        return sorted((len(one.labels), len(one.ports)) for one in endpoints)

    here, there = build_cluster(before).endpoints, build_cluster(after).endpoints
    assert shape(here) == shape(there)
