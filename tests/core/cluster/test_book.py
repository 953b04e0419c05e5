"""A cluster built from the one before is the one that is built from nothing."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.cluster.build import build_cluster
from app.core.model.provenance import Manifest
from tests.core.cluster.objects import Tree, build, manifest, pod

NAMES = ("a", "b", "c")


def a_pod(dice: random.Random, name: str, namespace: str) -> Manifest:
    owner = {"kind": dice.choice(("ReplicaSet", "Job")), "name": name, "controller": True}
    return pod(
        name,
        namespace,
        f"10.0.0.{dice.randrange(1, 5)}",
        labels={"app": dice.choice(NAMES), "pod-template-hash": "x"},
        owners=[owner],
        spec={"hostNetwork": dice.random() < 0.2},
        status={"phase": dice.choice(("Running", "Succeeded", "Pending"))},
    )


def a_broken_pod(dice: random.Random, name: str, namespace: str) -> Manifest:
    return pod(name, namespace, spec={"containers": dice.choice(("none", [{"ports": [1]}]))})


def a_local_resolver(dice: random.Random, _: str, namespace: str) -> Manifest:
    arguments = ["-localip", f"169.254.20.{dice.randrange(2)}"]
    spec: Tree = {"hostNetwork": True, "containers": [{"args": arguments}]}
    return pod("node-local-dns", namespace, spec=spec)


def a_namespace(dice: random.Random, _: str, namespace: str) -> Manifest:
    return manifest("Namespace", namespace, labels={"team": dice.choice(NAMES)})


def a_replica_set(dice: random.Random, name: str, namespace: str) -> Manifest:
    owner = {"kind": "Deployment", "name": dice.choice(NAMES), "controller": True}
    return manifest("ReplicaSet", name, namespace, owners=[owner])


def an_endpoint(dice: random.Random, name: str, namespace: str) -> Manifest:
    identity: Tree = {"id": 100 + dice.randrange(2)}
    if dice.random() < 0.5:
        identity["labels"] = [f"k8s:app={dice.choice(NAMES)}"]
    status = {"identity": identity, "state": dice.choice(("ready", "creating"))}
    return manifest("CiliumEndpoint", name, namespace, status=status)


def an_identity(dice: random.Random, _: str, __: str) -> Manifest:
    labels = {"k8s:app": dice.choice(NAMES)}
    return manifest("CiliumIdentity", str(100 + dice.randrange(2)), **{"security-labels": labels})


MAKERS = (
    *(a_pod, a_pod, a_pod, a_broken_pod, a_local_resolver),
    *(a_namespace, a_replica_set, an_endpoint, an_identity),
)


def drawn(dice: random.Random) -> Manifest:
    """One object of few names, so that later ones take the place of earlier ones."""
    return dice.choice(MAKERS)(dice, dice.choice(NAMES), dice.choice(NAMES[:2]))


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 1 << 32))
def test_build_when_objects_change_then_as_built_from_nothing(seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311  # test data
    objects = {one.ref: one for one in (drawn(dice) for _ in range(12))}
    before = build(*objects.values())
    for _ in range(6):
        for _ in range(dice.randint(0, 3)):
            one = drawn(dice)
            objects[one.ref] = one
        if dice.random() < 0.3:
            objects.pop(dice.choice(list(objects)))
        config = {"labels": "k8s:app"} if dice.random() < 0.2 else {}
        after = build_cluster(objects.values(), settings=config, before=before)
        fresh = build_cluster(objects.values(), settings=config)
        assert after == fresh
        before = after


def test_build_when_one_pod_changes_then_the_others_are_the_same_objects() -> None:
    one, two = pod("one"), pod("two", address="10.0.0.2")
    before = build(one, two, manifest("Namespace", "a"))
    changed = pod("two", address="10.0.0.2", labels={"app": "else"})

    after = build_cluster([one, changed, manifest("Namespace", "a")], before=before)

    assert after.endpoints[0] is before.endpoints[0]
    assert after.endpoints[1] != before.endpoints[1]
