"""Where a partition that came to this process is read from: behind what was folded, if that is its own."""

import asyncio

import structlog

from monitor.clock import Seldom
from monitor.config import Settings
from monitor.errors import LogUnavailableError
from monitor.log import kafka_landmark
from monitor.log.kafka_checkpoints import NOTHING_FOLDED
from monitor.log.kafka_client import REPEAT_SECONDS, RETRY_SECONDS
from monitor.log.kafka_consumer import EventConsumer
from monitor.log.kafka_reading import Bounds
from monitor.worker.holding import Holding

_log = structlog.get_logger(__name__)


async def resume(settings: Settings, consumer: EventConsumer, holding: Holding) -> int:
    """Return where a partition ends now; the shard's position is then one that means its events.

    With Kafka away, it returns once Kafka is back.
    """
    shard = holding.shard
    partition, folded = shard.partition, shard.position
    bounds, is_known = await _looked_at(settings, consumer, holding)
    if not is_known:
        # What states have folded already they know by its id, should it come again.
        shard.position, holding.landmark = NOTHING_FOLDED, None
        _log.error(
            "events aren't those that were folded: their topic was made anew, or brokers have lost its end; "
            "they are folded from their start",
            partition=partition,
            folded=folded,
        )
    position = shard.position
    _log.info("restored", partition=partition, streams=len(shard.streams), position=position, end=bounds.end)
    expired = bounds.start - (position + 1)
    if expired > 0 and position != NOTHING_FOLDED:
        _log.error("events expired before they were folded", partition=partition, events=expired)
    return bounds.end


async def _looked_at(settings: Settings, consumer: EventConsumer, holding: Holding) -> tuple[Bounds, bool]:
    """Return what there is of a partition, and whether it is what was folded, as far as one can tell."""
    partition, position, landmark = holding.shard.partition, holding.shard.position, holding.landmark
    telling = Seldom(REPEAT_SECONDS)
    while True:
        try:
            bounds = await consumer.bounds(partition)
            is_known = position < bounds.end and (
                landmark is None or await kafka_landmark.is_there(settings, partition, landmark)
            )
        except LogUnavailableError as error:
            if telling.is_due():
                _log.warning("can't tell where events begin and end", partition=partition, error=str(error))
            await asyncio.sleep(RETRY_SECONDS)
        else:
            return bounds, is_known
