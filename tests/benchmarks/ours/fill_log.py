"""Fills an embedded log with the benchmark's callbacks.

python -m tests.benchmarks.ours.fill_log LOG EVENTS STREAMS
"""

import asyncio
import json
import sys
import time
from itertools import islice
from pathlib import Path

from monitor.event import Channel, Event
from monitor.log.protocol import EventLog
from monitor.log.sqlite import SqliteLog
from tests.benchmarks.ours.service import SOURCE
from tests.benchmarks.workload import SECONDS_A_STEP, callbacks

ROWS = 2000
"""Events appended together."""


async def fill(log: EventLog, events: int, streams: int) -> None:
    """Append callbacks, the last of which has just come, as far as a worker can tell."""
    first = time.time() - (events / streams + 1) * SECONDS_A_STEP
    told = callbacks(events, streams)
    while part := list(islice(told, ROWS)):
        await log.append(
            [
                Event(
                    log.next_id(),
                    SOURCE.vendor,
                    SOURCE.name,
                    callback.job_id,
                    Channel.CALLBACK,
                    callback.type,
                    first + callback.at,
                    int(first + callback.at),
                    callback.body,
                )
                for callback in part
            ]
        )


async def main(path: Path, events: int, streams: int) -> None:
    log = await SqliteLog.open(path)
    await fill(log, events, streams)
    print(json.dumps({"events": await log.head()}))
    await log.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
