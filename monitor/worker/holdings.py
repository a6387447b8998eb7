"""The partitions that a process holds, and those that it may get back."""

import asyncio
import contextlib
from collections.abc import Collection

import structlog

from monitor.clock import Seldom
from monitor.config import Settings
from monitor.errors import LogUnavailableError
from monitor.log.kafka_client import REPEAT_SECONDS, RETRY_SECONDS
from monitor.worker.holding import Holding

RESTORED_AT_ONCE = 2
"""A restore takes memory for all texts of its partition, beside the states."""

END_SECONDS = 5.0
"""How long the last checkpoints may take when the process ends."""

_log = structlog.get_logger(__name__)


class Holdings:
    """Takes partitions over, and keeps what was held until the group has decided who goes on.

    Args:
        settings: of the service.

    Attributes:
        held: what is this process's now, by partition.
        stopped: whether none of it is folded any more, since most of it couldn't be decoded.
    """

    def __init__(self, settings: Settings) -> None:
        self.held: dict[int, Holding] = {}
        self.stopped = False
        self._settings = settings
        self._kept: dict[int, Holding] = {}
        self._restoring = asyncio.Semaphore(RESTORED_AT_ONCE)
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def oldest(self) -> float | None:
        """The least of what is held; None if nothing waits in any."""
        return min((one.oldest for one in self.held.values() if one.oldest is not None), default=None)

    @property
    def saved(self) -> float | None:
        """The least of what is held; None if nothing was kept yet."""
        return min((one.saved for one in self.held.values() if one.saved is not None), default=None)

    async def take_over(self, partition: int) -> Holding:
        """Hold a partition, restored if somebody else may have had it; with Kafka away, once it is back.

        Raises:
            ConfigurationError: a kept state can't be read.
        """
        telling = Seldom(REPEAT_SECONDS)
        while True:
            try:
                holding = await self._go_on_with(partition)
                if holding is None:
                    # For one attempt: a partition that can't be restored keeps no other one waiting.
                    async with self._restoring:
                        holding = await Holding.open(self._settings, partition)
            except LogUnavailableError as error:
                if telling.is_due():
                    _log.warning("can't restore", partition=partition, error=str(error))
                await asyncio.sleep(RETRY_SECONDS)
            else:
                # From here on it is kept, should the partition go again before it is true.
                self.held[partition] = holding
                return holding

    def release(self) -> list[int]:
        """Hold nothing any more, but keep it; return which partitions were held."""
        released = list(self.held)
        self._kept |= self.held
        self.held.clear()
        return released

    def forget(self, *, all_but: Collection[int]) -> None:
        """Let go of what is kept of other partitions than these: it belongs to others now."""
        for partition in self._kept.keys() - all_but:
            self._close_later(self._kept.pop(partition))

    def lose(self, partition: int, holding: Holding) -> bool:
        """Let go of what can't be kept any more; return whether it was held until now."""
        self._close_later(holding)
        if self._kept.get(partition) is holding:
            del self._kept[partition]
        if self.held.get(partition) is not holding:
            return False
        del self.held[partition]
        return True

    async def save_kept(self) -> None:
        """Write last checkpoints of what is kept, as far as there is time."""
        kept = list(self._kept.values())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_SECONDS):
                await asyncio.gather(*(holding.confirm() for holding in kept))

    async def close(self) -> None:
        """Let go of all that is kept."""
        self.forget(all_but=())
        await asyncio.gather(*self._closing, return_exceptions=True)

    async def _go_on_with(self, partition: int) -> Holding | None:
        """Return what this process held of a partition, if nobody else has had it since."""
        holding = self._kept.pop(partition, None)
        if holding is None:
            return None
        is_owner = False
        try:
            is_owner = await holding.confirm()
        finally:
            if not is_owner:
                self._close_later(holding)
        return holding if is_owner else None

    def _close_later(self, holding: Holding) -> None:
        task = asyncio.create_task(holding.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
