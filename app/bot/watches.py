"""Watches: which alerts a channel is told of, kept over restarts."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from app.bot.access import Role, audience
from app.bot.command import ChatCommand, Mute, Watch
from app.bot.commands import Context, mistake
from app.bot.readers import span_s
from app.bot.shelf import Record, Shelf
from app.core.errors import K8treError, NotFound, UsageError
from app.core.flows.times import NS_PER_S
from app.core.model.chat import Caller, Reply, ReplyKind, Table
from app.ports import Clock

KIND = "watch"
EVERY_S = 900.0
LEAST_EVERY_S = 60.0
PER_CHANNEL = 20


@dataclass(frozen=True, slots=True)
class Told:
    """A message about a group of alerts: its name, what it said last, and when. UTC nanoseconds."""

    message: str
    text: str
    at_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """Alerts of one namespace for one channel. `told` are the messages there are, by group."""

    key: str
    channel: str
    team: str
    namespace: str
    by: str
    every_s: float = EVERY_S
    muted_until_ns: int = 0
    digest_ns: int = 0
    told: Mapping[str, Told] = field(default_factory=dict)

    @property
    def readers(self) -> Caller:
        """Everyone in the channel."""
        return audience(Caller("", self.channel, self.team))


class Watches:
    """The subscriptions of all channels, on a shelf, and the commands about them."""

    def __init__(self, shelf: Shelf, clock: Clock) -> None:
        self._shelf = shelf
        self._clock = clock

    def all(self) -> tuple[Subscription, ...]:
        """Every subscription."""
        return tuple(map(_read, self._shelf.all(KIND)))

    def keep(self, one: Subscription) -> None:
        """Remember a subscription as it is now; one that was ended meanwhile stays ended."""
        if self._shelf.get(KIND, one.key) is not None:
            self._write(one)

    def _write(self, one: Subscription) -> None:
        self._shelf.put(KIND, one.key, dataclasses.asdict(one))

    def do(self, command: ChatCommand, context: Context) -> Reply:
        """Do what a command about watches says."""
        try:
            if isinstance(command, Mute):
                return self._mute(command, context)
            if isinstance(command, Watch):
                return self._about(command, context)
        except K8treError as error:
            return mistake(error)
        raise TypeError(command)

    def _about(self, command: Watch, context: Context) -> Reply:
        if command.action == "list":
            return _list_reply(self._here(context), self._clock.now_ns())
        if command.action == "add":
            return self._add(command, context)
        one = self._mine(command.key, context)
        self._shelf.drop(KIND, one.key)
        return Reply(ReplyKind.ANSWER, f"{one.key} is ended: no more alerts of {one.namespace}")

    def _add(self, command: Watch, context: Context) -> Reply:
        caller, namespace = context.caller, command.namespace
        if not context.rules.may(caller, Role.OPERATOR, namespace):
            return Reply(ReplyKind.REFUSAL, "an operator of a namespace sets up its alerts")
        readers = audience(caller)
        if context.rules.refusal(readers) or not context.rules.may_read(readers, namespace):
            words = f"not everybody in this channel may read `{namespace}`: set it up in another"
            return Reply(ReplyKind.REFUSAL, words)
        every_s = span_s(command.every) if command.every else EVERY_S
        if every_s < LEAST_EVERY_S:
            raise UsageError("a digest comes once a minute at most", hint="--every 15m")
        here = self._here(context)
        if len(here) >= PER_CHANNEL:
            raise UsageError(f"a channel has at most {PER_CHANNEL} watches", hint="watch rm ID")
        if same := next((one for one in here if one.namespace == namespace), None):
            self._write(replace(same, every_s=every_s))
            return Reply(ReplyKind.ANSWER, f"{same.key} tells of {namespace} here already")
        key = _key(caller, namespace)
        self._write(
            Subscription(
                key=key,
                channel=caller.channel,
                team=caller.team,
                namespace=namespace,
                by=caller.user,
                every_s=every_s,
                digest_ns=self._clock.now_ns(),
            )
        )
        words = f"{key}: violations of {namespace} are told here at once, the rest in a digest"
        return Reply(ReplyKind.ANSWER, words)

    def _mute(self, command: Mute, context: Context) -> Reply:
        one = self._mine(command.key, context)
        until_ns = self._clock.now_ns() + int(span_s(command.span) * NS_PER_S)
        self._write(replace(one, muted_until_ns=until_ns))
        return Reply(ReplyKind.ANSWER, f"{one.key} is silent until {_time(until_ns)} UTC")

    def _here(self, context: Context) -> list[Subscription]:
        caller = context.caller
        place = (caller.team, caller.channel)
        return [one for one in self.all() if (one.team, one.channel) == place]

    def _mine(self, key: str, context: Context) -> Subscription:
        """A subscription of this channel that the caller may change."""
        for one in self._here(context):
            if one.key == key.lower() and context.rules.may(
                context.caller, Role.OPERATOR, one.namespace
            ):
                return one
        raise NotFound(f"there is no watch `{key}` here that you may change", hint="watch list")


def _list_reply(here: list[Subscription], now_ns: int) -> Reply:
    rows = tuple(
        (
            one.key,
            one.namespace,
            f"{one.every_s / 60:.0f} min",
            f"until {_time(one.muted_until_ns)}" if one.muted_until_ns > now_ns else "no",
        )
        for one in here
    )
    words = f"{len(rows) or 'no'} watch{'' if len(rows) == 1 else 'es'} in this channel"
    head = ("Watch", "Namespace", "Digest", "Muted")
    return Reply(ReplyKind.ANSWER, words, table=Table(head, rows) if rows else None)


def _key(caller: Caller, namespace: str) -> str:
    text = f"{caller.team} {caller.channel} {namespace}"
    return f"w{hashlib.sha256(text.encode()).hexdigest()[:6]}"


def _read(record: Record) -> Subscription:
    told = {key: Told(**one) for key, one in record["told"].items()}
    return Subscription(**{**record, "told": told})


def _time(time_ns: int) -> str:
    return f"{datetime.fromtimestamp(time_ns / NS_PER_S, UTC):%Y-%m-%d %H:%M}"
