"""Checkpoints of one partition on Kafka: the states of its streams in the compacted topic of health.

The record of a state has the stream's key; the position is the record `~position`, in the same
transaction as the states. The partition has the number of the events' partition.

Who opens the checkpoints owns them: the transactional id is the partition's, so that opening aborts
what an earlier owner had begun, and fences it. A worker that was paused while its partition moved can
wake and go on folding, but never write; and what is loaded after opening can't change behind one's back.
"""

import asyncio
import contextlib
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.errors import ProducerFenced

from monitor.clock import stopwatch
from monitor.config import KafkaSettings, Settings, is_source_name
from monitor.errors import FencedError, LogUnavailableError
from monitor.log import kafka_client, kafka_landmark, kafka_topics
from monitor.log.kafka_closing import look_at, stop_consumer, stop_producer
from monitor.log.kafka_landmark import Headers, Landmark
from monitor.log.kafka_reading import SILENT_SECONDS
from monitor.log.protocol import Checkpoint

POSITION_KEY = b"~position"
"""No stream's key begins like this: names of sources don't."""

NOTHING_FOLDED = -1
"""The position before a partition's first event, whose offset is 0."""

_LAST_OFFSET = 2**63 - 1

BATCH_BYTES = 500_000
"""States are written in batches of about this size; brokers take a little more than a million bytes."""

SLICE = 300
"""Records read or written before the event loop has its turn: a few ms of work."""

FETCH_BYTES = 4_000_000

FETCH_WAIT_MS = 20
"""A restore is at its end when nothing more comes: no reason to wait long for it."""

LOOK_MS = 50
"""How often a restore looks whether it is at its end: of a partition without a record nothing ever comes."""

TRANSACTION_TIMEOUT_MS = 60_000

START_SECONDS = 60.0
"""How long a partition may take to be taken over: its coordinator may be moving, and the owner before has a
transaction that is ended first."""

OPEN_SECONDS = 1.0
"""How long the brokers may need to end a transaction of an earlier owner, which they have told is over."""

_END_KEY = b"~end"
"""Of a record that nobody ever reads: a transaction without one isn't told to the partition."""

Row = tuple[str, str, bytes | None]

_log = structlog.get_logger(__name__)


def transactional_id(kafka: KafkaSettings, partition: int) -> str:
    """Return by what name brokers know whoever keeps the states of a partition, and fence who did before."""
    return f"{kafka.group_id}-{kafka.topic_prefix}{partition}"


class KafkaCheckpoints:
    """The Checkpoints of one partition; made by `open`. After any error it is of no use any more.

    Attributes:
        landmark: an event that went into the states, if one is known; loaded and saved with the position.
    """

    def __init__(self, settings: Settings, partition: int) -> None:
        self.landmark: Landmark | None = None
        kafka = settings.kafka
        topics = kafka_topics.names(kafka)
        self._options = kafka_client.options(kafka)
        self._topic = topics.health
        self._place = TopicPartition(topics.health, partition)
        self._name = f"partition {partition} of {topics.health}"
        # What is written next is behind this, unless the topic was made anew meanwhile.
        self._end = 0
        self._producer: AIOKafkaProducer | None = AIOKafkaProducer(
            **self._options,
            transactional_id=transactional_id(kafka, partition),
            transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
            max_batch_size=BATCH_BYTES,
        )

    @classmethod
    async def open(cls, settings: Settings, partition: int) -> "KafkaCheckpoints":
        """Take the partition over from whoever had it; make its topic again if that was deleted.

        Raises:
            LogUnavailableError: Kafka can't be reached.
        """
        await kafka_topics.make_missing(settings)
        checkpoints = cls(settings, partition)
        assert checkpoints._producer is not None
        slow = f"Kafka has not given it to us within {START_SECONDS:g} s"
        try:
            with kafka_client.named_failures(checkpoints._name):
                async with kafka_client.within(START_SECONDS, slow):
                    await checkpoints._producer.start()
        except BaseException:
            await checkpoints.close()
            raise
        return checkpoints

    async def load(self) -> Checkpoint:
        """Return the last whole checkpoint; position -1 without states if there is none.

        Raises:
            LogUnavailableError: Kafka can't be reached.
        """
        consumer = AIOKafkaConsumer(
            **self._options,
            enable_auto_commit=False,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=FETCH_BYTES,
            fetch_max_wait_ms=FETCH_WAIT_MS,
        )
        consumer.assign([self._place])
        try:
            await consumer.start()
            newest = await self._read(consumer)
        except kafka_client.FAILURES as error:
            raise self._named(error) from error
        finally:
            await stop_consumer(consumer)
        position = position_of(newest.pop(POSITION_KEY, b""))
        rows, strangers = [], 0
        # Keys move over one by one, so that no text is held twice.
        while newest:
            key, state = newest.popitem()
            stream = stream_of(key)
            if stream is None:
                strangers += 1
                continue
            rows.append((*stream, state))
            if len(rows) % SLICE == 0:
                await asyncio.sleep(0)
        if strangers:
            _log.warning("not of a stream", partition=self._place.partition, records=strangers)
        return Checkpoint(NOTHING_FOLDED if position is None else position, rows)

    async def _read(self, consumer: AIOKafkaConsumer) -> dict[bytes, bytes]:
        """Return the newest record of each key, tombstones left out.

        Raises:
            LogUnavailableError: a transaction that isn't of this partition's owners stays open in it, or
                nothing has come for SILENT_SECONDS.
        """
        with kafka_client.named_failures(self._name):
            async with kafka_client.within(
                SILENT_SECONDS, f"nothing has come for {SILENT_SECONDS:g} s"
            ) as silence:
                return await self._read_on(consumer, silence)

    async def _read_on(self, consumer: AIOKafkaConsumer, silence: asyncio.Timeout) -> dict[bytes, bytes]:
        newest: dict[bytes, bytes] = {}
        place = self._place
        await consumer.seek_to_beginning(place)
        held_up, ended, position = stopwatch(), False, 0
        # Nobody but this process can write now, so the end stands still. It is the high watermark, not
        # the end of what is committed: that one lags a little behind a commit that was acknowledged.
        while (end := consumer.highwater(place)) is None or position < end:
            for records in (await consumer.getmany(place, timeout_ms=LOOK_MS, max_records=SLICE)).values():
                for record in records:
                    self._note(newest, record)
            await asyncio.sleep(0)
            before, position = position, await consumer.position(place)
            if position != before:
                silence.reschedule(asyncio.get_running_loop().time() + SILENT_SECONDS)
            if position != consumer.last_stable_offset(place) or position == consumer.highwater(place):
                held_up = stopwatch()
            elif stopwatch() - held_up >= OPEN_SECONDS:
                if ended:
                    raise LogUnavailableError(
                        f"{self._name}: somebody else's transaction stays open at offset {position}, and "
                        "what is behind it can't be read; kafka-transactions.sh find-hanging tells whose "
                        "it is, and abort ends it"
                    )
                await self._end_open_transaction(position)
                held_up, ended = stopwatch(), True
        self._end = position
        return newest

    def _note(self, newest: dict[bytes, bytes], record: ConsumerRecord[bytes, bytes]) -> None:
        if record.key is None:
            return
        if record.value is None:
            newest.pop(record.key, None)
        elif record.key == POSITION_KEY and position_of(record.value) is None:
            # The one before it stands: a state knows which events behind a position it holds.
            _log.warning("not a position", partition=self._place.partition, offset=record.offset)
        else:
            newest[record.key] = record.value
            if record.key == POSITION_KEY:
                self.landmark = kafka_landmark.from_headers(record.headers)

    async def _end_open_transaction(self, offset: int) -> None:
        """Abort what the brokers hold for open and have forgotten to end; see decision 0008."""
        assert self._producer is not None
        _log.warning("a transaction was left open", partition=self._place.partition, offset=offset)
        with self._failures():
            await self._producer.begin_transaction()
            await self._producer.send_and_wait(
                self._topic, b"", key=_END_KEY, partition=self._place.partition
            )
            await self._producer.abort_transaction()

    async def save(self, position: int, changed: Sequence[Row]) -> None:
        """Keep a position and the states that changed since the last one, in one transaction.

        Raises:
            FencedError: another process owns the partition by now; nothing of this was kept.
            LogUnavailableError: nobody knows whether it was kept, or what was kept before is gone.
        """
        producer = self._producer
        if producer is None:
            raise LogUnavailableError(f"{self._name}: its checkpoints are closed")
        with self._failures():
            await producer.begin_transaction()
            written: list[asyncio.Future[Any]] = []
            batch = producer.create_batch()
            rows: Iterable[tuple[bytes, bytes | None, Headers]] = [
                *((key_of(source, job_id), state, []) for source, job_id, state in changed),
                # In a header, so that the value is what any version of this service reads.
                (POSITION_KEY, json.dumps(position).encode(), kafka_landmark.to_headers(self.landmark)),
            ]
            for number, (key, value, headers) in enumerate(rows):
                if number % SLICE == SLICE - 1:
                    await asyncio.sleep(0)
                if batch.append(timestamp=None, key=key, value=value, headers=headers) is None:
                    written.append(await self._send(producer, batch))
                    batch = producer.create_batch()
                    batch.append(timestamp=None, key=key, value=value, headers=headers)
            written.append(await self._send(producer, batch))
            # A transaction can be committed without a batch that failed. Nothing here is cancelled with
            # this call: what fails later could then not be looked at any more.
            await asyncio.wait(written, return_when=asyncio.FIRST_EXCEPTION)
            offsets = [one.result().offset for one in written if one.done()]
            # Where a batch was sent twice, brokers may have forgotten the first one's.
            if 0 <= offsets[0] < self._end:
                # All other states are in the memory of whoever kept them, and nowhere else.
                raise LogUnavailableError(f"{self._name}: its states were deleted with the topic")
            await producer.commit_transaction()
            self._end = max(self._end, offsets[-1] + 1)

    @contextlib.contextmanager
    def _failures(self) -> Iterator[None]:
        """Turn what a transaction raises into FencedError and LogUnavailableError."""
        try:
            yield
        except ProducerFenced as error:
            raise FencedError(f"{self._name}: another process has taken it over") from error
        except (*kafka_client.FAILURES, AssertionError) as error:
            # The client asserts its own states: once it has failed it goes on failing like this.
            raise self._named(error) from error

    async def _send(self, producer: AIOKafkaProducer, batch: object) -> "asyncio.Future[Any]":
        future: asyncio.Future[Any] = await producer.send_batch(
            batch, self._topic, partition=self._place.partition
        )
        # If it isn't the first that fails, nobody asks for it.
        future.add_done_callback(look_at)
        return future

    async def close(self) -> None:
        """Let go of the producer; a transaction that is under way stays uncommitted."""
        producer, self._producer = self._producer, None
        if producer is None:
            return
        await stop_producer(producer, idle=False)

    def _named(self, error: Exception) -> LogUnavailableError:
        return LogUnavailableError(f"{self._name}: {str(error) or type(error).__name__}")


def position_of(text: bytes) -> int | None:
    """Return the position that a record's text tells; None for what this service never writes."""
    try:
        position = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return position if type(position) is int and NOTHING_FOLDED <= position < _LAST_OFFSET else None


def key_of(source: str, job_id: str) -> bytes:
    """Return the key of a stream's records."""
    return f"{source}/{job_id}".encode()


def stream_of(key: bytes) -> tuple[str, str] | None:
    """Return source and job id of a stream's key; None for any other: whose record that is, nobody knows."""
    try:
        source, slash, job_id = key.decode().partition("/")
    except UnicodeDecodeError:
        return None
    # Names of sources have no slash.
    return (source, job_id) if slash and is_source_name(source) else None
