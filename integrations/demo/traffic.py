"""The demo's traffic as a function of seed and time: no clock, no I/O, no waiting."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from itertools import count
from operator import attrgetter
from random import Random

import msgspec

from app.core.flows.times import NS_PER_S
from app.core.model.flow import Flow, FlowBatch, HttpInfo, L7Info, LostEvents, NodeStatus
from app.core.policy.engine import Engine
from integrations.demo.cast import Cast
from integrations.demo.judge import Judge
from integrations.demo.scenes import Scene
from integrations.demo.script import Script, Step
from integrations.demo.stories import PAST, STORIES
from integrations.demo.topology import Topology

S = NS_PER_S
HISTORY_S = 900
_CATCH_UP_S = 2
"""How much is told at once after a pause; what was missed is reported as lost."""
_LOSS_EVERY_S = (45.0, 90.0)
_EPHEMERAL = (32_768, 60_000)
"""Linux's `net.ipv4.ip_local_port_range`, with room for a story's further ports."""
_RELAY = "hubble-relay"

_time_of = attrgetter("time_ns")


class Traffic:
    """Tells the stories in shuffled order, `rate` flows a second on average.

    The same engine, seed, rate and sequence of times give the same flows.
    """

    def __init__(self, engine: Engine, topology: Topology, *, seed: int, rate: float) -> None:
        self._random = Random(seed)  # noqa: S311  # a story teller, not a secret
        self._rate = rate
        self._nodes = tuple(topology.nodes)
        self._cast = Cast(engine, topology)
        self._judge = Judge(engine)
        self._written: dict[Scene, tuple[Step, ...]] = {}
        self._deck: Iterator[Scene] = iter(())
        self._numbers = count(1)
        self._uuid_start = f"{seed & 0xFFFFFFFF:08x}-0000-4000-8000-"
        self._pending: list[Flow] = []
        self._next_ns = 0
        self._next_loss_ns = 0

    def history(self, now_ns: int) -> FlowBatch:
        """Every story told within the last quarter of an hour; later flows start from `now_ns`."""
        scenes = [*PAST, *self._shuffled()]
        step_ns = (HISTORY_S - 10) * S // len(scenes)
        for place, scene in enumerate(scenes):
            at_ns = now_ns - HISTORY_S * S + place * step_ns + self._random.randrange(step_ns)
            self._tell(scene, at_ns)
        self._next_ns = now_ns
        self._next_loss_ns = now_ns + self._loss_pause_ns()
        connected = NodeStatus("NODE_CONNECTED", self._nodes, time_ns=now_ns, node=_RELAY)
        return FlowBatch(self._due(now_ns), statuses=(connected,))

    def until(self, now_ns: int) -> FlowBatch:
        """What happened since the last call."""
        lost = [*self._skip(now_ns), *self._lose(now_ns)]
        while self._next_ns <= now_ns:
            steps = self._tell(self._draw(), self._next_ns)
            self._next_ns += int(steps * S / self._rate * self._random.uniform(0.6, 1.4))
        return FlowBatch(self._due(now_ns), lost=tuple(lost))

    def _skip(self, now_ns: int) -> Iterator[LostEvents]:
        late_ns = now_ns - self._next_ns - _CATCH_UP_S * S
        if late_ns <= 0:
            return
        self._next_ns += late_ns
        missed = int(late_ns / S * self._rate)
        yield LostEvents("HUBBLE_RING_BUFFER", max(missed, 1), node=_RELAY, time_ns=now_ns)

    def _lose(self, now_ns: int) -> Iterator[LostEvents]:
        if now_ns < self._next_loss_ns:
            return
        self._next_loss_ns = now_ns + self._loss_pause_ns()
        node = self._random.choice(self._nodes)
        events = self._random.randrange(3, 40)
        yield LostEvents("OBSERVER_EVENTS_QUEUE", events, node=node, time_ns=now_ns)

    def _loss_pause_ns(self) -> int:
        return int(self._random.uniform(*_LOSS_EVERY_S) * S)

    def _shuffled(self) -> list[Scene]:
        scenes = [scene for times, scene in STORIES for _ in range(times)]
        self._random.shuffle(scenes)
        return scenes

    def _draw(self) -> Scene:
        scene = next(self._deck, None)
        if scene is None:
            self._deck = iter(self._shuffled())
            scene = next(self._deck)
        return scene

    def _steps(self, scene: Scene) -> tuple[Step, ...]:
        if (steps := self._written.get(scene)) is None:
            script = Script(self._cast, self._judge)
            scene.write(script, self._cast)
            steps = self._written[scene] = tuple(script.steps)
        return steps

    def _tell(self, scene: Scene, at_ns: int) -> int:
        """Put the flows of a story that starts at `at_ns` in line; give how many."""
        steps = self._steps(scene)
        port = self._random.randrange(*_EPHEMERAL)
        line, start, numbers = self._pending, self._uuid_start, self._numbers
        for step in steps:
            flow = step.flow
            changes = {"time_ns": at_ns + step.after_ns, "uuid": f"{start}{next(numbers):012x}"}
            if step.slot is not None:
                side = "destination_port" if flow.is_reply else "source_port"
                changes[side] = port + step.slot
            if flow.l7 is not None and flow.l7.http is not None:
                changes["l7"] = _with_request_id(flow.l7, flow.l7.http, f"{at_ns:x}-{step.slot}")
            line.append(msgspec.structs.replace(flow, **changes))
        return len(steps)

    def _due(self, now_ns: int) -> tuple[Flow, ...]:
        self._pending.sort(key=_time_of)
        end = bisect_right(self._pending, now_ns, key=_time_of)
        due = tuple(self._pending[:end])
        del self._pending[:end]
        return due


def _with_request_id(message: L7Info, http: HttpInfo, request_id: str) -> L7Info:
    """Envoy's id, which a request and its answer share."""
    http = msgspec.structs.replace(http, headers=(("X-Request-Id", request_id),))
    return msgspec.structs.replace(message, http=http)
