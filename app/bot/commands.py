"""One command, one reply. Everything that is known is an argument, so tests ask directly."""

from __future__ import annotations

from dataclasses import dataclass, replace

from app.bot.access import Rules
from app.bot.answers import footer_of, help_reply, inventory_reply, why_reply
from app.bot.disclosure import Disclosure, disclosure_for
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
from app.core.model.asked import Asked
from app.core.model.chat import Caller, Choice, Fact, Reply, ReplyKind
from app.services import ask, inventory
from app.services.picture import Picture

MAX_CHOICES = 20


@dataclass(frozen=True, slots=True)
class Context:
    """What a command is answered from: who asks, what is known, what may be told."""

    caller: Caller
    picture: Picture
    rules: Rules
    flows: FlowEvidence | None = None
    cluster: str = ""

    @property
    def footer(self) -> tuple[str, ...]:
        """Cluster, age of the policies, window of the flows."""
        flows = self.flows
        first_ns, last_ns = flows.window if flows else (0, 0)
        count = len(flows.flows) if flows else 0
        window_s = (last_ns - first_ns) // NS_PER_S
        return footer_of(self.cluster, self.picture.as_of_ns, count, window_s)


def handle(text: str, context: Context) -> Reply:
    """Answer a command as typed. What goes wrong in the asking is a reply too."""
    disclosure = disclosure_for(context.caller, context.rules, context.picture)
    try:
        command = parse_command(split_words(text))
        reply = _answer(command, context, disclosure)
    except Ambiguous as error:
        reply = _choices(text, error, disclosure)
    except K8treError as error:
        reply = _mistake(error)
    return disclosure.reply(reply)


def _answer(command: ChatCommand, context: Context, disclosure: Disclosure) -> Reply:
    match command:
        case WhyBlocked(asked):
            if _is_others_business(asked, disclosure):
                return Reply(ReplyKind.REFUSAL, "neither end belongs to a project of yours")
            answer = ask.why(context.picture, context.flows, asked)
            return why_reply(answer, context.footer, disclosure.hides)
        case Inventory(namespace):
            return _inventory(namespace, context, disclosure)
        case Help(topic):
            return help_reply(topic)
        case WhoAmI():
            return _who_am_i(context)
        case Ping():
            return Reply(ReplyKind.ANSWER, "I am here", footer=context.footer)


def _is_others_business(asked: Asked, disclosure: Disclosure) -> bool:
    namespaces = [end.namespace for end in (asked.source, asked.destination)]
    named = [namespace for namespace in namespaces if namespace]
    return bool(named) and all(map(disclosure.hides, named))


def _inventory(namespace: str, context: Context, disclosure: Disclosure) -> Reply:
    if disclosure.hides(namespace) or namespace not in context.picture.cluster.namespaces:
        # The same words for both, or asking would tell which projects there are.
        raise NotFound(
            f"there is no namespace `{namespace}` that I may tell you about",
            hint=f"{COMMAND} whoami lists those you may read",
        )

    def wanted(name: str) -> bool:
        return name == namespace

    rows = inventory.policy_rows(context.picture, wanted)
    endpoints = len(inventory.endpoint_rows(context.picture, wanted))
    return inventory_reply(namespace, rows, endpoints, context.footer)


def _who_am_i(context: Context) -> Reply:
    readable = [
        name
        for name in sorted(context.picture.cluster.namespaces)
        if context.rules.may_read(context.caller, name)
    ]
    facts = (
        Fact("You are", context.caller.user, code=True),
        Fact("Here", context.caller.channel, code=True),
        Fact("You may read", ", ".join(readable) or "no namespace"),
        Fact("Detail", context.rules.level.value),
    )
    return Reply(ReplyKind.ANSWER, "What you may ask", facts=facts, footer=context.footer)


def _choices(text: str, error: Ambiguous, disclosure: Disclosure) -> Reply:
    """Offer what was meant; the ambiguous word of the command is replaced by the choice."""
    words = split_words(text)
    readable = [one for one in error.choices if not disclosure.hides(_namespace_of(one))]
    meant = next((word for word in words[1:] if _fits(word, error.choices)), "")
    choices = tuple(
        Choice(one, " ".join(one if word == meant else _quoted(word) for word in words))
        for one in readable[:MAX_CHOICES]
        if meant
    )
    if not choices:
        return _mistake(replace(error, choices=(), hint="name it in full"))
    return Reply(ReplyKind.CHOICES, f"{error.message}: which one?", choices=choices)


def _namespace_of(choice: str) -> str:
    return choice.rpartition(":")[2].partition("/")[0]


def _fits(word: str, choices: tuple[str, ...]) -> bool:
    bare = word.rpartition(":")[2] if "/" in word.rpartition(":")[2] else word
    return any(choice.rpartition(":")[2].startswith(bare) for choice in choices)


def _quoted(word: str) -> str:
    return f'"{word}"' if " " in word else word


def _mistake(error: K8treError) -> Reply:
    facts = (Fact("Try", error.hint),) if error.hint else ()
    return Reply(ReplyKind.MISTAKE, error.message, facts=facts)
