"""Sends records to Kafka in batches of its own, and gives up on those that aren't acknowledged in time.

What waits for a partition while a batch of it is under way makes the next one, so that the slower
Kafka answers, the more share a batch: one future of aiokafka's and one of its buffers for all of them.

The producer is idempotent. It sends a batch again for as long as it lives, so a partition's batches are
written once, and in their order. A batch that was given up may still be written: whoever gave it to
somebody else to keep must see to it that a second one does no harm.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer

from monitor.clock import Seldom
from monitor.config import Settings
from monitor.errors import ConfigurationError, LogUnavailableError
from monitor.event import Event
from monitor.log import kafka_client, kafka_topics
from monitor.log.kafka_client import RETRY_SECONDS
from monitor.log.kafka_closing import stop_producer
from monitor.log.kafka_records import Record
from monitor.log.protocol import DeadLetter
from monitor.log.uncancelled import cancelled, uncancelled

ACKNOWLEDGE_SECONDS = 1.0
"""How long Kafka may take; a vendor waits a few seconds at most, and perhaps doesn't come again."""

GATHERING_TURNS = 2
"""Of the event loop, before what waits is made batches of: what other connections have sent meanwhile comes
along. A request to Kafka costs as much as ten records in it; with nothing else to do a turn costs nothing."""

START_SECONDS = 5.0
"""How long a start waits for Kafka. Callbacks are taken only behind it, and brokers that hang rather than
refuse are asked one by one, each for as long as a request may take."""

_BATCH_BYTES = 256 * 1024

_log = structlog.get_logger(__name__)


class Part:
    """What one append has for one partition.

    future: done when all of it is durable, here or elsewhere. spooled: it comes from the spool, where it
    stays until Kafka has it. given_up: it went to the spool, since Kafka was too slow. since: when it
    was handed over, by the event loop's clock.
    """

    __slots__ = ("events", "future", "given_up", "letters", "records", "since", "spooled", "unacknowledged")

    def __init__(
        self,
        events: Sequence[Event],
        letters: Sequence[DeadLetter],
        records: Sequence[Record],
        loop: asyncio.AbstractEventLoop,
        *,
        spooled: bool = False,
    ) -> None:
        self.events, self.letters, self.records = events, letters, records
        self.future: asyncio.Future[None] = loop.create_future()
        self.spooled = spooled
        self.given_up = False
        self.since = loop.time()
        self.unacknowledged = len(records)


class Lane:
    """The way to one partition: what waits, and the one batch that is under way.

    queued: it is to be looked at for a batch. stalled: Kafka has not acknowledged in time, and has
    acknowledged nothing in time since. probing: it is stalled, and Kafka alone is asked to keep what is
    under way. watched: a timer looks at its oldest part.
    """

    __slots__ = ("in_flight", "partition", "probing", "queued", "stalled", "topic", "waiting", "watched")

    def __init__(self, topic: str, partition: int) -> None:
        self.topic, self.partition = topic, partition
        self.waiting: deque[tuple[Part, Record]] = deque()
        self.in_flight: list[Part] = []
        self.queued = False
        self.stalled = False
        self.probing = False
        self.watched = False

    @property
    def idle(self) -> bool:
        """Whether nothing waits or is under way."""
        return not self.waiting and not self.in_flight

    def anxious(self) -> list[Part]:
        """Return the parts that Kafka alone is asked to keep, in order."""
        every = dict.fromkeys([*self.in_flight, *(part for part, _ in self.waiting)])
        return [part for part in every if not (part.spooled or part.given_up)]


class Sender:
    """Sends parts over lanes; made once for a KafkaLog, and run by `start`.

    Args:
        settings: name Kafka and its topics.
        give_up: called with a part that Kafka did not acknowledge in time, to keep it and to end its
            future. Parts of a lane come in their order.

    Attributes:
        unacknowledged: how many records wait for Kafka.
    """

    def __init__(self, settings: Settings, give_up: Callable[[Part], None]) -> None:
        topics = kafka_topics.names(settings.kafka)
        self.events = [Lane(topics.events, number) for number in range(settings.kafka.partitions)]
        self.dead_letters = Lane(topics.dead_letters, 0)
        self.unacknowledged = 0
        self._settings = settings
        self._give_up = give_up
        self._loop = asyncio.get_running_loop()
        self._ready: list[Lane] = []
        self._wake = asyncio.Event()
        self._refused = False
        self._connected = False
        self._telling = Seldom(kafka_client.REPEAT_SECONDS)
        self._task: asyncio.Task[None] | None = None

    @property
    def away(self) -> bool:
        """Whether Kafka lets nobody in, or hasn't acknowledged in time what is under way still."""
        return not self._connected or any(lane.stalled and not lane.idle for lane in self._lanes())

    async def start(self) -> None:
        """Connect, and send until `close`; with Kafka away for START_SECONDS, go on trying.

        Raises:
            ConfigurationError: the topics aren't as they have to be.
        """
        producer = None
        try:
            async with asyncio.timeout(START_SECONDS):
                producer = await self._connect()
        except (*kafka_client.FAILURES, LogUnavailableError, TimeoutError) as error:
            self._tell_away(str(error) or f"no answer within {START_SECONDS:g} s")
        self._task = asyncio.create_task(self._run(producer))

    def send(self, part: Part, lane: Lane) -> None:
        """Hand a part over; its future tells the end."""
        self.unacknowledged += part.unacknowledged
        lane.waiting.extend([(part, record) for record in part.records])
        if not lane.queued and not lane.in_flight:
            self._queue(lane)
        if part.spooled:
            return
        lane.probing = lane.stalled
        if not lane.watched:
            lane.watched = True
            self._loop.call_at(part.since + ACKNOWLEDGE_SECONDS, self._look, lane)

    async def settle(self) -> None:
        """Return when each part was acknowledged or given up: after ACKNOWLEDGE_SECONDS at most."""
        if futures := [part.future for lane in self._lanes() for part in lane.anxious()]:
            await asyncio.wait(futures, timeout=2 * ACKNOWLEDGE_SECONDS)

    async def close(self) -> None:
        """Stop sending; what is under way may still be written."""
        if self._task is not None:
            await cancelled(self._task)

    def _lanes(self) -> Iterator[Lane]:
        yield from self.events
        yield self.dead_letters

    def _queue(self, lane: Lane) -> None:
        lane.queued = True
        self._ready.append(lane)
        self._wake.set()

    async def _run(self, producer: AIOKafkaProducer | None) -> None:
        telling = Seldom(kafka_client.REPEAT_SECONDS)
        while True:
            if producer is None:
                await asyncio.sleep(RETRY_SECONDS)
                try:
                    producer = await uncancelled(self._connect())
                except (*kafka_client.FAILURES, LogUnavailableError) as error:
                    self._tell_away(str(error) or type(error).__name__)
                    continue
                except ConfigurationError as error:
                    if telling.is_due():
                        _log.error("kafka can't be used, events stay in the spool", problems=error.problems)
                    continue
                except Exception:
                    # Without this task all events would stay in the spool, also once Kafka is back.
                    if telling.is_due():
                        _log.exception("kafka can't be used, events stay in the spool")
                    continue
                _log.info("kafka is there")
            self._connected = True
            try:
                await uncancelled(self._pump(producer))
            except Exception as error:
                # Whatever has befallen the client: the spool takes over until a new one is made.
                _log.warning("kafka's client is made anew", error=f"{type(error).__name__}: {error}")
            finally:
                self._connected, self._refused = False, True
                await stop_producer(producer, idle=not any(lane.in_flight for lane in self._lanes()))
            producer = None

    def _tell_away(self, problem: str) -> None:
        if self._telling.is_due():
            _log.warning("kafka is away, events go to the spool", error=problem)

    async def _connect(self) -> AIOKafkaProducer:
        await kafka_topics.ensure(self._settings)
        producer = AIOKafkaProducer(
            **kafka_client.options(self._settings.kafka),
            acks="all",
            enable_idempotence=True,
            max_batch_size=_BATCH_BYTES,
        )
        try:
            await producer.start()
            for topic in {lane.topic for lane in self._lanes()}:
                await producer.partitions_for(topic)
        except BaseException:
            await stop_producer(producer, idle=True)
            raise
        return producer

    async def _pump(self, producer: AIOKafkaProducer) -> None:
        """Send until a batch is refused.

        Its number in its partition's sequence is lost with it, so that brokers would refuse all that this
        producer still sends there; a new one begins a sequence of its own.
        """
        self._refused = False
        for lane in self._lanes():
            if lane.waiting and not lane.in_flight and not lane.queued:
                self._queue(lane)
        while not self._refused:
            lanes, self._ready = self._ready, []
            for number, lane in enumerate(lanes):
                try:
                    await self._send_batch(producer, lane)
                except BaseException:
                    self._ready += lanes[number + 1 :]
                    raise
            if not self._ready and not self._refused:
                self._wake.clear()
                await self._wake.wait()
            for _ in range(GATHERING_TURNS):
                await asyncio.sleep(0)

    async def _send_batch(self, producer: AIOKafkaProducer, lane: Lane) -> None:
        lane.queued = False
        batch, waiting, parts = producer.create_batch(), lane.waiting, lane.in_flight
        append = batch.append
        while waiting:
            part, (key, body, timestamp, headers) = waiting[0]
            if append(timestamp=timestamp, key=key, value=body, headers=headers) is None:
                break
            waiting.popleft()
            parts.append(part)
        if not parts:
            return
        batch.close()
        sent = self._loop.time()
        try:
            # A lane has one batch under way, so aiokafka has room for it and this doesn't wait.
            acknowledged = await producer.send_batch(batch, lane.topic, partition=lane.partition)
        except BaseException as error:
            self._failed(lane, error)
            raise
        acknowledged.add_done_callback(partial(self._ended, lane, sent))

    def _ended(self, lane: Lane, sent: float, acknowledged: asyncio.Future[Any]) -> None:
        """Hear from aiokafka how a batch ended."""
        error = None if acknowledged.cancelled() else acknowledged.exception()
        if acknowledged.cancelled() or error is not None:
            self._failed(lane, error or asyncio.CancelledError())
        else:
            parts, lane.in_flight = lane.in_flight, []
            self.unacknowledged -= len(parts)
            for part in parts:
                part.unacknowledged -= 1
                if part.unacknowledged == 0 and not part.future.done():
                    part.future.set_result(None)
            if self._loop.time() - sent < ACKNOWLEDGE_SECONDS:
                lane.stalled = lane.probing = False
            elif lane.probing:
                lane.probing = bool(lane.anxious())
        if lane.waiting and not lane.queued:
            self._queue(lane)

    def _failed(self, lane: Lane, error: BaseException) -> None:
        """Give up on a batch, and on all that waits behind it: the spool has it, or gets it."""
        # Behind the first one the client is let go of, and what it had under way fails with it.
        if not self._refused:
            _log.warning(
                "kafka refused a batch",
                topic=lane.topic,
                partition=lane.partition,
                error=f"{type(error).__name__}: {error}",
            )
        self._stall(lane)
        spooled = [*lane.in_flight, *(part for part, _ in lane.waiting)]
        self.unacknowledged -= len(spooled)
        lane.in_flight = []
        lane.waiting.clear()
        for part in spooled:
            if part.spooled and not part.future.done():
                part.future.set_exception(LogUnavailableError("Kafka refused a batch"))
                # Looked at, or asyncio complains of it where the drain has ended before.
                part.future.exception()
        self._refused = True
        self._wake.set()

    def _look(self, lane: Lane) -> None:
        """See whether the oldest part has waited too long, and look again when it will have."""
        lane.watched = False
        anxious = lane.anxious()
        if not anxious:
            return
        due = anxious[0].since + ACKNOWLEDGE_SECONDS
        if due > self._loop.time():
            lane.watched = True
            self._loop.call_at(due, self._look, lane)
            return
        if not lane.stalled:
            _log.warning("kafka doesn't acknowledge in time", topic=lane.topic, partition=lane.partition)
        self._stall(lane)

    def _stall(self, lane: Lane) -> None:
        """Give up all that isn't acknowledged, so that nothing newer gets to the spool before it."""
        lane.stalled = True
        lane.probing = False
        anxious = lane.anxious()
        spooled = deque((part, record) for part, record in lane.waiting if part.spooled)
        self.unacknowledged -= len(lane.waiting) - len(spooled)
        lane.waiting = spooled
        for part in anxious:
            part.given_up = True
            self._give_up(part)
