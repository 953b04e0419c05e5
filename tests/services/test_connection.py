import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import BadInput, K8treError, SourceCause, SourceUnavailable
from app.ports import SourceState
from app.services.connection import LAST_RETRY_S, SourceConnection, backoff_s
from app.testing.clock import FakeClock


def gone(cause: SourceCause = SourceCause.REFUSED) -> SourceUnavailable:
    return SourceUnavailable("connection refused", source="relay", cause=cause, hint="look")


class Rig:
    """A connection whose wait always ends at once, and the states it went through."""

    def __init__(self, *outcomes: K8treError | None, wake: bool = True) -> None:
        self.states: list[SourceState] = []
        self.outcomes = list(outcomes)
        self.wake = wake
        self.connection = SourceConnection.create(
            "relay", clock=FakeClock(), on_change=self.hear, jitter=lambda: 1.0
        )

    def hear(self) -> None:
        state = self.connection.state
        self.states.append(state)
        if self.wake and state.phase in ("retrying", "denied"):
            self.connection.retry()

    async def serve(self) -> None:
        outcome = self.outcomes.pop(0)
        if outcome is not None:
            raise outcome
        self.connection.enter("live")

    def phases(self) -> list[str]:
        return [state.phase for state in self.states]


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_backoff_stays_within_its_bounds(attempt: int, jitter: float) -> None:
    assert 0.5 <= backoff_s(attempt, jitter) <= LAST_RETRY_S


def test_backoff_doubles_up_to_its_cap() -> None:
    assert [backoff_s(at, 0.0) for at in range(1, 8)] == [1, 2, 4, 8, 16, 30, 30]


async def test_keep_ends_when_the_source_does() -> None:
    rig = Rig(None)
    await rig.connection.keep(rig.serve)
    assert rig.phases() == ["connecting", "live", "ended"]


async def test_keep_tries_again_after_a_failure() -> None:
    rig = Rig(gone(), gone(), None)
    await rig.connection.keep(rig.serve)
    assert rig.phases() == [
        "connecting",
        "retrying",
        "connecting",
        "retrying",
        "connecting",
        "live",
        "ended",
    ]
    waits = [state.next_try_s for state in rig.states if state.phase == "retrying"]
    assert waits == [0.5, 1.0]
    assert rig.states[1].reason == "connection refused"
    assert rig.states[1].detail == {"cause": "refused", "hint": "look"}


@pytest.mark.parametrize(
    "error",
    [gone(SourceCause.FORBIDDEN), gone(SourceCause.UNAUTHENTICATED), BadInput("not a flow file")],
)
async def test_keep_waits_for_the_operator_when_trying_again_cannot_help(
    error: K8treError,
) -> None:
    rig = Rig(error, None)
    await rig.connection.keep(rig.serve)
    assert rig.phases()[1] == "denied"
    assert rig.states[1].next_try_s is None


async def test_denied_connection_stays_until_it_is_told() -> None:
    rig = Rig(gone(SourceCause.FORBIDDEN), None, wake=False)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(rig.connection.keep(rig.serve))
        for _ in range(5):
            await asyncio.sleep(0)
        assert rig.phases() == ["connecting", "denied"]
        rig.connection.retry()
        await task
    assert rig.phases()[-1] == "ended"


async def test_being_live_starts_the_backoff_anew() -> None:
    class Flaky(Rig):
        async def serve(self) -> None:
            if len(self.outcomes) in (4, 2):
                self.connection.enter("live")
            await super().serve()

    rig = Flaky(gone(), gone(), gone(), gone(), None)
    await rig.connection.keep(rig.serve)
    waits = [state.next_try_s for state in rig.states if state.phase == "retrying"]
    assert waits == [0.5, 0.5, 1.0, 0.5]


async def test_the_same_state_is_said_once() -> None:
    rig = Rig()
    rig.connection.enter("live")
    rig.connection.enter("live")
    assert rig.phases() == ["live"]
