"""Who does what changes something: requests for changes, and watches."""

from __future__ import annotations

from dataclasses import dataclass

from app.bot.approvals import Approvals
from app.bot.command import ChatCommand, Mute, Watch
from app.bot.commands import Context
from app.bot.watches import Watches
from app.core.model.chat import Reply, ReplyKind

_DECISIONS = {ReplyKind.REFUSAL: "refused", ReplyKind.FAILURE: "failed"}


@dataclass(frozen=True, slots=True)
class Office:
    """Implements `Doer`."""

    approvals: Approvals
    watches: Watches

    async def do(self, command: ChatCommand, context: Context) -> tuple[Reply, str]:
        """Do it; gives the reply and the decision for the record."""
        if isinstance(command, Watch | Mute):
            reply = self.watches.do(command, context)
            return reply, _DECISIONS.get(reply.kind, "answered")
        return await self.approvals.do(command, context)
