"""What is said about requests for changes: to those who asked, and to the operators."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from app.bot.change_answers import effect_facts
from app.bot.command import AboutConnection
from app.bot.wishes import ChangeRequest
from app.core.errors import K8treError, NotFound
from app.core.flows.times import NS_PER_S
from app.core.model.chat import (
    Attachment,
    Choice,
    Fact,
    Field,
    FieldKind,
    Form,
    Reply,
    ReplyKind,
    Table,
)
from app.services.drafting import Draft
from app.services.effect import EffectReport
from app.services.wording import policy_words

LISTED = 20
SPANS = ("7d", "30d", "90d", "365d")


def wish_form(command: AboutConnection) -> Form:
    """Asks a researcher why."""
    return Form(
        "Ask for this change",
        command.ask_again(),
        (
            Field("reason", "What is it for?", FieldKind.LONG),
            Field("ticket", "Ticket", is_optional=True),
        ),
        submit="Ask",
    )


def approval_form(wish: ChangeRequest) -> Form:
    """Asks an operator why, and until when."""
    return Form(
        f"Approve {wish.key}",
        f"pr approve {wish.key}",
        (
            Field("reason", "Why is it fine?", FieldKind.LONG),
            Field(
                "expires",
                "Until",
                FieldKind.CHOICE,
                options=SPANS,
                hint="When it is due, its removal is proposed",
                is_optional=True,
            ),
            Field(
                "accept-risk",
                "Accept a high risk",
                FieldKind.CHOICE,
                options=("yes",),
                hint="Only a change that is rated high needs it",
                is_optional=True,
            ),
        ),
        submit="Open the request",
    )


def decline_form(wish: ChangeRequest) -> Form:
    """Asks an operator why not."""
    return Form(
        f"Decline {wish.key}",
        f"pr decline {wish.key}",
        (Field("reason", "Why not?", FieldKind.LONG, hint="The one who asked reads this"),),
        submit="Decline",
    )


def preview_reply(wish: ChangeRequest, draft: Draft, report: EffectReport) -> Reply:
    """What operators decide on. The difference is attached whole."""
    return Reply(
        ReplyKind.ANSWER,
        f"{wish.key} Change asked for: {wish.title}",
        facts=tuple(_preview(wish, draft, report)),
        buttons=(
            Choice("Approve …", f"pr approve {wish.key}"),
            Choice("Decline …", f"pr decline {wish.key}"),
        ),
        footer=(draft.repository, f"commit {draft.proof.commit[:10] or 'none'}"),
        attachment=Attachment(f"{wish.key} Difference", draft.diff),
    )


def _preview(wish: ChangeRequest, draft: Draft, report: EffectReport) -> Iterator[Fact]:
    yield from _asked(wish)
    yield Fact("Change", draft.title)
    yield Fact("Policy", ", ".join(map(policy_words, draft.policies)))
    yield Fact("Files", ", ".join(draft.files))
    for line in draft.effect:
        yield Fact("Effect", line)
    yield Fact("Risk", str(draft.risk))
    yield from effect_facts(report, closed=False)
    for name, holds in draft.checks:
        yield Fact("Check", f"{'✓' if holds else '✗'} {name}")


def undrafted_reply(wish: ChangeRequest, error: K8treError) -> Reply:
    """What operators read where no change could be worked out."""
    facts = [*_asked(wish), Fact("No draft", error.message)]
    if error.hint:
        facts.append(Fact("Try", error.hint))
    return Reply(
        ReplyKind.ANSWER,
        f"{wish.key} Change asked for: {wish.title}",
        facts=tuple(facts),
        buttons=(Choice("Decline …", f"pr decline {wish.key}"),),
    )


def _asked(wish: ChangeRequest) -> Iterator[Fact]:
    yield Fact("Asked by", wish.user, code=True)
    yield Fact("Reason", wish.reason)
    if wish.ticket:
        yield Fact("Ticket", wish.ticket)


def list_reply(wishes: Sequence[ChangeRequest], *, with_links: bool) -> Reply:
    """Requests, the newest first."""
    head = ("Request", "State", "Asked", "Connection", *(("Pull request",) if with_links else ()))
    rows = tuple(
        (
            one.key,
            one.state.value,
            _date(one.asked_ns),
            one.title,
            *((one.url or "-",) if with_links else ()),
        )
        for one in wishes[:LISTED]
    )
    words = f"{len(wishes) or 'no'} request{'' if len(wishes) == 1 else 's'}"
    return Reply(ReplyKind.ANSWER, words, table=Table(head, rows) if rows else None)


def wish_reply(wish: ChangeRequest, *, with_link: bool) -> Reply:
    """One request."""
    facts = [*_asked(wish), Fact("Asked", _date(wish.asked_ns))]
    if wish.decided_by:
        facts.append(Fact("Decided by", wish.decided_by, code=True))
        facts.append(Fact("Because", wish.words))
    if wish.expires:
        facts.append(Fact("Until", wish.expires))
    return Reply(
        ReplyKind.ANSWER,
        f"{wish.key} {wish.title}: {wish.state}",
        facts=tuple(facts),
        link=wish.url if with_link else "",
    )


def gone(key: str) -> NotFound:
    """The same words for a request of another and one that never was."""
    return NotFound(f"there is no request `{key}`", hint="/netpol pr list")


def _date(time_ns: int) -> str:
    return f"{datetime.fromtimestamp(time_ns / NS_PER_S, UTC):%Y-%m-%d %H:%M}"
