"""Watches over a worker's consumer, which can stand still without a word."""

import asyncio
from collections.abc import Mapping

from monitor.clock import stopwatch
from monitor.config import KafkaSettings
from monitor.errors import LogUnavailableError
from monitor.log.kafka_consumer import EventConsumer
from monitor.metrics.service import ServiceMetrics
from monitor.worker.holdings import Holdings
from monitor.worker.watchdog import Watchdog

LOOKS = 5
"""How often to look in the time after which what stands still has stood still for long."""


async def watch(
    consumer: EventConsumer, holdings: Holdings, metrics: ServiceMetrics, kafka: KafkaSettings
) -> None:
    """Compare where the consumer is with where its partitions end; what waits behind a stop is told as lag.

    Raises:
        LogUnavailableError: the consumer stands still.
    """
    watchdog = Watchdog(kafka.stall_seconds)
    while True:
        await asyncio.sleep(kafka.stall_seconds / LOOKS)
        found = {partition: await consumer.position(partition) for partition in list(holdings.held)}
        positions = {partition: position for partition, position in found.items() if position is not None}
        if not positions:
            continue
        try:
            ends = await consumer.ends(positions)
        except LogUnavailableError:
            continue
        if holdings.stopped:
            show_lag(metrics, positions, ends)
            continue
        still = watchdog.look(positions, ends, stopwatch())
        metrics.consumer_stalled.set(bool(still))
        if still:
            raise LogUnavailableError(
                f"partitions {still} have stood still for {kafka.stall_seconds:g} s while events wait in them"
            )


def show_lag(metrics: ServiceMetrics, positions: Mapping[int, int], ends: Mapping[int, int]) -> None:
    """Tell how many events wait in partitions, by where each is read and where it ends."""
    for partition, end in ends.items():
        metrics.log_lag.labels(str(partition)).set(max(0, end - positions[partition]))
