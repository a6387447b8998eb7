"""Folds a log from its start with the service's worker, its checkpoints and its metrics.

python -m tests.benchmarks.ours.fold_log LOG            how long the worker takes
python -m tests.benchmarks.ours.fold_log LOG --steps    where its time goes
"""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import NamedTuple, TypeVar

import uvloop

from monitor.clock import SystemClock, stopwatch
from monitor.config import LogSettings, Settings
from monitor.event import Stored
from monitor.log.sqlite import SqliteLog
from monitor.log.sqlite_checkpoints import SqliteCheckpoints
from monitor.metrics.service import ServiceMetrics
from monitor.vendors import registry
from monitor.worker.checkpoint import Checkpointer
from monitor.worker.fleet import Fleet
from monitor.worker.folding import BATCH
from monitor.worker.loop import Worker
from monitor.worker.shard import Shard
from tests.benchmarks.ours.probe import probing
from tests.benchmarks.ours.service import SOURCE, metrics, prepare_process

T = TypeVar("T")


class Timer:
    """Adds up what steps take."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    async def of(self, step: str, work: Awaitable[T]) -> T:
        """Wait for work, and book its time."""
        began = stopwatch()
        result = await work
        self.book(step, began)
        return result

    def book(self, step: str, began: float) -> None:
        """Book the time since `began`."""
        self.seconds[step] = self.seconds.get(step, 0.0) + stopwatch() - began


class TimedCheckpointer(Checkpointer):
    """A checkpointer whose saves are booked."""

    timer: Timer

    async def save(self, *, even_unchanged: bool = False) -> None:
        await self.timer.of("checkpoint", super().save(even_unchanged=even_unchanged))


class Parts(NamedTuple):
    """What folds, with nothing folded yet."""

    settings: Settings
    log: SqliteLog
    checkpointer: TimedCheckpointer
    shard: Shard
    clock: SystemClock
    metrics: ServiceMetrics
    timer: Timer


@contextlib.asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Parts]:
    """Open a log that nobody has folded yet."""
    # The worker starts from the log's first event: no state of an earlier turn may be left.
    for state in path.parent.glob(f"{path.name}-state*"):
        state.unlink()
    settings = Settings(log=LogSettings(path=path), sources=(SOURCE,))
    log = await SqliteLog.open(path)
    checkpoints = await SqliteCheckpoints.open(path, log)
    shard = Shard(settings.health, {SOURCE.name: SOURCE.max_streams})
    checkpointer = TimedCheckpointer(checkpoints, shard)
    checkpointer.timer = Timer()
    try:
        yield Parts(settings, log, checkpointer, shard, SystemClock(), metrics(), checkpointer.timer)
    finally:
        await checkpoints.close()
        await log.close()


async def measure(path: Path) -> dict[str, float]:
    """Run the worker until it has folded all there is."""
    async with opened(path) as parts:
        head = await parts.log.head()
        worker = Worker(
            parts.settings, parts.log, parts.checkpointer, parts.shard, Fleet(parts.clock), parts.metrics
        )
        async with probing() as probe:
            began = stopwatch()
            running = asyncio.create_task(worker.run())
            while parts.shard.position < head and not running.done():
                await asyncio.wait({running}, timeout=0.005)
            seconds = stopwatch() - began
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        saved = stopwatch() - began
        counted = sum(
            sample.value
            for family in parts.metrics.events.collect()
            for sample in family.samples
            if sample.name == "monitor_events_total"
        )
        return {
            "events": head,
            "counted": counted,
            "streams": len(parts.shard.streams),
            "seconds": seconds,
            "seconds_until_saved": saved,
            "hold": probe.longest,
            "checkpoint_seconds": parts.timer.seconds["checkpoint"],
        }


async def take_steps(path: Path) -> dict[str, float]:
    """Read, decode and fold apart, a batch at a time as the worker does; return µs an event of each."""
    async with opened(path) as parts:
        head, timer = await parts.log.head(), parts.timer
        while parts.shard.position < head:
            batch = await timer.of("read", parts.log.read(parts.shard.position, BATCH))
            await timer.of("head", parts.log.head())
            began = stopwatch()
            decoded = [registry.decode(stored.event, SOURCE) for stored in batch]
            timer.book("decode", began)
            began = stopwatch()
            for stored, said in zip(batch, decoded, strict=True):
                parts.shard.fold(stored, said)
            timer.book("fold", began)
            if parts.checkpointer.is_due():
                await parts.checkpointer.save()
            began = stopwatch()
            _observe(parts, batch)
            timer.book("delay histogram", began)
        return {step: seconds / head * 1e6 for step, seconds in timer.seconds.items()}


def _observe(parts: Parts, batch: list[Stored]) -> None:
    now = parts.clock.now()
    parts.metrics.event_delay.observe_many([max(0.0, now - stored.event.received) for stored in batch])


if __name__ == "__main__":
    prepare_process()
    run = take_steps if "--steps" in sys.argv else measure
    print(json.dumps(uvloop.run(run(Path(sys.argv[1])))))
