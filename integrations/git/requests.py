"""What the hosts of all forges share: requests to one repository, and answers of a wanted kind."""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from app.core.errors import DraftRejected, SourceCause, SourceUnavailable
from integrations.git.hosting import Host
from integrations.git.http import Answer, ForgeClient

OK, CREATED, FORBIDDEN, NOT_FOUND, CONFLICT, INVALID = 200, 201, 403, 404, 409, 422
PAGES_MAX = 40
"""Pages that are asked for; with fifty of a page that is more than anybody looks through."""

_Held = TypeVar("_Held", bound=Host)


class Requests:
    """The requests to one repository, below `path`."""

    def __init__(self, client: ForgeClient, path: str, name: str) -> None:
        self.client = client
        self.path = path
        self.name = name

    async def get(self, path: str, doing: str, /, **params: str) -> Any:
        """Give the answer to a question that must be answered."""
        return self.expect(await self.client.get(self.path + path, **params), OK, doing)

    async def find(self, path: str, doing: str, /, **params: str) -> Any:
        """Give the answer; None when there is no such thing."""
        answer = await self.client.get(self.path + path, **params)
        return None if answer.status == NOT_FOUND else self.expect(answer, OK, doing)

    async def pages(self, path: str, doing: str, size: str, /, **params: str) -> AsyncIterator[Any]:
        """Yield every item of a list that comes in pages; `size` names their parameter."""
        length = 100 if size == "per_page" else 50
        for page in range(1, PAGES_MAX + 1):
            wanted = {**params, "page": str(page), size: str(length)}
            listed = await self.get(path, doing, **wanted)
            for one in listed or ():
                yield one
            if len(listed or ()) < length:
                return

    def expect(self, answer: Answer, status: int, doing: str) -> Any:
        """Give the body of an answer with the wanted status; SourceUnavailable otherwise."""
        if answer.status != status:
            raise self.client.fail(answer, doing)
        return answer.body

    def not_writable(self) -> SourceUnavailable:
        """The error for a repository that takes nothing."""
        return SourceUnavailable(
            f"{self.name} is archived, or the token may not write to it",
            source=self.name,
            cause=SourceCause.FORBIDDEN,
        )

    def moved(self, branch: str) -> SourceUnavailable:
        """The error for a branch that somebody else has moved meanwhile."""
        return SourceUnavailable(
            f"`{branch}` has moved meanwhile",
            source=self.name,
            cause=SourceCause.CONFLICT,
            hint="draft again",
        )


@asynccontextmanager
async def connected(
    client: ForgeClient, make: Callable[[ForgeClient], _Held]
) -> AsyncIterator[_Held]:
    """A host over a client that is closed afterwards."""
    async with client:
        yield make(client)


def decoded(body: Any) -> bytes:
    """The bytes of a blob as every forge gives it. Raises DraftRejected when there are none."""
    try:
        return base64.b64decode(str(body["content"]))
    except (binascii.Error, KeyError, TypeError, ValueError) as error:
        raise DraftRejected("a file's content cannot be read") from error
