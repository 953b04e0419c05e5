"""What a draft says it opens is what the engine finds on its merge commit, over all pairs.

The clusters are those that Cilium's own engine judges ours on (`tests.oracle.clusters`). Every end
is asked about, one by one, with nothing of how drafts find out what they open.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.core.errors import K8treError
from app.core.model.cluster import IdentityKind
from app.core.model.kinds import POLICY_KINDS
from app.core.model.verdict import Direction, Peer, Protocol, Question, Verdict
from app.core.policy.engine import Engine
from app.core.policy.outside import WORLD, outside_classes
from app.core.policy.port_cuts import cut, named_spans
from app.services.ask import make_question
from app.services.drafting import Draft, DraftRequest
from app.services.picture import Ingredients, Picture, make_picture
from integrations.manifests.reader import load
from tests.integrations.git_repository import commit, git
from tests.oracle.clusters.cases import make_case
from tests.services.test_proof import drafter_of

CLUSTERS = int(os.environ.get("CLAIMS", "6"))
"""Random clusters; CLAIMS=200 asks of as many."""

_ENTITIES = ("host", "remote-node", "kube-apiserver", "health", "ingress")
ACCEPTED = DraftRequest("to see what it opens", accept_risk=True)

_QUESTIONS = 6
"""Questions of a cluster that are tried until one can be drafted."""

Opened = frozenset[tuple[object, object, Protocol, int]]


@dataclass(frozen=True)
class Drafted:
    """A draft, and what is deployed before it and once it is merged."""

    draft: Draft
    before: Engine
    after: Engine


def _picture(root: Path) -> Picture:
    return make_picture(Ingredients(load([str(root)]).manifests))


def _write(root: Path, objects: Iterable[Mapping[str, Any]]) -> None:
    """Put each policy into a file of its own, all else into one, under a kustomization."""
    files: dict[str, list[Mapping[str, Any]]] = {}
    for at, one in enumerate(objects):
        name = f"policy-{at}.yaml" if one["kind"] in POLICY_KINDS else "others.yaml"
        files.setdefault(name, []).append(one)
    texts = {name: yaml.safe_dump_all(several, sort_keys=False) for name, several in files.items()}
    texts["kustomization.yaml"] = yaml.safe_dump({"resources": sorted(texts)})
    root.mkdir(parents=True)
    git(root, "init", "--quiet", "--initial-branch=main")
    commit(root, texts)
    git(root, "checkout", "--quiet", "--force", "main")


async def _merged(root: Path, seed: int) -> Drafted | None:
    """Draft for the first question of a cluster for which it can be, and merge that."""
    case = make_case(seed, f"claims-{seed}", with_requests=False)
    _write(root, case["objects"])
    shown, drafter = _picture(root), drafter_of(root)
    for query in case["queries"][:_QUESTIONS]:
        try:
            asked = make_question(
                query["from"], query["to"], f"{query['port']}/{query['protocol']}"
            )
            inquiry = await drafter.ask(shown, None, asked)
            if inquiry.answer.verdict is not Verdict.DENIED:
                continue
            draft = await drafter.draft(inquiry, inquiry.ways.numbered(1), ACCEPTED)
        except K8treError:
            continue
        await drafter.submit(draft)
        git(root, "merge", "--quiet", "--no-ff", "-m", "merge", draft.change.branch)
        return Drafted(draft, shown.engine, _picture(root).engine)
    return None


def _key(peer: Peer) -> object:
    """Who an end is: a pod by its labels, what is outside by its name, else by its address."""
    if peer.names:
        return peer.kind, peer.names
    return peer.kind, peer.labels, None if peer.endpoint is not None else peer.address


def _ends(made: Drafted) -> Iterator[Peer]:
    questions = made.draft.plan.asked
    for one in made.after.cluster.endpoints:
        yield made.after.peer_of(one)
    for name in _ENTITIES:
        yield made.after.peer_of_entity(name)
    ends = [end for one in questions for end in (one.source, one.destination)]
    apart = [end.address for end in ends if end.kind is IdentityKind.WORLD and end.address]
    names = {name for end in ends for name in end.names}
    for outside in outside_classes(made.before, made.after, apart=apart, names=names):
        if outside.name != WORLD:
            yield outside.peer


def _ports(made: Drafted) -> set[tuple[Protocol, int]]:
    """A number of each piece of ports that the policies of the draft tell apart, either side.

    Those of ICMP, which are no ports, are the draft's own and the ones asked about.
    """
    plan, refs = made.draft.plan, set(made.draft.policies)
    told = {(one.protocol, one.port) for one in plan.opened}
    told |= {(one.protocol, one.port) for one in plan.asked}
    spans: dict[Protocol, set[tuple[int, int]]] = {}
    for engine in (made.before, made.after):
        for policy in engine.policies:
            for direction in Direction:
                if policy.ref in refs:
                    for protocol, span in named_spans(policy, direction):
                        spans.setdefault(protocol, set()).add(span)
    return told | {(protocol, low) for protocol, named in spans.items() for low, _ in cut(named)}


def _found(made: Drafted) -> Opened:
    """Every pair that was denied before the merge and is not after it, asked one by one."""
    ends = {_key(one): one for one in _ends(made)}
    opened = set()
    for source in ends.values():
        for destination in ends.values():
            if source.endpoint is None and destination.endpoint is None:
                continue
            if source.names:  # nobody is known by a name before it is connected to
                continue
            for protocol, port in _ports(made):
                asked = Question(source, destination, port, protocol)
                was, now = (one.decide(asked).verdict for one in (made.before, made.after))
                if was is Verdict.DENIED and now is not Verdict.DENIED:
                    opened.add((_key(source), _key(destination), protocol, port))
    return frozenset(opened)


def _claimed(made: Drafted) -> Opened:
    plan = made.draft.plan
    claims = {
        (_key(one.source.peer), _key(one.destination.peer), one.protocol, one.port)
        for one in plan.opened
        if one.source.key != one.destination.key or one.source.size > 1  # nobody asks of itself
    }
    return frozenset(claims)


def _asked(made: Drafted) -> Opened:
    return frozenset(
        (_key(one.source), _key(one.destination), one.protocol, one.port)
        for one in made.draft.plan.asked
    )


@pytest.mark.parametrize("seed", range(CLUSTERS))
async def test_draft_when_merged_then_opens_what_it_said_and_nothing_else(
    tmp_path: Path, seed: int
) -> None:
    made = await _merged(tmp_path / "repo", seed)
    if made is None:
        pytest.skip("no question of this cluster can be drafted")
    found, claimed, asked = _found(made), _claimed(made), _asked(made)
    assert found - asked == claimed - asked
    question = made.draft.plan.asked[0]
    assert made.after.decide(question).verdict is not Verdict.DENIED
    if not made.draft.plan.opened:
        assert made.draft.opens == "opens nothing else among the ends that are known"
