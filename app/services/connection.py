"""The state of one connection to the world, as pure functions, and the loop that keeps it up.

``off → connecting → live → retrying(n, why) → live``; ``denied`` waits for the operator, because
asking again with the same credentials locks accounts; ``ended`` means that all there was has been
read. Data are kept through every one of these: only their age grows. Back-off doubles from one
second to a cap of thirty, with jitter, for ever.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from app.core.errors import K8treError, SourceCause, SourceUnavailable
from app.ports import Clock, SourceState

FIRST_RETRY_S = 1.0
LAST_RETRY_S = 30.0

_log = logging.getLogger("k8tre_tui.sources")

DENIALS = frozenset({SourceCause.UNAUTHENTICATED, SourceCause.FORBIDDEN, SourceCause.UNREADABLE})
"""Causes that trying again does not mend."""


def backoff_s(attempt: int, jitter: float) -> float:
    """Seconds before try `attempt` (1 is the first retry); `jitter` in 0..1 takes up to half off.

    A random half keeps clients that lost the same server from coming back together.
    """
    full = min(LAST_RETRY_S, FIRST_RETRY_S * 2.0 ** min(attempt - 1, 10))
    return full * (1.0 - jitter / 2)


def needs_operator(error: K8treError) -> bool:
    """Whether trying again cannot help: refused rights, no kubeconfig, an unreadable file."""
    return not isinstance(error, SourceUnavailable) or error.cause in DENIALS


def describe_failure(
    source: str, error: K8treError, *, now_ns: int, next_try_s: float | None
) -> SourceState:
    """The state after `error`; `next_try_s` None means that nobody tries again."""
    cause = error.cause if isinstance(error, SourceUnavailable) else SourceCause.PROTOCOL
    detail = {"cause": cause.value, "hint": error.hint}
    phase = "denied" if needs_operator(error) else "retrying"
    return SourceState(
        source=source,
        phase=phase,
        reason=error.message,
        since_ns=now_ns,
        next_try_s=next_try_s,
        detail=detail,
    )


@dataclass(slots=True)
class SourceConnection:
    """Keeps one source connected; `on_change` is called at every change of state.

    `jitter` gives numbers in 0..1. `retry` wakes a waiting loop.
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
    ) -> SourceConnection:
        """A connection that is `off`."""
        off = SourceState(source, "off", since_ns=clock.now_ns())
        return cls(source, clock, on_change, jitter, off, asyncio.Event())

    def retry(self) -> None:
        """Try again now instead of at the end of the wait."""
        self._wake.set()

    def hear(self, state: SourceState) -> None:
        """Take over a state that the source gave itself."""
        self._move(replace(state, source=self.source))

    def enter(self, phase: str, reason: str = "") -> None:
        """Move to `phase` as of now."""
        self._move(SourceState(self.source, phase, reason, self.clock.now_ns()))

    def finish(self) -> None:
        """All there was has been read, but for what the source said it lacks."""
        if self.state.is_read:
            self._move(replace(self.state, phase="ended", since_ns=self.clock.now_ns()))
        elif self.state.phase != "stale":
            self.enter("ended")

    def _move(self, state: SourceState) -> None:
        """Change state, and say so only when anything but the time is new."""
        self._was_live = self._was_live or state.phase == "live"
        if replace(state, since_ns=self.state.since_ns) == self.state:
            return
        self.state = state
        self._tell()
        self.on_change()

    def _tell(self) -> None:
        state = self.state
        level = logging.WARNING if state.is_broken else logging.INFO
        about = {"cause": state.detail.get("cause", ""), "said": state.reason}
        given = {key: value for key, value in about.items() if value}
        _log.log(
            level, "source changed", extra={"source": state.source, "phase": state.phase, **given}
        )

    @contextmanager
    def once(self, *, strict: bool) -> Iterator[None]:
        """One try without another: a failure becomes the state, and is raised when `strict`."""
        self.enter("connecting")
        try:
            yield
        except K8treError as error:
            now_ns = self.clock.now_ns()
            self._move(describe_failure(self.source, error, now_ns=now_ns, next_try_s=None))
            if strict:
                raise

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
            except K8treError as error:
                attempt = 1 if self._was_live else attempt + 1
                await self._wait_after(error, attempt)
            else:
                self.enter("ended")
                return

    async def asked_again(self) -> None:
        """Wait until somebody wants the source to be tried again."""
        self._wake.clear()
        await self._wake.wait()

    async def _wait_after(self, error: K8treError, attempt: int) -> None:
        delay = None if needs_operator(error) else backoff_s(attempt, self.jitter())
        now_ns = self.clock.now_ns()
        self._move(describe_failure(self.source, error, now_ns=now_ns, next_try_s=delay))
        try:
            async with asyncio.timeout(delay):
                await self._wake.wait()
        except TimeoutError:
            return
