"""The state of one connection to the world, as pure functions, and the loop that keeps it up.

``off → connecting → live → retrying(n, why) → live``; ``denied`` waits for the operator, because
asking again with the same credentials locks accounts; ``ended`` means that all there was has been
read. Data are kept through every one of these: only their age grows. Back-off doubles from one
second to a cap of thirty, with jitter, for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from app.core.errors import BadInput, SourceCause, SourceUnavailable
from app.ports import Clock, SourceState

FIRST_RETRY_S = 1.0
LAST_RETRY_S = 30.0

DENIALS = frozenset({SourceCause.UNAUTHENTICATED, SourceCause.FORBIDDEN})
"""Causes that trying again does not mend."""


def backoff_s(attempt: int, jitter: float) -> float:
    """Seconds before try `attempt` (1 is the first retry); `jitter` in 0..1 takes up to half off.

    A random half keeps clients that lost the same server from coming back together.
    """
    full = min(LAST_RETRY_S, FIRST_RETRY_S * 2.0 ** min(attempt - 1, 10))
    return full * (1.0 - jitter / 2)


def describe_failure(
    source: str, error: SourceUnavailable | BadInput, *, now_ns: int, next_try_s: float | None
) -> SourceState:
    """The state after `error`: `denied` when only the operator can help, else `retrying`."""
    cause = error.cause if isinstance(error, SourceUnavailable) else SourceCause.PROTOCOL
    detail = {"cause": cause.value, "hint": error.hint}
    if next_try_s is None:
        return SourceState(source, "denied", error.message, now_ns, detail=detail)
    return SourceState(source, "retrying", error.message, now_ns, next_try_s, detail)


@dataclass(slots=True)
class Connection:
    """Keeps one source connected; `on_change` is called at every change of state.

    `pause` and `jitter` are arguments so that tests need no time. `retry` wakes a waiting loop.
    """

    source: str
    clock: Clock
    on_change: Callable[[], None]
    jitter: Callable[[], float]
    state: SourceState
    _wake: asyncio.Event
    _was_live: bool = False

    @classmethod
    def create(
        cls,
        source: str,
        *,
        clock: Clock,
        on_change: Callable[[], None],
        jitter: Callable[[], float],
    ) -> Connection:
        """A connection that is `off`."""
        off = SourceState(source, "off", since_ns=clock.now_ns())
        return cls(source, clock, on_change, jitter, off, asyncio.Event())

    def retry(self) -> None:
        """Try again now instead of at the end of the wait."""
        self._wake.set()

    def move(self, state: SourceState) -> None:
        """Take a state of the source's own, or one of ours; says so only when it changed."""
        self._was_live = self._was_live or state.phase == "live"
        if replace(state, since_ns=self.state.since_ns) == self.state:
            return
        self.state = state
        self.on_change()

    def enter(self, phase: str, reason: str = "") -> None:
        """Move to `phase` as of now."""
        self.move(SourceState(self.source, phase, reason, self.clock.now_ns()))

    async def keep(self, serve: Callable[[], Awaitable[None]]) -> None:
        """Run `serve` until it returns; after a failure wait and run it again, for ever.

        `serve` calls `enter("live")` once it has what it came for, which resets the back-off.
        """
        attempt = 0
        while True:
            self._wake.clear()
            self._was_live = False
            self.enter("connecting")
            try:
                await serve()
            except (SourceUnavailable, BadInput) as error:
                attempt = 1 if self._was_live else attempt + 1
                await self._wait_after(error, attempt)
            else:
                self.enter("ended")
                return

    async def _wait_after(self, error: SourceUnavailable | BadInput, attempt: int) -> None:
        denied = isinstance(error, BadInput) or error.cause in DENIALS
        delay = None if denied else backoff_s(attempt, self.jitter())
        now_ns = self.clock.now_ns()
        self.move(describe_failure(self.source, error, now_ns=now_ns, next_try_s=delay))
        try:
            async with asyncio.timeout(delay):
                await self._wake.wait()
        except TimeoutError:
            return
