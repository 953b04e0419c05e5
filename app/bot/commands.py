"""One command, one reply. Everything that is known is an argument, so tests ask directly."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from app.bot.access import Role, Rules, audience
from app.bot.answers import (
    Told,
    cli_reply,
    footer_of,
    help_reply,
    inventory_reply,
    static_reply,
    why_reply,
)
from app.bot.change_answers import effect_reply, find_effect, find_lint, lint_reply
from app.bot.command import (
    AboutConnection,
    Ask,
    ChatCommand,
    Deed,
    Delete,
    FlowsOf,
    Help,
    Inventory,
    LintOf,
    WhoAmI,
    is_wish,
)
from app.bot.disclosure import Disclosure, disclosure_for, echo
from app.bot.flow_answers import flows_reply
from app.bot.grammar import COMMAND, parse_command
from app.bot.words import split_words
from app.core.diagnose.evidence import FlowEvidence
from app.core.errors import Ambiguous, K8treError, NotFound
from app.core.flows.times import NS_PER_S
from app.core.model.answer import WhyAnswer
from app.core.model.asked import Asked, End, EndKind
from app.core.model.chat import Caller, Choice, Fact, Reply, ReplyKind
from app.core.model.verdict import Verdict
from app.core.policy.parse import policy_ref
from app.services import ask, inventory
from app.services.picture import Picture
from app.services.view import Views

MAX_CHOICES = 20
NOBODY = Reply(ReplyKind.FAILURE, "nothing is set up here that could do this")


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
        return bool(self.rules.sight_of(self.caller))

    def hides(self, namespace: str) -> bool:
        """Whether the caller must not know of a namespace."""
        return not self.rules.may_read(self.caller, namespace)

    def seen(self) -> Context:
        """The same question about what the caller may see, and nothing else."""
        if not (sight := self.rules.sight_of(self.caller)):
            return self
        picture, flows = self.views.of(self.picture, self.flows, self.hides, sight)
        return replace(self, picture=picture, flows=flows)

    @property
    def footer(self) -> tuple[str, ...]:
        """Cluster, age of the policies, window of the flows, lost events.

        How many events were lost is told to those alone to whom everything is open: others' traffic
        loses them.
        """
        flows = self.flows
        if flows is None:
            return footer_of(self.cluster, self.picture.as_of_ns)
        first_ns, last_ns = flows.window
        window_s = (last_ns - first_ns) // NS_PER_S
        lost = None if self.is_closed else flows.lost
        return footer_of(
            self.cluster,
            self.picture.as_of_ns,
            len(flows.flows),
            window_s,
            until_ns=last_ns,
            lost=lost,
        )


def handle(text: str, context: Context) -> Reply:
    """Answer a command as typed. What goes wrong in the asking is a reply too."""
    try:
        command = parse_command(split_words(text))
    except K8treError as error:
        return mistake(error)
    if isinstance(command, Deed) or is_wish(command):
        return NOBODY
    return answer(command, context)


def answer(command: Ask, context: Context) -> Reply:
    """Answer a command. What goes wrong in the asking is a reply too.

    The answer is made from what the caller may see, so that what they may not see changes nothing;
    one for the channel from what everybody in it may see.
    """
    if isinstance(command, Help):
        return help_reply(command.topic)
    is_public = getattr(command, "is_public", False)
    if is_public:
        context = replace(context, caller=audience(context.caller))
        if context.rules.refusal(context.caller):
            return Reply(
                ReplyKind.REFUSAL,
                "this channel as a whole may not ask: what is told to it would be told to others",
            )
    seen = context.seen()
    disclosure = _disclosure(command, seen)
    try:
        reply = disclosure.reply(_answer(command, seen))
    except Ambiguous as error:
        return _choices(command, error, disclosure)
    except K8treError as error:
        return _told_back(command, disclosure).reply(mistake(error))
    return replace(reply, is_public=is_public)


def _disclosure(command: Ask, seen: Context) -> Disclosure:
    """What may be told in the answer to this command."""
    if isinstance(command, AboutConnection):
        asked, chosen = command.asked, command.chosen
        return disclosure_for(seen.caller, seen.rules, seen.picture, asked=asked, chosen=chosen)
    return disclosure_for(seen.caller, seen.rules, seen.picture)


def _told_back(command: ChatCommand, disclosure: Disclosure) -> Disclosure:
    """For mistakes, which repeat what was named, part by part."""
    match command:
        case AboutConnection(asked):
            named = (("from", asked.source), ("to", asked.destination))
            ends = [end for name, end in named if name not in command.chosen]
            return echo(disclosure, *(part for end in ends for part in (end.namespace, end.name)))
        case Inventory(namespace):
            return echo(disclosure, namespace)
        case LintOf(namespace, policy):
            return echo(disclosure, namespace, policy)
        case Delete(policy):
            return echo(disclosure, policy)
    return disclosure


def _answer(command: Ask, context: Context) -> Reply:
    match command:
        case AboutConnection():
            return _about(command, context)
        case Delete(policy):
            return _without(policy, context)
        case FlowsOf():
            return _with_unread(flows_reply(command, context.flows, context.footer), context)
        case LintOf():
            found = find_lint(command, context.picture, closed=context.is_closed)
            reply = lint_reply(command, found, context.footer, closed=context.is_closed)
            return _with_unread(reply, context)
        case Inventory(namespace):
            return _with_unread(_inventory(namespace, context), context)
        case _:
            return _about_me(command, context)


def _about_me(command: Ask, context: Context) -> Reply:
    match command:
        case Help(topic):
            return help_reply(topic)
        case WhoAmI():
            return _who_am_i(context)
        case _:
            return _with_unread(
                Reply(ReplyKind.ANSWER, "I am here", footer=context.footer), context
            )


def _about(command: AboutConnection, context: Context) -> Reply:
    asked = command.asked
    if command.verb == "cli":
        return cli_reply(command)
    _refuse_closed(asked, context)
    told = Told(context.footer, tuple(_unread(context.picture)), context.is_closed)
    if command.verb == "can":
        return static_reply(ask.explain(context.picture, None, asked), told)
    inquiry = ask.inquire(context.picture, context.flows, asked)
    if command.verb == "what-if":
        plan = inquiry.ways.numbered(1)
        policies = plan.after.cluster.policies
        report = find_effect(context.picture, policies, context.flows)
        title = f"If allowed: {plan.changes[0].title}"
        return effect_reply(title, report, context.footer, closed=context.is_closed)
    reply = why_reply(inquiry.answer, told)
    return replace(reply, buttons=tuple(_buttons(command, inquiry.answer, context)))


def _buttons(command: AboutConnection, answer: WhyAnswer, context: Context) -> Iterator[Choice]:
    """What can be asked next."""
    has_plan = answer.verdict is Verdict.DENIED and any(
        fix.change != "none" for fix in answer.fixes
    )
    if has_plan and may_draft(command.asked, context):
        yield Choice("Ask for this change", command.ask_other("draft"))
    if flows := _flows_between(command, answer):
        yield Choice("Flows", flows)
    if has_plan:
        yield Choice("What if?", command.ask_other("what-if allow"))
    if not command.is_public:
        yield Choice("Share", f"{command.ask_again()} --public")
    yield Choice("Copy the command", command.ask_other("cli"))


def _flows_between(command: AboutConnection, answer: WhyAnswer) -> str:
    """The flows of the ends that flows can be looked up by; empty where neither is one."""
    asked = command.asked
    named = (
        ("from", asked.source, answer.resolved_from),
        ("to", asked.destination, answer.resolved_to),
    )
    words = [f"--{name}={_seen_as(end, resolved)}" for name, end, resolved in named]
    words = [one for one in words if not one.endswith("=")]
    return shlex.join(["flows", *words]) if words else ""


def _seen_as(end: End, resolved: str) -> str:
    """What an end is called in flows; empty where that is not one thing."""
    match end.kind:
        case EndKind.ADDRESS:
            return str(end.address)
        case EndKind.ENTITY:
            return end.name
    pod = resolved.partition(":")[0]
    if end.kind in (EndKind.POD, EndKind.NAME) and pod.count("/") == 1 and " " not in pod:
        return pod
    return end.name if end.kind is EndKind.NAME else ""


def may_draft(asked: Asked, context: Context) -> bool:
    """Whether the caller may ask for a change of this: a drafter of the namespace of an end."""
    named = {asked.source.namespace, asked.destination.namespace} - {""}
    rules, caller = context.rules, context.caller
    return any(rules.may(caller, Role.DRAFTER, one) for one in named or {""})


def _without(policy: str, context: Context) -> Reply:
    ref = inventory.one_policy(context.picture, policy)
    kept = tuple(one for one in context.picture.cluster.policies if policy_ref(one) != ref)
    report = find_effect(context.picture, kept, context.flows)
    title = f"Without {ref}"
    return effect_reply(title, report, context.footer, closed=context.is_closed)


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


def _with_unread(reply: Reply, context: Context) -> Reply:
    """The reply, with every source that could not be read before all else."""
    unread = (Fact("Not read", one) for one in _unread(context.picture))
    return replace(reply, facts=(*unread, *reply.facts))


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
    return inventory_reply(namespace, rows, endpoints, context.footer)


def _who_am_i(context: Context) -> Reply:
    role = context.rules.role_of(context.caller)
    facts = (
        Fact("You are", context.caller.user, code=True),
        Fact("Here", context.caller.channel, code=True),
        Fact("Role", str(role) if role else "none"),
        Fact("You may read", ", ".join(sorted(context.picture.cluster.namespaces)) or "nothing"),
        Fact("Detail", context.rules.level.value),
    )
    return Reply(ReplyKind.ANSWER, "What you may ask", facts=facts, footer=context.footer)


def _choices(command: ChatCommand, error: Ambiguous, disclosure: Disclosure) -> Reply:
    """Offer what was meant; each choice is the same question with that one end named in full."""
    if not isinstance(command, AboutConnection) or not error.place:
        return mistake(replace(error, choices=(), hint="name it in full"))
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


def mistake(error: K8treError) -> Reply:
    """What was wrong with a command, and the way out."""
    facts = (Fact("Try", error.hint),) if error.hint else ()
    return Reply(ReplyKind.MISTAKE, error.message, facts=facts)
