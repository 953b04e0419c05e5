"""What was not read takes the certainty of every answer it could change."""

import pytest

from app.core.diagnose.why import diagnose
from app.core.model.answer import Confidence, WhyAnswer
from app.core.model.provenance import Notice, ObjectRef
from app.core.model.unread import could_change, could_decide, unread
from app.services.ask import make_question
from app.services.picture import Ingredients, make_picture
from app.testing.builders import namespace, pod

BROKEN = Notice("not readable as YAML", "gitops/a.yaml", 3, severity="error")


def about(kind: str, space: str, name: str) -> Notice:
    return Notice("is left out", ref=ObjectRef(kind, space, name), severity="error")


def answer(*notices: Notice) -> WhyAnswer:
    objects = (
        namespace("lung"),
        pod("lung/a", "10.0.0.1", labels={"app": "a"}),
        pod("lung/b", "10.0.0.2", labels={"app": "b"}),
    )
    picture = make_picture(Ingredients(objects, notices=notices))
    return diagnose(make_question("lung/a", "lung/b", "80"), picture.engine)


def test_nothing_unread_then_the_answer_is_certain() -> None:
    assert answer(Notice("worth knowing")).cause.confidence is Confidence.CERTAIN


def test_an_unread_file_then_the_answer_names_it_and_is_not_certain() -> None:
    found = answer(BROKEN)
    assert found.cause.confidence is Confidence.POSSIBLE
    assert "what this could change: gitops/a.yaml:3: not readable as YAML" in found.not_known


@pytest.mark.parametrize(
    "notice",
    [about("NetworkPolicy", "brain", "p"), about("ConfigMap", "lung", "grafana")],
)
def test_an_unread_object_that_could_not_matter_then_the_answer_is_certain(notice: Notice) -> None:
    assert answer(notice).cause.confidence is Confidence.CERTAIN


@pytest.mark.parametrize(
    "notice",
    [
        about("NetworkPolicy", "lung", "p"),
        about("CiliumClusterwideNetworkPolicy", "", "p"),
        about("ConfigMap", "kube-system", "cilium-config"),
    ],
)
def test_an_unread_object_that_could_matter_then_the_answer_is_not_certain(notice: Notice) -> None:
    assert answer(notice).cause.confidence is Confidence.POSSIBLE


def test_more_than_a_few_unread_files_are_counted() -> None:
    many = [Notice("not read", f"{number}.yaml", severity="error") for number in range(9)]
    assert any("4 more that were not read" in text for text in answer(*many).not_known)


def test_only_errors_count_as_unread_each_once() -> None:
    assert unread([BROKEN, Notice("x"), BROKEN]) == (BROKEN,)


def test_an_end_that_is_no_pod_could_be_anything() -> None:
    assert could_change(about("Pod", "brain", "x"), None)
    assert not could_change(about("Pod", "brain", "x"), frozenset({"lung"}))
    assert could_decide(BROKEN)
    assert not could_decide(about("Secret", "lung", "x"))
