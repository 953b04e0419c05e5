"""What the demo's own boundaries say of it."""

from app.core.cluster.build import build_cluster
from app.core.diagnose.boundaries import judge_boundaries, parse_boundaries
from app.core.policy.engine import Engine
from integrations.demo.cluster import BOUNDARIES, DemoCluster


async def test_boundaries_hold_but_for_the_one_that_a_broad_policy_breaks() -> None:
    read = await DemoCluster().read()
    engine = Engine.build(build_cluster(read.manifests, settings=read.settings))
    boundaries = parse_boundaries(BOUNDARIES.read_text(encoding="utf-8"), BOUNDARIES.name)
    rulings = judge_boundaries(boundaries, engine)
    assert all(one.asked and not one.problem for one in rulings)
    broken = {one.boundary.name: one.breaches for one in rulings if not one.holds}
    assert broken.keys() == {"storage-administration-is-private"}
    (breaches,) = broken.values()
    names = {rule.policy.name for breach in breaches for rule in breach.rules}
    assert "platform-open" in names
