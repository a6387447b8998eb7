"""What the programs on Kafka have in common: settings with topics of their own, and a timed worker."""

import asyncio
import contextlib
import resource
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp

from monitor.clock import SystemClock, stopwatch
from monitor.config import KafkaSettings, LogSettings, Settings
from monitor.log.kafka import KafkaLog
from monitor.metrics.service import ServiceMetrics
from monitor.worker.fleet import Fleet
from monitor.worker.partitions import PartitionWorker
from tests.benchmarks.ours.probe import probing
from tests.benchmarks.ours.service import SOURCE, counted, metrics


def new_prefix() -> str:
    """Return a prefix of topics that nothing else has."""
    return f"{uuid.uuid4().hex[:12]}."


def settings_for(brokers: str, prefix: str, partitions: int) -> Settings:
    """Return the settings of a service on one broker."""
    kafka = KafkaSettings(
        bootstrap_servers=brokers,
        topic_prefix=prefix,
        group_id=prefix,
        partitions=partitions,
        replication_factor=1,
    )
    path = Path(mkdtemp()) / "spool.db"
    return Settings(kafka=kafka, log=LogSettings(backend="kafka", path=path), sources=(SOURCE,))


async def timed(settings: Settings, is_done: Callable[[Fleet, ServiceMetrics], bool]) -> dict[str, float]:
    """Run a worker until something holds.

    Returns:
        streams: that it shows then. counted: events folded. seconds: until then; of them `joining` until
        the first event was folded. loop_seconds, processor_seconds: that the event loop's thread, and all
        threads, took of a processor until then. hold: seconds that the event loop let nobody else run, at
        worst. peak: bytes that the process grew by.
    """
    log = await KafkaLog.open(settings)
    fleet, counters = Fleet(SystemClock()), metrics()
    worker = PartitionWorker(settings, log, fleet, counters)
    before = _peak_bytes()
    async with probing() as probe:
        began, loop, processor = stopwatch(), time.thread_time(), time.process_time()
        joining = None
        working = asyncio.create_task(worker.run())
        while not is_done(fleet, counters) and not working.done():
            await asyncio.wait({working}, timeout=0.01)
            if joining is None and counted(counters):
                joining = stopwatch() - began
        seconds = stopwatch() - began
        loop, processor = time.thread_time() - loop, time.process_time() - processor
    found = {
        "streams": len(fleet.streams),
        "counted": counted(counters),
        "seconds": seconds,
        "joining": joining or 0.0,
        "loop_seconds": loop,
        "processor_seconds": processor,
        "hold": probe.longest,
        "peak": _peak_bytes() - before,
    }
    working.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await working
    await log.close()
    return found


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
