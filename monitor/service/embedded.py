"""The service on the embedded log: everything in one process."""

import contextlib
import random
from collections.abc import AsyncIterator

from monitor.config import Role, Settings, build_clock
from monitor.log.lock import hold
from monitor.log.sqlite import SqliteLog
from monitor.log.sqlite_checkpoints import SqliteCheckpoints
from monitor.metrics.exposition import Exposition
from monitor.reconcile import Surroundings, run_reconcile
from monitor.service.parts import build_metrics, build_receiver, listen_to_signals, serving, until_signalled
from monitor.web.app import Pages, build
from monitor.worker.checkpoint import Checkpointer
from monitor.worker.fleet import Fleet
from monitor.worker.loop import Worker
from monitor.worker.shard import Shard


async def serve_all(settings: Settings) -> None:
    """Run the service until a signal."""
    signalled = listen_to_signals()
    clock = build_clock(settings)
    metrics = build_metrics(settings, Role.ALL)
    async with _open_log(settings) as (log, checkpoints):
        shard = Shard(settings.health, {one.name: one.max_streams for one in settings.sources})
        fleet = Fleet(clock)
        worker = Worker(settings, log, Checkpointer(checkpoints, shard), shard, fleet, metrics)
        receiver = build_receiver(settings, log, metrics, clock)
        with contextlib.closing(Exposition(metrics, fleet, settings.health)) as exposition:
            operators = build(settings, log, exposition, [fleet], Pages(fleet, log))
            async with (
                serving(settings, operators, receiver, metrics),
                run_reconcile(settings, Surroundings(fleet, log, metrics, clock, random.Random())),
            ):
                await until_signalled(signalled, worker.run())


@contextlib.asynccontextmanager
async def _open_log(settings: Settings) -> AsyncIterator[tuple[SqliteLog, SqliteCheckpoints]]:
    with hold(settings.log.path):
        log = await SqliteLog.open(settings.log.path)
        try:
            checkpoints = await SqliteCheckpoints.open(settings.log.path, log)
            try:
                yield log, checkpoints
            finally:
                await checkpoints.close()
        finally:
            await log.close()
