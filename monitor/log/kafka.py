"""The log on Kafka: acknowledged when all in-sync replicas have it, or when the spool has synced it.

An event goes to its stream's partition, unless an event of its stream is in the spool still, or Kafka is
known to be away: then to the spool. What Kafka hasn't acknowledged within a second goes to the spool as
well, with all that waits behind it. So of two events of one stream the older one is always written first,
in Kafka as in the spool, and a stream that has seen an event twice ignores the second.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from contextlib import AsyncExitStack, ExitStack
from functools import partial
from pathlib import Path

from monitor.config import Settings
from monitor.errors import ConfigurationError, LogOverloadedError, LogUnavailableError
from monitor.event import Event, EventId
from monitor.log import kafka_client, kafka_topics
from monitor.log.kafka_drain import Drain
from monitor.log.kafka_records import Record, event_record, letter_record, place
from monitor.log.kafka_sender import Lane, Part, Sender
from monitor.log.lock import hold
from monitor.log.protocol import DeadLetter
from monitor.log.spool import CAPACITY_BYTES, Chunk, Spool, SpoolState
from monitor.log.uncancelled import cancelled

MAX_WAITING = 20_000
"""Records that may wait for Kafka; a source of more is told to come again."""

MAX_BODY_BYTES = kafka_topics.RECORD_BYTES - 100_000
"""The largest body that a record has room for, with its attributes."""

BODIES_TOO_LARGE = f"at most {MAX_BODY_BYTES} fit into a record of Kafka's"


def takes_bodies(settings: Settings) -> bool:
    """Return whether each body that the receiver would take fits into a record."""
    return settings.receiver.max_body_bytes <= MAX_BODY_BYTES


class KafkaLog:
    """An EventLog; made by `open`. It belongs to the event loop that opened it."""

    def __init__(self, settings: Settings, spool: Spool, held: ExitStack) -> None:
        self._partitions = settings.kafka.partitions
        self._spool = spool
        self._held = held
        self._sender = Sender(settings, self._keep)
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._draining: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, settings: Settings, *, capacity_bytes: int = CAPACITY_BYTES) -> "KafkaLog":
        """Open the log and its spool, `log.path`, which one process has at a time.

        Topics are made where they are missing. With Kafka away the log opens all the same, on its spool.

        Args:
            settings: name Kafka, its topics and the spool.
            capacity_bytes: what the spool takes.

        Raises:
            ConfigurationError: the topics aren't as they have to be, or aiokafka can't be used.
            LogUnavailableError: the spool can't be opened.
        """
        # What it refuses is refused before a spool is made.
        kafka_client.options(settings.kafka)
        if not takes_bodies(settings):
            raise ConfigurationError([f"receiver.max_body_bytes: {BODIES_TOO_LARGE}"])
        with ExitStack() as stack:
            stack.enter_context(hold(settings.log.path))
            spool = await Spool.open(Path(settings.log.path), capacity_bytes=capacity_bytes)
            log = cls(settings, spool, stack.pop_all())
        try:
            await log._start()
        except BaseException:
            await log.close()
            raise
        return log

    @property
    def spool(self) -> SpoolState:
        """What the spool holds now."""
        return self._spool.state

    @property
    def refusing(self) -> bool:
        """Whether Kafka is away and the spool took nothing last time: what it can't keep, Kafka may take."""
        return self._spool.refusing and self._sender.away

    def next_id(self) -> EventId:
        """Return an id that no other event has, greater than all that this receiver gave before."""
        return self._spool.next_id()

    async def append(self, events: Sequence[Event], dead_letters: Sequence[DeadLetter] = ()) -> None:
        """Keep events and dead letters; on return Kafka has acknowledged them, or the spool has them synced.

        After an error some of it may be kept all the same.

        Raises:
            LogOverloadedError: too much waits for Kafka, or the spool is full.
            LogUnavailableError: neither Kafka nor the spool could take it.
            ValueError: a text that UTF-8 can't carry; nothing was kept.
        """
        if self._closed:
            raise LogUnavailableError("the log on Kafka is closed")
        if self._sender.unacknowledged + len(events) + len(dead_letters) > MAX_WAITING:
            raise LogOverloadedError(f"{self._sender.unacknowledged} events wait for Kafka")
        if len(events) == 1 and not dead_letters:
            # Nearly all of them, and a task less for each.
            await self._append_event(events)
        elif ends := self._append_parts(events, dead_letters):
            await asyncio.wait(ends)
            # All are looked at, or asyncio complains of those behind the first that failed.
            failures = [end.exception() for end in ends]
            if failure := next(filter(None, failures), None):
                raise failure

    async def close(self) -> None:
        """Make durable what waits, then let go of everything; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        # Whoever doesn't want to wait for Kafka lets go of all of it all the same.
        async with AsyncExitStack() as last:
            last.callback(self._held.close)
            last.push_async_callback(self._spool.close)
            last.push_async_callback(self._sender.close)
            if self._draining is not None:
                last.push_async_callback(cancelled, self._draining)
            await self._sender.settle()

    async def _start(self) -> None:
        await self._sender.start()
        self._draining = asyncio.create_task(Drain(self._spool, self._send_chunk).run())

    async def _append_event(self, events: Sequence[Event]) -> None:
        [event] = events
        key, number = place(event.source, event.job_id, self._partitions)
        # Made for the spool as well: what can't be a record must not get stuck in there.
        record = event_record(event, key)
        lane = self._sender.events[number]
        if self._must_spool(lane) or self._spool.holds(event.source, event.job_id):
            # Shielded, since a caller who gives up doesn't take the row back.
            await asyncio.shield(self._spool.put(events, ()))
            return
        part = Part(events, (), [record], self._loop)
        self._sender.send(part, lane)
        await part.future

    def _append_parts(
        self, events: Sequence[Event], letters: Sequence[DeadLetter]
    ) -> list[asyncio.Future[None]]:
        """Part what goes to several partitions, or to the spool; return a future for each."""
        places = [place(event.source, event.job_id, self._partitions) for event in events]
        parted: defaultdict[int, list[Event]] = defaultdict(list)
        for event, (_, number) in zip(events, places, strict=True):
            parted[number].append(event)
        parts: list[tuple[Part, Lane | None]] = []
        for number, some in parted.items():
            lane = self._sender.events[number]
            direct: list[Event] = []
            spooled: list[Event] = []
            for event in some:
                behind = self._must_spool(lane) or self._spool.holds(event.source, event.job_id)
                (spooled if behind else direct).append(event)
            if direct:
                parts.append((Part(direct, (), self._records(direct), self._loop), lane))
            if spooled:
                parts.append((Part(spooled, (), self._records(spooled), self._loop), None))
        if letters:
            lane = self._sender.dead_letters
            records = [letter_record(letter) for letter in letters]
            parts.append((Part((), letters, records, self._loop), None if self._must_spool(lane) else lane))
        for part, way in parts:
            if way is None:
                self._keep(part)
            else:
                self._sender.send(part, way)
        return [part.future for part, _ in parts]

    def _records(self, events: Sequence[Event]) -> list[Record]:
        return [
            event_record(event, place(event.source, event.job_id, self._partitions).key) for event in events
        ]

    def _must_spool(self, lane: Lane) -> bool:
        """Return whether Kafka is known to be away, and something else is to find out when it's back.

        With nothing under way and nothing in the spool, the next event finds out. What comes after it goes
        the same way, and to the spool behind it if it must: not there at once, before it.
        """
        if not lane.stalled or lane.probing:
            return False
        return not lane.idle or self._spool.state.events > 0

    def _keep(self, part: Part) -> None:
        """Have the spool keep a part."""
        try:
            future = self._spool.put(part.events, part.letters)
        except LogUnavailableError as error:
            if not part.future.done():
                part.future.set_exception(error)
        else:
            future.add_done_callback(partial(_end_as, part))

    def _send_chunk(self, chunk: Chunk) -> list[Part]:
        """Send a chunk of the spool over its lanes."""
        parted: defaultdict[int, list[Event]] = defaultdict(list)
        for _, _, event in chunk.events:
            parted[place(event.source, event.job_id, self._partitions).partition].append(event)
        ways = [
            (Part(some, (), self._records(some), self._loop, spooled=True), self._sender.events[number])
            for number, some in parted.items()
        ]
        if chunk.letters:
            letters = [one.letter for one in chunk.letters]
            records = [letter_record(letter) for letter in letters]
            ways.append((Part((), letters, records, self._loop, spooled=True), self._sender.dead_letters))
        for part, lane in ways:
            self._sender.send(part, lane)
        return [part for part, _ in ways]


def _end_as(part: Part, kept: asyncio.Future[None]) -> None:
    """End a part as its put into the spool did."""
    if part.future.done():
        return
    error = kept.exception()
    if error is None:
        part.future.set_result(None)
    else:
        part.future.set_exception(error)
