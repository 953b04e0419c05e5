"""Random kustomizations: bases, overlays, components, patches and generators over a few objects."""

from __future__ import annotations

from typing import Any

import yaml
from hypothesis import strategies as st

NAMES = st.sampled_from(["web", "db", "api"])
NAMESPACES = st.sampled_from(["lab", "core", "default"])
WORDS = st.sampled_from(["a", "b", "c-d", "gold", "1", "true"])
LABELS = st.dictionaries(st.sampled_from(["app", "tier", "k8s.io/x"]), WORDS, max_size=2)

Files = dict[str, str]


def dump(*documents: Any) -> str:
    """Write documents without anchors."""
    return yaml.dump_all(documents, sort_keys=False, Dumper=_Plain)


class _Plain(yaml.SafeDumper):
    def ignore_aliases(self, _data: Any) -> bool:
        return True


def _metadata(draw: st.DrawFn, name: str) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name}
    if draw(st.booleans()):
        metadata["namespace"] = draw(NAMESPACES)
    for key in ("labels", "annotations"):
        if marks := draw(LABELS):
            metadata[key] = marks
    return metadata


@st.composite
def cilium_specs(draw: st.DrawFn) -> dict[str, Any]:
    """The spec of a Cilium policy."""
    spec: dict[str, Any] = {"endpointSelector": {"matchLabels": draw(LABELS)}}
    for direction in draw(st.sets(st.sampled_from(["ingress", "egress", "egressDeny"]))):
        peers = "fromEndpoints" if direction == "ingress" else "toEndpoints"
        rule = {peers: [{"matchLabels": draw(LABELS)}]}
        ports = [{"port": draw(st.sampled_from(["80", "http"])), "protocol": "TCP"}]
        spec[direction] = [rule, {"toPorts": [{"ports": ports}]}][: draw(st.integers(1, 2))]
    return spec


CONTAINERS = st.lists(
    st.fixed_dictionaries(
        {"name": st.sampled_from(["one", "two"])},
        optional={
            "env": st.lists(
                st.fixed_dictionaries({"name": st.sampled_from(["A", "B"]), "value": WORDS}),
                max_size=2,
                unique_by=lambda one: one["name"],
            ),
            "ports": st.lists(
                st.fixed_dictionaries(
                    {"containerPort": st.sampled_from([80, 53])},
                    optional={"protocol": st.sampled_from(["TCP", "UDP"]), "name": WORDS},
                ),
                max_size=2,
                unique_by=lambda one: (one["containerPort"], one.get("protocol")),
            ),
            "args": st.lists(WORDS, max_size=2),
            "envFrom": st.just([{"configMapRef": {"name": "cm"}}]),
        },
    ),
    min_size=1,
    max_size=2,
    unique_by=lambda one: one["name"],
)


@st.composite
def bodies(draw: st.DrawFn, kind: str, name: str) -> dict[str, Any]:
    """An object."""
    metadata = _metadata(draw, name)
    if kind == "CiliumNetworkPolicy":
        spec = draw(cilium_specs())
        return {"apiVersion": "cilium.io/v2", "kind": kind, "metadata": metadata, "spec": spec}
    if kind == "NetworkPolicy":
        peer = {"podSelector": {"matchLabels": draw(LABELS)}}
        spec = {"podSelector": {}, "ingress": [{"from": [peer]}, {"ports": [{"port": 80}]}]}
        version = "networking.k8s.io/v1"
        return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}
    if kind == "Service":
        ports = [{"port": 80}, {"port": 53, "protocol": "UDP"}][: draw(st.integers(1, 2))]
        spec = {"selector": draw(LABELS), "ports": ports}
        return {"apiVersion": "v1", "kind": kind, "metadata": metadata, "spec": spec}
    if kind == "Deployment":
        pod = {"metadata": {"labels": draw(LABELS)}, "spec": {"containers": draw(CONTAINERS)}}
        spec = {"selector": {"matchLabels": draw(LABELS)}, "template": pod}
        return {"apiVersion": "apps/v1", "kind": kind, "metadata": metadata, "spec": spec}
    metadata.pop("namespace", None)
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


KINDS = ("CiliumNetworkPolicy", "NetworkPolicy", "Service", "Deployment", "Namespace")


@st.composite
def strategic_patches(draw: st.DrawFn) -> dict[str, Any]:
    """A strategic merge patch by target."""
    kind = draw(st.sampled_from(KINDS))
    patch = draw(bodies(kind, draw(NAMES)))
    patch["metadata"].pop("namespace", None)
    entry: dict[str, Any] = {"target": {"kind": kind}}
    how = draw(st.sampled_from(["plain", "null", "delete", "labels"]))
    if how == "null" and "spec" in patch:
        patch["spec"][draw(st.sampled_from(sorted(patch["spec"])))] = None
    elif how == "delete":
        patch = {**patch, "$patch": "delete"}
        entry["target"]["name"] = draw(NAMES)
    elif how == "labels":
        key = draw(st.sampled_from(["app", "tier"]))
        entry["target"]["labelSelector"] = draw(st.sampled_from([key, f"{key}=a", f"!{key}"]))
    entry["patch"] = dump(patch)
    return entry


@st.composite
def json_patches(draw: st.DrawFn) -> dict[str, Any]:
    """A JSON patch by target."""
    kind = draw(st.sampled_from(KINDS))
    operation = draw(
        st.sampled_from(
            [
                {"op": "add", "path": "/metadata/labels", "value": {"patched": "yes1"}},
                {"op": "add", "path": "/metadata/annotations/note", "value": "x"},
                {"op": "replace", "path": "/spec/extra", "value": [1, {"a": None}]},
                {"op": "add", "path": "/spec/ingress/0", "value": {"fromEntities": ["world"]}},
                {"op": "remove", "path": "/spec/ports/0"},
                {"op": "copy", "from": "/metadata/name", "path": "/spec/copied"},
            ]
        )
    )
    return {"target": {"kind": kind, "name": draw(NAMES)}, "patch": dump([operation])}


@st.composite
def directives(draw: st.DrawFn) -> dict[str, Any]:
    """What a kustomization does besides listing resources."""
    made: dict[str, Any] = {}
    if draw(st.booleans()):
        made["namespace"] = draw(NAMESPACES)
    if draw(st.booleans()):
        made["namePrefix"] = draw(st.sampled_from(["p-", "q-"]))
    if draw(st.booleans()):
        made["nameSuffix"] = draw(st.sampled_from(["-s", "-t"]))
    if draw(st.booleans()):
        made["commonLabels"] = draw(LABELS)
    if draw(st.booleans()):
        flag = draw(st.sampled_from(["includeSelectors", "includeTemplates", "x"]))
        entry: dict[str, Any] = {"pairs": draw(LABELS)}
        made["labels"] = [entry if flag == "x" else {**entry, flag: True}]
    if draw(st.booleans()):
        made["commonAnnotations"] = draw(LABELS)
    if patches := draw(st.lists(st.one_of(strategic_patches(), json_patches()), max_size=2)):
        made["patches"] = patches
    return {key: value for key, value in made.items() if value}


@st.composite
def trees(draw: st.DrawFn) -> Files:
    """A folder: an overlay of one or two bases, with a component or without."""
    files: Files = {}
    resources: list[str] = []
    for base in ("one", "two")[: draw(st.integers(1, 2))]:
        kinds = draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=3, unique=True))
        documents = [draw(bodies(kind, draw(NAMES))) for kind in kinds]
        inner: dict[str, Any] = {"resources": ["all.yaml"], **draw(directives())}
        if draw(st.booleans()):
            inner["configMapGenerator"] = [{"name": "cm", "literals": [f"{base}=1"]}]
        files[f"{base}/all.yaml"] = dump(*documents)
        files[f"{base}/kustomization.yaml"] = dump(inner)
        resources.append(base)
    overlay: dict[str, Any] = {"resources": resources, **draw(directives())}
    if draw(st.booleans()):
        overlay["components"] = ["part"]
        component = {"apiVersion": "kustomize.config.k8s.io/v1alpha1", "kind": "Component"}
        files["part/kustomization.yaml"] = dump({**component, **draw(directives())})
    files["kustomization.yaml"] = dump(overlay)
    return files
