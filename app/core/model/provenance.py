"""Where a thing came from: an object of the cluster, a file and line, a rule inside a policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, order=True)
class ObjectRef:
    """A Kubernetes object by kind, namespace (empty for cluster scope) and name."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        """`Kind/NS/NAME`, the form of the conformance files."""
        return f"{self.kind}/{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Maker:
    """What renders an object: in words, and where this checkout deploys it (no file: nowhere)."""

    what: str
    file: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True)
class Source:
    """The document an object was read from.

    `lines` maps a path inside the object, as `spec.egress[1].toPorts[0]`, to its 1-based line.
    `elsewhere` holds the fields that another file wrote, a patch or a kustomization: their file as
    shown and line. `deployed_by` names the folders that it is deployed from (empty: none, or not
    known), `reach` those of every environment of the checkout. `orphan` says that a checkout
    deploys objects, and nothing deploys this one. `made_by` is the chart that renders it, if one
    does: then nobody edits the object itself. `comments` are what is said of rules, by their paths.
    `words` are the texts that kustomize reads where others read something else (`on`), by path.
    """

    file: str
    line: int
    document: int = 0
    lines: Mapping[str, int] = field(default_factory=dict, compare=False, repr=False)
    deployed_by: tuple[str, ...] = ()
    orphan: bool = False
    elsewhere: Mapping[str, tuple[str, int]] = field(
        default_factory=dict, compare=False, repr=False
    )
    comments: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    reach: tuple[str, ...] = field(default=(), compare=False)
    made_by: Maker | None = None
    words: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    def place_of(self, path: str) -> tuple[str, int]:
        """Give file and line of `path`, or of its nearest ancestor that has them."""
        while path:
            if (place := self.elsewhere.get(path)) is not None:
                return place
            if (line := self.lines.get(path)) is not None:
                return self.file, line
            path = _parent(path)
        return self.file, self.line

    def line_of(self, path: str) -> int:
        """Give the line of `path`, or of its nearest ancestor that has one."""
        while path:
            if (line := self.lines.get(path)) is not None:
                return line
            path = _parent(path)
        return self.line


def _parent(path: str) -> str:
    cut = max(path.rfind("."), path.rfind("["))
    return path[:cut] if cut > 0 else ""


@dataclass(frozen=True, slots=True)
class Manifest:
    """One Kubernetes object as read: `body` is the decoded JSON tree, never a typed model.

    Typed client models drop unknown fields, which turns a peer of an unknown kind into an empty
    one; so every reader of a policy decodes `body` itself, strictly.
    """

    ref: ObjectRef
    api_version: str
    body: Mapping[str, Any] = field(compare=False, repr=False)
    source: Source | None = None

    @property
    def file(self) -> str | None:
        """The file the object came from; None when it came from a cluster."""
        return self.source.file if self.source else None

    def line_of(self, path: str) -> int | None:
        """The 1-based line of a path inside the object; None when it came from a cluster."""
        return self.source.line_of(path) if self.source else None

    def place_of(self, path: str) -> tuple[str, int] | tuple[None, None]:
        """File and line of a path inside the object; a field that a patch wrote is the patch's."""
        return self.source.place_of(path) if self.source else (None, None)


@dataclass(frozen=True, slots=True, order=True)
class RuleRef:
    """One rule item of a policy: `path` as `spec.egress[1]`, with file and line where known."""

    policy: ObjectRef
    path: str
    file: str | None = None
    line: int | None = None

    @property
    def denies(self) -> bool:
        """Whether the item stands in `ingressDeny` or `egressDeny`."""
        return "Deny[" in self.path

    @property
    def short_path(self) -> str:
        """The path without the leading `spec.` that nearly all have."""
        return self.path.removeprefix("spec.")

    def __str__(self) -> str:
        at = f" ({self.file}:{self.line})" if self.file else ""
        return f"{self.policy}: {self.path}{at}"


@dataclass(frozen=True, slots=True)
class Notice:
    """Something the operator must know about what was read, said once and never fatal."""

    text: str
    file: str | None = None
    line: int | None = None
    ref: ObjectRef | None = None
    severity: str = "warning"

    def __str__(self) -> str:
        at = f"{self.file}:{self.line}: " if self.file and self.line else ""
        at = at or (f"{self.file}: " if self.file else "")
        return at + self.text
