"""The fields that kustomize's transformers know of by themselves.

Source: kustomize `api/internal/konfig/builtinpluginconsts/`. Images are left alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from integrations.manifests.kustomize.fields import FieldSpec, Gvk, merged

_CORE = Gvk(version="v1", kind="ReplicationController")
_SERVICE = Gvk(version="v1", kind="Service")
_KINDS = {
    kind: Gvk(kind=kind)
    for kind in ("DaemonSet", "Deployment", "PodTemplate", "ReplicaSet", "ReplicationController")
}
_STATEFUL = Gvk(group="apps", kind="StatefulSet")
_JOB = Gvk(group="batch", kind="Job")
_CRON = Gvk(group="batch", kind="CronJob")
_POLICY = Gvk(group="networking.k8s.io", kind="NetworkPolicy")


def _new(path: str, *kinds: Gvk) -> tuple[FieldSpec, ...]:
    return tuple(FieldSpec(path, gvk, create=True) for gvk in kinds or (Gvk(),))


def _present(path: str, *kinds: Gvk) -> tuple[FieldSpec, ...]:
    return tuple(FieldSpec(path, gvk) for gvk in kinds)


def _affinities() -> Iterator[FieldSpec]:
    term = "DuringSchedulingIgnoredDuringExecution"
    for gvk in (Gvk(group="apps", kind="Deployment"), _STATEFUL):
        for affinity in ("podAffinity", "podAntiAffinity"):
            base = f"spec/template/spec/affinity/{affinity}"
            selector = "labelSelector/matchLabels"
            yield FieldSpec(f"{base}/preferred{term}/podAffinityTerm/{selector}", gvk)
            yield FieldSpec(f"{base}/required{term}/{selector}", gvk)
        spread = "spec/template/spec/topologySpreadConstraints/labelSelector/matchLabels"
        yield FieldSpec(spread, gvk)


METADATA_LABELS = FieldSpec("metadata/labels", create=True)

TEMPLATE_LABELS = (
    METADATA_LABELS,
    *_new(
        "spec/template/metadata/labels",
        _CORE,
        _KINDS["Deployment"],
        _KINDS["ReplicaSet"],
        _KINDS["DaemonSet"],
        _STATEFUL,
        _JOB,
    ),
    *_new("spec/volumeClaimTemplates[]/metadata/labels", _STATEFUL),
    *_new("spec/jobTemplate/metadata/labels", _CRON),
    *_new("spec/jobTemplate/spec/template/metadata/labels", _CRON),
)

COMMON_LABELS = (
    *_new("spec/selector", _SERVICE, _CORE),
    *_new(
        "spec/selector/matchLabels",
        _KINDS["Deployment"],
        _KINDS["ReplicaSet"],
        _KINDS["DaemonSet"],
        _STATEFUL,
    ),
    *_affinities(),
    *_present("spec/selector/matchLabels", _JOB, Gvk(group="policy", kind="PodDisruptionBudget")),
    *_present("spec/jobTemplate/spec/selector/matchLabels", _CRON),
    *_present("spec/podSelector/matchLabels", _POLICY),
    *_present("spec/ingress/from/podSelector/matchLabels", _POLICY),
    *_present("spec/egress/to/podSelector/matchLabels", _POLICY),
    *TEMPLATE_LABELS,
)

COMMON_ANNOTATIONS = (
    *_new("metadata/annotations"),
    *_new(
        "spec/template/metadata/annotations",
        _CORE,
        _KINDS["Deployment"],
        _KINDS["ReplicaSet"],
        _KINDS["DaemonSet"],
        Gvk(kind="StatefulSet"),
        _JOB,
    ),
    *_new("spec/jobTemplate/metadata/annotations", _CRON),
    *_new("spec/jobTemplate/spec/template/metadata/annotations", _CRON),
)

NAMESPACE = (
    *_new("metadata/name", Gvk(kind="Namespace")),
    *_new("spec/service/namespace", Gvk(group="apiregistration.k8s.io", kind="APIService")),
    *_present(
        "spec/conversion/webhook/clientConfig/service/namespace",
        Gvk(group="apiextensions.k8s.io", kind="CustomResourceDefinition"),
    ),
)

NAME = (FieldSpec("metadata/name"),)

REPLICAS = _new(
    "spec/replicas",
    _KINDS["Deployment"],
    _KINDS["ReplicationController"],
    _KINDS["ReplicaSet"],
    Gvk(kind="StatefulSet"),
)


@dataclass(frozen=True, slots=True)
class Reference:
    """Fields that hold the name of an object of kind `target`."""

    target: Gvk
    fields: tuple[FieldSpec, ...]


_POD_AT = {
    "Pod": "spec",
    "PodTemplate": "template/spec",
    "Deployment": "spec/template/spec",
    "ReplicaSet": "spec/template/spec",
    "DaemonSet": "spec/template/spec",
    "StatefulSet": "spec/template/spec",
    "ReplicationController": "spec/template/spec",
    "Job": "spec/template/spec",
    "CronJob": "spec/jobTemplate/spec/template/spec",
}
_WITH_CONTENT = tuple(kind for kind in _POD_AT if kind != "ReplicationController")
_WITH_ACCOUNT = tuple(kind for kind in _POD_AT if kind not in ("PodTemplate", "ReplicaSet"))
_CONTENT = (
    "containers/env/valueFrom/{kind}KeyRef/name",
    "initContainers/env/valueFrom/{kind}KeyRef/name",
    "containers/envFrom/{kind}Ref/name",
    "initContainers/envFrom/{kind}Ref/name",
    "volumes/projected/sources/{kind}/name",
)


def _in_pods(kinds: tuple[str, ...], *paths: str) -> Iterator[FieldSpec]:
    for kind in kinds:
        gvk = Gvk(version="v1" if kind == "Pod" else "", kind=kind)
        for path in paths:
            yield FieldSpec(f"{_POD_AT[kind]}/{path}", gvk)


def _of(path: str, kind: str, group: str = "") -> FieldSpec:
    return FieldSpec(path, Gvk(group=group, kind=kind))


_RBAC = "rbac.authorization.k8s.io"
_ADMISSION = "admissionregistration.k8s.io"
_RESOURCE_NAMES = (_of("rules/resourceNames", "Role"), _of("rules/resourceNames", "ClusterRole"))


def _content(kind: str, *volumes: str) -> tuple[FieldSpec, ...]:
    paths = (*volumes, *(path.format(kind=kind) for path in _CONTENT))
    return tuple(_in_pods(_WITH_CONTENT, *paths))


REFERENCES = (
    *(
        Reference(Gvk(kind=kind), (_of("spec/scaleTargetRef/name", "HorizontalPodAutoscaler"),))
        for kind in ("Deployment", "ReplicationController", "ReplicaSet", "StatefulSet")
    ),
    Reference(
        Gvk(version="v1", kind="ConfigMap"),
        (
            *_content("configMap", "volumes/configMap/name"),
            _of("spec/configSource/configMap", "Node"),
            *_RESOURCE_NAMES,
            _of(
                "metadata/annotations/nginx.ingress.kubernetes.io\\/fastcgi-params-configmap",
                "Ingress",
            ),
        ),
    ),
    Reference(
        Gvk(version="v1", kind="Secret"),
        (
            *_content("secret", "volumes/secret/secretName", "imagePullSecrets/name"),
            _of("spec/tls/secretName", "Ingress"),
            *(
                _of(f"metadata/annotations/{name}", "Ingress")
                for name in (
                    "ingress.kubernetes.io\\/auth-secret",
                    "nginx.ingress.kubernetes.io\\/auth-secret",
                    "nginx.ingress.kubernetes.io\\/auth-tls-secret",
                )
            ),
            _of("imagePullSecrets/name", "ServiceAccount"),
            *(
                _of(f"parameters/{name}", "StorageClass")
                for name in ("secretName", "adminSecretName", "userSecretName", "secretRef")
            ),
            *_RESOURCE_NAMES,
            FieldSpec(
                "spec/template/spec/containers/env/valueFrom/secretKeyRef/name",
                Gvk("serving.knative.dev", "v1", "Service"),
            ),
            _of("spec/azureFile/secretName", "PersistentVolume"),
        ),
    ),
    Reference(
        Gvk(version="v1", kind="Service"),
        (
            _of("spec/serviceName", "StatefulSet", "apps"),
            *(
                _of(path, "Ingress")
                for path in (
                    "spec/rules/http/paths/backend/serviceName",
                    "spec/backend/serviceName",
                    "spec/rules/http/paths/backend/service/name",
                    "spec/defaultBackend/service/name",
                )
            ),
            _of("spec/service/name", "APIService", "apiregistration.k8s.io"),
            _of("webhooks/clientConfig/service", "ValidatingWebhookConfiguration", _ADMISSION),
            _of("webhooks/clientConfig/service", "MutatingWebhookConfiguration", _ADMISSION),
        ),
    ),
    Reference(Gvk(group=_RBAC, kind="Role"), (_of("roleRef/name", "RoleBinding", _RBAC),)),
    Reference(
        Gvk(group=_RBAC, kind="ClusterRole"),
        (
            _of("roleRef/name", "RoleBinding", _RBAC),
            _of("roleRef/name", "ClusterRoleBinding", _RBAC),
        ),
    ),
    Reference(
        Gvk(version="v1", kind="ServiceAccount"),
        (
            _of("subjects", "RoleBinding", _RBAC),
            _of("subjects", "ClusterRoleBinding", _RBAC),
            *(_of(f"{_POD_AT[kind]}/serviceAccountName", kind) for kind in _WITH_ACCOUNT),
        ),
    ),
    Reference(
        Gvk(version="v1", kind="PersistentVolumeClaim"),
        tuple(
            _of(f"{_POD_AT[kind]}/volumes/persistentVolumeClaim/claimName", kind)
            for kind in _WITH_ACCOUNT
        ),
    ),
    Reference(
        Gvk(version="v1", kind="PersistentVolume"),
        (_of("spec/volumeName", "PersistentVolumeClaim"), _RESOURCE_NAMES[1]),
    ),
    Reference(
        Gvk("storage.k8s.io", "v1", "StorageClass"),
        (
            _of("spec/storageClassName", "PersistentVolume"),
            _of("spec/storageClassName", "PersistentVolumeClaim"),
            _of("spec/volumeClaimTemplates/spec/storageClassName", "StatefulSet"),
        ),
    ),
    Reference(
        Gvk("scheduling.k8s.io", "v1", "PriorityClass"),
        tuple(_of(f"{_POD_AT[kind]}/priorityClassName", kind) for kind in _WITH_ACCOUNT),
    ),
    Reference(
        Gvk(group=_ADMISSION, kind="ValidatingAdmissionPolicy"),
        (_of("spec/policyName", "ValidatingAdmissionPolicyBinding", _ADMISSION),),
    ),
)


@dataclass(frozen=True, slots=True)
class Config:
    """What transformers touch: the defaults, and what `configurations` added to them."""

    prefix: tuple[FieldSpec, ...] = NAME
    suffix: tuple[FieldSpec, ...] = NAME
    namespace: tuple[FieldSpec, ...] = NAMESPACE
    labels: tuple[FieldSpec, ...] = ()
    common_labels: tuple[FieldSpec, ...] = COMMON_LABELS
    template_labels: tuple[FieldSpec, ...] = TEMPLATE_LABELS
    annotations: tuple[FieldSpec, ...] = COMMON_ANNOTATIONS
    replicas: tuple[FieldSpec, ...] = REPLICAS
    references: tuple[Reference, ...] = REFERENCES

    def with_more(self, other: Config) -> Config:
        """Join two; `Refused` when they contradict each other."""
        if other == self:
            return self
        return Config(
            prefix=merged(self.prefix, other.prefix),
            suffix=merged(self.suffix, other.suffix),
            namespace=merged(self.namespace, other.namespace),
            labels=merged(self.labels, other.labels),
            common_labels=merged(self.common_labels, other.common_labels),
            template_labels=merged(self.template_labels, other.template_labels),
            annotations=merged(self.annotations, other.annotations),
            replicas=merged(self.replicas, other.replicas),
            references=_joined(self.references, other.references),
        )


def _joined(
    references: tuple[Reference, ...], more: tuple[Reference, ...]
) -> tuple[Reference, ...]:
    kept = {one.target: one for one in references}
    for one in more:
        present = kept.get(one.target)
        fields = merged(present.fields, one.fields) if present else one.fields
        kept[one.target] = Reference(one.target, fields)
    return tuple(kept.values())
