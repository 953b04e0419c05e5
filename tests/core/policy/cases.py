"""Read the YAML cases of `tests/cases/policy` into the form of the conformance files.

A case has a fixture, adds `objects`, and asks. An object is written as in Kubernetes without its
`apiVersion`, or as `{pod: NS/NAME, labels, ports: [NAME PORT/PROTOCOL], account, address}`. An
answer is `[verdict, deciding policies…]` per direction.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import yaml

from app.services.conformance import ConformanceCase

CASES = Path(__file__).parents[2] / "cases" / "policy"
FIXTURE = "fixture.yaml"

API_VERSIONS = {
    "NetworkPolicy": "networking.k8s.io/v1",
    "Pod": "v1",
    "Namespace": "v1",
    "Service": "v1",
    "Endpoints": "v1",
    "Node": "v1",
    "EndpointSlice": "discovery.k8s.io/v1",
    "HTTPRoute": "gateway.networking.k8s.io/v1",
    "Gateway": "gateway.networking.k8s.io/v1",
}

Tree = dict[str, Any]


def load(name: str) -> list[Tree]:
    """Read one file of cases."""
    text = (CASES / name).read_text(encoding="utf-8")
    found: list[Tree] = yaml.load(text, Loader=yaml.CSafeLoader)  # a safe loader
    return found


def expand(written: Tree) -> Tree:
    """Write a short object out in full."""
    if "pod" in written:
        return _expand_pod(written)
    api_version = API_VERSIONS.get(written["kind"], "cilium.io/v2")
    return {"apiVersion": api_version, **written}


def _expand_pod(written: Tree) -> Tree:
    namespace, name = written["pod"].split("/")
    container: Tree = {"name": "c", "image": "registry.example/app:1"}
    if "ports" in written:
        container["ports"] = [_expand_port(port) for port in written["ports"]]
    spec = {"nodeName": written.get("node", "node-1"), "containers": [container]}
    spec["serviceAccountName"] = written.get("account", "default")
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": written.get("labels", {})},
        "spec": spec | written.get("spec", {}),
        "status": {"phase": "Running", "podIP": written.get("address", "10.244.9.9")},
    }


def _expand_port(written: str) -> Tree:
    name, where = written.split(" ")
    number, protocol = where.split("/")
    return {"name": name, "containerPort": int(number), "protocol": protocol}


def fixture(without: list[str] | None = None) -> list[Tree]:
    """Give the common objects, but for those left out as `Kind/NS/NAME`."""
    objects = [expand(written) for written in load(FIXTURE)]
    return [item for item in objects if key_of(item) not in (without or [])]


def key_of(item: Tree) -> str:
    """Name an object as `Kind/NS/NAME`."""
    metadata = item["metadata"]
    return f"{item['kind']}/{metadata.get('namespace', '')}/{metadata['name']}"


def to_case(written: Tree) -> ConformanceCase:
    """Make a conformance case of a YAML one."""
    config = {"ciliumVersion": written.get("version", "1.19.3")}
    config |= {
        key: written[key] for key in ("dualStack", "policyEnforcementMode") if key in written
    }
    objects = fixture(written.get("without"))
    objects += [expand(item) for item in written.get("objects", ())]
    return msgspec.convert(
        {
            "name": written["name"],
            "config": config,
            "objects": objects,
            "queries": [_query(ask) for ask in written["asks"]],
            "expect": [_expected(ask) for ask in written["asks"]],
            "invalid": dict.fromkeys(written.get("invalid", ()), ""),
        },
        ConformanceCase,
    )


def _query(ask: Tree) -> Tree:
    source, destination, where = ask["ask"].split(" ")
    port, protocol = where.split("/")
    query = {"from": source, "to": destination, "port": int(port), "protocol": protocol}
    return query | {key: ask[key] for key in ("http", "dns", "sni") if key in ask}


def _expected(ask: Tree) -> Tree:
    expected: Tree = {"verdict": ask["verdict"]}
    for direction in ("egress", "ingress"):
        if direction in ask:
            verdict, *by = ask[direction]
            expected[direction] = {"verdict": verdict, "by": by}
    return expected
