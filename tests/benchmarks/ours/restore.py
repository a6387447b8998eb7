"""Restores the states of many streams from Kafka, as a worker does that gets all partitions at once.

python -m tests.benchmarks.ours.restore fill BROKERS STREAMS    writes states; prints the topics' prefix
python -m tests.benchmarks.ours.restore run BROKERS PREFIX      how long the worker takes, and what it takes
"""

import asyncio
import contextlib
import json
import resource
import sys
import uuid
from pathlib import Path
from tempfile import mkdtemp

import uvloop

from monitor.clock import SystemClock, stopwatch
from monitor.config import HealthSettings, KafkaSettings, LogSettings, Settings
from monitor.health.stream import to_json
from monitor.log import kafka_topics
from monitor.log.kafka import KafkaLog
from monitor.log.kafka_checkpoints import NOTHING_FOLDED, KafkaCheckpoints
from monitor.log.kafka_records import place
from monitor.worker.fleet import Fleet
from monitor.worker.partitions import PartitionWorker
from monitor.worker.shard import Shard
from tests.benchmarks.ours.lives import fold_lives
from tests.benchmarks.ours.probe import probing
from tests.benchmarks.ours.service import SOURCE, log_to_stderr, metrics
from tests.benchmarks.workload import job_id

PARTITIONS = 12

LIVES = 400
"""Streams that are really folded; the others are copies of them under other ids."""


def settings_for(brokers: str, prefix: str) -> Settings:
    kafka = KafkaSettings(
        bootstrap_servers=brokers,
        topic_prefix=prefix,
        group_id=prefix,
        partitions=PARTITIONS,
        replication_factor=1,
    )
    path = Path(mkdtemp()) / "spool.db"
    return Settings(kafka=kafka, log=LogSettings(backend="kafka", path=path), sources=(SOURCE,))


async def fill(brokers: str, streams: int) -> dict[str, object]:
    """Write the states of so many streams."""
    prefix = f"restore-{uuid.uuid4().hex[:8]}."
    settings = settings_for(brokers, prefix)
    await kafka_topics.ensure(settings)
    shard = Shard(HealthSettings(), {SOURCE.name: LIVES})
    for _ in fold_lives(shard, range(LIVES), SystemClock().now()):
        await asyncio.sleep(0)
    texts = [(key.job_id.encode(), to_json(state)) for key, state in shard.streams.items()]
    rows: list[list[tuple[str, str, bytes | None]]] = [[] for _ in range(PARTITIONS)]
    size = 0
    for number in range(streams):
        job = job_id(number)
        template, text = texts[number % LIVES]
        state = text.replace(template, job.encode())
        size += len(state)
        rows[place(SOURCE.name, job, PARTITIONS).partition].append((SOURCE.name, job, state))
    for partition in range(PARTITIONS):
        checkpoints = await KafkaCheckpoints.open(settings, partition)
        for start in range(0, len(rows[partition]), 2000):
            await checkpoints.save(NOTHING_FOLDED, rows[partition][start : start + 2000])
        await checkpoints.close()
    return {"prefix": prefix, "streams": streams, "bytes": size}


async def run(brokers: str, prefix: str) -> dict[str, float]:
    """Run a worker until all of it is restored."""
    settings = settings_for(brokers, prefix)
    log = await KafkaLog.open(settings)
    fleet = Fleet(SystemClock())
    worker = PartitionWorker(settings, log, fleet, metrics())
    before = _peak_bytes()
    async with probing() as probe:
        began = stopwatch()
        working = asyncio.create_task(worker.run())
        # The fleet tells nobody when it has recovered.
        while fleet.recovering and not working.done():
            await asyncio.wait({working}, timeout=0.01)
        seconds = stopwatch() - began
    found = {
        "streams": len(fleet.streams),
        "seconds": seconds,
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


if __name__ == "__main__":
    log_to_stderr()
    what, *arguments = sys.argv[1:]
    work = fill(arguments[0], int(arguments[1])) if what == "fill" else run(arguments[0], arguments[1])
    print(json.dumps(uvloop.run(work)))
