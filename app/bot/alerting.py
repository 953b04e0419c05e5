"""Alerts on their way into channels: grouped, edited in place, held back where they are too many.

A violation is told at once, in one message for a source, a destination and a port, which is edited
while it goes on. A source that tries many of them is one message. What matters less waits for the
digest; so does everything in quiet hours but what is severe. What a channel is told of is what
everybody in it may see: for those to whom not everything is open it is worked out from what is.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from app.bot.access import Rules
from app.bot.alert_replies import alert_reply, digest_reply, storm_reply
from app.bot.approvals import Poster
from app.bot.commands import Context
from app.bot.disclosure import disclosure_for
from app.bot.pool import Pool
from app.bot.quiet import QuietHours
from app.bot.watches import Subscription, Told, Watches
from app.core.diagnose.evidence import FlowEvidence
from app.core.errors import SourceUnavailable
from app.core.flows.times import NS_PER_S
from app.core.insights.alert import Alert, Alerts, AlertSeverity, AlertState
from app.core.model.chat import Reply
from app.ports import Clock
from app.services.insights import alerts_of
from app.services.picture import Picture
from app.services.view import Views

_log = logging.getLogger("k8tre_tui.bot")

EVERY_S = 10.0
EDIT_NS = 60 * NS_PER_S
"""`chat.update` may be called fifty times a minute; a count need not be newer than this."""
STORM = 5
"""Groups of one source from which on they are one message."""
AT_ONCE_MAX = 5
"""New messages of one watch in one look; more wait for the digest."""
TOLD_MAX = 200

Group = tuple[str, Sequence[Alert]]


@dataclass(slots=True)
class Alerting:
    """Tells channels. `everything` gives all alerts there are, for those who may see all.

    `collect` looks at the flows that came; it is called on the event loop, whose ring they are in.
    """

    watches: Watches
    rules: Rules
    clock: Clock
    poster: Poster
    known: Callable[[], tuple[Picture, FlowEvidence | None]]
    everything: Callable[[], Alerts]
    collect: Callable[[], None] = lambda: None
    views: Views = field(default_factory=Views)
    quiet: QuietHours = field(default_factory=QuietHours)
    severity: AlertSeverity = AlertSeverity.MEDIUM
    pool: Pool = field(default_factory=lambda: Pool(workers=1))

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(EVERY_S)

    async def look(self) -> None:
        """Tell what is to be told now."""
        self.collect()
        subscriptions = self.watches.all()
        made: dict[object, Alerts] = {}
        for one in subscriptions:
            sight = self.rules.sight_of(one.readers)
            if sight not in made:
                made[sight] = await self.pool.run(self._alerts, one, is_open=not sight)
            await self._serve(one, made[sight])

    def _alerts(self, one: Subscription, *, is_open: bool) -> Alerts:
        if is_open:
            return self.everything()
        seen = self._context(one).seen()
        flows = seen.flows.flows if seen.flows else ()
        return alerts_of(seen.picture, flows, now_ns=self.clock.now_ns())

    def _context(self, one: Subscription) -> Context:
        picture, flows = self.known()
        return Context(one.readers, picture, self.rules, flows, views=self.views)

    async def _serve(self, one: Subscription, alerts: Alerts) -> None:
        now_ns = self.clock.now_ns()
        if one.muted_until_ns > now_ns:
            return
        if self.rules.refusal(one.readers) or not self.rules.may_read(one.readers, one.namespace):
            return  # it was allowed when it was set up, and is not any more
        mine = [
            alert
            for alert in alerts.items
            if one.namespace in (alert.source_namespace, alert.destination_namespace)
        ]
        told = await self._tell_groups(one, mine, now_ns)
        due = now_ns - one.digest_ns >= one.every_s * NS_PER_S
        if due and not self.quiet.holds(now_ns):
            await self._digest(one, mine, told)
            one = replace(one, digest_ns=now_ns)
        self.watches.keep(replace(one, told=told))

    async def _tell_groups(
        self, one: Subscription, mine: Sequence[Alert], now_ns: int
    ) -> dict[str, Told]:
        told = dict(one.told)
        quiet, begun = self.quiet.holds(now_ns), 0
        for key, group in groups_of(mine):
            known = told.get(key)
            if known is None:
                if not self._is_urgent(group, quiet=quiet) or begun >= AT_ONCE_MAX:
                    continue
                begun += 1
            reply = self._may_be_read(one, key, group)
            if message := await self._say(one, reply, known, now_ns):
                told.pop(key, None)  # the newest are at the end
                told[key] = message
        return dict(list(told.items())[-TOLD_MAX:])

    def _is_urgent(self, group: Sequence[Alert], *, quiet: bool) -> bool:
        least = AlertSeverity.HIGH if quiet else self.severity
        going_on = [alert for alert in group if alert.state is not AlertState.ENDED]
        return any(alert.severity.rank <= least.rank for alert in going_on)

    def _may_be_read(self, one: Subscription, key: str, group: Sequence[Alert]) -> Reply:
        """The message of a group, as everybody in the channel may read it."""
        reply = storm_reply(group) if key.startswith(_MANY) else alert_reply(group)
        seen = self._context(one).seen()
        return disclosure_for(one.readers, self.rules, seen.picture).reply(
            replace(reply, footer=(one.key,))
        )

    async def _say(
        self, one: Subscription, reply: Reply, known: Told | None, now_ns: int
    ) -> Told | None:
        text = f"{reply.summary} {reply.facts}"
        try:
            if known is None:
                return Told(await self.poster.post(one.channel, reply), text, now_ns)
            if known.text == text or now_ns - known.at_ns < EDIT_NS:
                return None
            await self.poster.edit(one.channel, known.message, reply)
        except SourceUnavailable as error:
            _log.warning("alert not told", extra={"watch": one.key, "said": error.message})
            return None
        return replace(known, text=text, at_ns=now_ns)

    async def _digest(
        self, one: Subscription, mine: Sequence[Alert], told: Mapping[str, Told]
    ) -> None:
        """What was not told by itself, since the last digest."""
        rest = [
            alert
            for key, group in groups_of(mine)
            if key not in told
            for alert in group
            if alert.last_ns > one.digest_ns
        ]
        if not rest:
            return
        seen = self._context(one).seen()
        reply = digest_reply(one.namespace, rest, one.every_s)
        disclosed = disclosure_for(one.readers, self.rules, seen.picture).reply(reply)
        try:
            await self.poster.post(one.channel, replace(disclosed, footer=(one.key,)))
        except SourceUnavailable as error:
            _log.warning("digest not told", extra={"watch": one.key, "said": error.message})


_MANY = "many "


def groups_of(alerts: Sequence[Alert]) -> Iterator[Group]:
    """Alerts by source, destination and port; those of a source with many of them by the source."""
    by_source: dict[str, dict[str, list[Alert]]] = {}
    for alert in alerts:
        key = f"{alert.source} {alert.destination} {alert.port}/{alert.protocol}"
        by_source.setdefault(alert.source, {}).setdefault(key, []).append(alert)
    for source, groups in by_source.items():
        if len(groups) > STORM:
            yield f"{_MANY}{source}", [one for group in groups.values() for one in group]
        else:
            yield from groups.items()
