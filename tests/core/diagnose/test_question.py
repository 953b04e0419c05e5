from __future__ import annotations

import pytest
import yaml

from app.core.cluster.build import build_cluster
from app.core.diagnose.ends import resolve
from app.core.diagnose.naming import parse_end, parse_port, parse_request
from app.core.diagnose.question import choose_port
from app.core.errors import K8treError, NotFound, UsageError
from app.core.model.verdict import Protocol
from app.core.policy.engine import Engine
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
