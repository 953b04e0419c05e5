from __future__ import annotations

from hypothesis import given

from app.core.model.cluster import Namespace
from app.tui.views.chips import CHIP, make_chips
from app.tui.views.flows import object_line
from tests.widgets.hostile import hostile_text
from widgets.grid import fit_line
from widgets.spans import HUES, plain, width_of


def spaces(*names: str) -> dict[str, Namespace]:
    return {name: Namespace(name) for name in names}


def test_chips_when_projects_have_pods_alike_then_no_two_ends_read_the_same() -> None:
    names = [f"project-{name}" for name in ("lung", "heart", "gene", "lungs", "liver", "a" * 40)]
    chips = make_chips(spaces(*names, "kube-system"))
    texts = [plain(chips.of(name)) for name in names]
    assert len(set(texts)) == len(names)
    assert {width_of(text) for text in texts} == {CHIP}
    letters = [text[0] for text in texts]
    assert len(set(letters)) == len(names)
    cells = [
        plain(tuple(fit_line(object_line(name, "jupyter-alice", chips), 19))) for name in names
    ]
    assert len(set(cells)) == len(names)
    assert "heart    jupyter" in cells[1]


def test_chips_when_a_project_then_coloured_and_others_are_not() -> None:
    chips = make_chips(spaces("project-lung", "project-heart", "kube-system"))
    assert {chips.of(name)[0].tone for name in ("project-lung", "project-heart")} == set(HUES[:2])
    assert chips.of("kube-system")[0].tone not in HUES
    assert chips.of("not-read")[0].tone not in HUES


def test_chips_when_the_rest_is_a_namespace_itself_then_project_stays() -> None:
    chips = make_chips(spaces("project-lung", "lung"))
    assert plain(chips.of("project-lung")) != plain(chips.of("lung"))


@given(hostile_text)
def test_chips_when_hostile_then_as_wide_as_all(name: str) -> None:
    for chips in (make_chips(spaces(name)), make_chips({})):
        assert width_of(plain(chips.of(name))) == CHIP
