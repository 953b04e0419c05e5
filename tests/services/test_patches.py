"""The patch of every fix, applied to files by git and read again, allows what was asked."""

import json
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.bootstrap.drafts import placing
from app.core.cluster.build import build_cluster
from app.core.diagnose.case import gather
from app.core.errors import DraftRejected, UsageError
from app.core.model.asked import Asked
from app.core.model.verdict import Direction, Outcome, Verdict
from app.core.policy.engine import Engine
from app.services.ask import inquire, make_question, why
from app.services.drafting import Drafter
from app.services.picture import Ingredients, Picture, make_picture
from app.services.ways import wanted_of
from integrations.git.patch_only import PatchOnly
from integrations.manifests.reader import load
from tests.core.diagnose.bank import Fault, Object, load_faults
from tests.oracle.clusters.cases import make_case

FAULTS = [fault for fault in load_faults() if fault.expect["cause"] != "none"]
STYLES: dict[str, Callable[[Object], str]] = {
    "block": lambda body: yaml.safe_dump(body, sort_keys=False),
    "flow": lambda body: yaml.safe_dump(body, sort_keys=False, default_flow_style=True),
    "json": lambda body: json.dumps(body, indent=2) + "\n",
    "list": lambda body: yaml.safe_dump({"kind": "List", "items": [body]}, sort_keys=False),
}


def write(folder: Path, fault: Fault, style: str) -> None:
    """One file for each policy, and one for everything else."""
    rest = []
    for manifest in fault.manifests():
        if "Policy" not in manifest.ref.kind:
            rest.append(yaml.safe_dump(manifest.body))
            continue
        name = f"{manifest.ref.kind}-{manifest.ref.namespace}-{manifest.ref.name}.yaml".lower()
        (folder / name).write_text(STYLES[style](dict(manifest.body)), encoding="utf-8")
    (folder / "cluster.yaml").write_text("---\n".join(rest), encoding="utf-8")


def picture_of(folder: Path, fault: Fault) -> Picture:
    cluster = build_cluster(load((str(folder),)).manifests, settings=fault.settings)
    return Picture(cluster, Engine.build(cluster))


def git_apply(folder: Path, patch: str, *flags: str) -> None:
    subprocess.run(
        ["git", "apply", *flags, "-"], cwd=folder, input=patch.encode(), check=True, timeout=60
    )


def is_denied(picture: Picture, asked: Asked, *, as_met_in: Picture) -> bool:
    """Whether what the answer of a picture is about is denied in `picture`.

    A Service before the gateway leads to several hosts, and an answer is about the first that is
    denied: once that is open, a new question would be about the next.
    """
    wanted = wanted_of(gather(asked, as_met_in.engine, None))
    sides = wanted.sides or [(wanted.question, direction) for direction in Direction]
    decisions = [(picture.engine.decide(question), direction) for question, direction in sides]
    return any(
        (one.egress if direction is Direction.EGRESS else one.ingress).outcome is Outcome.DENIED
        for one, direction in decisions
    )


@pytest.mark.parametrize(
    ("fault", "style"),
    [(fault, list(STYLES)[at % len(STYLES)]) for at, fault in enumerate(FAULTS)],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
async def test_patch_when_applied_by_git_and_read_again_then_allows_it(
    fault: Fault, style: str, tmp_path: Path
) -> None:
    write(tmp_path, fault, style)
    before = picture_of(tmp_path, fault)
    drafter = Drafter(PatchOnly(tmp_path), placing(tmp_path.resolve()))
    inquiry = inquire(before, None, fault.asked)
    for fix in (await drafter.patched(inquiry)).fixes:
        if not fix.key:
            continue
        if fix.patch is None:
            with pytest.raises(DraftRejected, match="not known where the policies of"):
                await drafter.draft(inquiry, inquiry.ways.keyed(fix.key))
            continue
        git_apply(tmp_path, fix.patch)
        after = picture_of(tmp_path, fault)
        assert not is_denied(after, fault.asked, as_met_in=before), fix.patch
        git_apply(tmp_path, fix.patch, "--reverse")
    assert picture_of(tmp_path, fault).cluster.policies == before.cluster.policies


def asked_of(query: Mapping[str, Any]) -> Asked:
    """A question of a random cluster, in words."""
    http = query.get("http")
    words = f"{http.get('method') or 'GET'} {http.get('path') or '/'}" if http else ""
    return make_question(
        query["from"],
        query["to"],
        f"{query['port']}/{query['protocol']}",
        http=words,
        dns=query.get("dns", ""),
        sni=query.get("sni", ""),
    )


@pytest.mark.parametrize("seed", range(10))
async def test_patch_of_a_random_cluster_when_applied_and_read_again_then_allows_it(
    seed: int, tmp_path: Path
) -> None:
    case = make_case(seed, "x", with_requests=True)
    for number, body in enumerate(case["objects"]):
        (tmp_path / f"{number}.yaml").write_text(yaml.safe_dump(body), encoding="utf-8")

    def picture() -> Picture:
        return make_picture(Ingredients(load((str(tmp_path),)).manifests))

    before, drafter = picture(), Drafter(PatchOnly(tmp_path), placing(tmp_path.resolve()))
    for query in case["queries"][:12]:
        try:
            asked = asked_of(query)
            fixes = (await drafter.patched(inquire(before, None, asked))).fixes
        except UsageError:
            continue  # an end or a name that nobody can type
        for patch in filter(None, (fix.patch for fix in fixes)):
            git_apply(tmp_path, patch)
            assert why(picture(), None, asked).verdict is not Verdict.DENIED, patch
            git_apply(tmp_path, patch, "--reverse")
