"""Reading from Kafka: the events of a group's partitions, and the health of all streams."""

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import NamedTuple, Protocol

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor

from monitor.clock import SystemClock, stopwatch
from monitor.config import Settings
from monitor.errors import LogUnavailableError
from monitor.event import Stored
from monitor.log import kafka_client, kafka_topics
from monitor.log.kafka_checkpoints import FETCH_BYTES, POSITION_KEY, position_of, stream_of
from monitor.log.kafka_closing import stop_consumer
from monitor.log.kafka_reading import Bounds
from monitor.log.kafka_records import stored_event

HEARTBEATS = 10
"""Heartbeats in a session time-out: the more, the sooner a move between workers is over."""

POSITION_SECONDS = 0.1
"""How long a partition may take to say where it is read."""

_log = structlog.get_logger(__name__)


class Owner(Protocol):
    """Who is told which partitions are this process's. Both return at once, whatever is to be done."""

    def assigned(self, partitions: frozenset[int]) -> None:
        """Take these partitions, and none beside them."""
        ...

    def revoked(self) -> None:
        """Leave all partitions: another process may have them from now on."""
        ...


class Read(NamedTuple):
    """What was read of one partition. next: the offset to go on from, behind what isn't an event too."""

    partition: int
    events: list[Stored]
    next: int


class EventConsumer:
    """A member of the group that shares the partitions of events among workers.

    A partition that is assigned is paused until `follow` says from where.
    """

    def __init__(self, settings: Settings, owner: Owner) -> None:
        kafka = settings.kafka
        self._settings = settings
        self._topic = kafka_topics.names(kafka).events
        self._partitions = kafka.partitions
        self._timeout = kafka.session_timeout_seconds
        self._consumer = AIOKafkaConsumer(
            **kafka_client.options(kafka),
            group_id=kafka.group_id,
            enable_auto_commit=False,
            # Receivers write without transactions; one that somebody leaves open must hold up none of theirs.
            isolation_level="read_uncommitted",
            auto_offset_reset="earliest",
            session_timeout_ms=round(self._timeout * 1000),
            heartbeat_interval_ms=round(self._timeout * 1000 / HEARTBEATS),
            # What a worker had it keeps as far as possible, and with it the states in its memory.
            partition_assignment_strategy=(StickyPartitionAssignor,),
        )
        self._consumer.subscribe([self._topic], listener=_Listener(self, self._consumer, owner))

    @property
    def is_deleted(self) -> bool:
        """Whether there are no events at all, rather than none for this process."""
        return not (self._consumer.assignment() or self._consumer.partitions_for_topic(self._topic))

    async def start(self) -> None:
        """Join the group; make the topics again if they were deleted.

        Raises:
            LogUnavailableError: Kafka can't be reached.
        """
        await kafka_topics.make_missing(self._settings)
        with kafka_client.named_failures(self._topic):
            await self._consumer.start()

    def follow(self, partition: int, position: int) -> None:
        """Read a partition from behind a position; it may have been revoked meanwhile."""
        place = TopicPartition(self._topic, partition)
        if place in self._consumer.assignment():
            self._consumer.seek(place, position + 1)
            self._consumer.resume(place)

    def pause(self, partitions: Iterable[int]) -> None:
        """Read nothing more of these partitions; they stay this process's."""
        places = {TopicPartition(self._topic, partition) for partition in partitions}
        self._consumer.pause(*(places & self._consumer.assignment()))

    def stop_at(self, positions: Mapping[int, int]) -> None:
        """Read nothing more of these partitions, and count as read only what is up to their positions."""
        self.pause(positions)
        for partition, position in positions.items():
            place = TopicPartition(self._topic, partition)
            if place in self._consumer.assignment():
                self._consumer.seek(place, position + 1)

    async def read(self, limit: int, seconds: float) -> list[Read]:
        """Return what has come, up to `limit` events; wait up to `seconds` for the first.

        During a rebalance it waits until that is over.

        Raises:
            LogUnavailableError: the consumer can't go on.
        """
        if self.is_deleted:
            # The client would look whether it is back once in five minutes.
            raise LogUnavailableError(f"the topic {self._topic} was deleted")
        with kafka_client.named_failures(self._topic):
            found = await self._consumer.getmany(timeout_ms=round(seconds * 1000), max_records=limit)
            return [
                Read(place.partition, self._events(place, records), await self._consumer.position(place))
                for place, records in found.items()
                if place in self._consumer.assignment()
            ]

    def _events(self, place: TopicPartition, records: list[ConsumerRecord[bytes, bytes]]) -> list[Stored]:
        partition, events = place.partition, []
        for record in records:
            try:
                events.append(stored_event(partition, record, self._partitions))
            except ValueError as error:
                # It names no stream, or not one of here, so it can't be one's.
                _log.warning("not an event", partition=partition, offset=record.offset, problem=str(error))
        return events

    async def position(self, partition: int) -> int | None:
        """Return the offset that is read next.

        None if the partition isn't this process's any more, or has no leader now who could tell.
        """
        place = TopicPartition(self._topic, partition)
        if place not in self._consumer.assignment():
            return None
        try:
            # It is known at once, or asked for without an end, and others would be kept waiting.
            async with asyncio.timeout(POSITION_SECONDS):
                return int(await self._consumer.position(place))
        except (*kafka_client.FAILURES, TimeoutError):
            return None

    def known_end(self, partition: int) -> int | None:
        """Return where a partition ended when it was last read from; None if it hasn't been yet."""
        place = TopicPartition(self._topic, partition)
        if place not in self._consumer.assignment():
            return None
        end = self._consumer.highwater(place)
        return None if end is None else int(end)

    def silence(self, partition: int) -> float:
        """Return for how many seconds no broker has answered for a partition, whether with events or none."""
        place = TopicPartition(self._topic, partition)
        if place not in self._consumer.assignment():
            return math.inf
        answered: int | None = self._consumer.last_poll_timestamp(place)
        return math.inf if answered is None else SystemClock().now() - answered / 1000

    async def ends(self, partitions: Iterable[int]) -> dict[int, int]:
        """Ask the brokers where partitions end now: the offset behind the last event.

        Raises:
            LogUnavailableError: they don't answer.
        """
        places = [TopicPartition(self._topic, partition) for partition in partitions]
        with kafka_client.named_failures(self._topic):
            async with asyncio.timeout(self._timeout):
                found = await self._consumer.end_offsets(places)
        return {place.partition: end for place, end in found.items()}

    async def bounds(self, partition: int) -> Bounds:
        """Ask the brokers what of a partition is there now.

        Raises:
            LogUnavailableError: they don't answer.
        """
        place = TopicPartition(self._topic, partition)
        with kafka_client.named_failures(self._topic):
            async with asyncio.timeout(self._timeout):
                starts = await self._consumer.beginning_offsets([place])
        return Bounds(starts[place], (await self.ends([partition]))[partition])

    async def prove_membership(self, positions: Mapping[int, int]) -> float:
        """Tell the group how far these partitions are folded; return when that was sent (`stopwatch`).

        The group takes it only from a member with its present partitions, and it counts as a heartbeat:
        so no other process has them before the session time-out has gone by since then.

        Raises:
            LogUnavailableError: there was no answer, or this process isn't a member with these partitions.
        """
        sent = stopwatch()
        offsets = {
            TopicPartition(self._topic, partition): position + 1 for partition, position in positions.items()
        }
        with kafka_client.named_failures(self._topic):
            async with asyncio.timeout(self._timeout / 2):
                await self._consumer.commit(offsets)
        return sent

    async def close(self) -> None:
        """Leave the group."""
        await stop_consumer(self._consumer)


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no annotations
    def __init__(self, events: EventConsumer, consumer: AIOKafkaConsumer, owner: Owner) -> None:
        self._events, self._consumer, self._owner = events, consumer, owner

    def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:  # noqa: ARG002
        self._owner.revoked()

    def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        if self._events.is_deleted:
            # The group shares out nothing: a process that took that for its share would show no stream, and
            # say that none is missing.
            return
        self._consumer.pause(*assigned)
        self._owner.assigned(frozenset(place.partition for place in assigned))


class Kept(NamedTuple):
    """A record of health. state: None if the stream was forgotten."""

    source: str
    job_id: str
    state: bytes | None


def _kept(place: TopicPartition, record: ConsumerRecord[bytes, bytes]) -> Kept | None:
    if record.key is None:
        return None
    stream = stream_of(record.key)
    if stream is None:
        _log.warning("not of a stream", partition=place.partition, offset=record.offset)
        return None
    return Kept(*stream, record.value)


class HealthReader:
    """Follows the health of all streams, from the first record on; made by `open`."""

    def __init__(self, settings: Settings) -> None:
        kafka = settings.kafka
        topics = kafka_topics.names(kafka)
        self._topic, self._events = topics.health, topics.events
        self._places = [TopicPartition(self._topic, number) for number in range(kafka.partitions)]
        self._timeout = kafka.session_timeout_seconds
        self._newest: dict[TopicPartition, int] = {}
        self._positions: dict[int, int] = {}
        self._consumer = AIOKafkaConsumer(
            **kafka_client.options(kafka),
            enable_auto_commit=False,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=FETCH_BYTES,
        )
        self._consumer.assign(self._places)

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, settings: Settings) -> AsyncIterator["HealthReader"]:
        """Connect, and begin at the beginning.

        Raises:
            LogUnavailableError: Kafka can't be reached.
        """
        reader = cls(settings)
        try:
            with kafka_client.named_failures(reader._topic):
                await reader._consumer.start()
                await reader._consumer.seek_to_beginning(*reader._places)
            yield reader
        finally:
            await stop_consumer(reader._consumer)

    async def read(self, limit: int, seconds: float) -> list[Kept]:
        """Return what has come, up to `limit` records; wait up to `seconds` for the first.

        Raises:
            LogUnavailableError: the consumer can't go on, or what it has read is there no more.
        """
        with kafka_client.named_failures(self._topic):
            found = await self._consumer.getmany(timeout_ms=round(seconds * 1000), max_records=limit)
        for place, records in found.items():
            if records[0].offset <= self._newest.get(place, -1):
                raise LogUnavailableError(f"partition {place.partition} of {self._topic} has begun anew")
            self._newest[place] = records[-1].offset
        read = []
        for place, records in found.items():
            for record in records:
                if record.key == POSITION_KEY:
                    position = position_of(record.value or b"")
                    if position is not None:
                        self._positions[place.partition] = position
                elif (kept := _kept(place, record)) is not None:
                    read.append(kept)
        return read

    async def positions(self) -> dict[int, int]:
        """Return for each partition the offset that is read next."""
        with kafka_client.named_failures(self._topic):
            return {place.partition: await self._consumer.position(place) for place in self._places}

    async def ends(self) -> dict[int, int]:
        """Ask the brokers where the partitions end now; what isn't committed yet counts, once it was seen.

        Raises:
            LogUnavailableError: they don't answer.
        """
        with kafka_client.named_failures(self._topic):
            async with asyncio.timeout(self._timeout):
                found = await self._consumer.end_offsets(self._places)
        return {
            place.partition: max(end, self._consumer.highwater(place) or 0) for place, end in found.items()
        }

    async def folded(self) -> tuple[int, int]:
        """Return how many events workers have folded, by what was read, and how many there are by now.

        Both are sums of offsets. A partition of which nobody has kept a position yet is left out, and what
        is behind a transaction that somebody has left open among the events.

        Raises:
            LogUnavailableError: the brokers don't tell where the events end.
        """
        places = [TopicPartition(self._events, partition) for partition in self._positions]
        with kafka_client.named_failures(self._events):
            async with asyncio.timeout(self._timeout):
                ends = await self._consumer.end_offsets(places)
        folded = {place: self._positions[place.partition] + 1 for place in places}
        return sum(folded.values()), sum(max(folded[place], end) for place, end in ends.items())

    def known_ends(self) -> dict[int, int]:
        """Return where those partitions ended that were read from, when they were last.

        A transaction that is still open counts: what is behind it may be committed long ago.
        """
        ends = {place.partition: self._consumer.highwater(place) for place in self._places}
        return {partition: end for partition, end in ends.items() if end is not None}
