"""One command, one reply. Everything that is known is an argument, so tests ask directly."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from app.bot.access import Rules
from app.bot.answers import Told, footer_of, help_reply, inventory_reply, why_reply
from app.bot.disclosure import Disclosure, disclosure_for, echo
from app.bot.grammar import (
    COMMAND,
    ChatCommand,
    Help,
    Inventory,
    Ping,
    WhoAmI,
    WhyBlocked,
    parse_command,
)
from app.bot.words import split_words
from app.core.diagnose.evidence import FlowEvidence
from app.core.errors import Ambiguous, K8treError, NotFound
from app.core.flows.times import NS_PER_S
from app.core.model.asked import Asked, EndKind
from app.core.model.chat import Caller, Choice, Fact, Reply, ReplyKind
from app.services import ask, inventory
from app.services.picture import Picture
from app.services.view import Views

MAX_CHOICES = 20


@dataclass(frozen=True, slots=True)
class Context:
    """What a command is answered from: who asks, what is known, what may be told."""

    caller: Caller
    picture: Picture
    rules: Rules
    flows: FlowEvidence | None = None
    cluster: str = ""
    views: Views = field(default_factory=Views)

    @property
    def is_closed(self) -> bool:
        """Whether there may be namespaces that the caller must not know of."""
        return bool(self.rules.closed_to(self.caller))

    def hides(self, namespace: str) -> bool:
        """Whether the caller must not know of a namespace."""
        return not self.rules.may_read(self.caller, namespace)

    def seen(self) -> Context:
        """The same question about what the caller may see, and nothing else."""
        if not self.is_closed:
            return self
        key = self.rules.closed_to(self.caller)
        members = frozenset(pattern for pattern in self.rules.projects if pattern not in key)
        picture, flows = self.views.of(self.picture, self.flows, self.hides, (key, members))
        return replace(self, picture=picture, flows=flows)

    @property
    def footer(self) -> tuple[str, ...]:
        """Cluster, age of the policies, window of the flows."""
        flows = self.flows
        first_ns, last_ns = flows.window if flows else (0, 0)
        count = len(flows.flows) if flows else 0
        window_s = (last_ns - first_ns) // NS_PER_S
        return footer_of(self.cluster, self.picture.as_of_ns, count, window_s)


def handle(text: str, context: Context) -> Reply:
    """Answer a command as typed. What goes wrong in the asking is a reply too.

    The answer is made from what the caller may see, so that what they may not see changes nothing.
    """
    try:
        command = parse_command(split_words(text))
    except K8treError as error:
        return _mistake(error)
    if isinstance(command, Help):
        return help_reply(command.topic)
    seen = context.seen()
    asked = command.asked if isinstance(command, WhyBlocked) else None
    disclosure = disclosure_for(context.caller, context.rules, seen.picture, asked=asked)
    try:
        return disclosure.reply(_answer(command, seen))
    except Ambiguous as error:
        return _choices(command, error, disclosure)
    except K8treError as error:
        return _told_back(command, disclosure).reply(_mistake(error))


def _told_back(command: ChatCommand, disclosure: Disclosure) -> Disclosure:
    """For mistakes, which repeat what was named, part by part."""
    match command:
        case WhyBlocked(asked):
            ends = (asked.source, asked.destination)
            return echo(disclosure, *(part for end in ends for part in (end.namespace, end.name)))
        case Inventory(namespace):
            return echo(disclosure, namespace)
    return disclosure


def _answer(command: ChatCommand, context: Context) -> Reply:
    match command:
        case WhyBlocked(asked):
            _refuse_closed(asked, context)
            answer = ask.why(context.picture, context.flows, asked)
            told = Told(context.footer, tuple(_unread(context.picture)), context.is_closed)
            return why_reply(answer, told)
        case Inventory(namespace):
            return _inventory(namespace, context)
        case Help(topic):
            return help_reply(topic)
        case WhoAmI():
            return _who_am_i(context)
        case Ping():
            return Reply(ReplyKind.ANSWER, "I am here", footer=context.footer)


def _refuse_closed(asked: Asked, context: Context) -> None:
    """A pod that is only thought of has no policies to ask about where nothing may be seen."""
    known = context.picture.cluster.namespaces
    for end in (asked.source, asked.destination):
        if context.is_closed and end.kind is EndKind.LABEL and end.namespace not in known:
            raise NotFound(f"no pod in namespace `{end.namespace}`", hint=_WHO)


_WHO = f"{COMMAND} whoami lists those you may read"


def _unread(picture: Picture) -> list[str]:
    """Every source that could not be read, or is not read any more."""
    return [
        f"{state.source} is {state.phase}: {state.reason}".removesuffix(": ")
        for state in picture.sources.values()
        if not state.is_read and state.phase != "off"
    ]


def _inventory(namespace: str, context: Context) -> Reply:
    if namespace not in context.picture.cluster.namespaces:
        # The same words for hidden and missing ones: nothing tells which projects there are.
        raise NotFound(
            f"there is no namespace `{namespace}` that I may tell you about",
            hint=_WHO,
        )

    def wanted(name: str) -> bool:
        return name == namespace

    rows = inventory.policy_rows(context.picture, wanted)
    endpoints = len(inventory.endpoint_rows(context.picture, wanted))
    reply = inventory_reply(namespace, rows, endpoints, context.footer)
    unread = tuple(Fact("Not read", one) for one in _unread(context.picture))
    return replace(reply, facts=(*unread, *reply.facts))


def _who_am_i(context: Context) -> Reply:
    facts = (
        Fact("You are", context.caller.user, code=True),
        Fact("Here", context.caller.channel, code=True),
        Fact("You may read", ", ".join(sorted(context.picture.cluster.namespaces)) or "nothing"),
        Fact("Detail", context.rules.level.value),
    )
    return Reply(ReplyKind.ANSWER, "What you may ask", facts=facts, footer=context.footer)


def _choices(command: ChatCommand, error: Ambiguous, disclosure: Disclosure) -> Reply:
    """Offer what was meant; each choice is the same question with that one end named in full."""
    if not isinstance(command, WhyBlocked) or not error.place:
        return _mistake(replace(error, choices=(), hint="name it in full"))
    choices = tuple(
        Choice(disclosure.text(one), command.ask_again(**{error.place: one}))
        for one in error.choices
    )
    unique = {choice.label: choice for choice in reversed(choices)}
    offered = tuple(reversed(unique.values()))[:MAX_CHOICES]
    end = command.asked.source if error.place == "from" else command.asked.destination
    count = len(error.choices)
    more = f", the first {len(offered)} are" if len(unique) > len(offered) else ""
    summary = f"{error.place.upper()} `{end.text}` fits {count} pods{more}: which one?"
    return Reply(ReplyKind.CHOICES, summary, choices=offered)


def _mistake(error: K8treError) -> Reply:
    facts = (Fact("Try", error.hint),) if error.hint else ()
    return Reply(ReplyKind.MISTAKE, error.message, facts=facts)
