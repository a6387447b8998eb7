"""Writes changed states and the position, together, at most about a second behind."""

import asyncio
from itertools import islice
from typing import NamedTuple

import structlog
from pydantic import ValidationError

from monitor.clock import stopwatch
from monitor.errors import ConfigurationError
from monitor.health import script
from monitor.health.stream import StreamKey, StreamState, from_json, to_json
from monitor.log.protocol import MOST_STATE_BYTES, Checkpoints
from monitor.worker.shard import Shard

SLICE = 25
"""States read or written before the event loop has its turn: about a millisecond of work. No more, because
the checkpoints of a dozen partitions do theirs in the same turn."""

INTERVAL_SECONDS = 1.0

SHARE = 20
"""A checkpoint that took long is followed by this many times as much folding."""

_log = structlog.get_logger(__name__)


class Remedy(NamedTuple):
    """What to do if a kept state can't be read. key: of the configuration, that says where it is."""

    key: str
    text: str


EMBEDDED = Remedy(
    "log.path",
    "Move the file with the ending -state away: the service then folds its log again from the start.",
)


class Checkpointer:
    """Restores a shard at the start and keeps its checkpoint fresh.

    Args:
        checkpoints: where its states are kept.
        shard: the states.
        remedy: what an operator can do if they can't be read.
    """

    def __init__(self, checkpoints: Checkpoints, shard: Shard, remedy: Remedy = EMBEDDED) -> None:
        self._checkpoints = checkpoints
        self._shard = shard
        self._remedy = remedy
        self._next = 0.0
        self.position = shard.position

    async def restore(self) -> None:
        """Load states and position into the shard, in slices.

        Raises:
            ConfigurationError: a state can't be read; it says what to do.
            LogUnavailableError: nothing can be read now.
        """
        checkpoint = await self._checkpoints.load()
        rows = checkpoint.states
        # From the end and out of the list, so that text and state aren't both held of all streams.
        rows.reverse()
        while rows:
            part = [rows.pop() for _ in range(min(SLICE, len(rows)))]
            self._shard.restore([self._read(source, job_id, text) for source, job_id, text in part])
            await asyncio.sleep(0)
        self._shard.position = self.position = checkpoint.position

    def is_due(self) -> bool:
        """Whether enough time has gone by since the last one."""
        return stopwatch() >= self._next

    async def save(self, *, even_unchanged: bool = False) -> None:
        """Write what changed. The shard may be folded meanwhile; its checkpoint is of now.

        Args:
            even_unchanged: write the position also where it is the one that is kept already.

        Raises:
            LogUnavailableError: nothing was kept; what changed is still known as changed.
        """
        shard, started, busy = self._shard, stopwatch(), 0.0
        # The position first: a state may be ahead of it, and knows which events it holds already.
        position, changed = shard.position, shard.changed
        shard.changed = set()
        try:
            rows = await self._rows(changed)
            busy = stopwatch() - started
            if rows or even_unchanged or position != self.position:
                await self._checkpoints.save(position, rows)
        except BaseException:
            shard.changed |= changed
            raise
        else:
            self.position = position
        finally:
            # Also after a failure: what is folded meanwhile must not wait for each try.
            self._next = stopwatch() + max(INTERVAL_SECONDS, SHARE * busy)

    async def _rows(self, keys: set[StreamKey]) -> list[tuple[str, str, bytes | None]]:
        rows: list[tuple[str, str, bytes | None]] = []
        left = iter(keys)
        while part := list(islice(left, SLICE)):
            for key in part:
                state = self._shard.streams.get(key)
                rows.append((key.source, key.job_id, None if state is None else _kept(state)))
            await asyncio.sleep(0)
        return rows

    def _read(self, source: str, job_id: str, text: bytes) -> StreamState:
        try:
            return from_json(text)
        except ValidationError as error:
            where = ".".join(str(part) for part in error.errors()[0]["loc"])
            problem = (
                f"{self._remedy.key}: the kept state of stream {job_id} of source {source} can't be read "
                f"(at {where or 'its start'}). Was it written by a newer version, or by somebody else? "
                f"{self._remedy.text}"
            )
            raise ConfigurationError([problem]) from None


def _kept(state: StreamState) -> bytes:
    """Return a state as it is kept; one that is too large forgets its script first.

    It would be refused with all others of its partition, again and again.
    """
    text = to_json(state)
    if len(text) > MOST_STATE_BYTES:
        _log.error("a script is too large to be kept, and forgotten", **state.key._asdict(), bytes=len(text))
        state.script = script.begun_anew(state.script)
        text = to_json(state)
    return text
