"""Something that writes objects into a cluster: from which folder, and what it adds to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from app.core.model.provenance import Manifest

ARGO = "Argo CD"
FLUX = "Flux"


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

    def tagged(self, *, env: str = "", cluster: str = "") -> Deployment:
        """Give it with tags where it has none of its own."""
        return replace(self, env=self.env or env, cluster=self.cluster or cluster)

    @property
    def segments(self) -> tuple[str, ...]:
        """The parts of its folder's name."""
        return tuple(part for part in self.shown.split("/") if part not in ("", "."))


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
    values: tuple[Path, ...] = ()
    inline: Any = None
    """Values that stand in the object that deploys it."""
