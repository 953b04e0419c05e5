"""Pictures made of a few objects, without any task or source."""

from __future__ import annotations

from collections.abc import Iterable

from app.core.model.provenance import Manifest
from app.services.picture import Ingredients, Picture, make_picture
from app.testing.builders import manifests, namespace, pod


def picture_of(*parts: Manifest | Iterable[Manifest] | str) -> Picture:
    """The picture of objects, of lists of objects, and of YAML texts."""
    found: list[Manifest] = []
    for part in parts:
        if isinstance(part, Manifest):
            found.append(part)
        else:
            found += manifests(part, file="objects.yaml") if isinstance(part, str) else part
    return make_picture(Ingredients(tuple(found)))


def small_tre() -> tuple[Manifest, ...]:
    """Two projects with a workspace each, a mirror for both, and the cluster's DNS."""
    return (
        namespace("lung", project="lung"),
        namespace("heart", project="heart"),
        namespace("mirror"),
        namespace("kube-system"),
        pod("lung/jupyter-alice", "10.0.1.1", labels={"app": "jupyter"}),
        pod("heart/jupyter-bob", "10.0.1.2", labels={"app": "jupyter"}),
        pod("mirror/mirror-0", "10.0.2.1", labels={"app": "mirror"}),
        pod("kube-system/coredns-0", "10.0.3.1", labels={"k8s-app": "kube-dns"}),
    )
