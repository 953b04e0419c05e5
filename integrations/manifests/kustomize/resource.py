"""One object of a build, under the names it has had."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from app.core.model.provenance import Manifest, Source
from integrations.manifests.found import make_ref
from integrations.manifests.kustomize.errors import Refused
from integrations.manifests.kustomize.tree import (
    Map,
    Place,
    Seq,
    copied,
    grow,
    text_of,
    walk_places,
    with_words,
)

NO_NAMESPACE = "_non_namespaceable_"
"""What stands for the namespace of cluster-scoped objects. Source: kyaml `resid/resid.go`."""

_CLUSTER_SCOPED = {
    "v1": ("ComponentStatus", "Namespace", "Node", "PersistentVolume"),
    "admissionregistration.k8s.io": (
        "MutatingWebhookConfiguration",
        "ValidatingWebhookConfiguration",
    ),
    "apiextensions.k8s.io": ("CustomResourceDefinition",),
    "apiregistration.k8s.io": ("APIService",),
    "certificates.k8s.io": ("CertificateSigningRequest",),
    "flowcontrol.apiserver.k8s.io": ("FlowSchema", "PriorityLevelConfiguration"),
    "networking.k8s.io": ("IngressClass",),
    "node.k8s.io": ("RuntimeClass",),
    "policy": ("PodSecurityPolicy",),
    "rbac.authorization.k8s.io": ("ClusterRole", "ClusterRoleBinding"),
    "scheduling.k8s.io": ("PriorityClass",),
    "storage.k8s.io": ("CSIDriver", "CSINode", "StorageClass", "VolumeAttachment"),
}
_VERSIONS = {
    "certificates.k8s.io": ("v1", "v1beta1"),
    "flowcontrol.apiserver.k8s.io": ("v1beta1",),
    "policy": ("v1beta1",),
}
"""Source: kyaml `openapi/openapi.go` (`precomputedIsNamespaceScoped`), of Kubernetes 1.21: kinds
that are not in it, custom ones among them, count as namespaced."""


def as_kustomize_reads(manifest: Manifest) -> Manifest:
    """Give an object of a file with the texts that only kustomize reads as texts."""
    if manifest.source is None or not manifest.source.words:
        return manifest
    return replace(manifest, body=with_words(manifest.body, manifest.source.words))


def is_cluster_scoped(group: str, version: str, kind: str) -> bool:
    """Say whether kustomize knows the kind as one without namespace."""
    kinds = _CLUSTER_SCOPED.get(group or version, ())
    return kind in kinds and version in _VERSIONS.get(group, ("v1", "v1beta1"))


class Id(NamedTuple):
    """What makes an object itself: `namespace` is the effective one."""

    group: str
    version: str
    kind: str
    name: str
    namespace: str


@dataclass(slots=True)
class Shared:
    """A label or annotation that one transformer added in several places of an object.

    kustomize keeps it as one node, so that whatever changes it in one place changes all of them.
    Source: kustomize `api/filters/filtersutil/setters.go` (`SetEntry`), kyaml `yaml/fns.go`
    (`FieldSetter`), which fills an existing node.
    """

    key: str
    value: Any
    parents: list[Map]

    def settle(self) -> None:
        """Write what has changed in one place into the others."""
        self.parents = [one for one in self.parents if self.key in one]
        changed = [one for one in self.parents if one[self.key] != self.value]
        if not changed:
            return
        last = changed[-1]
        self.value = last[self.key]
        for parent in self.parents:
            parent.put(self.key, self.value, last.places.get(self.key))


@dataclass(slots=True, eq=False)
class Resource:
    """An object as a build changes it; `previous` are the ids it had, oldest first."""

    manifest: Manifest
    previous: list[Id] = field(default_factory=list)
    prefixes: list[str] = field(default_factory=list)
    suffixes: list[str] = field(default_factory=list)
    hashed: bool = False
    behavior: str = ""
    shared: list[Shared] = field(default_factory=list)
    _tree: Map | None = None

    def tree(self) -> Map:
        """The object as a tree of its own, to change."""
        if self._tree is None:
            source = self.manifest.source
            lines = source.lines if source else {}
            self._tree = grow(self.manifest.body, source.file if source else "", lines)
        return self._tree

    @property
    def body(self) -> Any:
        """The object, to look at."""
        return self.manifest.body if self._tree is None else self._tree

    def settle(self) -> None:
        """Let what is shared be the same everywhere again, after a change."""
        for one in self.shared:
            one.settle()

    def replace_tree(self, tree: Map) -> None:
        """Be another object from now on."""
        self._tree = tree

    @property
    def gvk(self) -> tuple[str, str, str]:
        """Group, version and kind that it has now."""
        body = self.body
        group, slash, version = text_of(body.get("apiVersion", "")).partition("/")
        kind = text_of(body.get("kind", ""))
        return (group, version, kind) if slash else ("", group, kind)

    @property
    def kind(self) -> str:
        """The kind it has now."""
        return text_of(self.body.get("kind", ""))

    @property
    def name(self) -> str:
        """The name it has now."""
        return self._metadata("name")

    @property
    def namespace(self) -> str:
        """`metadata.namespace`, empty when there is none."""
        return self._metadata("namespace")

    def _metadata(self, key: str) -> str:
        metadata = self.body.get("metadata")
        value = metadata.get(key) if isinstance(metadata, dict) else None
        return "" if value is None else text_of(value)

    def marks(self, key: str) -> dict[str, str]:
        """Its `labels` or `annotations`."""
        metadata = self.body.get("metadata")
        value = metadata.get(key) if isinstance(metadata, dict) else None
        if not isinstance(value, dict):
            return {}
        return {name: text_of(item) for name, item in value.items()}

    @property
    def cluster_scoped(self) -> bool:
        """Whether kustomize knows that it has no namespace."""
        return is_cluster_scoped(*self.gvk)

    @property
    def id(self) -> Id:
        """What it is now."""
        gvk = self.gvk
        scoped = is_cluster_scoped(*gvk)
        namespace = NO_NAMESPACE if scoped else self.namespace or "default"
        return Id(*gvk, self.name, namespace)

    @property
    def effective_namespace(self) -> str:
        """The namespace that tells it from others."""
        return NO_NAMESPACE if self.cluster_scoped else self.namespace or "default"

    @property
    def original_id(self) -> Id:
        """What it was when it was read."""
        return self.previous[0] if self.previous else self.id

    def remember(self) -> None:
        """Keep the present id as a previous one."""
        self.previous.append(self.id)

    def set_name(self, name: str, place: Place | None = None) -> None:
        """Give it another name."""
        self._set("name", name, place)

    def set_namespace(self, namespace: str, place: Place | None = None) -> None:
        """Put it into another namespace, or into none."""
        if namespace:
            self._set("namespace", namespace, place)
        elif isinstance(metadata := self.tree().get("metadata"), Map):
            metadata.drop("namespace")

    def _set(self, key: str, value: str, place: Place | None) -> None:
        metadata = self.tree().get("metadata")
        if not isinstance(metadata, Map):
            metadata = Map()
            self.tree()["metadata"] = metadata
        if metadata.get(key) != value:
            metadata.put(key, value, place)

    def twin(self) -> Resource:
        """A copy that can be changed on its own."""
        tree = None if self._tree is None else copied(self._tree)
        return replace(
            self,
            previous=list(self.previous),
            prefixes=list(self.prefixes),
            suffixes=list(self.suffixes),
            shared=[],
            _tree=tree,
        )

    def finished(self) -> Manifest:
        """Give it as an object with its source."""
        manifest = self.manifest
        if self._tree is None:
            return manifest
        ref = make_ref(self.kind, self.namespace, self.name)
        version = text_of(self._tree.get("apiVersion", ""))
        return Manifest(ref, version, plain(self._tree), self._source(manifest.source))

    def _source(self, source: Source | None) -> Source | None:
        if source is None:
            return None
        lines: dict[str, int] = {}
        elsewhere: dict[str, Place] = {}
        for path, place in walk_places(self._tree):
            if place[0] == source.file:
                lines[path] = place[1]
            else:
                elsewhere[path] = place
        return replace(source, lines=lines, elsewhere=elsewhere)


def plain(value: Any) -> Any:
    """Give a tree as plain mappings and lists."""
    if isinstance(value, Map):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, Seq):
        return [plain(item) for item in value]
    return value


class Resources:
    """The objects of a build, in order; an id stands once."""

    def __init__(self, items: Iterable[Resource] = ()) -> None:
        self.items = list(items)
        self._taken: set[Id] | None = None

    def __iter__(self) -> Iterator[Resource]:
        return iter(list(self.items))

    def append(self, resource: Resource) -> None:
        """Add one; `Refused` when its id is taken."""
        if self._taken is None:
            self._taken = {one.id for one in self.items}
        wanted = resource.id
        if wanted in self._taken:
            raise Refused(f"{show(wanted)} stands twice")
        self._taken.add(wanted)
        self.items.append(resource)

    def changed(self) -> None:
        """Forget what the ids were: objects have changed."""
        self._taken = None

    def by_any_id(self, matches: Callable[[Id], bool]) -> list[Resource]:
        """Those of which a present or previous id matches."""
        return [one for one in self.items if any(map(matches, (*one.previous, one.id)))]

    def the_one(self, wanted: Id) -> Resource:
        """The only object that has or had the id; `Refused` when there is none, or several."""
        found = self.by_any_id(wanted.__eq__)
        if len(found) != 1:
            what = "several objects match" if found else "no object matches"
            raise Refused(f"{what} {show(wanted)}")
        return found[0]


def show(wanted: Id) -> str:
    """`Kind/NS/NAME`, as references are shown."""
    namespace = "" if wanted.namespace == NO_NAMESPACE else wanted.namespace
    return f"{wanted.kind}/{namespace}/{wanted.name}"
