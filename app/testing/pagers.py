"""A pager that writes down what it was sent, and fails when it is told to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from app.core.errors import SourceCause, SourceUnavailable
from app.ports import Page


@dataclass
class FakePager:
    """Implements `Pager`; `sent` has what arrived, one list for each delivery."""

    name: str = "fake pager"
    wants_repeats: bool = False
    is_down: bool = False
    sent: list[list[Page]] = field(default_factory=list)

    async def send(self, pages: Sequence[Page], now_ns: int) -> None:  # noqa: ARG002  # the port's
        """Take alerts. Raises `SourceUnavailable` while it is down."""
        if self.is_down:
            raise SourceUnavailable(
                "alerts were not delivered: down", source=self.name, cause=SourceCause.REFUSED
            )
        self.sent.append(list(pages))
