"""One question is asked once: of the objects, and of the engine for each change that is weighed."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from app.bootstrap.drafts import placing
from app.cli import main
from app.core.diagnose import case
from app.core.diagnose.boundaries import Boundary, Must
from app.core.policy.engine import Engine
from app.services.ask import explain, inquire, make_question
from app.services.drafting import Drafter
from app.services.picture import Ingredients, Picture, make_picture
from app.testing.repo import FakeRepo
from integrations.manifests.reader import load
from tests.core.drafts.cluster import KUSTOMIZATION, WORKSPACE, write

FILES = {"lung/workspace.yaml": WORKSPACE, "lung/kustomization.yaml": KUSTOMIZATION}
WORDS = ("lung/notebook-alice", "mirror/db-0", "5432")
WEIGHED = 2
"""Changes of the workspace policy that would allow `WORDS`: one more rule, a policy of its own."""

READ = 1
"""The engine of the picture that is read follows that of the empty one."""


@pytest.fixture(name="calls")
def _calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    counts: Counter[str] = Counter()

    def count(owner: object, name: str) -> None:
        original = getattr(owner, name)

        def counted(*args: object) -> object:
            counts[name.strip("_")] += 1
            return original(*args)

        monkeypatch.setattr(owner, name, counted)

    count(case, "_gather")
    count(Engine, "replace")
    return counts


@pytest.fixture(name="root")
def _root(tmp_path: Path) -> Path:
    return write(tmp_path / "repo", FILES)


def picture(root: Path) -> Picture:
    return make_picture(Ingredients(load([str(root)], {}).manifests))


def test_inquiry_when_denied_then_one_gathering_and_one_engine_for_each_change(
    root: Path, calls: Counter[str]
) -> None:
    inquiry = inquire(picture(root), None, make_question(*WORDS))
    assert len(inquiry.answer.fixes) == WEIGHED
    assert calls == {"gather": 1, "replace": WEIGHED}


async def test_draft_when_of_an_inquiry_then_nothing_is_asked_again(
    root: Path, calls: Counter[str]
) -> None:
    inquiry = inquire(picture(root), None, make_question(*WORDS))
    before = dict(calls)
    drafter = Drafter(FakeRepo(dict(FILES)), placing(root.resolve()))
    answer = await drafter.patched(inquiry)
    assert all(fix.patch for fix in answer.fixes)
    await drafter.draft(inquiry, inquiry.ways.keyed(answer.fixes[-1].key))
    assert calls == before


@pytest.mark.parametrize("output", ["table", "json", "yaml"])
def test_why_in_any_form_when_denied_then_asks_once(
    root: Path, output: str, calls: Counter[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["why", *WORDS, "--snapshot", str(root), "-o", output]) == 1
    assert "one more rule (lung/workspace)" in capsys.readouterr().out
    assert calls == {"gather": 1, "replace": READ + WEIGHED}


def test_draft_command_when_dry_run_then_asks_once_more_only_for_the_effect(
    root: Path, calls: Counter[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["draft", *WORDS, "--snapshot", str(root), "--dry-run"]) == 0
    assert "5432" in capsys.readouterr().out
    assert calls == {"gather": 1, "replace": READ + WEIGHED + 1}


def test_inquiry_when_there_are_boundaries_then_they_cost_no_gathering(
    root: Path, calls: Counter[str]
) -> None:
    kept = Boundary("mirror-open", ("ns:lung",), ("mirror/db-0",), Must.ALLOW)
    inquiry = inquire(replace(picture(root), boundaries=(kept,)), None, make_question(*WORDS))
    assert len(inquiry.ways.plans) == WEIGHED
    assert calls == {"gather": 1, "replace": WEIGHED}


def test_explanation_beside_a_flow_when_denied_then_no_change_is_weighed(
    root: Path, calls: Counter[str]
) -> None:
    answer = explain(picture(root), None, make_question(*WORDS))
    assert answer.verdict == "denied"
    assert answer.fixes == ()
    assert calls == {"gather": 1}


def test_answer_when_asked_again_by_its_own_question_then_the_same(root: Path) -> None:
    for words in (WORDS, ("lung/notebook-alice", "svc:mirror/mirror:80")):
        answer = inquire(picture(root), None, make_question(*words)).answer
        again = inquire(picture(root), None, answer.asked).answer
        assert replace(again, fixes=()) == replace(answer, fixes=())
        assert [fix.key for fix in again.fixes] == [fix.key for fix in answer.fixes]
