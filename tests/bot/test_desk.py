"""The desk: who is let in, how often, what is written down."""

import dataclasses
from dataclasses import dataclass, field

import pytest

from app.bot.access import Level, Rules
from app.bot.audit import Entry
from app.bot.desk import Desk, Known
from app.core.diagnose.evidence import FlowEvidence
from app.core.model.chat import Caller, Incoming, ReplyKind
from app.services.picture import Picture, empty_picture
from app.testing.clock import FakeClock

CALLER = Caller("U1", "C1", "T1")


@dataclass
class Notebook:
    """An audit in memory, which can be full."""

    entries: list[Entry] = field(default_factory=list)
    full: bool = False

    def record(self, entry: Entry) -> None:
        if self.full:
            raise OSError("no space left")
        self.entries.append(entry)


@dataclass
class Office:
    desk: Desk
    notebook: Notebook
    clock: FakeClock


@pytest.fixture
def office(picture: Picture, flows: FlowEvidence) -> Office:
    notebook, clock = Notebook(), FakeClock()
    known = Known(picture, flows, "demo")
    rules = Rules(team="T1", channels=frozenset({"C1"}), level=Level.FULL)
    return Office(Desk(lambda: known, rules, notebook, clock), notebook, clock)


def incoming(text: str, caller: Caller = CALLER) -> Incoming:
    return Incoming(text, caller)


async def test_answer_is_given_and_written_down(office: Office) -> None:
    reply = await office.desk.answer(incoming("inventory keycloak"))
    assert reply.kind is ReplyKind.ANSWER
    (entry,) = office.notebook.entries
    assert (entry.user, entry.channel, entry.team) == ("U1", "C1", "T1")
    assert (entry.command, entry.decision) == ("inventory keycloak", "answered")
    assert entry.summary == reply.summary
    assert entry.time == "2025-11-25T12:00:00.000+00:00"


async def test_refusal_is_said_and_written_down(office: Office) -> None:
    reply = await office.desk.answer(incoming("ping", Caller("U1", "C9", "T1")))
    assert reply.kind is ReplyKind.REFUSAL
    assert [one.decision for one in office.notebook.entries] == ["refused"]


async def test_too_many_questions_are_put_off(office: Office) -> None:
    replies = [await office.desk.answer(incoming("ping")) for _ in range(11)]
    assert [one.kind for one in replies] == [ReplyKind.ANSWER] * 10 + [ReplyKind.REFUSAL]
    assert "60 s" in replies[-1].summary
    assert office.notebook.entries[-1].decision == "limited"
    office.clock.advance(61)
    assert (await office.desk.answer(incoming("ping"))).kind is ReplyKind.ANSWER


async def test_unrecorded_answer_is_not_given(office: Office) -> None:
    office.notebook.full = True
    reply = await office.desk.answer(incoming("inventory keycloak"))
    assert reply.kind is ReplyKind.FAILURE
    assert "audit log" in reply.summary


async def test_empty_picture_is_a_failure_not_an_answer(office: Office) -> None:
    unread = Known(empty_picture(), None, "demo")
    desk = dataclasses.replace(office.desk, known=lambda: unread)
    reply = await desk.answer(incoming("why a/b c/d 80"))
    assert reply.kind is ReplyKind.FAILURE
    assert office.notebook.entries[-1].decision == "failed"


async def test_hostile_text_is_cleaned_in_the_record(office: Office) -> None:
    await office.desk.answer(incoming("why \x1b]0;x\x07 " + "y" * 900))
    command = office.notebook.entries[-1].command
    assert "\x1b" not in command
    assert len(command) <= 300
