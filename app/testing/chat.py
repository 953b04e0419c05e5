"""A chat in memory: what is typed is answered, one command after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from app.core.model.chat import Caller, Incoming, Reply, ReplyKind

CALLER = Caller("U0FAKE", "C0FAKE", "T0FAKE")


class FakeChat:
    """Implements `Chat`; `ask` types a command and waits for what comes back."""

    def __init__(self, answer: Callable[[Incoming], Awaitable[Reply]]) -> None:
        self._answer = answer
        self._typed: asyncio.Queue[tuple[Incoming, asyncio.Future[Reply]]] = asyncio.Queue()

    async def run(self) -> None:
        """Serve until cancelled; a defect in answering is a failure of that answer only."""
        while True:
            incoming, reply = await self._typed.get()
            try:
                reply.set_result(await self._answer(incoming))
            except Exception as error:  # noqa: BLE001  # as the real one: the chat goes on
                reply.set_result(Reply(ReplyKind.FAILURE, f"that went wrong: {error}"))

    async def ask(self, text: str, caller: Caller = CALLER) -> Reply:
        """Type a command."""
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._typed.put_nowait((Incoming(text, caller), reply))
        return await reply
