"""HTTP to a forge: one host, no redirects, bounded answers, retries only where they are safe."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from app.config import Secret
from app.core.errors import ConfigError, SourceCause, SourceUnavailable
from app.core.text import clean

_log = logging.getLogger("k8tre_tui.forge")

_CONNECT_S, _READ_S = 5.0, 15.0
_ANSWER_S = 60.0
"""Until the end of an answer, however it comes in."""
_BYTES_MAX = 5 << 20
_TRIES = 3
_LONGEST_WAIT_S = 60.0
_LEAST_WAIT_S = 1.0

_THROTTLED = (403, 429)
_HIDDEN = "[token]"

_CAUSES = {
    401: SourceCause.UNAUTHENTICATED,
    403: SourceCause.FORBIDDEN,
    404: SourceCause.NOT_FOUND,
    409: SourceCause.CONFLICT,
    429: SourceCause.OVERLOADED,
}
_HINTS = {
    401: "the token is not valid; see the `*_FILE` and environment variables of the manual",
    403: "the token lacks a right: contents and pull requests, both to write",
    404: "no such thing, or the token may not see it",
    429: "too many requests; try again later",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and decoded JSON body of a response."""

    status: int
    body: Any

    def messages(self) -> str:
        """Everything the forge says went wrong, on one line."""
        if not isinstance(self.body, dict):
            return ""
        parts: list[Any] = []
        for name in ("message", "error", "errors"):
            value = self.body.get(name)
            parts += value if isinstance(value, list) else [value]
        parts = [one.get("message") if isinstance(one, dict) else one for one in parts]
        return clean("; ".join(part for part in parts if isinstance(part, str)), 500)


@dataclass(frozen=True, slots=True)
class _Raw:
    status: int
    headers: httpx.Headers
    content: bytes


def check_base_url(url: str) -> str:
    """Give an API's address back without its final slash; ConfigError when it is not safe.

    It must be https, except on the loopback, and hold no user name or password. Link-local
    addresses are where clouds keep their metadata.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.username or parts.password or not host or parts.query or parts.fragment:
        raise ConfigError(f"not an address of an API: `{clean(url)}`", key="repo.api")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(host)):
        raise ConfigError(f"`{clean(url)}` is not https", key="repo.api")
    if _is_link_local(host):
        raise ConfigError(f"`{clean(url)}` is a link-local address", key="repo.api")
    return url.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_link_local(host: str) -> bool:
    try:
        return ip_address(host).is_link_local
    except ValueError:
        return False


class ForgeClient:
    """Sends requests to one API; use as an async context manager."""

    def __init__(
        self,
        base_url: str,
        token: Secret,
        headers: Mapping[str, str],
        *,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._base_url = check_base_url(base_url)
        self._token = token
        self._sleep = sleep
        self._now = now
        self._client = httpx.AsyncClient(
            headers={**headers, "Authorization": f"Bearer {token.reveal()}"},
            timeout=httpx.Timeout(_READ_S, connect=_CONNECT_S),
            follow_redirects=False,
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def get(self, path: str, /, **params: str) -> Answer:
        """Read; tried again when the host does not answer or is overloaded."""
        return await self._send("GET", path, params=params, tries=_TRIES)

    async def post(self, path: str, body: Mapping[str, Any], *, again: bool = False) -> Answer:
        """Create; tried again only when the host said that it did nothing (403, 429).

        With `again`, also when it does not answer: for what may be made twice.
        """
        return await self._send("POST", path, body=body, tries=_TRIES if again else 1)

    async def put(self, path: str, body: Mapping[str, Any]) -> Answer:
        """Set; tried again when the host does not answer: twice is as once."""
        return await self._send("PUT", path, body=body, tries=_TRIES)

    async def patch(self, path: str, body: Mapping[str, Any], *, again: bool = True) -> Answer:
        """Change; tried again when the host does not answer, unless others may come between."""
        return await self._send("PATCH", path, body=body, tries=_TRIES if again else 1)

    async def _send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        tries: int = 1,
    ) -> Answer:
        waits = 0
        while True:
            try:
                response = await self._once(method, path, params, body)
                wait = self._wait_s(response, waits)
                if wait is None or waits >= _TRIES - 1:
                    return self._answer(response)
                waits += 1
            except SourceUnavailable as error:
                tries -= 1
                if tries <= 0 or error.cause is SourceCause.PROTOCOL:
                    raise
                wait = _LEAST_WAIT_S
            await self._sleep(wait)

    async def _once(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None,
        body: Mapping[str, Any] | None,
    ) -> _Raw:
        content = bytearray()
        url = self._base_url + path
        try:
            async with (
                asyncio.timeout(_ANSWER_S),
                self._client.stream(method, url, params=params, json=body) as response,
            ):
                async for part in response.aiter_bytes():
                    content += part
                    if len(content) > _BYTES_MAX:
                        raise self._unavailable("answer is too large", SourceCause.PROTOCOL)
        except httpx.HTTPError as error:
            raise self._unavailable(*_why(error)) from error
        except TimeoutError as error:
            words = f"its answer did not end within {_ANSWER_S:g} s"
            raise self._unavailable(words, SourceCause.TIMEOUT) from error
        about = {"method": method, "path": path, "status": response.status_code}
        _log.debug("request answered", extra={**about, "bytes": len(content)})
        return _Raw(response.status_code, response.headers, bytes(content))

    def _wait_s(self, response: _Raw, waits: int) -> float | None:
        """How long the host asks us to wait; None when there is nothing to wait for.

        Source: GitHub REST documentation, "Rate limits": `Retry-After`, then
        `x-ratelimit-reset`, else a minute, doubling.
        """
        if response.status not in _THROTTLED:
            return None
        if after := response.headers.get("retry-after", ""):
            wait = float(after) if after.isdigit() else _LONGEST_WAIT_S
        elif response.headers.get("x-ratelimit-remaining") == "0":
            reset = response.headers.get("x-ratelimit-reset", "")
            wait = float(reset) - self._now() if reset.isdigit() else _LONGEST_WAIT_S
        elif response.status == httpx.codes.TOO_MANY_REQUESTS:
            wait = _LONGEST_WAIT_S * 2**waits
        else:
            return None
        return max(wait, _LEAST_WAIT_S) if wait <= _LONGEST_WAIT_S else None

    def _answer(self, response: _Raw) -> Answer:
        if httpx.codes.is_redirect(response.status):
            raise self._unavailable("the host answers with a redirect", SourceCause.PROTOCOL)
        if httpx.codes.is_server_error(response.status):
            raise self._unavailable(f"status {response.status}", SourceCause.OVERLOADED)
        try:
            body = json.loads(response.content) if response.content else None
            return Answer(response.status, _without(self._token.reveal(), body))
        except (ValueError, RecursionError):
            raise self._unavailable("answer is not JSON", SourceCause.PROTOCOL) from None

    def fail(self, answer: Answer, doing: str) -> SourceUnavailable:
        """Make the error for an answer that is not the wanted one."""
        said = answer.messages()
        message = f"{doing}: status {answer.status}" + (f", {said}" if said else "")
        return SourceUnavailable(
            message,
            source=self._base_url,
            cause=_CAUSES.get(answer.status, SourceCause.PROTOCOL),
            hint=_HINTS.get(answer.status, ""),
        )

    def _unavailable(self, why: str, cause: SourceCause) -> SourceUnavailable:
        return SourceUnavailable(f"{self._base_url}: {why}", source=self._base_url, cause=cause)


def _without(token: str, value: Any) -> Any:
    """A decoded answer without our token: a forge may send back what it was sent."""
    if isinstance(value, str):
        return value.replace(token, _HIDDEN) if token and token in value else value
    if isinstance(value, list):
        return [_without(token, one) for one in value]
    if isinstance(value, dict):
        return {_without(token, key): _without(token, one) for key, one in value.items()}
    return value


def _why(error: httpx.HTTPError) -> tuple[str, SourceCause]:
    if isinstance(error, httpx.TimeoutException):
        return "no answer in time", SourceCause.TIMEOUT
    chain: BaseException | None = error
    while chain is not None:
        if isinstance(chain, ssl.SSLError):
            return "TLS cannot be set up", SourceCause.TLS
        chain = chain.__cause__ or chain.__context__
    text = str(error).lower()
    if "name" in text and ("resolution" in text or "known" in text):
        return "the host's name does not resolve", SourceCause.DNS
    return "cannot connect", SourceCause.REFUSED
