"""The service on Kafka: any number of processes, each of which receives, folds or shows, or all of it."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from functools import partial
from typing import Any

import structlog

from monitor.clock import Seldom
from monitor.config import Role, Settings, build_clock
from monitor.errors import LogUnavailableError
from monitor.log import kafka_topics
from monitor.log.kafka import KafkaLog
from monitor.log.kafka_client import REPEAT_SECONDS, RETRY_SECONDS
from monitor.log.kafka_history import KafkaHistory
from monitor.log.kafka_records import place
from monitor.metrics.exposition import Exposition
from monitor.metrics.service import ServiceMetrics
from monitor.reconcile import Surroundings, run_reconcile
from monitor.service.parts import build_metrics, build_receiver, listen_to_signals, serving, until_signalled
from monitor.web.app import Pages, build
from monitor.worker.fleet import Fleet
from monitor.worker.following import Follower
from monitor.worker.partitions import PartitionWorker

SPOOL_SECONDS = 1.0
"""How often the spool's gauges are set."""

Work = Callable[[], Coroutine[Any, Any, None]]
"""What a process does until a signal. It begins only once everything that can be refused was had."""

_log = structlog.get_logger(__name__)


async def serve_role(settings: Settings, role: Role) -> None:
    """Run one role of the service, or all, until a signal."""
    signalled = listen_to_signals()
    clock = build_clock(settings)
    metrics = build_metrics(settings, role)
    # A fleet that nobody fills recovers for ever: a process without partitions makes no claims.
    folded, followed = Fleet(clock), Fleet(clock)
    async with _open_log(settings) as log:
        work: list[Work] = [partial(_show_spool, log, metrics)]
        needed, pages, receiver = [], None, None
        if role in (Role.ALL, Role.WORKER):
            needed.append(folded)
            worker = PartitionWorker(settings, log, folded, metrics)
            work.append(partial(_on_topics, settings, worker.run))
        if role in (Role.ALL, Role.WEB):
            needed.append(followed)
            pages = Pages(followed, KafkaHistory(settings.kafka))
            shown = metrics if role is Role.WEB else None
            work.append(partial(_on_topics, settings, Follower(settings, followed, shown).run))
        if role in (Role.ALL, Role.RECEIVER):
            receiver = build_receiver(settings, log, metrics, clock)
        async with contextlib.AsyncExitStack() as stack:
            exposition = stack.enter_context(contextlib.closing(Exposition(metrics, folded, settings.health)))
            operators = build(settings, log, exposition, needed, pages)
            await stack.enter_async_context(serving(settings, operators, receiver, metrics))
            if role in (Role.ALL, Role.WORKER):
                owns = partial(_owns_list, settings, folded)
                around = Surroundings(folded, log, metrics, clock, random.Random(), owns)
                await stack.enter_async_context(run_reconcile(settings, around))
            await until_signalled(signalled, *(begin() for begin in work))


def _owns_list(settings: Settings, folded: Fleet, source: str) -> bool:
    """Whether this process has the partition that stands for a source: its owner lists the jobs."""
    return folded.has(place(source, "", settings.kafka.partitions).partition)


async def _on_topics(settings: Settings, work: Work) -> None:
    """Do work once the topics are there and as they have to be; a client by itself makes none."""
    telling = Seldom(REPEAT_SECONDS)
    while True:
        try:
            await kafka_topics.ensure(settings)
            break
        except LogUnavailableError as error:
            if telling.is_due():
                _log.error("Kafka is not available", error=str(error), retry_in_seconds=RETRY_SECONDS)
            await asyncio.sleep(RETRY_SECONDS)
    await work()


async def _show_spool(log: KafkaLog, metrics: ServiceMetrics) -> None:
    while True:
        state = log.spool
        metrics.spool_events.set(state.events)
        metrics.spool_bytes.set(state.bytes)
        metrics.spool_capacity_bytes.set(state.capacity_bytes)
        metrics.spool_oldest.set(state.oldest)
        await asyncio.sleep(SPOOL_SECONDS)


@contextlib.asynccontextmanager
async def _open_log(settings: Settings) -> AsyncIterator[KafkaLog]:
    log = await KafkaLog.open(settings)
    try:
        yield log
    finally:
        await log.close()
