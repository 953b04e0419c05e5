"""The small structs that lists and watches are decoded into.

Policies and what else is judged whole stay complete JSON trees; of pods and the like only the
fields below are kept, which makes 50,000 of them fit (measured: performance notes, 17 times
smaller than the client's typed models, which also lose unknown fields). Every field is lenient:
absent, null and present all decode.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

import msgspec

from app.core.errors import SourceCause, SourceUnavailable
from app.core.text import clean

T = TypeVar("T")


class _Wire(msgspec.Struct, omit_defaults=True, gc=False):
    """Base: defaults are left out again when turned back into a tree."""


class Owner(_Wire):
    """`ownerReferences[]`, the controller only matters."""

    kind: str = ""
    name: str = ""
    controller: bool | None = None


class Meta(_Wire):
    """`metadata` without annotations and managed fields."""

    name: str = ""
    namespace: str | None = None
    labels: dict[str, str] | None = None
    ownerReferences: list[Owner] | None = None  # noqa: N815  # the wire's own name
    resourceVersion: str | None = None  # noqa: N815
    uid: str | None = None
    deletionTimestamp: str | None = None  # noqa: N815


class Port(_Wire):
    """A declared container port."""

    containerPort: int = 0  # noqa: N815
    name: str | None = None
    protocol: str | None = None
    hostPort: int | None = None  # noqa: N815


class Container(_Wire):
    """A container's name and ports; its environment is never kept."""

    name: str = ""
    image: str | None = None
    ports: list[Port] | None = None
    restartPolicy: str | None = None  # noqa: N815


class PodSpec(_Wire):
    """What of a pod's spec changes a verdict."""

    nodeName: str | None = None  # noqa: N815
    hostNetwork: bool | None = None  # noqa: N815
    serviceAccountName: str | None = None  # noqa: N815
    containers: list[Container] | None = None
    initContainers: list[Container] | None = None  # noqa: N815


class PodAddress(_Wire):
    """`status.podIPs[]`."""

    ip: str = ""


class Condition(_Wire):
    """A status condition without its times."""

    type: str = ""
    status: str = ""


class PodStatus(_Wire):
    """Phase, addresses and readiness."""

    phase: str | None = None
    podIP: str | None = None  # noqa: N815
    podIPs: list[PodAddress] | None = None  # noqa: N815
    hostIP: str | None = None  # noqa: N815
    conditions: list[Condition] | None = None


class PodObject(_Wire):
    """A pod."""

    metadata: Meta
    spec: PodSpec | None = None
    status: PodStatus | None = None


class TemplateMeta(_Wire):
    """Labels of a pod template."""

    labels: dict[str, str] | None = None


class Template(_Wire):
    """A workload's pod template."""

    metadata: TemplateMeta | None = None
    spec: PodSpec | None = None


class JobTemplateSpec(_Wire):
    """A CronJob's inner Job spec."""

    template: Template | None = None


class JobTemplate(_Wire):
    """A CronJob's Job template."""

    spec: JobTemplateSpec | None = None


class WorkloadSpec(_Wire):
    """What is read of every workload kind."""

    replicas: int | None = None
    template: Template | None = None
    jobTemplate: JobTemplate | None = None  # noqa: N815


class WorkloadObject(_Wire):
    """Deployment, StatefulSet, DaemonSet, ReplicaSet, Job or CronJob."""

    metadata: Meta
    spec: WorkloadSpec | None = None


class NodeAddress(_Wire):
    """`status.addresses[]`."""

    type: str = ""
    address: str = ""


class NodeStatus(_Wire):
    """A node's addresses."""

    addresses: list[NodeAddress] | None = None


class NodeSpec(_Wire):
    """The blocks that a node's pods get their addresses from."""

    podCIDR: str | None = None  # noqa: N815
    podCIDRs: list[str] | None = None  # noqa: N815


class NodeObject(_Wire):
    """A node: labels, addresses, and the blocks of its pods."""

    metadata: Meta
    spec: NodeSpec | None = None
    status: NodeStatus | None = None


class NamespaceObject(_Wire):
    """A namespace: its labels."""

    metadata: Meta


class ApplicationSource(_Wire):
    """Where an Argo CD application is read from; its Helm values may hold secrets and stay out."""

    repoURL: str = ""  # noqa: N815
    path: str | None = None
    targetRevision: str | None = None  # noqa: N815
    chart: str | None = None


class Destination(_Wire):
    """The namespace an application is deployed to."""

    namespace: str | None = None


class ApplicationSpec(_Wire):
    """One source, or several."""

    source: ApplicationSource | None = None
    sources: list[ApplicationSource] | None = None
    destination: Destination | None = None


class ApplicationResource(_Wire):
    """`status.resources[]`: an object that the application owns."""

    group: str | None = None
    kind: str = ""
    namespace: str | None = None
    name: str = ""
    status: str | None = None


class ApplicationSync(_Wire):
    """The revision that is deployed."""

    status: str | None = None
    revision: str | None = None
    revisions: list[str] | None = None


class ApplicationStatus(_Wire):
    """What is deployed, and from which revision."""

    sync: ApplicationSync | None = None
    resources: list[ApplicationResource] | None = None


class ApplicationObject(_Wire):
    """An Argo CD Application."""

    metadata: Meta
    spec: ApplicationSpec | None = None
    status: ApplicationStatus | None = None


TRIMMED: dict[str, type[_Wire]] = {
    "Pod": PodObject,
    "Namespace": NamespaceObject,
    "Node": NodeObject,
    "ReplicaSet": WorkloadObject,
    "Deployment": WorkloadObject,
    "StatefulSet": WorkloadObject,
    "DaemonSet": WorkloadObject,
    "Job": WorkloadObject,
    "CronJob": WorkloadObject,
    "Application": ApplicationObject,
}
"""Kinds of which only the named fields are kept; every other kind keeps its whole tree."""


class ListMeta(msgspec.Struct):
    """`metadata` of a list page; `continue` is a keyword, hence the rename."""

    resourceVersion: str = ""  # noqa: N815
    continue_token: str | None = msgspec.field(default=None, name="continue")


class Page(msgspec.Struct):
    """One page of a list, items still as bytes so that a bad one cannot spoil the others."""

    metadata: ListMeta
    items: list[msgspec.Raw] | None = None


class Event(msgspec.Struct):
    """One watch event; `object` is decoded by its kind."""

    type: str
    object: msgspec.Raw


class Bookmark(msgspec.Struct):
    """The object of a BOOKMARK: the position, and whether the initial events are complete."""

    metadata: BookmarkMeta


class BookmarkMeta(msgspec.Struct):
    """`k8s.io/initial-events-end` ends a streaming list (KEP-3157)."""

    resourceVersion: str = ""  # noqa: N815
    annotations: dict[str, str] | None = None


class Status(msgspec.Struct):
    """A Kubernetes `Status`, as error bodies and ERROR events carry it."""

    code: int | None = None
    reason: str | None = None
    message: str | None = None
    details: dict[str, Any] | None = None


class VersionInfo(msgspec.Struct):
    """`/version`."""

    gitVersion: str = ""  # noqa: N815


class ServicePort(msgspec.Struct):
    """One port of a Service; without a `targetPort` it is the port itself."""

    port: int
    targetPort: int | str | None = None  # noqa: N815


class ServiceSpec(msgspec.Struct):
    """What leads from a Service to its pods."""

    ports: Annotated[list[ServicePort], msgspec.Meta(min_length=1)]
    selector: dict[str, str]


class ServiceObject(msgspec.Struct):
    """A Service with a selector."""

    spec: ServiceSpec


class PodPage(msgspec.Struct):
    """A list of pods."""

    items: list[PodObject] | None = None


def decoded(decoder: msgspec.json.Decoder[T], body: msgspec.Raw | bytes, source: str) -> T:
    """Decode what the server must send in this form. Raises `SourceUnavailable` (PROTOCOL)."""
    try:
        return decoder.decode(body)
    except msgspec.MsgspecError as error:
        raise SourceUnavailable(
            f"it answered in a form that is not the Kubernetes API's ({clean(str(error), 200)})",
            source=source,
            cause=SourceCause.PROTOCOL,
        ) from error
