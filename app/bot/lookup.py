"""What a field of a form could be: namespaces and pods that the caller may see."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from app.bot.command import CHOSEN
from app.bot.commands import Context
from app.bot.disclosure import disclosure_for
from app.bot.pasted import Pasted
from app.core.model.chat import Choice, Field, FieldKind, Form

OFFERED = 100


def question_form(pasted: Pasted) -> Form:
    """The form of a question; what was pasted is filled in for the person to look at."""
    return Form(
        "Why is it blocked?",
        f"why-blocked --{CHOSEN}=from",
        (
            Field("in", "From: namespace", FieldKind.LOOKUP, is_optional=True),
            Field("from", "From: pod", FieldKind.LOOKUP, pasted.source),
            Field("to", "To", value=pasted.destination, hint=_TO),
            Field("port", "Port", value=pasted.port, hint="443, 53/UDP, https", is_optional=True),
            Field("http", "HTTP request", hint="GET /simple/", is_optional=True),
        ),
    )


_TO = "NAMESPACE/POD, svc:NAMESPACE/NAME:PORT, a name with a dot, or an address"


def suggestions(
    context: Context, name: str, typed: str, given: Mapping[str, str]
) -> tuple[Choice, ...]:
    """Those that hold what was typed, the ones that begin with it first.

    A label shows what may be told, the command is the value itself.
    """
    seen = context.seen()
    found = _namespaces(seen) if name == "in" else _pods(seen, given.get("in", ""))
    text = typed.strip().lower()
    fitting = sorted(
        (one for one in found if text in one.lower()),
        key=lambda one: (not one.rpartition("/")[2].startswith(text), one),
    )[:OFFERED]
    disclosure = disclosure_for(context.caller, context.rules, seen.picture)
    return tuple(Choice(disclosure.text(one), one) for one in fitting)


def _namespaces(context: Context) -> Iterator[str]:
    yield from context.picture.cluster.namespaces


def _pods(context: Context, namespace: str) -> Iterator[str]:
    for one in context.picture.cluster.endpoints:
        if not namespace or one.namespace == namespace:
            yield one.key
