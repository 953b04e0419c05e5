"""From a researcher's wish to a draft pull request that an operator approved.

The wish is answered from what the researcher may see. What the change is, what it opens and which
boundaries it meets is shown to the operators alone, in their channel. An operator approves what was
shown there: where the change has become another one meanwhile, it is shown again. Nothing is merged
here, and there is no way to.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

from app.bot.access import EVERYONE, Level, Role, Rules
from app.bot.approval_replies import (
    approval_form,
    decline_form,
    gone,
    list_reply,
    preview_reply,
    undrafted_reply,
    wish_form,
    wish_reply,
)
from app.bot.command import AboutConnection, ChatCommand, Requests, written
from app.bot.commands import Context, answer, may_draft, mistake
from app.bot.disclosure import Disclosure, disclosure_for
from app.bot.pool import Pool
from app.bot.wishes import ChangeRequest, ChangeRequests, ChangeState
from app.core.diagnose.evidence import FlowEvidence
from app.core.errors import K8treError, SourceUnavailable
from app.core.model.chat import Caller, Choice, Fact, Reply, ReplyKind
from app.core.model.verdict import Verdict
from app.ports import Clock
from app.services import ask
from app.services.drafting import Draft, Drafter, DraftRequest
from app.services.drafts import parse_due
from app.services.effect import effect_of_policies
from app.services.picture import Picture

_log = logging.getLogger("k8tre_tui.bot")

Deciding = tuple[Reply, str]

MOST_OPEN = 10
"""Requests of one person that may be open at once."""


class Poster(Protocol):
    """Sends messages of our own accord. All raise `SourceUnavailable`."""

    async def post(self, channel: str, reply: Reply, *, thread: str = "") -> str:
        """Tell a channel, or a thread in it; gives the message's own name."""
        ...

    async def edit(self, channel: str, message: str, reply: Reply) -> None:
        """Put another text in the place of a message of ours."""
        ...

    async def tell(self, channel: str, user: str, reply: Reply) -> None:
        """Tell one person in a channel."""
        ...


@dataclass(slots=True)
class Approvals:
    """Requests and decisions. `channel` is the operators'; `drafter` makes and submits changes.

    Without either nothing can be asked for. `wake` is set when there is a new request.
    """

    wishes: ChangeRequests
    rules: Rules
    clock: Clock
    known: Callable[[], tuple[Picture, FlowEvidence | None]]
    poster: Poster | None = None
    drafter: Drafter | None = None
    channel: str = ""
    pool: Pool = field(default_factory=lambda: Pool(workers=1))
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    deciding: set[str] = field(default_factory=set)

    async def do(self, command: ChatCommand, context: Context) -> Deciding:
        """Ask for a change, or do what a command about requests says."""
        try:
            if isinstance(command, AboutConnection):
                return await self._wish(command, context)
            if isinstance(command, Requests):
                return await self._about(command, context)
        except SourceUnavailable as error:
            return Reply(ReplyKind.FAILURE, error.message), "failed"
        except K8treError as error:
            return mistake(error), "answered"
        raise TypeError(command)

    async def _wish(self, command: AboutConnection, context: Context) -> Deciding:
        if not may_draft(command.asked, context):
            words = "to ask for a change you must be a drafter of the namespace of one of its ends"
            return Reply(ReplyKind.REFUSAL, words), "refused"
        if not self.channel or self.drafter is None:
            words = "changes cannot be asked for here: no channel of operators, or no repository"
            return Reply(ReplyKind.FAILURE, words), "failed"
        why = replace(command, verb="why-blocked")
        told = await self.pool.run(answer, why, context)
        if told.kind is not ReplyKind.ANSWER:
            return replace(told, choices=_as_wishes(told)), "answered"
        if told.summary.startswith("✓"):
            return Reply(ReplyKind.ANSWER, f"nothing to ask for: {told.summary}"), "answered"
        if not command.given.get("reason"):
            return Reply(
                ReplyKind.MISTAKE,
                "a request needs a reason",
                (Fact("Try", f"{command.ask_again()} --reason TEXT", code=True),),
                form=wish_form(command),
            ), "answered"
        reply = self._keep(command, context)
        return reply, "refused" if reply.kind is ReplyKind.REFUSAL else "requested"

    def _keep(self, command: AboutConnection, context: Context) -> Reply:
        caller, given = context.caller, command.given
        question = written("why-blocked", {**given, "reason": "", "ticket": ""})
        for one in self.wishes.open():
            if (one.user, one.command) == (caller.user, question):
                words = f"you asked for this already: {one.key} is {one.state}"
                return Reply(ReplyKind.ANSWER, words, footer=context.footer)
        mine = [one for one in self.wishes.open() if _is_of(one, caller)]
        if len(mine) >= MOST_OPEN:
            words = f"you have {len(mine)} open requests: wait for the operators"
            return Reply(ReplyKind.REFUSAL, words)
        now_ns = self.clock.now_ns()
        wish = ChangeRequest(
            key=self.wishes.key_of(caller, question, now_ns),
            user=caller.user,
            channel=caller.channel,
            team=caller.team,
            groups=tuple(sorted(caller.groups)),
            command=question,
            reason=given["reason"],
            ticket=given.get("ticket", ""),
            asked_ns=now_ns,
        )
        self.wishes.keep(wish)
        self.wake.set()
        words = f"asked for as {wish.key}: the operators decide, and I tell you here what they say"
        return Reply(ReplyKind.ANSWER, words)

    async def _about(self, command: Requests, context: Context) -> Deciding:
        is_operator = context.rules.may(context.caller, Role.OPERATOR)
        if command.action == "list":
            mine = [one for one in self.wishes.all() if is_operator or _is_of(one, context.caller)]
            return list_reply(mine, with_links=is_operator), "answered"
        wish = self.wishes.one(command.key)
        if not is_operator and not _is_of(wish, context.caller):
            raise gone(command.key)
        if command.action == "show":
            return wish_reply(wish, with_link=is_operator), "answered"
        if not is_operator:
            return Reply(ReplyKind.REFUSAL, "an operator decides on requests"), "refused"
        if objection := self._undecidable(wish, command):
            return objection, "answered"
        self.deciding.add(wish.key)
        try:
            if command.action == "approve":
                return await self._approve(wish, command, context.caller)
            return await self._decline(wish, command, context.caller)
        finally:
            self.deciding.discard(wish.key)

    def _undecidable(self, wish: ChangeRequest, command: Requests) -> Reply | None:
        """What is said instead of deciding; None where it can be decided."""
        if wish.state is not ChangeState.ASKED:
            by = f" by {wish.decided_by}" if wish.decided_by else ""
            return Reply(ReplyKind.ANSWER, f"{wish.key} is {wish.state} already{by}")
        if wish.key in self.deciding:
            return Reply(ReplyKind.ANSWER, f"somebody is deciding on {wish.key} now")
        if command.reason.strip():
            return None
        form = approval_form(wish) if command.action == "approve" else decline_form(wish)
        words = f"a decision needs a reason: pr {command.action} {wish.key} --reason TEXT"
        return Reply(ReplyKind.MISTAKE, words, form=form)

    async def _approve(self, wish: ChangeRequest, command: Requests, caller: Caller) -> Deciding:
        drafter = self.drafter
        if drafter is None:
            return Reply(ReplyKind.FAILURE, "there is no repository to draft for"), "failed"
        expires = parse_due(command.expires, self.clock.now_ns()) if command.expires else ""
        draft = await self.draft(wish, _asked_by(wish, command, expires))
        beyond = [
            one.namespace
            for one in draft.policies
            if not self.rules.may(caller, Role.OPERATOR, one.namespace)
        ]
        if beyond:
            words = f"you are no operator of the namespace {beyond[0]}, whose policy would change"
            return Reply(ReplyKind.REFUSAL, words), "refused"
        if digest_of(draft) != wish.digest:
            await self.show(wish, draft)
            words = f"{wish.key} is another change now than the one you saw: look at it again"
            return Reply(ReplyKind.ANSWER, words), "answered"
        proposal = await drafter.submit(draft)
        decided = replace(
            wish,
            state=ChangeState.SUBMITTED,
            decided_by=caller.user,
            words=command.reason,
            expires=expires,
            branch=proposal.branch,
            url=proposal.url,
        )
        self.wishes.keep(decided)
        await self.tell(decided, f"approved by {caller.user}: a draft pull request is open")
        where = proposal.url or proposal.branch
        reply = Reply(ReplyKind.ANSWER, f"{wish.key}: a draft pull request is open", link=where)
        return reply, "submitted"

    async def _decline(self, wish: ChangeRequest, command: Requests, caller: Caller) -> Deciding:
        decided = replace(
            wish, state=ChangeState.REFUSED, decided_by=caller.user, words=command.reason
        )
        self.wishes.keep(decided)
        await self.tell(decided, f"declined by {caller.user}")
        return Reply(ReplyKind.ANSWER, f"{wish.key} is declined"), "declined"

    async def draft(self, wish: ChangeRequest, request: DraftRequest) -> Draft:
        """Work the change out, from everything there is. Raises `K8treError`."""
        if self.drafter is None:
            raise SourceUnavailable("there is no repository to draft for", source="bot")
        picture, flows = self.known()
        inquiry = await self.drafter.ask(picture, flows, wish.question.asked)
        return await self.drafter.draft(inquiry, inquiry.ways.numbered(1), request)

    async def prepare(self, wish: ChangeRequest) -> None:
        """Show a new request to the operators, with the change or why there is none."""
        if self.poster is None:
            return
        try:
            draft = await self.draft(wish, _asked_by(wish, None, ""))
        except K8treError as error:
            reply = self._telling(wish).reply(undrafted_reply(wish, error))
            message = await self.poster.post(self.channel, reply)
            self.wishes.keep(replace(wish, message=message))
            return
        await self.show(wish, draft)

    async def show(self, wish: ChangeRequest, draft: Draft) -> None:
        """Show the operators what they are to decide on: effect, boundaries, difference."""
        if self.poster is None:
            return
        proof = draft.proof
        report = await asyncio.to_thread(
            effect_of_policies, proof.before, proof.after.cluster.policies, flows=self.known()[1]
        )
        reply = self._telling(wish).reply(preview_reply(wish, draft, report))
        if wish.message:
            moved = Reply(ReplyKind.ANSWER, f"{wish.key}: the change is another one now, see below")
            await self.poster.edit(self.channel, wish.message, moved)
        message = await self.poster.post(self.channel, reply)
        self.wishes.keep(replace(wish, message=message, digest=digest_of(draft)))

    async def tell(self, wish: ChangeRequest, words: str, *, link: str = "") -> None:
        """Say what became of a request, in the operators' thread and to the one who asked.

        Researchers read the state and the operator's own words; the link is the operators'.
        """
        if self.poster is None:
            return
        told = f"{wish.key} {wish.title}: {words}"
        facts = (Fact("Reason", wish.words),) if wish.words else ()
        inside = self._telling(wish).reply(Reply(ReplyKind.ANSWER, told, facts))
        poster = self.poster
        threaded = replace(inside, link=link or wish.url)
        works: list[Callable[[], Awaitable[object]]] = [
            lambda: poster.tell(wish.channel, wish.user, inside),
            lambda: poster.post(self.channel, threaded, thread=wish.message),
        ]
        if wish.message and wish.state is not ChangeState.ASKED:
            works.append(lambda: poster.edit(self.channel, wish.message, inside))
        for work in works:
            try:
                await work()
            except SourceUnavailable as error:
                _log.warning("not told", extra={"request": wish.key, "said": error.message})

    def _telling(self, wish: ChangeRequest) -> Disclosure:
        """What operators may read in their channel: every namespace, at the level of the chat."""
        open_to_all = Rules(EVERYONE, level=self.rules.level)
        if self.rules.level is Level.FULL:
            return Disclosure()
        picture, _ = self.known()
        asked = wish.question
        return disclosure_for(
            wish.caller, open_to_all, picture, asked=asked.asked, chosen=asked.chosen
        )

    async def check_allowed(self, wish: ChangeRequest) -> tuple[Verdict, str]:
        """Ask a question again, of everything: the verdict, and the cause in words."""
        picture, flows = self.known()
        found = await self.pool.run(ask.why, picture, flows, wish.question.asked)
        return found.verdict, found.cause.summary


def digest_of(draft: Draft) -> str:
    """What an operator approves: the files as they will be."""
    text = "\0".join(f"{one.path}\0{one.after}" for one in draft.change.files)
    return hashlib.sha256(text.encode()).hexdigest()


def _asked_by(wish: ChangeRequest, command: Requests | None, expires: str) -> DraftRequest:
    """Who asked, who approved, and why, for the record of the pull request."""
    reason = wish.reason
    if wish.ticket:
        reason = f"{reason} ({wish.ticket})"
    if command is None:
        return DraftRequest(reason=reason, requested_by=f"slack-{wish.user}")
    reason = f"{reason}. Approved: {command.reason}"
    return DraftRequest(
        reason=reason,
        requested_by=f"slack-{wish.user}",
        accept_risk=command.accepts_risk,
        expires=expires,
    )


def _is_of(wish: ChangeRequest, caller: Caller) -> bool:
    return wish.user == caller.user and wish.team == caller.team


def _as_wishes(told: Reply) -> tuple[Choice, ...]:
    """The choices of a question, as wishes."""
    return tuple(
        replace(one, command=one.command.replace("why-blocked", "draft", 1)) for one in told.choices
    )
