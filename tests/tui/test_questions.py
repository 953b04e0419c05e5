from __future__ import annotations

import pytest

from app.core.diagnose.naming import parse_end, parse_port
from app.core.model.flow import DnsInfo, Flow, FlowEndpoint, HttpInfo, L7Info
from app.tui.questions import Words, observe_command, split_request, words_of
from tests.tui.lab import ALICE, WORLD, drop, forward


def test_words_when_from_pod_to_pod_then_both_by_name() -> None:
    assert words_of(drop()) == Words(
        "pod:project-lung/jupyter-alice", "pod:mirror/mirror-1", "8080/TCP"
    )


def test_words_when_a_reply_then_turned_around() -> None:
    reply = forward(is_reply=True, source_port=8888, destination_port=40000)
    words = words_of(reply)
    assert words.source == "pod:project-lung/jupyter-alice"
    assert (words.destination, words.port) == ("pod:jupyterhub/hub-0", "8888/TCP")


@pytest.mark.parametrize(
    ("end", "ip", "names", "text"),
    [
        (WORLD, "203.0.113.7", ("pypi.org",), "fqdn:pypi.org=203.0.113.7"),
        (WORLD, "203.0.113.7", (), "ip:203.0.113.7"),
        (FlowEndpoint(1, labels=("reserved:host",)), "10.0.0.1", (), "entity:host"),
        (FlowEndpoint(), "", (), "entity:world"),
    ],
)
def test_words_when_the_end_is_no_pod_then_as_well_as_known(
    end: FlowEndpoint, ip: str, names: tuple[str, ...], text: str
) -> None:
    flow = drop(destination=end, destination_ip=ip, destination_names=names)
    assert words_of(flow).destination == text
    parse_end(text)


def test_words_when_layer_7_was_seen_then_the_request_too() -> None:
    http = drop(l7=L7Info("REQUEST", http=HttpInfo("POST", "/upload")))
    dns = drop(l7=L7Info("REQUEST", dns=DnsInfo("pypi.org")))
    assert split_request(words_of(http).request) == ("http", "POST /upload")
    assert split_request(words_of(dns).request) == ("dns", "pypi.org")


def test_words_when_icmp_then_the_type_can_be_asked() -> None:
    flow = drop(protocol="ICMPv4", destination_port=8)
    parse_port(words_of(flow).port)


def test_command_when_hostile_words_then_they_stay_words() -> None:
    words = Words("pod:a/b; rm -rf /", "ip:1.2.3.4", "80/TCP", "GET /$(id)")
    assert words.command() == (
        "k8tre-tui why 'pod:a/b; rm -rf /' ip:1.2.3.4 80/TCP --http 'GET /$(id)'"
    )


def test_observe_command_when_ends_are_pod_and_address_then_both_flags() -> None:
    flow: Flow = drop(source=ALICE, destination=WORLD, destination_ip="203.0.113.7")
    assert observe_command(flow) == (
        "hubble observe --from-pod project-lung/jupyter-alice --to-ip 203.0.113.7 "
        "--protocol tcp --to-port 8080 --verdict DROPPED --last 20"
    )
