"""How often rules were hit, by the flows at hand."""

from __future__ import annotations

from app.core.model.provenance import ObjectRef
from app.services.picture import Ingredients, make_picture
from app.services.rule_use import rule_use
from app.testing.clock import START_NS
from tests.tui.lab import drop, flows, forward, objects

PICTURE = make_picture(Ingredients(tuple(objects())))
WORKSPACE = ObjectRef("CiliumNetworkPolicy", "project-lung", "workspace")


def test_rule_when_flows_pass_by_it_then_counted_with_the_last() -> None:
    use = rule_use(PICTURE, [forward(-60), forward(-10, source_port=40001)])
    one = use.of(WORKSPACE, "spec.ingress[0]")
    assert (one.hits, one.drops) == (2, 0)
    assert one.last_ns == START_NS - 10 * 10**9


def test_refusal_that_no_rule_names_is_the_default_deny_of_the_policy() -> None:
    use = rule_use(PICTURE, [drop(-40)])
    assert use.of(WORKSPACE, "").drops == 1
    assert use.of(WORKSPACE, "spec.egress[0]").drops == 0


def test_rule_without_a_flow_is_not_seen() -> None:
    assert rule_use(PICTURE, []).of(WORKSPACE, "spec.egress[0]").last_ns == 0


def test_connections_are_judged_or_said_to_be_left_out() -> None:
    use = rule_use(PICTURE, flows())
    assert use.judged
    assert use.judged + use.left_out >= 4
