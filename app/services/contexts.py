"""The clusters that one can switch to while the program runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from app.core.errors import UsageError
from app.services.workspace import Workspace


def _open_none(_name: str) -> Workspace:
    raise UsageError("these sources are no cluster of a kubeconfig")


@dataclass(frozen=True, slots=True)
class Contexts:
    """The clusters one can switch to: what they are called, and a new workspace over one.

    `open` may raise `K8treError`; it reads nothing yet.
    """

    names: Callable[[], tuple[str, ...]] = tuple
    open: Callable[[str], Workspace] = _open_none
