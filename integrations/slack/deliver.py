"""Answers on their way into Slack: to one person, to a channel, or into a thread.

Everything that is sent was made by `blocks`, which checks it. A limit of rates is waited out.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from app.core.errors import SourceCause, SourceUnavailable
from app.core.model.chat import Attachment, Choice, Reply, ReplyKind
from app.core.text import clean
from integrations.slack.blocks import clean_lines, render, render_attachment
from integrations.slack.offers import ANYBODY, Offers
from integrations.slack.payloads import Origin

if TYPE_CHECKING:
    from slack_sdk.web.async_client import AsyncWebClient

    from integrations.slack.respond import Responder

_log = logging.getLogger("k8tre_tui.slack")

ATTACHED_MESSAGES = 3
"""Of the five that an address for answers takes: one is the answer, one is kept for an apology."""
_CUT = Reply(
    ReplyKind.ANSWER, "The rest is too long for Slack: ask for less, or on the command line"
)


class Delivery:
    """Sends replies. `offers` remembers what their buttons stand for."""

    def __init__(self, client: AsyncWebClient, responder: Responder, offers: Offers) -> None:
        self._client = client
        self._responder = responder
        self._offers = offers

    async def answer(self, place: Origin, reply: Reply) -> None:
        """Answer where the question came from. Raises `SourceUnavailable`."""
        message = self._render(reply, place.user)
        if reply.is_public:
            await self._publish(place, reply, message)
            return
        await self._whisper(place, message, replaces=place.has_original)
        if reply.attachment is None:
            return
        pieces = list(render_attachment(reply.attachment))
        for piece in pieces[:ATTACHED_MESSAGES]:
            await self._whisper(place, piece, replaces=False)
        if len(pieces) > ATTACHED_MESSAGES:
            await self._whisper(place, render(_CUT), replaces=False)

    async def _whisper(self, place: Origin, message: Mapping[str, Any], *, replaces: bool) -> None:
        """To the one who asked, and nobody else."""
        if place.url:
            body = {**message, "response_type": "ephemeral", "replace_original": replaces}
            await self._responder.send(place.url, body)
            return
        thread: dict[str, Any] = {"thread_ts": place.thread} if place.thread else {}
        call = self._client.chat_postEphemeral(
            channel=place.channel, user=place.user, **message, **thread
        )
        await translated(call)

    async def _publish(self, place: Origin, reply: Reply, message: Mapping[str, Any]) -> None:
        """To the channel; what is long goes into the thread below, or into a file there."""
        try:
            thread = await self.send(place.channel, message, thread=place.thread)
        except SourceUnavailable:
            if not place.url:
                raise
            # Not a member of the channel: the address that came with the command works there.
            body = {**message, "response_type": "in_channel", "replace_original": False}
            await self._responder.send(place.url, body)
            return
        if reply.attachment is not None:
            await self.send_attachment(place.channel, place.thread or thread, reply.attachment)

    async def post(self, channel: str, reply: Reply, *, thread: str = "") -> str:
        """Tell a channel, or a thread in it; gives the message's own name. Raises as `answer`."""
        sent = await self.send(channel, self._render(reply, ANYBODY), thread=thread)
        if reply.attachment is not None:
            await self.send_attachment(channel, thread or sent, reply.attachment)
        return sent

    async def edit(self, channel: str, message: str, reply: Reply) -> None:
        """Put another text in the place of a message of ours. Raises as `answer`."""
        body = self._render(reply, ANYBODY)
        await translated(self._client.chat_update(channel=channel, ts=message, **_changed(body)))

    async def tell(self, channel: str, user: str, reply: Reply) -> None:
        """Tell one person in a channel. Raises as `answer`."""
        await self._whisper(Origin(user, channel, ""), self._render(reply, user), replaces=False)

    async def send(self, channel: str, message: Mapping[str, Any], *, thread: str = "") -> str:
        """Post a message and give its name."""
        place: dict[str, Any] = {"thread_ts": thread} if thread else {}
        answer = await translated(
            self._client.chat_postMessage(channel=channel, **message, **place)
        )
        return str(answer["ts"])

    async def send_attachment(self, channel: str, thread: str, attachment: Attachment) -> None:
        """A long text below a message: as messages while they are few, else as a file."""
        pieces = list(render_attachment(attachment))
        if len(pieces) > ATTACHED_MESSAGES:
            try:
                await translated(
                    self._client.files_upload_v2(
                        channel=channel,
                        thread_ts=thread,
                        title=clean(attachment.title, 150),
                        filename="details.txt",
                        content=clean_lines(attachment.text),
                    )
                )
            except SourceUnavailable as error:  # the scope is optional
                _log.info("no file was sent", extra={"said": str(error)})
            else:
                return
        for piece in pieces[:ATTACHED_MESSAGES]:
            await self.send(channel, piece, thread=thread)
        if len(pieces) > ATTACHED_MESSAGES:
            await self.send(channel, render(_CUT), thread=thread)

    def _render(self, reply: Reply, user: str) -> dict[str, Any]:
        choices = self._ids(reply.choices, user, counts_once=True)
        return render(reply, choices, self._ids(reply.buttons, user, counts_once=False))

    def _ids(self, choices: Iterable[Choice], user: str, *, counts_once: bool) -> tuple[str, ...]:
        make = self._offers.make
        return tuple(make(user, one.command, counts_once=counts_once) for one in choices)


def _changed(message: Mapping[str, Any]) -> dict[str, Any]:
    """What `chat.update` takes of a message."""
    return {key: value for key, value in message.items() if not key.startswith("unfurl_")}


async def translated(call: Awaitable[Any]) -> Any:
    """Await a call of the SDK; its errors become `SourceUnavailable`."""
    import aiohttp
    from slack_sdk.errors import SlackApiError

    try:
        return await call
    except SlackApiError as error:
        said = clean(str(error.response.get("error", "unknown error")))
        raise SourceUnavailable(
            f"slack refused: `{said}`", source="slack", cause=SourceCause.UNAUTHENTICATED
        ) from error
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise SourceUnavailable(
            "slack could not be reached", source="slack", cause=SourceCause.REFUSED
        ) from error
