"""Answers to commands, sent to the address that came with the command.

The SDK's own sender follows whatever address the payload names and knows no rate limit; this one
posts to Slack's hosts only, follows no redirect and waits when Slack says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from app.core.errors import SourceCause, SourceUnavailable

HOSTS = frozenset({"hooks.slack.com", "hooks.slack-gov.com"})
TIMEOUT_S = 15.0
MAX_WAIT_S = 30.0
ATTEMPTS = 6
_TOO_MANY = 429
_OK = 200


class Responder:
    """Posts messages to response addresses. `hosts` may hold `127.0.0.1:PORT` for a local server.

    Only an address of the loopback may be plain HTTP. `proxy` is the SDK's own, which it takes from
    HTTPS_PROXY.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        hosts: frozenset[str] = HOSTS,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        proxy: str | None = None,
    ) -> None:
        self._session = session
        self._proxy = proxy
        self._hosts = hosts
        self._sleep = sleep

    async def send(self, url: str, message: Mapping[str, Any]) -> None:
        """Post a message. Raises `SourceUnavailable`, whose text never holds the address."""
        self._check(url)
        for attempt in range(1, ATTEMPTS + 1):
            status, wait_s, body = await self._post(url, message)
            if status == _OK:
                return
            if status != _TOO_MANY or attempt == ATTEMPTS:
                cause = SourceCause.OVERLOADED if status == _TOO_MANY else SourceCause.PROTOCOL
                said = f"slack answered {status} {body}".strip()
                raise SourceUnavailable(said, source="slack", cause=cause)
            await self._sleep(min(wait_s, MAX_WAIT_S))

    def _check(self, url: str) -> None:
        parts = urlsplit(url)
        secure = parts.scheme == "https" or parts.hostname == "127.0.0.1"
        if not secure or parts.username or parts.netloc not in self._hosts:
            raise SourceUnavailable(
                "a command came with an address that is not Slack's",
                source="slack",
                cause=SourceCause.PROTOCOL,
            )

    async def _post(self, url: str, message: Mapping[str, Any]) -> tuple[int, float, str]:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        try:
            async with self._session.post(
                url, json=message, allow_redirects=False, timeout=timeout, proxy=self._proxy
            ) as answer:
                body = (await answer.content.read(200)).decode("utf-8", "replace")
                return answer.status, _seconds(answer.headers.get("Retry-After", "")), body
        except (aiohttp.ClientError, TimeoutError) as error:
            raise SourceUnavailable(
                "slack could not be reached", source="slack", cause=SourceCause.REFUSED
            ) from error


def _seconds(text: str) -> float:
    return float(text) if text.isdecimal() else 1.0
