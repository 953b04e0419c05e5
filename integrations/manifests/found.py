"""What reading files gave: objects, notices, and a count of everything that was left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from app.core.errors import BadInput
from app.core.model.kinds import CCNP, POLICY_KINDS
from app.core.model.provenance import Manifest, Notice, ObjectRef, Source
from app.core.model.unread import decides
from app.core.text import clean
from integrations.manifests.files import KUSTOMIZATION_NAMES
from integrations.manifests.templates import unrendered

DECIDING_KINDS = POLICY_KINDS | {
    "CiliumCIDRGroup",
    "ClusterNetworkPolicy",
    "AdminNetworkPolicy",
    "BaselineAdminNetworkPolicy",
}
"""Kinds that decide what is allowed, those included that the engine does not judge."""

LINE_KINDS = DECIDING_KINDS | {
    "Namespace",
    "Service",
    "Gateway",
    "HTTPRoute",
    "GRPCRoute",
    "TLSRoute",
}
"""Kinds whose every line is kept, because an answer may point at it."""

CLUSTER_KINDS = frozenset(
    {
        "APIService",
        "AdminNetworkPolicy",
        "BaselineAdminNetworkPolicy",
        "CSIDriver",
        "CiliumBGPClusterConfig",
        "CiliumCIDRGroup",
        "CiliumClusterwideEnvoyConfig",
        CCNP,
        "CiliumIdentity",
        "CiliumL2AnnouncementPolicy",
        "CiliumLoadBalancerIPPool",
        "CiliumNode",
        "ClusterIssuer",
        "ClusterNetworkPolicy",
        "ClusterPolicy",
        "ClusterRole",
        "ClusterRoleBinding",
        "ClusterSecretStore",
        "CustomResourceDefinition",
        "GatewayClass",
        "IngressClass",
        "MutatingWebhookConfiguration",
        "Namespace",
        "Node",
        "PersistentVolume",
        "PriorityClass",
        "RuntimeClass",
        "StorageClass",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "ValidatingWebhookConfiguration",
    }
)
"""Kinds without a namespace that turn up in checkouts; everything else has one."""

_CONTROLLER_KINDS = frozenset({"Application", "ApplicationSet", "Kustomization"})
"""Kinds of Argo CD and Flux that write fields of other objects."""

KUSTOMIZE_GROUP = "kustomize.config.k8s.io/"
_NAME_LIMIT = 253
_PATH_LIMIT = 80


@dataclass(slots=True)
class Found:
    """Objects in order of reading; `skipped` lists where parts were left out, by reason."""

    manifests: list[Manifest] = field(default_factory=list)
    kustomizations: list[Manifest] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    skipped: dict[str, list[str]] = field(default_factory=dict)
    empty_lists: set[str] = field(default_factory=set)
    """Files with a list of no items, which is what kubectl prints where there is nothing."""

    def skip(self, reason: str, where: str) -> None:
        """Remember a part that was left out on purpose."""
        self.skipped.setdefault(reason, []).append(where)

    def broken(self, error: BadInput, file: str, ref: ObjectRef | None = None) -> None:
        """Remember and report a part that cannot be read, and which object it is where known."""
        self.skip("unreadable", file)
        place = clean(error.path, _PATH_LIMIT)
        text = f"{error.message} (at {place})" if place else error.message
        if ref is not None and not decides(ref):
            self.notices.append(Notice(clean(text), file, error.line or None, ref))
            return
        self.notices.append(Notice(clean(text), file, error.line or None, ref, severity="error"))

    def add(self, body: Any, source: Source, *, listed: bool = False) -> None:
        """Take in one decoded document, or an item of a list, if it is a Kubernetes object."""
        kind, api_version = _text(body, "kind"), _text(body, "apiVersion")
        if PurePath(source.file).name in KUSTOMIZATION_NAMES and isinstance(body, Mapping):
            # kustomize does not ask for kind and apiVersion
            kind, api_version = kind or "Kustomization", api_version or KUSTOMIZE_GROUP
        if not kind or not api_version:
            if listed:
                self.broken(
                    BadInput("an item without apiVersion and kind", line=source.line), source.file
                )
            else:
                self.skip("not an object", source.file)
            return
        if api_version.startswith(KUSTOMIZE_GROUP):
            ref = ObjectRef(clean(kind, _NAME_LIMIT), "", source.file)
            self.kustomizations.append(Manifest(ref, api_version, body, source))
            return
        self._add_object(body, kind, api_version, source)

    def _add_object(self, body: Any, kind: str, api_version: str, source: Source) -> None:
        metadata = body.get("metadata")
        name = _text(metadata, "name")
        ref = make_ref(kind, _text(metadata, "namespace"), name)
        if not name:
            if kind.endswith("List") and "items" in body:
                self.empty_lists.add(source.file)  # or one whose items were read
                return
            error = BadInput(
                f"{clean(kind)} without a name", line=source.line, path="metadata.name"
            )
            self.broken(error, source.file, ref)
            return
        if path := unrendered(body, ref):
            line = source.line_of(path)
            error = BadInput(f"{ref} is a template that nobody rendered", line=line, path=path)
            self.broken(error, source.file, ref)
            return
        self.manifests.append(Manifest(ref, api_version, body, source))

    def counts(self) -> Mapping[str, int]:
        """How many parts were left out, by reason."""
        return Counter({reason: len(where) for reason, where in self.skipped.items()})


def make_ref(kind: str, namespace: str, name: str) -> ObjectRef:
    """Build a reference that is safe to show; no namespace for kinds that have none."""
    namespace = "" if kind in CLUSTER_KINDS else namespace
    return ObjectRef(
        clean(kind, _NAME_LIMIT), clean(namespace, _NAME_LIMIT), clean(name, _NAME_LIMIT)
    )


def item_defaults(kind: str, api_version: str) -> dict[str, str]:
    """What items of a typed list (`PodList`) take from it: they carry no kind of their own.

    Source: k8s.io/apimachinery `pkg/apis/meta/v1/unstructured` (`UnstructuredList`).
    """
    if kind == "List" or not kind.endswith("List"):
        return {}
    return {"kind": kind.removesuffix("List"), "apiVersion": api_version}


def _text(tree: Any, key: str) -> str:
    value = tree.get(key) if isinstance(tree, Mapping) else None
    return value if isinstance(value, str) else ""


def keeps_lines(kind: str, file: str) -> bool:
    """Say whether the line of every field of an object is worth keeping."""
    return (
        kind in LINE_KINDS
        or kind in _CONTROLLER_KINDS
        or PurePath(file).name in KUSTOMIZATION_NAMES
    )
