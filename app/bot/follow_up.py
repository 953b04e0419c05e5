"""What becomes of requests: shown to the operators, then watched until what was asked for works.

After the merge the question is asked again, and the flows are looked at: "now allowed, first flow
seen", or why it is not. What the one who asked is told of it comes from what they may see.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from app.bot.approvals import Approvals
from app.bot.wishes import ChangeRequest, ChangeState
from app.core.diagnose.evidence import FlowEvidence
from app.core.errors import K8treError, SourceUnavailable
from app.core.flows.times import NS_PER_S
from app.core.model.chat import Reply, ReplyKind
from app.core.model.flow import Flow
from app.core.model.verdict import Verdict

_log = logging.getLogger("k8tre_tui.bot")

EVERY_S = 60.0
DEPLOYED_WITHIN_NS = 15 * 60 * NS_PER_S
"""What Argo CD takes at most to notice and apply a merge (`timeout.reconciliation`, 3 min), and
some to spare; after that it is said that it does not work."""
FLOW_WITHIN_NS = 24 * 3600 * NS_PER_S
_DECLINED, _MERGED = "declined", "merged"


class Submitted(Protocol):
    """A change of ours as its repository has it: its branch; open, merged or declined."""

    @property
    def branch(self) -> str:
        """The branch it is on."""
        ...

    @property
    def state(self) -> str:
        """Where it stands."""
        ...


@dataclass(slots=True)
class FollowUp:
    """Looks after open requests; `drafts` gives ours as the repository has them now."""

    approvals: Approvals
    drafts: Callable[[], Awaitable[Sequence[Submitted]]] | None = None
    every_s: float = EVERY_S

    async def run(self) -> None:
        """Until cancelled; a source that fails is asked again later."""
        wake = self.approvals.wake
        while True:
            wake.clear()
            await self.look()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.every_s):
                    await wake.wait()

    async def look(self) -> None:
        """Do what is to be done now."""
        wishes = list(self.approvals.wishes.open())
        for wish in wishes:
            if wish.state is ChangeState.ASKED and not wish.message:
                await self._guarded(wish, self.approvals.prepare(wish))
        waiting = [one for one in wishes if one.state is not ChangeState.ASKED]
        if not waiting or self.drafts is None:
            return
        try:
            found = {one.branch: one for one in await self.drafts()}
        except SourceUnavailable as error:
            _log.warning("requests not looked at", extra={"said": error.message})
            return
        for wish in waiting:
            if (draft := found.get(wish.branch)) is not None:
                await self._guarded(wish, self._follow(wish, draft))

    async def _guarded(self, wish: ChangeRequest, work: Awaitable[None]) -> None:
        try:
            await work
        except K8treError as error:
            _log.warning("request not followed", extra={"request": wish.key, "said": error.message})

    async def _follow(self, wish: ChangeRequest, draft: Submitted) -> None:
        if wish.state is ChangeState.MERGED:
            await self._ask_again(wish)
        elif draft.state == _DECLINED:
            closed = self._keep(replace(wish, state=ChangeState.CLOSED))
            await self.approvals.tell(closed, "the pull request was closed without a merge")
        elif draft.state == _MERGED:
            merged_ns = self.approvals.clock.now_ns()
            merged = self._keep(replace(wish, state=ChangeState.MERGED, merged_ns=merged_ns))
            await self.approvals.tell(merged, "merged; I look whether it works")

    async def _ask_again(self, wish: ChangeRequest) -> None:
        verdict, cause = await self.approvals.check_allowed(wish)
        waited_ns = self.approvals.clock.now_ns() - wish.merged_ns
        if verdict in (Verdict.ALLOWED, Verdict.REDIRECTED):
            seen = first_flow(self.approvals.known()[1], wish)
            if seen is None and waited_ns < FLOW_WITHIN_NS:
                if wish.told_denied:
                    self._keep(replace(wish, told_denied=False))
                return
            self._keep(replace(wish, state=ChangeState.ALLOWED))
            await self.approvals.tell(wish, _works(seen))
        elif waited_ns > DEPLOYED_WITHIN_NS and not wish.told_denied:
            self._keep(replace(wish, told_denied=True))
            await self._tell_denied(wish, cause)

    async def _tell_denied(self, wish: ChangeRequest, cause: str) -> None:
        """Operators read the cause; who asked reads that it does not work, and asks themself."""
        poster, channel = self.approvals.poster, self.approvals.channel
        if poster is None:
            return
        words = f"{wish.key} {wish.title}: merged, and not allowed yet"
        await poster.post(
            channel, Reply(ReplyKind.ANSWER, f"{words}: {cause}"), thread=wish.message
        )
        await poster.tell(wish.channel, wish.user, Reply(ReplyKind.ANSWER, words))

    def _keep(self, wish: ChangeRequest) -> ChangeRequest:
        return self.approvals.wishes.keep(wish)


def first_flow(flows: FlowEvidence | None, wish: ChangeRequest) -> Flow | None:
    """The first flow of a request's ends that passed after its merge."""
    asked = wish.question.asked
    source, target, port = asked.source, asked.destination, asked.port
    if flows is None:
        return None
    return next(
        (
            one
            for one in flows.flows
            if one.time_ns >= wish.merged_ns
            and one.verdict in ("FORWARDED", "REDIRECTED")
            and not one.is_reply
            and _is_at(one.source.namespace, one.source.pod, source.namespace, source.name)
            and (
                target.name in one.destination_names
                or _is_at(
                    one.destination.namespace, one.destination.pod, target.namespace, target.name
                )
                or (target.address is not None and one.destination_ip == str(target.address))
            )
            and (port is None or port.number in (None, one.destination_port))
        ),
        None,
    )


def _is_at(namespace: str, pod: str, asked_namespace: str, asked: str) -> bool:
    return bool(pod and asked) and namespace == asked_namespace and pod.startswith(asked)


def _works(seen: Flow | None) -> str:
    if seen is None:
        return "now allowed; nobody has used it for a day"
    at = datetime.fromtimestamp(seen.time_ns / NS_PER_S, UTC)
    return f"now allowed, first flow seen at {at:%Y-%m-%d %H:%M:%S} UTC"
