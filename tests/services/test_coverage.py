from __future__ import annotations

from app.core.flows.times import NS_PER_S
from app.core.insights.party import Directory
from app.core.model.flow import Flow, FlowBatch, LostEvents
from app.services.coverage import Coverage, Used, coverage
from app.services.picture import Picture
from app.testing.builders import namespace, pod
from app.testing.pictures import picture_of
from tests.core.insights.sights import START_NS, Pod, flow, refused

RULES = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: mirror-in, namespace: mirror}
spec:
  podSelector: {matchLabels: {app: mirror}}
  ingress:
  - from: [{namespaceSelector: {}, podSelector: {matchLabels: {app: web}}}]
    ports: [{port: 8080}]
  - from: [{namespaceSelector: {}, podSelector: {matchLabels: {app: job}}}]
    ports: [{port: 8080}]
  - ports: [{port: 9090}]
"""
WEB = Pod("apps", "web-0", "10.0.1.1", "web", labels=("k8s:app=web",))
MIRROR = Pod("mirror", "mirror-0", "10.0.2.1", "mirror", labels=("k8s:app=mirror",))


def picture() -> Picture:
    return picture_of(
        (
            namespace("apps"),
            namespace("mirror"),
            pod("apps/web-0", "10.0.1.1", labels={"app": "web"}),
            pod("apps/job-0", "10.0.1.2", labels={"app": "job"}),
            pod("mirror/mirror-0", "10.0.2.1", labels={"app": "mirror"}),
        ),
        RULES,
    )


def look(*flows: Flow, days: float = 1.0, lost: int = 0) -> Coverage:
    made = picture()
    used = Used(Directory(made.cluster))
    used.take(FlowBatch(flows, (LostEvents("ring", lost),) if lost else ()))
    return coverage(made, used, days=days)


def two_days(port: int) -> tuple[Flow, Flow]:
    return flow(WEB, MIRROR, port), flow(WEB, MIRROR, port, 2 * 24 * 3600)


def test_coverage_when_one_rule_was_used_then_the_others_have_no_hit() -> None:
    found = look(*two_days(8080))
    assert found.idle is not None
    assert [rule.path for rule in found.idle] == ["spec.ingress[1].from[0]", "spec.ingress[2]"]
    assert found.used == 1
    assert not found.resting


def test_coverage_when_allowed_paths_were_not_taken_then_they_are_candidates() -> None:
    found = look(*two_days(8080))
    assert found.unused is not None
    pairs = {(path.source, path.destination) for path in found.unused}
    assert ("apps/job", "mirror/mirror") in pairs
    assert ("apps/web", "mirror/mirror") not in pairs


def test_coverage_when_the_flows_reach_back_too_little_then_nothing_is_claimed() -> None:
    found = look(*two_days(8080), days=7)
    assert (found.unused, found.idle) == (None, None)
    assert found.reaches_days == 2.0
    assert look(days=0).idle is None


def test_coverage_when_a_rule_names_no_peer_then_the_path_rests_on_it() -> None:
    (one,) = look(*two_days(9090), lost=3).resting
    assert (one.rule.path, one.broad) == ("spec.ingress[2]", "names no peer")
    assert look(lost=3).lost == 3


def test_coverage_when_the_policies_deny_it_now_then_it_is_not_judged() -> None:
    assert look(*two_days(22)).unjudged == 1


def test_used_when_refused_then_it_is_no_use() -> None:
    used = Used()
    used.take(FlowBatch(tuple(refused(WEB, MIRROR, 22))))
    assert not used.paths
    assert used.first_ns == START_NS
    assert used.last_ns - used.first_ns < NS_PER_S
