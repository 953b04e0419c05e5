"""How often may be asked: a sliding minute for each user and each channel."""

from __future__ import annotations

from collections import deque

from app.core.model.chat import Caller

WINDOW_S = 60.0
PER_USER = 10
PER_CHANNEL = 30


class RateLimit:
    """Counts questions; only those that were let through count."""

    def __init__(self, *, per_user: int = PER_USER, per_channel: int = PER_CHANNEL) -> None:
        self._limits = {"user": per_user, "channel": per_channel}
        self._asked: dict[tuple[str, str], deque[float]] = {}

    def wait_s(self, caller: Caller, now_s: float) -> float:
        """Let a question through and give 0, or the seconds until the next one is."""
        keys = (("user", caller.user), ("channel", caller.channel))
        self._forget(now_s)
        queues = [self._asked.setdefault(key, deque()) for key in keys]
        for (scope, _), queue in zip(keys, queues, strict=True):
            if len(queue) >= self._limits[scope]:
                return queue[0] + WINDOW_S - now_s
        for queue in queues:
            queue.append(now_s)
        return 0.0

    def _forget(self, now_s: float) -> None:
        for queue in self._asked.values():
            while queue and queue[0] <= now_s - WINDOW_S:
                queue.popleft()
        self._asked = {key: queue for key, queue in self._asked.items() if queue}
