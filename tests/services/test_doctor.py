from dataclasses import replace

from app.ports import Right, SourceState
from app.services.doctor import Check, Health, Surroundings, examine
from app.services.picture import Picture, empty_picture
from app.testing.pictures import picture_of, small_tre

BROKEN = """
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: broken, namespace: heart}
spec:
  endpointSelector: {}
  egress: [{toFQDNs: [{matchName: pypi.org}], toEntities: [world]}]
"""


def checks(picture: Picture, area: str, found: Surroundings | None = None) -> list[Check]:
    return [one for one in examine(picture, found or Surroundings()) if one.area == area]


def test_empty_picture_says_what_is_missing_and_how_to_mend_it() -> None:
    areas = {
        one.area for one in examine(empty_picture(), Surroundings()) if one.health is Health.MISSING
    }
    assert {"git", "boundaries", "objects"} <= areas
    assert all(one.fix for one in checks(empty_picture(), "git"))


def test_what_is_there_is_fine() -> None:
    picture = picture_of(small_tre())
    found = Surroundings("c.toml", "/repo", "b.toml", (("github", "GITHUB_TOKEN", "set it"),))
    for area in ("config", "git", "boundaries", "github", "cilium", "policies"):
        assert [one.health for one in checks(picture, area, found)] == [Health.FINE], area
    assert "4 endpoints" in checks(picture, "objects")[0].text


def test_credential_that_is_missing_says_how_to_give_it() -> None:
    found = Surroundings(secrets=(("slack", "", "set SLACK_BOT_TOKEN"),))
    (check,) = checks(empty_picture(), "slack", found)
    assert (check.health, check.fix) == (Health.MISSING, "set SLACK_BOT_TOKEN")


def test_source_that_failed_is_broken_with_its_hint() -> None:
    state = SourceState("prod", "denied", "expired", detail={"hint": "log in"})
    (check,) = checks(replace(empty_picture(), sources={"prod": state}), "source")
    assert (check.health, check.fix) == (Health.BROKEN, "log in")
    assert check.text == "prod: denied: expired"


def test_source_that_is_read_in_part_is_not_called_read() -> None:
    unheard = {"unavailable": "node-2"}
    state = SourceState("hubble", "ended", "not heard: node-2", detail=unheard)
    (check,) = checks(replace(empty_picture(), sources={"hubble": state}), "source")
    assert (check.health, check.text) == (
        Health.BROKEN,
        "hubble: read in part: not heard: node-2",
    )
    without_history = replace(state, detail={}, reason="flow history: disk full")
    (check,) = checks(replace(empty_picture(), sources={"hubble": without_history}), "source")
    assert (check.health, check.text) == (
        Health.MISSING,
        "hubble: read: flow history: disk full",
    )


def test_missing_rights_say_what_they_cost() -> None:
    rights = (
        Right("Pod", "list", allowed=True),
        Right("Node", "list", allowed=False, cost="node addresses are unknown", reason="forbidden"),
        Right("Secret", "list", allowed=True, scope="3 of 41 namespaces"),
        Right("CiliumCIDRGroup", "list", allowed=None, cost="no CIDR groups"),
    )
    found = checks(replace(empty_picture(), rights=rights), "rights")
    assert [one.text for one in found] == [
        "no Node: node addresses are unknown (forbidden)",
        "Secret in 3 of 41 namespaces only",
        "the cluster has no CiliumCIDRGroup: no CIDR groups",
    ]


def test_refused_policy_is_broken_with_file_and_line() -> None:
    found = checks(picture_of(small_tre(), BROKEN), "policies")
    assert [one.health for one in found] == [Health.FINE, Health.BROKEN]
    assert found[1].text.startswith("objects.yaml:")
