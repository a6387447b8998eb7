"""A partition that is this process's: its shard, and where that is kept."""

import asyncio
from math import ceil, sqrt

import structlog

from monitor.config import Settings, Source
from monitor.errors import LogUnavailableError
from monitor.log import kafka_topics
from monitor.log.kafka_checkpoints import KafkaCheckpoints
from monitor.log.kafka_landmark import Landmark
from monitor.worker.checkpoint import Checkpointer, Remedy
from monitor.worker.shard import Shard

SAVE_SECONDS = 30.0
"""How long a checkpoint may take. If Kafka is away for longer, what it holds is folded again."""

_log = structlog.get_logger(__name__)


class Holding:
    """A shard with its checkpoints; made by `open`.

    Attributes:
        shard: the partition's streams.
        checkpointer: keeps them.
        goal: the end of the partition when it came to this process, from which on the shard is true; None
            until the partition is read.
        came_at: when that was (the clock's time).
        ready: whether it has been folded up to that.
        oldest: when the last event was received that was folded while others waited; None if none did.
        saved: when it was last kept (the clock's time); None if it wasn't yet.
        saving: the checkpoint that is being written.
        calm_from: from when on (of `stopwatch`) no event of the partition is held up in a spool.
    """

    def __init__(self, shard: Shard, checkpoints: KafkaCheckpoints, checkpointer: Checkpointer) -> None:
        self.shard = shard
        self.checkpointer = checkpointer
        self.goal: int | None = None
        self.came_at = 0.0
        self.ready = False
        self.oldest: float | None = None
        self.saved: float | None = None
        self.saving: asyncio.Task[bool] | None = None
        self.calm_from = 0.0
        self._checkpoints = checkpoints

    @classmethod
    async def open(cls, settings: Settings, partition: int) -> "Holding":
        """Take a partition over from whoever had it, then restore what was kept of it.

        Raises:
            ConfigurationError: a state can't be read.
            LogUnavailableError: Kafka can't be reached.
        """
        limits = {source.name: max_streams(source, settings.kafka.partitions) for source in settings.sources}
        shard = Shard(settings.health, limits, partition)
        checkpoints = await KafkaCheckpoints.open(settings, partition)
        topic = kafka_topics.names(settings.kafka).health
        remedy = Remedy(
            "kafka.topic_prefix",
            f"Give its key, the source and the job id with a slash between, a record without a value in "
            f"partition {partition} of the topic {topic}: the stream then begins anew with its next event. "
            "Or stop all workers and delete the topic: they then fold the events again from the start.",
        )
        holding = cls(shard, checkpoints, Checkpointer(checkpoints, shard, remedy))
        try:
            await holding.checkpointer.restore()
        except BaseException:
            await holding.close()
            raise
        return holding

    @property
    def landmark(self) -> Landmark | None:
        """An event that was folded, by which the topic is known again; kept with the checkpoint."""
        return self._checkpoints.landmark

    @landmark.setter
    def landmark(self, landmark: Landmark | None) -> None:
        self._checkpoints.landmark = landmark

    async def save(self, *, even_unchanged: bool = False) -> bool:
        """Keep what changed; after False the holding is of no use any more: somebody else may have it."""
        try:
            async with asyncio.timeout(SAVE_SECONDS):
                await self.checkpointer.save(even_unchanged=even_unchanged)
        except (LogUnavailableError, TimeoutError) as error:
            _log.warning(
                "checkpoint failed",
                partition=self.shard.partition,
                error=str(error) or f"not within {SAVE_SECONDS:g} s",
            )
            return False
        return True

    async def confirm(self) -> bool:
        """Keep everything, and so find out if nobody has taken the partition over: only its owner can."""
        self.ready, self.goal = False, None
        if self.saving is not None:
            await asyncio.wait({self.saving})
            if self.saving.cancelled() or not self.saving.result():
                return False
        return await self.save(even_unchanged=True)

    async def close(self) -> None:
        """Let go; what wasn't kept is lost here, and still in the log."""
        if self.saving is not None:
            self.saving.cancel()
        await self._checkpoints.close()


def max_streams(source: Source, partitions: int) -> int:
    """Return how many streams of a source may live in one partition.

    An equal share, and some more: keys don't spread evenly. That the limit is a partition's makes it the
    same whichever worker has which partitions.
    """
    share = source.max_streams / partitions
    return source.max_streams if partitions == 1 else min(source.max_streams, ceil(share + 4 * sqrt(share)))
