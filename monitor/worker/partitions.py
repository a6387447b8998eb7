"""Folds the partitions of a Kafka group that are this process's, and hands them over cleanly.

Of each partition that comes: first its checkpoints are taken over, which fences whoever had them; then
they are restored; then its events are folded up to where they ended; then the group must have confirmed
that this process is its member; only then its streams are shown. When partitions go, their streams are
gone at once. What was held stays in memory until the group has decided: a partition that comes back
goes on from there, if a checkpoint can still be written, which tells that nobody else had it.
"""

import asyncio
import contextlib
from collections.abc import Mapping

import structlog

from monitor.clock import Seldom, stopwatch
from monitor.config import Settings
from monitor.errors import LogUnavailableError
from monitor.log import kafka_topics
from monitor.log.kafka_client import REPEAT_SECONDS, RETRY_SECONDS
from monitor.log.kafka_consumer import EventConsumer, Read
from monitor.log.kafka_landmark import Landmark
from monitor.log.protocol import EventLog
from monitor.log.uncancelled import uncancelled
from monitor.metrics.service import ServiceMetrics
from monitor.worker.fleet import Fleet
from monitor.worker.folding import BATCH, TICK_SECONDS, Folder, StalledError, let_pass
from monitor.worker.holding import Holding
from monitor.worker.holdings import Holdings
from monitor.worker.resuming import resume
from monitor.worker.shard import retire_replaced
from monitor.worker.sources import tell_unheard
from monitor.worker.watching import show_lag, watch

READ_SECONDS = 0.2
"""How long to wait for events before looking after what is due."""

LINGER_SECONDS = 0.01
"""A short wait for more events to fold together, where few have come."""

LOOK_SECONDS = 0.05
"""How often to look after what is due."""

HEARD_SECONDS = 1.5
"""A partition whose broker says nothing for so long stands still: what is received now is in spools."""

DRAINED_SECONDS = 20.0
"""How long what was received may stay in a receiver's spool: acknowledgements stop for nine seconds when a
follower dies, though the leader goes on being read, and then the spool has to drain. What only time brings
about waits that long, after a partition that stood still too: a callback that came in time isn't missed."""

PROOFS = 10
"""How often in a session time-out the group is asked whether this process is still its member."""

GIVEN_UP = 3
"""So many session time-outs without the group's word, and the client is made anew."""

_log = structlog.get_logger(__name__)


class PartitionWorker:
    """Keeps a fleet true to those partitions that the group gives this process.

    Args:
        settings: of the service.
        log: where dead letters go.
        fleet: the shards that are true, and for how long they are this process's.
        metrics: where all of it is counted; they tell from now on that it recovers.
    """

    def __init__(self, settings: Settings, log: EventLog, fleet: Fleet, metrics: ServiceMetrics) -> None:
        self._settings = settings
        self._session = settings.kafka.session_timeout_seconds
        self._fleet = fleet
        self._clock = fleet.clock
        self._metrics = metrics
        self._folder = Folder(settings, log, metrics, fleet.clock)
        self._holdings = Holdings(settings)
        self._tasks: asyncio.TaskGroup | None = None
        self._consumer: EventConsumer | None = None
        # Which partitions are assigned; None until the group has said so.
        self._assigned: frozenset[int] | None = None
        # Rises whenever partitions come or go: what was read before belongs to nobody here any more.
        self._generation = 0
        self._opening: dict[int, asyncio.Task[None]] = {}
        self._is_ready = asyncio.Event()
        self._proven = 0.0
        # Whether Kafka couldn't be reached since partitions last came, and from when on (of `stopwatch`) what
        # receivers have spooled meanwhile has had its time to drain.
        self._was_away, self._calm_from = False, 0.0
        self._next_look = 0.0
        self._next_tick = 0.0
        self._telling_of_letters, self._telling_of_topics = Seldom(REPEAT_SECONDS), Seldom(REPEAT_SECONDS)
        # Before it runs: with Kafka away it doesn't for long, and what is not shown yet would look ended.
        self._show_recovery()

    async def run(self) -> None:
        """Fold until cancelled; what was folded is kept at the end.

        Raises:
            ConfigurationError: a kept state can't be read.
        """
        self._metrics.consumer_stalled.set(0)
        telling = Seldom(REPEAT_SECONDS)
        try:
            while True:
                try:
                    await self._be_a_member()
                except LogUnavailableError as error:
                    self._was_away = True
                    if telling.is_due():
                        _log.error("left the group", error=str(error), retry_in_seconds=RETRY_SECONDS)
                await asyncio.sleep(RETRY_SECONDS)
        finally:
            await self._holdings.close()

    def revoked(self) -> None:
        """Show no stream any more; keep what was folded until it is known who goes on."""
        self._generation += 1
        self._assigned = None
        for task in self._opening.values():
            task.cancel()
        self._opening.clear()
        for partition in self._holdings.release():
            self._fleet.leave(partition)
        self._metrics.log_lag.clear()
        self._show_recovery()

    def assigned(self, partitions: frozenset[int]) -> None:
        """Begin to open what has come; let go of what belongs to others now."""
        if self._tasks is None:
            # It leaves the group already, and is about to keep what it held.
            return
        self._generation += 1
        self._assigned = partitions
        self._proven = stopwatch()
        if self._was_away:
            self._calm_from, self._was_away = stopwatch() + DRAINED_SECONDS, False
        _log.info("assigned", partitions=sorted(partitions))
        self._holdings.forget(all_but=partitions)
        known = frozenset(range(self._settings.kafka.partitions))
        if strangers := sorted(partitions - known):
            # Nothing is kept of them: a restore would wait for ever, and others behind it.
            _log.error("partitions beyond kafka.partitions are not read", partitions=strangers)
        for partition in partitions & known:
            self._opening[partition] = self._tasks.create_task(uncancelled(self._open(partition)))
        self._show_recovery()

    async def _be_a_member(self) -> None:
        """Join the group and fold, until that fails."""
        consumer = self._consumer = EventConsumer(self._settings, self)
        self._proven = stopwatch()
        try:
            async with asyncio.TaskGroup() as self._tasks:
                try:
                    self._tasks.create_task(uncancelled(self._prove_membership(consumer)))
                    watching = watch(consumer, self._holdings, self._metrics, self._settings.kafka)
                    self._tasks.create_task(uncancelled(watching))
                    await consumer.start()
                    await uncancelled(self._follow(consumer))
                finally:
                    # It is a member until its consumer is closed; what comes until then it lets be.
                    self._tasks = None
        except ExceptionGroup as group:
            raise _worst(group) from group
        except asyncio.CancelledError:
            # The process ends: what was folded is kept before anybody else begins to restore it.
            self.revoked()
            await self._holdings.save_kept()
            raise
        finally:
            self.revoked()
            await consumer.close()

    async def _follow(self, consumer: EventConsumer) -> None:
        """Read and fold."""
        while True:
            reads = await consumer.read(BATCH, READ_SECONDS)
            generation, held = self._generation, dict(self._holdings.held)
            for read in reads:
                # Partitions may go and come back between two folds; they are then read again from
                # where they were, and what is still here must not be folded before that.
                if generation == self._generation and self._holds(read.partition, held.get(read.partition)):
                    await self._fold(consumer, read)
                    await asyncio.sleep(0)
            await self._look_after(consumer)
            if sum(len(read.events) for read in reads) < BATCH:
                await asyncio.sleep(LINGER_SECONDS)

    async def _fold(self, consumer: EventConsumer, read: Read) -> None:
        holding = self._holdings.held.get(read.partition)
        if holding is None or self._holdings.stopped:
            return
        shard = holding.shard
        try:
            await self._folder.fold(shard, read.events)
        except StalledError as error:
            _log.error("stalled", problem=str(error), partition=read.partition, position=shard.position)
            self._holdings.stopped = True
            self._metrics.consumer_stalled.set(1)
            # What was read and isn't folded waits still: it makes no shard true, and is told as lag.
            held = self._holdings.held.items()
            consumer.stop_at({number: one.shard.position for number, one in held})
            return
        except LogUnavailableError as error:
            if self._telling_of_letters.is_due():
                _log.error("dead letters can't be kept", error=str(error), retry_in_seconds=RETRY_SECONDS)
            generation = self._generation
            await asyncio.sleep(RETRY_SECONDS)
            if generation == self._generation and self._holds(read.partition, holding):
                consumer.follow(read.partition, shard.position)
            return
        shard.position = read.next - 1
        if read.events:
            holding.landmark = Landmark.of(read.events[-1])
        end = consumer.known_end(read.partition)
        waits = end is not None and end > read.next
        holding.oldest = read.events[-1].event.received if waits and read.events else None

    def _holds(self, partition: int, holding: Holding | None) -> bool:
        """Whether a partition is held still, and hasn't been lost and restored meanwhile."""
        return holding is not None and self._holdings.held.get(partition) is holding

    async def _look_after(self, consumer: EventConsumer) -> None:
        """Do what is due: shards that are true by now, checkpoints, what only time brings about."""
        if stopwatch() < self._next_look:
            return
        caught_up = []
        for partition, holding in list(self._holdings.held.items()):
            position = await consumer.position(partition)
            if position is None:
                continue
            if holding.goal is not None:
                # Also where nothing came: what has expired, or was never committed, waits no more.
                holding.shard.position = position - 1
                if not holding.ready and position >= holding.goal:
                    await self._make_ready(holding)
            end = consumer.known_end(partition)
            if end is not None and not self._holdings.stopped:
                show_lag(self._metrics, {partition: position}, {partition: end})
                if consumer.silence(partition) > HEARD_SECONDS:
                    holding.calm_from = stopwatch() + DRAINED_SECONDS
                if position >= end and self._fleet.has(partition) and stopwatch() >= holding.calm_from:
                    caught_up.append(holding)
            if (holding.saving is None or holding.saving.done()) and holding.checkpointer.is_due():
                holding.saving = asyncio.create_task(self._save(partition, holding))
        self._show_progress()
        if stopwatch() >= self._next_tick:
            await self._tick(caught_up)
        self._next_look = stopwatch() + LOOK_SECONDS

    async def _make_ready(self, holding: Holding) -> None:
        """Call a holding true, once it has also what time had brought about when it came.

        Whoever had it before may have shown that already, and not have kept it.
        """
        generation = self._generation
        if stopwatch() >= holding.calm_from:
            await let_pass(holding.shard, holding.came_at - DRAINED_SECONDS)
        if generation == self._generation:
            holding.ready = True
            self._is_ready.set()

    async def _tick(self, caught_up: list[Holding]) -> None:
        now = self._clock.now()
        shards = [holding.shard for holding in caught_up]
        for shard in shards:
            await let_pass(shard, now - DRAINED_SECONDS)
        retire_replaced(shards, now)
        self._next_tick = stopwatch() + TICK_SECONDS

    async def _prove_membership(self, consumer: EventConsumer) -> None:
        """Ask the group again and again, and show streams for one session time-out from each asking.

        Raises:
            LogUnavailableError: the group has said nothing for long.
        """
        telling = Seldom(REPEAT_SECONDS)
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._session / PROOFS):
                    await self._is_ready.wait()
            self._is_ready.clear()
            generation = self._generation
            held = dict(self._holdings.held)
            true = {partition: holding for partition, holding in held.items() if holding.ready}
            if held:
                try:
                    sent = await consumer.prove_membership(
                        {partition: holding.checkpointer.position for partition, holding in held.items()}
                    )
                except LogUnavailableError as error:
                    if telling.is_due():
                        _log.warning("the group doesn't confirm", error=str(error))
                else:
                    if generation == self._generation:
                        self._proven = sent
                        self._fleet.expires = sent + self._session
                        self._show(true)
            elif self._assigned is not None:
                # Nothing here could be somebody else's.
                self._proven = stopwatch()
            if stopwatch() - self._proven > GIVEN_UP * self._session:
                raise LogUnavailableError(
                    f"the group {self._settings.kafka.group_id} has confirmed nothing for "
                    f"{GIVEN_UP * self._session:g} s"
                )

    def _show(self, true: Mapping[int, Holding]) -> None:
        for partition, holding in true.items():
            # One that was lost meanwhile and opened again is another holding, which isn't true yet.
            if self._holds(partition, holding) and not self._fleet.has(partition):
                self._fleet.join(holding.shard)
                _log.info("recovered", partition=partition, streams=len(holding.shard.streams))
                tell_unheard(self._settings.sources, holding.shard.live)
        self._show_recovery()

    async def _open(self, partition: int) -> None:
        """Take a partition over, restore it, and begin to read it."""
        consumer = self._consumer
        assert consumer is not None
        holding = await self._holdings.take_over(partition)
        holding.came_at = self._clock.now()
        holding.calm_from = max(holding.calm_from, self._calm_from)
        end = await resume(self._settings, consumer, holding)
        if not self._holdings.stopped:
            holding.goal = end
            consumer.follow(partition, holding.shard.position)

    async def _save(self, partition: int, holding: Holding) -> bool:
        saved = await holding.save()
        if saved:
            holding.saved = self._clock.now()
        else:
            self._lose(partition, holding)
        return saved

    def _lose(self, partition: int, holding: Holding) -> None:
        """Give up what can't be kept any more; open the partition anew if it is still this process's."""
        if not self._holdings.lose(partition, holding):
            return
        self._fleet.leave(partition)
        self._show_recovery()
        if self._consumer is not None and self._tasks is not None:
            self._consumer.pause([partition])
            self._opening[partition].cancel()
            self._opening[partition] = self._tasks.create_task(
                uncancelled(self._open_again(partition, holding.checkpointer.position))
            )

    async def _open_again(self, partition: int, position: int) -> None:
        """Open a partition that was lost, once the group has confirmed that it still is this process's."""
        assert self._consumer is not None
        while True:
            try:
                await self._consumer.prove_membership({partition: position})
                await self._look_at_topics()
                break
            except LogUnavailableError:
                await asyncio.sleep(RETRY_SECONDS)
        await self._open(partition)

    async def _look_at_topics(self) -> None:
        """Say which topic somebody has made or changed in another way: the next start would refuse it."""
        if self._telling_of_topics.is_due():
            for problem in await kafka_topics.problems(self._settings):
                _log.error("a topic isn't as it has to be", problem=problem)

    def _show_recovery(self) -> None:
        fleet, assigned = self._fleet, self._assigned
        fleet.recovering = assigned is None or not all(map(fleet.has, assigned))
        self._metrics.recovering.set(fleet.recovering)

    def _show_progress(self) -> None:
        self._metrics.log_oldest_unfolded.set(self._holdings.oldest)
        self._metrics.checkpoint_timestamp.set(self._holdings.saved)


def _worst(group: ExceptionGroup[Exception]) -> Exception:
    """Return the failure that must end the process, if one is among them."""
    failures = [failure for failure in group.exceptions if not isinstance(failure, LogUnavailableError)]
    return (failures or list(group.exceptions))[0]
