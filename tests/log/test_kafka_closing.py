import asyncio
import gc
from functools import partial
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from monitor.config import Settings
from monitor.log import kafka_client, kafka_topics
from monitor.log.kafka_closing import stop_consumer, stop_producer
from tests.kafka_broker import Brokers, eventually
from tests.log.complaints import noted_complaints


async def test_a_producer_that_is_stopped_says_of_each_batch_that_it_failed_and_leaves_no_complaint(
    own_kafka: Brokers,
) -> None:
    complaints = noted_complaints()
    producer, topic = await started(own_kafka)
    own_kafka.each[0].pause()
    # One is under way, and the other waits for it.
    ends = [await send(producer, topic) for _ in range(2)]

    await stop_producer(producer, idle=False)

    assert [type(end.exception()) for end in ends] == [KafkaError, KafkaError]
    del producer, ends
    gc.collect()
    assert complaints == []


async def test_a_producer_that_is_stopped_before_it_sends_a_batch_again_leaves_no_complaint(
    own_kafka: Brokers,
) -> None:
    complaints = noted_complaints()
    producer, topic = await started(own_kafka, request_timeout_ms=500)
    own_kafka.each[0].pause()
    end = await send(producer, topic)
    await eventually(partial(is_to_be_sent_again, producer))

    await stop_producer(producer, idle=False)

    assert type(end.exception()) is KafkaError
    del producer, end
    gc.collect()
    assert complaints == []


async def test_nothing_of_a_consumer_goes_on_that_is_stopped_while_a_fetch_waits_to_be_tried_again(
    own_kafka: Brokers, caplog: pytest.LogCaptureFixture
) -> None:
    before = asyncio.all_tasks()
    kafka = own_kafka.settings()
    await kafka_topics.ensure(Settings(kafka=kafka))
    consumer = AIOKafkaConsumer(**kafka_client.options(kafka))
    place = TopicPartition(kafka_topics.names(kafka).events, 0)
    consumer.assign([place])
    await consumer.start()
    await consumer.getmany(timeout_ms=100)
    await eventually(lambda: consumer.highwater(place) is not None)
    # From now on it waits for longer than the test lasts.
    consumer._fetcher._retry_backoff = 600.0
    own_kafka.each[0].kill()
    await eventually(lambda: "Failed fetch messages" in caplog.text)

    await stop_consumer(consumer)

    await eventually(lambda: asyncio.all_tasks() <= before, seconds=5)


async def started(brokers: Brokers, **options: Any) -> tuple[AIOKafkaProducer, str]:
    """Return a producer that has written to a topic, and the topic. options: of the client."""
    kafka = brokers.settings()
    await kafka_topics.ensure(Settings(kafka=kafka))
    producer = AIOKafkaProducer(**kafka_client.options(kafka) | options, acks="all", enable_idempotence=True)
    await producer.start()
    topic = kafka_topics.names(kafka).events
    # One that only knows the topic may not know its leader yet, and would send nothing to a paused broker.
    await (await send(producer, topic))
    return producer, topic


def is_to_be_sent_again(producer: AIOKafkaProducer) -> bool:
    """Whether all that waits in a producer has been sent before."""
    waiting = [batch for batches in producer._message_accumulator._batches.values() for batch in batches]
    return bool(waiting) and all(batch.retry_count > 0 for batch in waiting)


async def send(producer: AIOKafkaProducer, topic: str) -> asyncio.Future[Any]:
    """Send a batch of one record; return its end."""
    batch = producer.create_batch()
    batch.append(timestamp=None, key=b"a-job", value=b"a body")
    end: asyncio.Future[Any] = await producer.send_batch(batch, topic, partition=0)
    return end
