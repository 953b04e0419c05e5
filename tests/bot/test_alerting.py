"""Alerts on their way into a channel: grouped, edited, held back, kept over a restart."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, time

import pytest

from app.bot.access import EVERYONE, Level, Role, RoleGrant, Rules
from app.bot.alerting import AT_ONCE_MAX, EDIT_NS, STORM, Alerting, groups_of
from app.bot.commands import Context
from app.bot.grammar import parse_command
from app.bot.quiet import QuietHours, parse_quiet
from app.bot.shelf import Shelf
from app.bot.watches import Watches
from app.core.errors import ConfigError, SourceCause, SourceUnavailable
from app.core.flows.times import NS_PER_S
from app.core.insights.alert import Alert, AlertCause, Alerts, AlertSeverity, AlertState
from app.core.model.answer import Confidence
from app.core.model.chat import Caller, Reply, ReplyKind
from app.services.picture import Picture
from app.testing.clock import START_NS, FakeClock

OPS = Caller("U1", "C1", "T1")
RULES = Rules("T1", frozenset({"C1"}), level=Level.FULL, grants={"C1": RoleGrant(Role.OPERATOR)})


@dataclass
class Wall:
    """A channel: what was posted, and how often each was edited."""

    posts: list[Reply] = field(default_factory=list)
    edits: list[tuple[str, Reply]] = field(default_factory=list)
    broken: bool = False

    async def post(self, channel: str, reply: Reply, *, thread: str = "") -> str:
        if self.broken:
            raise SourceUnavailable("no", source="slack", cause=SourceCause.OVERLOADED)
        self.posts.append(reply)
        return f"m{len(self.posts)}"

    async def edit(self, channel: str, message: str, reply: Reply) -> None:
        self.edits.append((message, reply))

    async def tell(self, channel: str, user: str, reply: Reply) -> None:
        raise AssertionError


@dataclass
class Desk:
    """Alerting over a picture, with alerts and time set by hand."""

    alerting: Alerting
    watches: Watches
    wall: Wall
    clock: FakeClock
    alerts: list[Alert]
    context: Context

    def say(self, text: str) -> Reply:
        return self.watches.do(parse_command(text.split()), self.context)


def desk_of(picture: Picture, shelf: Shelf, rules: Rules = RULES) -> Desk:
    clock, wall, alerts = FakeClock(), Wall(), list[Alert]()
    watches = Watches(shelf, clock)
    alerting = Alerting(
        watches,
        rules,
        clock,
        wall,
        lambda: (picture, None),
        lambda: Alerts(tuple(alerts)),
    )
    return Desk(alerting, watches, wall, clock, alerts, Context(OPS, picture, rules))


@pytest.fixture(name="desk")
def _desk(picture: Picture) -> Desk:
    desk = desk_of(picture, Shelf())
    assert "told here at once" in desk.say("watch add mirror --every 10m").summary
    return desk


def alert(number: int = 0, **changes: object) -> Alert:
    one = Alert(
        id=f"a{number}",
        kind="violation",
        state=AlertState.NEW,
        severity=AlertSeverity.HIGH,
        source="project-lung/singleuser-server",
        destination=f"mirror/mirror-{number}",
        port=22,
        protocol="TCP",
        cause=AlertCause("egress-default-deny", "No rule allows it.", Confidence.CERTAIN),
        first_ns=START_NS,
        last_ns=START_NS,
        count=1,
        source_namespace="project-lung",
        destination_namespace="mirror",
    )
    return replace(one, **changes)  # type: ignore[arg-type]  # fields of an alert


async def test_violation_is_told_at_once_and_edited_with_its_count(desk: Desk) -> None:
    desk.alerts[:] = [alert()]
    await desk.alerting.look()
    (post,) = desk.wall.posts
    assert "project-lung/singleuser-server → mirror/mirror-0 22/TCP, 1 packet" in post.summary
    desk.alerts[:] = [alert(count=9)]
    await desk.alerting.look()
    assert desk.wall.edits == []
    desk.clock.advance(EDIT_NS / NS_PER_S + 1)
    await desk.alerting.look()
    ((message, reply),) = desk.wall.edits
    assert message == "m1"
    assert "9 packets" in reply.summary
    desk.clock.advance(600)
    desk.alerts[:] = [alert(count=9, state=AlertState.ENDED)]
    await desk.alerting.look()
    assert "ended" in desk.wall.edits[-1][1].summary
    assert len(desk.wall.posts) == 1


async def test_scan_is_one_message(desk: Desk) -> None:
    desk.alerts[:] = [alert(number) for number in range(200)]
    await desk.alerting.look()
    (post,) = desk.wall.posts
    assert "tries 200 destinations and ports" in post.summary
    desk.alerts[:] = [alert(number) for number in range(300)]
    desk.clock.advance(120)
    await desk.alerting.look()
    assert len(desk.wall.posts) == 1
    assert "300" in desk.wall.edits[-1][1].summary


async def test_many_sources_at_once_are_a_few_messages_and_a_digest(desk: Desk) -> None:
    desk.alerts[:] = [
        alert(number, source=f"project-lung/w{number}", last_ns=START_NS + 1)
        for number in range(AT_ONCE_MAX + 40)
    ]
    await desk.alerting.look()
    assert len(desk.wall.posts) == AT_ONCE_MAX


async def test_what_matters_less_waits_for_the_digest(desk: Desk) -> None:
    desk.alerts[:] = [alert(severity=AlertSeverity.LOW, last_ns=START_NS + 1)]
    await desk.alerting.look()
    assert desk.wall.posts == []
    desk.clock.advance(601)
    await desk.alerting.look()
    assert "mirror, the last 10 min: 1 low" in desk.wall.posts[0].summary
    desk.clock.advance(601)
    await desk.alerting.look()
    assert len(desk.wall.posts) == 1


async def test_other_namespaces_are_not_told(desk: Desk) -> None:
    desk.alerts[:] = [alert(destination_namespace="keycloak")]
    await desk.alerting.look()
    assert desk.wall.posts == []


async def test_mute_has_an_end(desk: Desk) -> None:
    (watch,) = desk.watches.all()
    assert "silent until" in desk.say(f"mute {watch.key} 2h").summary
    desk.alerts[:] = [alert()]
    await desk.alerting.look()
    assert desk.wall.posts == []
    desk.clock.advance(2 * 3600 + 1)
    await desk.alerting.look()
    assert desk.wall.posts


async def test_quiet_hours_let_only_the_severe_through(desk: Desk) -> None:
    desk.alerting.quiet = QuietHours(time(11), time(13), UTC)  # the clock stands at 12:00
    desk.alerts[:] = [
        alert(0, severity=AlertSeverity.MEDIUM, source="a/b", last_ns=START_NS + 1),
        alert(1, severity=AlertSeverity.HIGH, source="a/c"),
    ]
    desk.clock.advance(700)
    await desk.alerting.look()
    assert [one.summary[:1] for one in desk.wall.posts] == ["✗"]
    desk.clock.advance(3600)
    await desk.alerting.look()
    assert any("a/b" in one.summary for one in desk.wall.posts)


async def test_watch_and_its_messages_outlive_a_restart(desk: Desk, picture: Picture) -> None:
    desk.alerts[:] = [alert()]
    await desk.alerting.look()
    again = desk_of(picture, desk.watches._shelf)
    again.alerts[:] = [alert(count=5)]
    again.clock.advance(120)
    await again.alerting.look()
    assert again.wall.posts == []
    assert again.wall.edits[0][0] == "m1"


async def test_alert_that_could_not_be_told_is_told_later(desk: Desk) -> None:
    desk.alerts[:] = [alert()]
    desk.wall.broken = True
    await desk.alerting.look()
    desk.wall.broken = False
    await desk.alerting.look()
    assert len(desk.wall.posts) == 1


async def test_channel_is_told_of_what_everybody_there_may_read(picture: Picture) -> None:
    rules = replace(RULES, projects={"project-*": frozenset({"U1"})})
    desk = desk_of(picture, Shelf(), rules)
    assert desk.say("watch add project-lung").kind is ReplyKind.REFUSAL
    assert desk.say("watch add mirror").kind is ReplyKind.ANSWER
    desk.alerts[:] = [alert()]
    await desk.alerting.look()
    assert desk.wall.posts == []  # worked out anew from what is open to all: nothing was seen


def test_watches_are_listed_changed_and_ended(desk: Desk) -> None:
    (watch,) = desk.watches.all()
    assert desk.say("watch list").summary == "1 watch in this channel"
    assert "already" in desk.say("watch add mirror --every 30m").summary
    assert desk.watches.all()[0].every_s == 1800
    assert desk.say("watch rm w000000").kind is ReplyKind.MISTAKE
    assert "ended" in desk.say(f"watch rm {watch.key}").summary
    assert desk.watches.all() == ()
    assert desk.say("watch add mirror --every 1s").kind is ReplyKind.MISTAKE


def test_asker_sets_up_no_watch(picture: Picture) -> None:
    desk = desk_of(picture, Shelf(), Rules(EVERYONE, frozenset({"C1"})))
    assert desk.say("watch add mirror").kind is ReplyKind.REFUSAL


def test_groups_are_of_source_destination_and_port() -> None:
    def keys(alerts: Sequence[Alert]) -> list[str]:
        return [key for key, _ in groups_of(alerts)]

    assert len(keys([alert(0), alert(0, id="b"), alert(1)])) == 2
    assert keys([alert(number) for number in range(STORM + 1)]) == [
        "many project-lung/singleuser-server"
    ]


@pytest.mark.parametrize(
    ("text", "hour", "quiet"),
    [
        ("22:00-07:00", 23, True),
        ("22:00-07:00", 3, True),
        ("22:00-07:00", 12, False),
        ("12:00-13:00", 12, True),
        ("", 3, False),
        ("13:00-14:00 Europe/Berlin", 12, True),
    ],
)
def test_quiet_hours_may_go_over_midnight(text: str, hour: int, *, quiet: bool) -> None:
    now_ns = START_NS + (hour - 12) * 3600 * NS_PER_S
    assert parse_quiet(text, "bot.quiet").holds(now_ns) is quiet


@pytest.mark.parametrize("text", ["night", "25:00-07:00", "22:00-07:00 Nowhere/Here", "22-7"])
def test_quiet_hours_that_are_none_are_a_configuration_error(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_quiet(text, "bot.quiet")
