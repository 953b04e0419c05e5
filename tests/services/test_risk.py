"""The risk of a draft, rated by what it opens; a high one is not submitted unless accepted."""

from dataclasses import replace
from pathlib import Path

import pytest

from app.bootstrap.drafts import placing
from app.core.errors import DraftRejected
from app.services.ask import inquire, make_question
from app.services.drafting import Draft, Drafter, DraftRequest
from app.services.picture import Ingredients, Picture, make_picture
from app.services.proof import Proof
from app.services.risk import Level, Risk, rate
from app.testing.repo import FakeRepo
from integrations.manifests.reader import load
from tests.core.drafts.cluster import KUSTOMIZATION, PODS, WORKSPACE, write

ALICE = "lung/notebook-alice"
FILES = {"lung/workspace.yaml": WORKSPACE, "lung/kustomization.yaml": KUSTOMIZATION}
ACCEPTED = DraftRequest("the node agent is asked", accept_risk=True)


async def _draft(root: Path, *words: str, request: DraftRequest | None = None) -> Draft:
    picture = make_picture(Ingredients(load([str(root)]).manifests))
    inquiry = inquire(picture, None, make_question(*words))
    drafter = Drafter(FakeRepo(dict(FILES)), placing(root.resolve()))
    return await drafter.draft(inquiry, inquiry.ways.numbered(1), request)


def _with(proof: Proof, policies: str, root: Path) -> Proof:
    """The same proof, with other policies afterwards: what a person could have written."""
    files = {**FILES, "lung/workspace.yaml": policies}
    after = make_picture(Ingredients(load([str(write(root, files))]).manifests))
    return replace(proof, after=after)


@pytest.mark.parametrize(
    ("words", "level", "reason"),
    [
        (("mirror/db-0", "5432"), Level.LOW, ""),
        (("cran.r-project.org", "443"), Level.MEDIUM, "outside the pods"),
        (("203.0.113.9", "443"), Level.MEDIUM, "outside the pods"),
        (("169.254.169.254", "80"), Level.HIGH, "where clouds answer for credentials"),
        (("169.254.20.10", "8080"), Level.HIGH, "link-local"),
        (("168.63.129.16", "80"), Level.HIGH, "where clouds answer"),
        (("entity:kube-apiserver", "443"), Level.HIGH, "the API server"),
        (("co.uk", "443"), Level.HIGH, "`co.uk`, under which anybody"),
    ],
)
async def test_rate_when_asked_for_then_by_what_it_opens(
    words: tuple[str, str], level: Level, reason: str, tmp_path: Path
) -> None:
    draft = await _draft(write(tmp_path, FILES), ALICE, *words)
    assert draft.risk.level is level
    assert reason in str(draft.risk)
    assert f"| Risk | {level.value}" in draft.change.body


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ("    - toEntities: [world]\n", "the outside on all ports"),
        ("    - toCIDR: [0.0.0.0/0]\n", "the outside on all ports"),
        ("    - toCIDR: [2000::/3]\n", "the outside on all ports"),
        ('    - toCIDR: [169.254.0.0/16]\n      toPorts: [{ports: [{port: "80"}]}]\n', "clouds"),
        ("    - toEntities: [all]\n", "the API server"),
        ('    - toFQDNs: [{matchPattern: "*.github.io"}]\n', "`*.github.io`"),
        ('    - toFQDNs: [{matchPattern: "*"}]\n', "`*`"),
    ],
)
async def test_rate_when_a_rule_opens_more_than_asked_then_high(
    rule: str, reason: str, tmp_path: Path
) -> None:
    draft = await _draft(write(tmp_path / "a", FILES), ALICE, "mirror/db-0", "5432")
    risk = rate(draft.plan, _with(draft.proof, WORKSPACE + rule, tmp_path / "b"))
    assert risk.level is Level.HIGH
    assert reason in str(risk)


async def test_rate_when_it_was_open_before_then_not_blamed_on_the_change(tmp_path: Path) -> None:
    wide = WORKSPACE + "    - toEntities: [world]\n"
    root = write(tmp_path, {**FILES, "lung/workspace.yaml": wide})
    picture = make_picture(Ingredients(load([str(root)]).manifests))
    inquiry = inquire(picture, None, make_question(ALICE, "mirror/db-0", "5432"))
    repo = FakeRepo({**FILES, "lung/workspace.yaml": wide})
    drafter = Drafter(repo, placing(root.resolve()))
    assert (await drafter.draft(inquiry, inquiry.ways.numbered(1))).risk == Risk(Level.LOW)


async def test_rate_when_two_projects_then_high(tmp_path: Path) -> None:
    def named(text: str) -> str:
        text = text.replace("namespace: lung", "namespace: project-lung")
        return text.replace("namespace: mirror", "namespace: project-heart")

    files = {"lung/workspace.yaml": named(WORKSPACE), "lung/kustomization.yaml": KUSTOMIZATION}
    root = write(tmp_path, files)
    (root / "pods.yaml").write_text(named(PODS))
    picture: Picture = make_picture(Ingredients(load([str(root)]).manifests))
    asked = make_question("project-lung/notebook-alice", "project-heart/db-0", "5432")
    inquiry = inquire(picture, None, asked)
    drafter = Drafter(FakeRepo(files), placing(root.resolve()))
    draft = await drafter.draft(inquiry, inquiry.ways.numbered(1))
    assert draft.risk.level is Level.HIGH
    assert "project `project-lung` reach project `project-heart`" in str(draft.risk)


async def test_submit_when_high_then_only_with_a_reason_and_accepted(tmp_path: Path) -> None:
    root = write(tmp_path, FILES)
    repo = FakeRepo(dict(FILES))
    drafter = Drafter(repo, placing(root.resolve()))
    for request in (None, DraftRequest("because"), DraftRequest("  ", accept_risk=True)):
        draft = await _draft(root, ALICE, "169.254.169.254", "80", request=request)
        with pytest.raises(DraftRejected, match="the risk is high") as caught:
            await drafter.submit(draft)
        assert "--accept-risk" in caught.value.hint
    assert repo.proposed == []
    await drafter.submit(await _draft(root, ALICE, "169.254.169.254", "80", request=ACCEPTED))
    assert len(repo.proposed) == 1
