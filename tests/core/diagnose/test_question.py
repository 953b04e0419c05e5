from __future__ import annotations

import pytest
import yaml

from app.core.cluster.build import build_cluster
from app.core.diagnose.ends import resolve
from app.core.diagnose.naming import parse_end, parse_port, parse_request
from app.core.diagnose.question import choose_port
from app.core.errors import K8treError, NotFound, UsageError
from app.core.model.asked import AskedPort
from app.core.model.verdict import Protocol
from app.core.policy.engine import Engine
from app.services.ask import make_question
from app.testing.builders import manifests, namespace, pod

PODS = {
    "one": [{"name": "web", "containerPort": 8080}],
    "two": [{"containerPort": 80}, {"containerPort": 53, "protocol": "UDP"}],
    "none": [],
}


def engine() -> Engine:
    bodies = []
    for number, (name, ports) in enumerate(PODS.items()):
        body = dict(pod(f"lab/{name}", f"10.0.0.{number + 1}").body)
        body["spec"] = {"containers": [{"name": "main", "ports": ports}], "nodeName": "node-1"}
        bodies.append(body)
    return Engine.build(build_cluster([namespace("lab"), *manifests(yaml.safe_dump_all(bodies))]))


def chosen(to: str, port: str = "", **request: str) -> tuple[int, Protocol]:
    (end,) = resolve(parse_end(to), engine())
    return choose_port(parse_port(port) if port else None, end, parse_request(**request))


@pytest.mark.parametrize(
    ("to", "port", "request_", "expected"),
    [
        ("lab/one", "", {}, (8080, Protocol.TCP)),  # the only one it declares
        ("lab/one", "web", {}, (8080, Protocol.TCP)),
        ("lab/two", "53", {}, (53, Protocol.UDP)),  # declared so
        ("lab/none", "https", {}, (443, Protocol.TCP)),  # well known
        ("lab/none", "dns", {}, (53, Protocol.UDP)),
        ("lab/none", "53", {"dns": "pypi.org"}, (53, Protocol.UDP)),
        ("lab/none", "", {"dns": "pypi.org"}, (53, Protocol.UDP)),
        ("lab/none", "", {"sni": "pypi.org"}, (443, Protocol.TCP)),
        ("lab/none", "", {"http": "GET /"}, (80, Protocol.TCP)),
        ("pypi.org", "", {}, (443, Protocol.TCP)),
        ("lab/none", "9/UDP", {}, (9, Protocol.UDP)),
    ],
)
def test_port_is_chosen_by_what_is_said_or_declared(
    to: str, port: str, request_: dict[str, str], expected: tuple[int, Protocol]
) -> None:
    assert chosen(to, port, **request_) == expected


@pytest.mark.parametrize(
    ("to", "port", "error", "hint"),
    [
        ("lab/two", "", UsageError, "it declares 80/TCP, 53/UDP"),
        ("lab/none", "", UsageError, "as in 443 or 53/UDP"),
        ("lab/one", "metrics", NotFound, "give the number"),
    ],
)
def test_port_that_nothing_tells_is_asked_for(
    to: str, port: str, error: type[K8treError], hint: str
) -> None:
    with pytest.raises(error) as caught:
        chosen(to, port)
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    ("text", "end", "port"),
    [
        ("10.0.0.9:443", "10.0.0.9", 443),
        ("[2001:db8::1]:8443", "2001:db8::1", 8443),
        ("pypi.org:443", "pypi.org", 443),
        ("https://pypi.org/simple/?x=1", "pypi.org", 443),
        ("http://mirror.lab.svc.cluster.local", "mirror.lab.svc.cluster.local", 80),
        ("postgresql://10.0.0.9:6543/db", "10.0.0.9", 6543),
    ],
)
def test_end_when_copied_from_a_log_then_its_port_is_understood(
    text: str, end: str, port: int
) -> None:
    found = parse_end(text)
    assert found.text == end
    assert found.port == AskedPort(port)


@pytest.mark.parametrize("text", ["amqp://broker.example.org", "gopher://10.0.0.9/x"])
def test_end_when_a_url_leaves_an_unknown_port_out_then_it_is_asked_for(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_end(text)
    assert "third argument" in caught.value.hint


@pytest.mark.parametrize(
    "text", ["lab:80", "a b.c:1", "10.0.0.9:", "pypi.org:99999", "https://", "u@h.x:1", "::1:x"]
)
def test_end_when_it_only_looks_like_a_place_then_it_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_end(text)


def test_question_when_the_opener_has_a_port_then_it_is_refused() -> None:
    with pytest.raises(UsageError, match="belongs to the other end"):
        make_question("10.0.0.9:443", "lab/vault-0", "80")
