"""The desk that questions come to: let in or refused, counted, answered, written down."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from app.bot.access import Rules
from app.bot.audit import Entry
from app.bot.commands import Context, handle
from app.bot.limits import RateLimit
from app.core.diagnose.evidence import FlowEvidence
from app.core.flows.times import NS_PER_S
from app.core.model.chat import Incoming, Reply, ReplyKind
from app.core.text import clean
from app.ports import Clock
from app.services.picture import Picture
from app.services.view import Views
from app.services.workspace import Workspace

_log = logging.getLogger("k8tre_tui.bot")

_COMMAND_KEPT = 300
_DECISIONS = {ReplyKind.REFUSAL: "refused", ReplyKind.FAILURE: "failed"}


class Audit(Protocol):
    """Where decisions are written down."""

    def record(self, entry: Entry) -> None:
        """Keep one entry. Raises `OSError`."""
        ...


@dataclass(frozen=True, slots=True)
class Known:
    """What is known at the moment of a question."""

    picture: Picture
    flows: FlowEvidence | None
    cluster: str


def known_in(workspace: Workspace, cluster: str) -> Callable[[], Known]:
    """What a workspace knows whenever it is asked, under the name of the cluster."""
    return lambda: Known(workspace.picture, workspace.evidence(), cluster)


@dataclass(slots=True)
class Desk:
    """Answers every incoming command; `known` gives the newest picture and flows.

    A decision that cannot be written down is not made: the caller is told instead.
    """

    known: Callable[[], Known]
    rules: Rules
    audit: Audit
    clock: Clock
    limit: RateLimit = field(default_factory=RateLimit)
    views: Views = field(default_factory=Views)

    async def answer(self, incoming: Incoming) -> Reply:
        """Give the reply, and leave a line in the audit log."""
        started_s = self.clock.monotonic()
        reply, decision = await self._decide(incoming, started_s)
        entry = self._entry(incoming, reply, decision, started_s)
        about = {"decision": decision, "channel": entry.channel, "ms": entry.duration_ms}
        _log.info("command answered", extra=about)
        try:
            await asyncio.to_thread(self.audit.record, entry)
        except OSError as error:
            _log.error("audit log not written", extra={"said": str(error)})
            return Reply(ReplyKind.FAILURE, "my audit log cannot be written: ask an administrator")
        return reply

    async def _decide(self, incoming: Incoming, now_s: float) -> tuple[Reply, str]:
        caller = incoming.caller
        if reason := self.rules.refusal(caller):
            return Reply(ReplyKind.REFUSAL, reason), "refused"
        if wait_s := self.limit.wait_s(caller, now_s):
            words = f"that is a lot of questions: ask again in {max(1, round(wait_s))} s"
            return Reply(ReplyKind.REFUSAL, words), "limited"
        known = self.known()
        if not known.picture.revision:
            return Reply(ReplyKind.FAILURE, "nothing has been read yet: ask again"), "failed"
        context = Context(caller, known.picture, self.rules, known.flows, known.cluster, self.views)
        reply = await asyncio.to_thread(handle, incoming.text, context)
        return reply, _DECISIONS.get(reply.kind, "answered")

    def _entry(self, incoming: Incoming, reply: Reply, decision: str, started_s: float) -> Entry:
        caller = incoming.caller
        now = datetime.fromtimestamp(self.clock.now_ns() / NS_PER_S, UTC)
        return Entry(
            time=now.isoformat(timespec="milliseconds"),
            team=clean(caller.team),
            channel=clean(caller.channel),
            user=clean(caller.user),
            command=clean(incoming.text, _COMMAND_KEPT),
            decision=decision,
            summary=reply.summary,
            duration_ms=round((self.clock.monotonic() - started_s) * 1000),
        )
