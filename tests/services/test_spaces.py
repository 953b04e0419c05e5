"""Namespace by namespace: what is allowed against what was seen."""

from __future__ import annotations

from app.services.matrix import Party
from app.services.picture import Ingredients, make_picture
from app.services.spaces import NODES, OUTSIDE, Extent, spaces
from tests.tui.lab import drop, flows, objects

PICTURE = make_picture(Ingredients(tuple(objects())))


def everything(_source: Party, _destination: Party) -> bool:
    return True


def test_pair_when_one_port_is_allowed_then_some() -> None:
    pair = spaces(PICTURE, everything).of("jupyterhub", "project-lung")
    assert pair.extent is Extent.SOME
    assert [row.ports for row in pair.allowed] == ["8888"]


def test_pair_when_nothing_is_allowed_then_nothing() -> None:
    assert spaces(PICTURE, everything).of("project-heart", "mirror").extent is Extent.NOTHING


def test_pair_when_no_policy_speaks_then_everything() -> None:
    assert spaces(PICTURE, everything).of("mirror", "project-heart").extent is Extent.EVERYTHING


def test_flows_when_counted_then_by_both_ends_and_outside_is_one() -> None:
    found = spaces(PICTURE, everything, flows())
    assert found.flows
    assert found.of("jupyterhub", "project-lung").forwarded
    assert found.of("project-lung", "mirror").dropped
    assert found.of("project-lung", OUTSIDE).dropped
    assert found.of("project-lung", "mirror").is_odd


def test_flows_when_there_is_no_source_then_nothing_is_said_of_them() -> None:
    assert not spaces(PICTURE, everything).flows


def test_names_end_with_what_is_no_namespace() -> None:
    names = spaces(PICTURE, everything, [drop()]).names
    assert set(names[-2:]) == {NODES, OUTSIDE}
