"""Passes on to Kafka what the spool holds, oldest first, and removes what Kafka has acknowledged."""

import asyncio
from collections import deque
from collections.abc import Callable
from itertools import chain

import structlog

from monitor.clock import Seldom, stopwatch
from monitor.errors import LogUnavailableError
from monitor.log.kafka_client import REPEAT_SECONDS, RETRY_SECONDS
from monitor.log.kafka_sender import Part
from monitor.log.spool import START, Chunk, Spool

CHUNK_EVENTS = 500
"""Events that are read together: a few ms of the event loop."""

CHUNKS_UNDER_WAY = 6
"""So that reading, sending and removing overlap: the drain must outrun what comes in behind it."""

_log = structlog.get_logger(__name__)


class Drain:
    """Empties a spool for as long as `run` runs.

    Args:
        spool: where the rows are.
        send: hands a chunk to Kafka; returns the parts whose futures tell the end.
    """

    def __init__(self, spool: Spool, send: Callable[[Chunk], list[Part]]) -> None:
        self._spool, self._send = spool, send
        self._sent: deque[tuple[Chunk, list[Part]]] = deque()
        self._telling = Seldom(REPEAT_SECONDS)
        self._patience = 0.0

    async def run(self) -> None:
        """Pass on what is there and what comes; after a failure begin again with what wasn't removed."""
        while True:
            try:
                await self._pass_on()
            except LogUnavailableError as error:
                self._tell(error)
            except Exception:
                # Without this task the spool would fill up, and say so only when it is full.
                if self._telling.is_due():
                    _log.exception("the spool could not be drained")
            await self._settle()
            await asyncio.sleep(RETRY_SECONDS)

    async def _pass_on(self) -> None:
        cursor = START
        while True:
            chunk = None
            if len(self._sent) < CHUNKS_UNDER_WAY:
                chunk = await self._spool.read(cursor, CHUNK_EVENTS)
            if chunk is not None:
                cursor = chunk.end
                self._sent.append((chunk, self._send(chunk)))
            elif self._sent:
                await _ended(self._sent[0][1])
            else:
                await self._spool.wait_for_more()
            await self._remove_acknowledged()

    async def _remove_acknowledged(self) -> None:
        acknowledged = []
        while self._sent and all(part.future.done() for part in self._sent[0][1]):
            chunk, parts = self._sent.popleft()
            refusals = [part.future.exception() for part in parts]
            if refusal := next(filter(None, refusals), None):
                raise refusal
            acknowledged.append(chunk)
        if acknowledged:
            await self._remove(acknowledged)

    async def _remove(self, acknowledged: list[Chunk]) -> None:
        """Remove what Kafka has. What the disk keeps refusing to remove is sent again ever more seldom.

        It is sent again at all, since only that tells the sender that Kafka is back.

        Raises:
            LogUnavailableError: it could not be removed, and has waited for that.
        """
        until = stopwatch() + self._patience
        while True:
            try:
                await self._spool.remove(acknowledged)
            except LogUnavailableError as error:
                if stopwatch() >= until:
                    self._patience = min(REPEAT_SECONDS, 2 * self._patience + RETRY_SECONDS)
                    raise
                self._tell(error)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                self._patience = 0.0
                break

    def _tell(self, error: LogUnavailableError) -> None:
        if self._telling.is_due():
            _log.warning("the spool could not be drained", error=str(error))

    async def _settle(self) -> None:
        """Let what is under way end, so that no chunk is under way twice."""
        if self._sent:
            await _ended(list(chain.from_iterable(parts for _, parts in self._sent)))
            self._sent.clear()


async def _ended(parts: list[Part]) -> None:
    """Return when all parts were acknowledged or refused; their futures are for the caller to look at."""
    await asyncio.wait([part.future for part in parts])
    for part in parts:
        # Looked at, or asyncio complains of those that nobody asked for after a failure.
        part.future.exception()
