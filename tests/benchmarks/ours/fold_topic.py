"""Folds a topic from its start with the service's worker: group, checkpoints in transactions, metrics.

python -m tests.benchmarks.ours.fold_topic fill BROKERS PARTITIONS EVENTS STREAMS   prints the prefix
python -m tests.benchmarks.ours.fold_topic run BROKERS PARTITIONS EVENTS PREFIX     how long it takes
"""

import json
import sys

import uvloop

from monitor.log.kafka import KafkaLog
from tests.benchmarks.ours.fill_log import fill
from tests.benchmarks.ours.on_kafka import new_prefix, settings_for, timed
from tests.benchmarks.ours.service import counted, prepare_process


async def fill_topic(brokers: str, partitions: int, events: int, streams: int) -> dict[str, object]:
    """Write the benchmark's callbacks as the receiver does."""
    prefix = new_prefix()
    log = await KafkaLog.open(settings_for(brokers, prefix, partitions))
    await fill(log, events, streams)
    await log.close()
    return {"prefix": prefix, "events": events, "spooled": log.spool.events}


async def run(brokers: str, partitions: int, events: int, prefix: str) -> dict[str, float]:
    """Run a worker until it has folded all there is; a topic can be folded once, then it has checkpoints."""
    return await timed(
        settings_for(brokers, prefix, partitions), lambda _, counters: counted(counters) >= events
    )


if __name__ == "__main__":
    prepare_process()
    what, brokers, partitions, number, rest = sys.argv[1:]
    work = (
        fill_topic(brokers, int(partitions), int(number), int(rest))
        if what == "fill"
        else run(brokers, int(partitions), int(number), rest)
    )
    print(json.dumps(uvloop.run(work)))
