"""The desk that questions come to: let in or refused, counted, answered, written down."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Protocol

from app.bot.access import Role, Rules
from app.bot.audit import Entry
from app.bot.command import ChatCommand, Deed, is_wish
from app.bot.commands import NOBODY, Context, answer, mistake
from app.bot.grammar import parse_command
from app.bot.limits import RateLimit
from app.bot.lookup import question_form, suggestions
from app.bot.pasted import Pasted, read_pasted
from app.bot.pool import Pool
from app.bot.words import split_words
from app.core.diagnose.evidence import FlowEvidence
from app.core.errors import K8treError
from app.core.flows.times import NS_PER_S
from app.core.model.chat import Caller, Choice, Form, Incoming, Reply, ReplyKind
from app.core.text import clean
from app.ports import Clock
from app.services.picture import Picture
from app.services.view import Views
from app.services.workspace import Workspace

_log = logging.getLogger("k8tre_tui.bot")

EVIDENCE_FOR_S = 1.0
"""How long the flows of one question serve the next: copying a full ring takes its time."""
_COMMAND_KEPT = 300
_DECISIONS = {ReplyKind.REFUSAL: "refused", ReplyKind.FAILURE: "failed"}


class Audit(Protocol):
    """Where decisions are written down."""

    def record(self, entry: Entry) -> None:
        """Keep one entry. Raises `OSError`."""
        ...


class Doer(Protocol):
    """Who does what changes something: requests, watches."""

    async def do(self, command: ChatCommand, context: Context) -> tuple[Reply, str]:
        """Do it; gives the reply and the decision for the record."""
        ...


@dataclass(frozen=True, slots=True)
class Known:
    """What is known at the moment of a question."""

    picture: Picture
    flows: FlowEvidence | None
    cluster: str


def known_in(workspace: Workspace, cluster: str, clock: Clock | None = None) -> Callable[[], Known]:
    """What a workspace knows whenever it is asked, under the name of the cluster.

    With a clock, flows are at most `EVIDENCE_FOR_S` old.
    """
    kept: list[tuple[float, FlowEvidence | None]] = []

    def known() -> Known:
        now_s = clock.monotonic() if clock else 0.0
        if clock is None or not kept or now_s - kept[0][0] > EVIDENCE_FOR_S:
            kept[:] = [(now_s, workspace.evidence())]
        return Known(workspace.picture, kept[0][1], cluster)

    return known


def known_as(workspace: Workspace, known: Callable[[], Known]) -> Callable[[], Known]:
    """What is known to somebody who reads the cluster with other rights, by another workspace.

    Flows are read once, with the bot's own: of them remain those whose pods those rights show.
    """
    views = Views()

    def known_with_rights() -> Known:
        everything, picture = known(), workspace.picture
        shown = frozenset(one.namespace for one in picture.cluster.endpoints)
        flows = everything.flows and views.restricted(
            everything.flows,
            everything.picture.cluster,
            lambda one: bool(one) and one not in shown,
            shown,
        )
        return replace(everything, picture=picture, flows=flows)

    return known_with_rights


@dataclass(slots=True)
class Desk:
    """Answers every incoming command; `known` gives the newest picture and flows.

    `known_to` is what is known to a role that reads the cluster with rights of its own. A decision
    that cannot be written down is not made: the caller is told instead.
    """

    known: Callable[[], Known]
    rules: Rules
    audit: Audit
    clock: Clock
    limit: RateLimit = field(default_factory=RateLimit)
    views: Views = field(default_factory=Views)
    pool: Pool = field(default_factory=Pool)
    lookups: Pool = field(default_factory=lambda: Pool(workers=1))
    known_to: Mapping[Role, Callable[[], Known]] = field(default_factory=dict)
    doer: Doer | None = None
    count: Callable[[str, float], None] = lambda _decision, _took_s: None

    async def answer(self, incoming: Incoming) -> Reply:
        """Give the reply, and leave a line in the audit log."""
        started_s = self.clock.monotonic()
        reply, decision = await self._decide(incoming, started_s)
        return await self.written_down(incoming, reply, decision, started_s=started_s)

    async def suggest(
        self, caller: Caller, name: str, typed: str, given: Mapping[str, str]
    ) -> tuple[Choice, ...]:
        """What a field of a form could be, of what the caller may see; nothing for the refused.

        Look-ups wait for no answer: they have a thread of their own.
        """
        if self.refuses(caller):
            return ()
        context = self.context_of(caller)
        return await self.lookups.run(suggestions, context, name, typed, given)

    def refuses(self, caller: Caller) -> bool:
        """Whether this caller is refused, whatever they ask."""
        return bool(self.rules.refusal(caller))

    def form(self, pasted: str = "") -> Form:
        """The form to ask with, filled in from what somebody pasted."""
        return question_form(read_pasted(pasted) if pasted else Pasted())

    async def written_down(
        self,
        incoming: Incoming,
        reply: Reply,
        decision: str,
        *,
        started_s: float,
        subject: str = "",
    ) -> Reply:
        """The reply, once it is in the audit log; another one when that cannot be written."""
        entry = replace(self._entry(incoming, reply, decision, started_s), subject=subject)
        about = {"decision": decision, "channel": entry.channel, "ms": entry.duration_ms}
        _log.info("command answered", extra=about)
        self.count(decision, entry.duration_ms / 1000)
        try:
            await asyncio.to_thread(self.audit.record, entry)
        except OSError as error:
            _log.error("audit log not written", extra={"said": str(error)})
            return Reply(ReplyKind.FAILURE, "my audit log cannot be written: ask an administrator")
        return reply

    def known_by(self, caller: Caller) -> Known:
        """What is known to the role of a caller."""
        role = self.rules.role_of(caller)
        return self.known_to.get(role, self.known)() if role else self.known()

    def context_of(self, caller: Caller) -> Context:
        """What a question of this caller is answered from."""
        known = self.known_by(caller)
        return Context(caller, known.picture, self.rules, known.flows, known.cluster, self.views)

    async def _decide(self, incoming: Incoming, now_s: float) -> tuple[Reply, str]:
        caller = incoming.caller
        if reason := self.rules.refusal(caller) or incoming.refused:
            return Reply(ReplyKind.REFUSAL, reason), "refused"
        if wait_s := self.limit.wait_s(caller, now_s):
            words = f"that is a lot of questions: ask again in {max(1, round(wait_s))} s"
            return Reply(ReplyKind.REFUSAL, words), "limited"
        context = self.context_of(caller)
        if not context.picture.revision:
            return Reply(ReplyKind.FAILURE, "nothing has been read yet: ask again"), "failed"
        try:
            command = parse_command(split_words(incoming.text))
        except K8treError as error:
            return mistake(error), "answered"
        try:
            return await self._do(command, context)
        except K8treError as error:
            return Reply(ReplyKind.FAILURE, error.message), "limited"

    async def _do(self, command: ChatCommand, context: Context) -> tuple[Reply, str]:
        """Answer what only asks; what changes something is done by others."""
        if isinstance(command, Deed) or is_wish(command):
            if self.doer is None:
                return NOBODY, "failed"
            return await self.doer.do(command, context)
        reply = await self.pool.run(answer, command, context)
        return reply, _DECISIONS.get(reply.kind, "answered")

    def _entry(self, incoming: Incoming, reply: Reply, decision: str, started_s: float) -> Entry:
        caller = incoming.caller
        now = datetime.fromtimestamp(self.clock.now_ns() / NS_PER_S, UTC)
        role = self.rules.role_of(caller)
        return Entry(
            time=now.isoformat(timespec="milliseconds"),
            team=clean(caller.team),
            channel=clean(caller.channel),
            user=clean(caller.user),
            command=clean(incoming.text, _COMMAND_KEPT),
            decision=decision,
            summary=reply.summary,
            duration_ms=round((self.clock.monotonic() - started_s) * 1000),
            role=str(role) if role else "none",
            cluster=self.known_by(caller).cluster,
        )
