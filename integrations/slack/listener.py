"""What comes in from Slack, each thing acknowledged at once and answered by a task of its own.

A slash command is acknowledged without a word: what is said there stays for ever, because the
address that came with a command cannot replace it (bolt-python#1268, bolt-js#2287). A question that
takes longer than `patience_s` is told so in a message that stays true.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from app.core.errors import SourceUnavailable
from app.core.model.chat import Caller, Choice, Form, Incoming, Reply, ReplyKind
from app.services.tasks import Caught, guard
from integrations.slack.blocks import BUTTON_ACTION, CHOICE_ACTION
from integrations.slack.deliver import Delivery, translated
from integrations.slack.element_limits import OPTION_VALUE_MAX
from integrations.slack.modals import (
    CALLBACK,
    LOOKUP_ACTION,
    Meant,
    command_with,
    given_in,
    meant_by,
    options_of,
    view_of,
)
from integrations.slack.offers import Offers
from integrations.slack.payloads import (
    Origin,
    key_of,
    place_of_action,
    place_of_command,
    place_of_mention,
    text_of_mention,
)

if TYPE_CHECKING:
    from slack_bolt.async_app import AsyncAck, AsyncApp
    from slack_sdk.web.async_client import AsyncWebClient

    from integrations.slack.directory import Directory

_log = logging.getLogger("k8tre_tui.slack")

COMMAND = "/netpol"
SHORTCUT = "netpol.why"
PATIENCE_S = 4.0
ANSWER_WITHIN_S = 600.0
LOOKUP_WITHIN_S = 2.0
KEYS_KEPT = 2000
KEYS_KEPT_S = 600.0
_GONE = "this choice is gone or not yours: ask again"
_LEAVING = Reply(ReplyKind.FAILURE, "I was stopped before I had an answer: ask again")

Body = Mapping[str, Any]


@runtime_checkable
class Host(Protocol):
    """Who answers. Every method may be called at any time, many at once."""

    async def answer(self, incoming: Incoming) -> Reply:
        """Answer a command."""
        ...

    async def suggest(
        self, caller: Caller, name: str, typed: str, given: Mapping[str, str]
    ) -> tuple[Choice, ...]:
        """What the field `name` of a form could be, given the others; `command` is its value."""
        ...

    def refuses(self, caller: Caller) -> bool:
        """Whether this caller is answered with a refusal, whatever they ask."""
        ...

    def form(self, pasted: str = "") -> Form:
        """The form to ask with, filled in from a text that somebody pasted."""
        ...


@dataclass(slots=True)
class Listener:
    """Listens to an app; `start` runs a task, `report` hears of defects."""

    host: Host
    delivery: Delivery
    directory: Directory | None
    client: AsyncWebClient
    offers: Offers
    start: Callable[[Coroutine[Any, Any, None]], None]
    report: Callable[[Caught], None]
    lookups: Offers = field(default_factory=lambda: Offers(kept_max=20_000))
    patience_s: float = PATIENCE_S
    seen: OrderedDict[str, float] = field(default_factory=OrderedDict)
    serving: dict[asyncio.Task[None], Origin] = field(default_factory=dict)

    def listen(self, app: AsyncApp) -> None:
        """Take what the app hears."""
        app.command(COMMAND)(self._on_command)
        app.action(re.compile(rf"({CHOICE_ACTION}|{BUTTON_ACTION})\.\d+"))(self._on_action)
        app.action(re.compile(rf"{LOOKUP_ACTION}\."))(self._on_nothing)
        app.options(re.compile(rf"{LOOKUP_ACTION}\."))(self._on_options)
        app.view(CALLBACK)(self._on_view)
        app.shortcut(SHORTCUT)(self._on_shortcut)
        app.event("app_mention")(self._on_mention)

    async def _on_command(self, ack: AsyncAck, body: Body) -> None:
        await ack()
        if self._is_new(body):
            text = str(body.get("text", ""))
            self._serve(place_of_command(body), text or None)

    async def _on_mention(self, ack: AsyncAck, body: Body) -> None:
        await ack()
        event = body.get("event") or {}
        if not event.get("bot_id") and self._is_new(body):
            self._serve(place_of_mention(body), text_of_mention(body) or "help")

    async def _on_action(self, ack: AsyncAck, body: Body) -> None:
        await ack()
        if not self._is_new(body):
            return
        action = body["actions"][0]
        is_choice = str(action.get("action_id", "")).startswith(CHOICE_ACTION)
        place = place_of_action(body, replaces=is_choice)
        command = self.offers.redeem(str(action.get("value", "")), place.user)
        if command is None:
            self._serve(replace(place, has_original=False), "", refused=_GONE)
        else:
            self._serve(place, command)

    async def _on_nothing(self, ack: AsyncAck) -> None:
        await ack()

    async def _on_shortcut(self, ack: AsyncAck, body: Body) -> None:
        await ack()
        if self._is_new(body):
            message = body.get("message") or {}
            self._serve(place_of_action(body), None, pasted=str(message.get("text", "")))

    async def _on_view(self, ack: AsyncAck, body: Body) -> None:
        await ack()
        if not self._is_new(body):
            return
        view = body.get("view") or {}
        meant, place = meant_by(view), place_of_action(body)
        url = self.lookups.redeem(meant.back, place.user) or ""
        given = self._meant(given_in(view), place.user)
        place = replace(place, channel=meant.channel, url=url)
        command = self.lookups.redeem(meant.command, place.user)
        if command is None:
            self._serve(place, "", refused=_GONE)
        else:
            self._serve(place, command_with(command, given))

    async def _on_options(self, ack: AsyncAck, body: Body) -> None:
        view = body.get("view") or {}
        place = replace(place_of_action(body), channel=meant_by(view).channel)
        name = str(body.get("action_id", "")).removeprefix(f"{LOOKUP_ACTION}.")
        given = self._meant(given_in(view), place.user)
        found: tuple[Choice, ...] | None = None
        try:
            async with asyncio.timeout(LOOKUP_WITHIN_S):
                caller = await self._caller(place)
                work = self.host.suggest(caller, name, str(body.get("value", "")), given)
                found = await guard("slack look-up", work, self.report)
        except TimeoutError:
            _log.warning("look-up took too long", extra={"field": name})
        await ack(options=options_of(self._hidden(one, place.user) for one in found or ()))

    def _hidden(self, choice: Choice, user: str) -> Choice:
        """A value that is not shown as it is does not leave in the select either."""
        if choice.label == choice.command and len(choice.command) <= OPTION_VALUE_MAX:
            return choice
        return replace(choice, command=self.lookups.make(user, choice.command, counts_once=False))

    def _meant(self, given: Mapping[str, str], user: str) -> dict[str, str]:
        return {name: self.lookups.redeem(value, user) or value for name, value in given.items()}

    def _is_new(self, body: Body) -> bool:
        """Whether this was not delivered before: Slack delivers again what it takes for lost."""
        if not (key := key_of(body)):
            return True
        now_s = time.monotonic()
        if now_s - self.seen.get(key, -KEYS_KEPT_S) < KEYS_KEPT_S:
            return False
        self.seen[key] = now_s
        self.seen.move_to_end(key)
        while len(self.seen) > KEYS_KEPT:
            self.seen.popitem(last=False)
        return True

    async def _caller(self, place: Origin) -> Caller:
        if self.directory is None:
            return Caller(place.user, place.channel, place.team)
        caller = await self.directory.caller(place.user, place.channel, place.team)
        return replace(caller, is_shared=caller.is_shared or place.is_shared)

    def _serve(
        self, place: Origin, text: str | None, *, refused: str = "", pasted: str = ""
    ) -> None:
        """Answer in a task of its own; without a text the form is opened."""

        async def serve() -> None:
            task = asyncio.current_task()
            assert task is not None  # noqa: S101  # a coroutine runs in a task
            self.serving[task] = place
            try:
                await self._answer(place, text, refused=refused, pasted=pasted)
            finally:
                del self.serving[task]

        self.start(serve())

    async def _answer(self, place: Origin, text: str | None, *, refused: str, pasted: str) -> None:
        caller = await self._caller(place)
        if text is None:
            if not self.host.refuses(caller):
                if await self._open(place, self.host.form(pasted)):
                    return
                text = "help"
            text = text or ""
        reply = await self._patiently(place, Incoming(text, caller, refused))
        if reply.form is not None and place.trigger and await self._open(place, reply.form):
            return
        await self.delivery.answer(place, reply)

    async def _open(self, place: Origin, form: Form) -> bool:
        """Show a form; false when it is too late for one."""
        if not place.trigger:
            return False
        view = view_of(form, self._meaning(form.command, place))
        try:
            await translated(self.client.views_open(trigger_id=place.trigger, view=view))
        except SourceUnavailable as error:
            _log.warning("form not opened", extra={"said": str(error)})
            return False
        return True

    def _meaning(self, command: str, place: Origin) -> Meant:
        make = self.lookups.make
        back = make(place.user, place.url, counts_once=False) if place.url else ""
        return Meant(make(place.user, command, counts_once=False), place.channel, back)

    async def _patiently(self, place: Origin, incoming: Incoming) -> Reply:
        work = asyncio.ensure_future(guard("slack answer", self.host.answer(incoming), self.report))
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                done, _ = await asyncio.wait((work,), timeout=self.patience_s)
                if not done:
                    await guard("slack", self._ask_for_patience(place), self.report)
                return await work or Reply(ReplyKind.FAILURE, "a defect of mine: it is in my log")
        except TimeoutError:
            return Reply(ReplyKind.FAILURE, f"no answer within {ANSWER_WITHIN_S:.0f} s")
        finally:
            work.cancel()

    async def _ask_for_patience(self, place: Origin) -> None:
        words = "This takes longer than usual: the answer comes as a message of its own"
        reply = Reply(ReplyKind.ANSWER, words)
        await self.delivery.answer(replace(place, has_original=False), reply)

    async def finish(self, within_s: float) -> None:
        """Let what is being answered end; tell those who wait in vain. New things may still come.

        Source: Kubernetes, "Pod termination": SIGTERM, then SIGKILL after the grace period.
        """
        if self.serving:
            await asyncio.wait(tuple(self.serving), timeout=within_s)
        left = dict(self.serving)
        for task in left:
            task.cancel()
        places = (replace(one, has_original=False) for one in left.values())
        apologies = (self.delivery.answer(place, _LEAVING) for place in places)
        await asyncio.gather(*(guard("slack", one, self.report) for one in apologies))
