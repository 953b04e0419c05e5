"""Something that writes objects into a cluster: from which folder, and what it adds to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from app.core.model.provenance import Manifest

ARGO = "Argo CD"
FLUX = "Flux"

CLUSTER_OPTIONS = (
    "--skip-tests",
    *(
        f"--api-versions={version}"
        for version in (
            "cilium.io/v2",
            "cilium.io/v2/CiliumNetworkPolicy",
            "cilium.io/v2/CiliumClusterwideNetworkPolicy",
            "gateway.networking.k8s.io/v1",
            "gateway.networking.k8s.io/v1/HTTPRoute",
        )
    ),
)
"""What a chart is rendered with in a cluster: no hooks of `helm test`, and kinds that are there.

Both controllers ask the cluster for its kinds; charts make policies only where Cilium's are known.
"""


@dataclass(frozen=True, slots=True)
class Chart:
    """A Helm chart that something deploys: `namespace` is where its objects go, where known."""

    name: str
    namespace: str
    file: str
    line: int
    release: str = ""
    folder: Path | None = None
    """Where it is vendored in the checkout."""
    values: tuple[Any, ...] = ()
    """Later ones win: a path of a file, a text of YAML, or a mapping."""
    options: tuple[str, ...] = ()
    """Other words for `helm template`."""
    lacks: str = ""
    """Why it is not rendered although it lies here."""
    chart: str = ""
    """The chart's own name, where `name` is that of a release."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """One source of objects.

    `shown` is the folder's name in output, `by` the object that deploys it (none: a kustomization
    that nothing else includes). `edits` are fields that a controller puts into the kustomization
    before it builds, `defaults` the namespace of objects without one, `values` what fills `${NAME}`
    afterwards (None: nothing is filled), `open_values` says that more values come from elsewhere,
    `labels` are those of the clusters it goes to.
    """

    folder: Path
    shown: str
    by: Manifest | None = None
    controller: str = ""
    env: str = ""
    cluster: str = ""
    edits: Mapping[str, Any] = field(default_factory=dict)
    default_namespace: str = ""
    values: Mapping[str, str] | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    open_values: bool = False
    recurse: bool = True
    include: str = ""
    exclude: str = ""
    chart: Chart | None = None
    """What is deployed, where the folder is a Helm chart."""

    def tagged(self, *, env: str = "", cluster: str = "") -> Deployment:
        """Give it with tags where it has none of its own."""
        return replace(self, env=self.env or env, cluster=self.cluster or cluster)

    @property
    def segments(self) -> tuple[str, ...]:
        """The parts of its folder's name."""
        return tuple(part for part in self.shown.split("/") if part not in ("", "."))
