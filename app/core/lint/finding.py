"""What a rule finds, and the rule itself, as data (docs/forms.md §4.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING

from app.core.drafts.edits import Edit
from app.core.model.provenance import Manifest, ObjectRef

if TYPE_CHECKING:
    from app.core.lint.scope import Scope
    from app.core.lint.view import View


class Severity(StrEnum):
    """`ERROR`: it does not do what it says. `WARNING`: probably so. `INFO`: worth knowing."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"

    @property
    def rank(self) -> int:
        """Higher is worse."""
        return {Severity.ERROR: 3, Severity.WARNING: 2, Severity.INFO: 1}[self]


class Knowledge(IntEnum):
    """What a rule needs to have seen; each level holds the ones before it."""

    FILE = 1
    REPOSITORY = 2
    CLUSTER = 3
    FLOWS = 4

    @property
    def words(self) -> str:
        """What it is called in the documentation."""
        return {
            Knowledge.FILE: "one file",
            Knowledge.REPOSITORY: "the repository or a snapshot",
            Knowledge.CLUSTER: "pods and services, live or from a snapshot",
            Knowledge.FLOWS: "recorded or live flows",
        }[self]


@dataclass(frozen=True, slots=True)
class Hit:
    """One place a rule objects to: `path` inside the object of the view that was asked.

    `severity` replaces the rule's own. `edits` are the change that mends it; `certain` says that
    nothing else can have been meant, so that `--fix` may write it. `manifest` names another object
    than the view's.
    """

    path: str
    summary: str
    fix: str = ""
    severity: Severity | None = None
    edits: tuple[Edit, ...] = ()
    certain: bool = False
    manifest: Manifest | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Finding:
    """A hit with its rule's words and its place in a file."""

    code: str
    name: str
    severity: Severity
    policy: ObjectRef
    path: str
    summary: str
    why: str
    fix: str = ""
    file: str | None = None
    line: int | None = None
    edits: tuple[Edit, ...] = field(default=(), compare=False)
    certain: bool = False
    patch: str | None = None
    manifest: Manifest | None = field(default=None, compare=False, repr=False)

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What stays the same while lines move: code, object, path and words."""
        return self.code, str(self.policy), self.path, self.summary


Check = Callable[["View", "Scope"], Iterable[Hit]]
Survey = Callable[["Scope"], Iterable[Hit]]


@dataclass(frozen=True, slots=True)
class Rule:
    """A kind of mistake. `check` looks at one policy, `survey` at everything at once.

    `why` is one or two sentences on what happens and which Cilium code or page says so. `bad` and
    `good` are examples: the spec of a CiliumNetworkPolicy in namespace `a`, or whole objects.
    `refusal` says that the mistake is why the whole object is refused.
    """

    code: str
    name: str
    severity: Severity
    needs: Knowledge
    why: str
    bad: str
    good: str
    check: Check | None = None
    survey: Survey | None = None
    refusal: bool = False
