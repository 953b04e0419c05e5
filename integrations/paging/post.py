"""A POST to a pager: no redirects, a bounded wait, and errors in the program's own words."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx

from app.core.errors import ConfigError, SourceCause, SourceUnavailable
from app.core.text import clean

TIMEOUT_S = 10.0
_LONGEST_ANSWER = 300
_CAUSES = {
    401: SourceCause.UNAUTHENTICATED,
    403: SourceCause.FORBIDDEN,
    404: SourceCause.NOT_FOUND,
    429: SourceCause.OVERLOADED,
}


@dataclass(frozen=True, slots=True)
class Target:
    """Where to send, and the bearer token, if any. Raises `ConfigError` for an unsafe address.

    A token is only sent over https, or to this machine.
    """

    url: str
    token: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"not an address of a pager: `{clean(self.url)}`")
        local = parts.hostname in ("localhost", "127.0.0.1", "::1")
        if self.token and parts.scheme != "https" and not local:
            raise ConfigError(
                f"`{clean(self.shown)}` is not https, and a token would be sent there",
                hint="use https, or unset ALERTS_TOKEN",
            )

    @property
    def shown(self) -> str:
        """Host and port: paths and queries of webhooks are secrets."""
        return urlsplit(self.url).netloc.rpartition("@")[2]


async def post(
    target: Target, path: str, body: Any, *, transport: httpx.AsyncBaseTransport | None = None
) -> None:
    """Send JSON below the target's address. Raises `SourceUnavailable`."""
    headers = {"Authorization": f"Bearer {target.token}"} if target.token else {}
    url = target.url.rstrip("/") + path
    try:
        async with (
            asyncio.timeout(TIMEOUT_S),
            httpx.AsyncClient(timeout=TIMEOUT_S, transport=transport) as client,
            client.stream("POST", url, json=body, headers=headers) as answer,
        ):
            said = b"" if answer.is_success else await _beginning(answer)
    except (httpx.TimeoutException, TimeoutError) as error:
        raise _failed(target, SourceCause.TIMEOUT, "no answer in time") from error
    except httpx.HTTPError as error:
        raise _failed(target, SourceCause.REFUSED, clean(str(error)) or "no answer") from error
    if not answer.is_success:
        words = clean(said.decode(errors="replace").partition("\n")[0], _LONGEST_ANSWER)
        cause = _CAUSES.get(answer.status_code, SourceCause.PROTOCOL)
        raise _failed(target, cause, f"HTTP {answer.status_code} {words}".strip())


async def _beginning(answer: httpx.Response) -> bytes:
    """The first bytes of an answer, which may have no end."""
    said = b""
    async for part in answer.aiter_bytes(_LONGEST_ANSWER):
        said += part
        if len(said) >= _LONGEST_ANSWER:
            break
    return said


def _failed(target: Target, cause: SourceCause, words: str) -> SourceUnavailable:
    return SourceUnavailable(
        f"alerts were not delivered: {words}", source=target.shown, cause=cause
    )
