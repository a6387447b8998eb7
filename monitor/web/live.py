"""Keeps an open page true: server-sent events with what has changed since the last one.

A page consists of lists, and a list of parts with a key each. A message says which parts differ from
what this page was sent, as HTML, and in which order the parts stand if that has changed. So a page of
thousands of streams costs what changes among those that it shows.
"""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from monitor.http_server.scope import STOPPING

MOST_PAGES = 50
"""Open pages that are kept true at once; further ones try again later."""

MOST_GIVEN = 10
"""Pages that are remembered until they ask to be kept true; a page forgotten meanwhile is sent everything."""

RETRY_MILLISECONDS = 2000
"""When a browser connects again after it lost us."""


class Message(NamedTuple):
    """What a page should show. about: what a script reads beside it. lists: parts by key, in order."""

    about: Mapping[str, Any]
    lists: Mapping[str, Mapping[str, str]]


@dataclass(slots=True)
class Sent:
    """What one page was sent of its lists, to send only the difference."""

    lists: dict[str, Mapping[str, str]] = field(default_factory=dict)

    def difference(self, message: Message) -> str:
        """Return a message as JSON without what the page already shows, and remember it as sent."""
        changes: dict[str, Any] = {}
        for name, parts in message.lists.items():
            before = self.lists.get(name)
            changed = {key: html for key, html in parts.items() if before is None or before.get(key) != html}
            change: dict[str, Any] = {"changed": changed} if changed else {}
            if before is None or list(before) != list(parts):
                change["order"] = list(parts)
            if change:
                changes[name] = change
            self.lists[name] = dict(parts)
        return json.dumps({**message.about, "lists": changes}, ensure_ascii=False, separators=(",", ":"))


class Pages:
    """The open pages of a process."""

    def __init__(self) -> None:
        self._open = 0
        self._given: dict[str, Mapping[str, Mapping[str, str]]] = {}

    def given(self, lists: Mapping[str, Mapping[str, str]]) -> str:
        """Remember what a page that is about to be served holds, so that it isn't sent all of that again.

        Returns:
            what the page names once, when it asks to be kept true. No other page has it, of another
            process neither.
        """
        if len(self._given) >= MOST_GIVEN:
            del self._given[next(iter(self._given))]
        name = secrets.token_urlsafe(12)
        self._given[name] = lists
        return name

    def follow(
        self,
        request: Request,
        read: Callable[[], Awaitable[Message | None]],
        *,
        every: float,
        given: str | None = None,
    ) -> Response:
        """Answer with an endless stream of messages.

        Args:
            request: of the page; the stream ends with its connection, or when the server stops.
            read: returns what the page should show now; None if there is nothing to show any more.
            every: seconds between messages. One is sent also when nothing has changed: then the page
                knows that it is true.
            given: the page as it was served, by what `given` returned.
        """
        # Once only: a page that asks again has lost its connection, and with it perhaps a message.
        held = self._given.pop(given, {}) if given is not None else {}
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return _Counted(
            self,
            _messages(request, read, every, Sent(dict(held))),
            media_type="text/event-stream",
            headers=headers,
        )

    @contextmanager
    def counted(self) -> Iterator[bool]:
        """Count a page as open, if there is room for it; tell whether there is."""
        if self._open >= MOST_PAGES:
            yield False
            return
        self._open += 1
        try:
            yield True
        finally:
            self._open -= 1


class _Counted(StreamingResponse):
    """A stream that counts from when it begins to be sent until it ends, or is refused.

    A generator would begin to count too late: others are let in before its first step. And one that is
    never stepped, since its page has gone already, would never end to count.
    """

    def __init__(self, pages: Pages, messages: AsyncIterator[str], **options: Any) -> None:
        super().__init__(messages, **options)
        self._pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._pages.counted() as is_let_in:
            if is_let_in:
                await super().__call__(scope, receive, send)
            else:
                refusal = Response(status_code=503, headers={"retry-after": "10"})
                await refusal(scope, receive, send)


async def _messages(
    request: Request, read: Callable[[], Awaitable[Message | None]], every: float, sent: Sent
) -> AsyncIterator[str]:
    stopping: asyncio.Event = request.scope[STOPPING]
    yield f"retry: {RETRY_MILLISECONDS}\n\n"
    while not stopping.is_set() and (message := await read()) is not None:
        yield f"data: {sent.difference(message)}\n\n"
        try:
            async with asyncio.timeout(every):
                await stopping.wait()
        except TimeoutError:
            continue
