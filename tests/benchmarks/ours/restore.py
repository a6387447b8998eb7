"""Restores the states of many streams from Kafka, as a worker does that gets all partitions at once.

python -m tests.benchmarks.ours.restore fill BROKERS STREAMS    writes states; prints the topics' prefix
python -m tests.benchmarks.ours.restore run BROKERS PREFIX      how long the worker takes, and what it takes
"""

import asyncio
import json
import sys

import uvloop

from monitor.clock import SystemClock
from monitor.config import HealthSettings
from monitor.health.stream import to_json
from monitor.log import kafka_topics
from monitor.log.kafka_checkpoints import NOTHING_FOLDED, KafkaCheckpoints
from monitor.log.kafka_records import place
from monitor.worker.shard import Shard
from tests.benchmarks.ours.lives import fold_lives
from tests.benchmarks.ours.on_kafka import new_prefix, settings_for, timed
from tests.benchmarks.ours.service import SOURCE, prepare_process
from tests.benchmarks.workload import job_id

PARTITIONS = 12

LIVES = 400
"""Streams that are really folded; the others are copies of them under other ids."""


async def fill(brokers: str, streams: int) -> dict[str, object]:
    """Write the states of so many streams."""
    prefix = new_prefix()
    settings = settings_for(brokers, prefix, PARTITIONS)
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
    return await timed(settings_for(brokers, prefix, PARTITIONS), lambda fleet, _: not fleet.recovering)


if __name__ == "__main__":
    prepare_process()
    what, *arguments = sys.argv[1:]
    work = fill(arguments[0], int(arguments[1])) if what == "fill" else run(arguments[0], arguments[1])
    print(json.dumps(uvloop.run(work)))
