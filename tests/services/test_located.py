from dataclasses import replace
from typing import Any

import pytest

from app.core.model.provenance import Manifest, Source
from app.services.located import LocatedReader, same_rules
from app.testing.builders import manifest, namespace
from app.testing.sources import FakeCluster

SPEC: dict[str, Any] = {"endpointSelector": {}, "ingress": [{}]}
WRITTEN = Source("a/in.yaml", 4, lines={"spec.ingress[0]": 9})


def policy(name: str, spec: dict[str, Any] | None = None, source: Source | None = None) -> Manifest:
    return manifest("CiliumNetworkPolicy", name, "lab", source=source, spec=spec or SPEC)


def reader(live: list[Manifest], written: list[Manifest]) -> LocatedReader:
    return LocatedReader(FakeCluster.holding(live, "prod"), FakeCluster.holding(written, "files"))


async def test_policy_takes_file_and_lines_from_the_checkout() -> None:
    located = reader([namespace("lab"), policy("in")], [policy("in", source=WRITTEN)])
    picture = await located.read()
    assert [one.line_of("spec.ingress[0]") for one in picture.manifests] == [None, 9]
    assert picture.notices == ()
    assert located.name == "prod"


async def test_policy_that_differs_is_cited_as_a_document_and_said() -> None:
    changed: dict[str, Any] = {"endpointSelector": {}, "ingress": []}
    picture = await reader([policy("in", changed)], [policy("in", source=WRITTEN)]).read()
    (one,) = picture.manifests
    assert (one.file, one.line_of("spec.ingress[0]")) == ("a/in.yaml", 4)
    assert [notice.text for notice in picture.notices] == [
        "CiliumNetworkPolicy/lab/in in the cluster differs from its file"
    ]


async def test_policy_that_is_not_deployed_is_said_and_not_in_force() -> None:
    picture = await reader([], [policy("in", source=WRITTEN), namespace("lab")]).read()
    assert picture.manifests == ()
    assert [notice.severity for notice in picture.notices] == ["info"]


async def test_changes_are_located_too() -> None:
    live = FakeCluster.holding([policy("in")], "prod")
    located = LocatedReader(live, FakeCluster.holding([policy("in", source=WRITTEN)]))
    await located.read()
    live.change([policy("in")])
    live.end()
    (change,) = [one async for one in located.watch()]
    assert change.upserts[0].file == "a/in.yaml"


@pytest.mark.parametrize(
    ("live", "written", "same"),
    [
        ({"podSelector": {}, "policyTypes": ["Ingress"]}, {"podSelector": {}}, True),
        (
            {"ingress": [{"ports": [{"port": 80, "protocol": "TCP"}]}]},
            {"ingress": [{"ports": [{"port": 80}]}]},
            True,
        ),
        (
            {"ingress": [{"ports": [{"port": 80, "protocol": "UDP"}]}]},
            {"ingress": [{"ports": [{"port": 80}]}]},
            False,
        ),
    ],
)
def test_what_the_api_server_fills_in_is_no_difference(
    *, live: dict[str, Any], written: dict[str, Any], same: bool
) -> None:
    one = manifest("NetworkPolicy", "a", "b", spec=live)
    assert same_rules(one, manifest("NetworkPolicy", "a", "b", spec=written)) is same


def test_protocol_of_a_cilium_rule_is_never_left_out() -> None:
    ports = [{"port": "80", "protocol": "TCP"}]
    one = policy("a", {"egress": [{"toPorts": [{"ports": ports}]}]})
    other = policy("a", {"egress": [{"toPorts": [{"ports": [{"port": "80"}]}]}]})
    assert not same_rules(one, other)
    assert same_rules(one, replace(one, source=WRITTEN))
