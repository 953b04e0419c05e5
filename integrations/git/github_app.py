"""A GitHub App's token for one repository: signed for, short, and with two rights.

Source: GitHub documentation, "Generating a JSON Web Token (JWT) for a GitHub App" (RS256, `iat` a
minute in the past, `exp` at most ten minutes ahead) and "Generating an installation access token".
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from app.config import Secret
from app.core.errors import ConfigError, SourceCause, SourceUnavailable
from integrations.git.forge import Sleep
from integrations.git.http import ForgeClient

_RIGHTS = {"contents": "write", "pull_requests": "write", "metadata": "read"}
_SKEW_S, _LIFE_S, _SPARE_S = 60, 540, 300
_OK, _CREATED = 200, 201


class GitHubApp:
    """An App by its client id and its private key; gets tokens, and keeps one while it is good."""

    def __init__(
        self, client_id: str, key: Secret, *, now: Callable[[], float] = time.time
    ) -> None:
        self._client_id = client_id
        self._key = key
        self._now = now
        self._token: tuple[Secret, float] | None = None

    async def token(
        self, api: str, owner: str, repo: str, headers: Mapping[str, str], sleep: Sleep
    ) -> Secret:
        """Give a token for the repository alone, to write contents and pull requests.

        Raises ConfigError when the key is none, SourceUnavailable when the App is not installed.
        """
        if self._token is not None and self._token[1] - _SPARE_S > self._now():
            return self._token[0]
        async with ForgeClient(api, self._signed(), headers, sleep=sleep) as client:
            path = f"/repos/{quote(owner, safe='')}/{quote(repo, safe='')}/installation"
            found = await client.get(path)
            if found.status != _OK:
                raise client.fail(found, f"looking for the App's installation in {owner}/{repo}")
            path = f"/app/installations/{int(found.body['id'])}/access_tokens"
            body = {"repositories": [repo], "permissions": _RIGHTS}
            made = await client.post(path, body, again=True)
            if made.status != _CREATED:
                raise client.fail(made, "getting a token for the App")
        self._token = _read(made.body, self._now() + _SPARE_S)
        return self._token[0]

    def _signed(self) -> Secret:
        import jwt

        now = int(self._now())
        claims = {"iat": now - _SKEW_S, "exp": now + _LIFE_S, "iss": self._client_id}
        try:
            return Secret(
                jwt.encode(claims, self._key.reveal(), algorithm="RS256"), "the App's key"
            )
        except (ValueError, TypeError, jwt.PyJWTError) as error:
            raise ConfigError(
                f"the App's key from {self._key.origin} is no RSA key in PEM",
                hint="download one from the App's settings",
            ) from error


def _read(body: Any, otherwise: float) -> tuple[Secret, float]:
    """The token, and when it ends as a Unix time."""
    try:
        token = Secret(str(body["token"]), "the App's installation")
        ends = datetime.fromisoformat(str(body.get("expires_at", "")))
    except (KeyError, TypeError) as error:
        raise SourceUnavailable(
            "the answer holds no token", source="GitHub", cause=SourceCause.PROTOCOL
        ) from error
    except ValueError:
        return token, otherwise
    return token, (ends if ends.tzinfo else ends.replace(tzinfo=UTC)).timestamp()
