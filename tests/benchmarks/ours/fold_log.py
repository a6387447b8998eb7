"""Folds a log from its start with the service's worker, its checkpoints and its metrics.

python -m tests.benchmarks.ours.fold_log LOG
"""

import asyncio
import contextlib
import json
import sys
import time
from pathlib import Path

import uvloop

from monitor.clock import SystemClock, stopwatch
from monitor.config import LogSettings, Settings
from monitor.log.sqlite import SqliteLog
from monitor.log.sqlite_checkpoints import SqliteCheckpoints
from monitor.worker.checkpoint import Checkpointer
from monitor.worker.fleet import Fleet
from monitor.worker.loop import Worker
from monitor.worker.shard import Shard
from tests.benchmarks.ours.probe import probing
from tests.benchmarks.ours.service import SOURCE, counted, metrics, prepare_process


async def measure(path: Path) -> dict[str, float]:
    """Run the worker until it has folded all there is."""
    # It starts from the log's first event: no state of an earlier turn may be left.
    for state in path.parent.glob(f"{path.name}-state*"):
        state.unlink()
    settings = Settings(log=LogSettings(path=path), sources=(SOURCE,))
    shard = Shard(settings.health, {SOURCE.name: SOURCE.max_streams})
    counters = metrics()
    async with contextlib.AsyncExitStack() as opened:
        log = await SqliteLog.open(path)
        opened.push_async_callback(log.close)
        checkpoints = await SqliteCheckpoints.open(path, log)
        opened.push_async_callback(checkpoints.close)
        head = await log.head()
        worker = Worker(
            settings, log, Checkpointer(checkpoints, shard), shard, Fleet(SystemClock()), counters
        )
        async with probing() as probe:
            began, loop, processor = stopwatch(), time.thread_time(), time.process_time()
            running = asyncio.create_task(worker.run())
            while shard.position < head and not running.done():
                await asyncio.wait({running}, timeout=0.005)
            seconds = stopwatch() - began
            loop, processor = time.thread_time() - loop, time.process_time() - processor
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        return {
            "events": head,
            "counted": counted(counters),
            "streams": len(shard.streams),
            "seconds": seconds,
            "seconds_until_saved": stopwatch() - began,
            "loop_seconds": loop,
            "processor_seconds": processor,
            "hold": probe.longest,
        }


if __name__ == "__main__":
    prepare_process()
    print(json.dumps(uvloop.run(measure(Path(sys.argv[1])))))
