"""Writes changed states and the position, together, at most about a second behind."""

import asyncio
from itertools import islice

from pydantic import ValidationError

from monitor.clock import stopwatch
from monitor.errors import ConfigurationError
from monitor.health.stream import StreamState, from_json, to_json
from monitor.log.protocol import Checkpoints
from monitor.worker.fleet import Fleet

SLICE = 300
"""States read or written before the event loop has its turn: about 5 ms of work."""

INTERVAL_SECONDS = 1.0

SHARE = 20
"""A checkpoint that took long is followed by this many times as much folding."""


class Checkpointer:
    """Restores a fleet at the start and keeps its checkpoint fresh."""

    def __init__(self, checkpoints: Checkpoints, fleet: Fleet) -> None:
        self._checkpoints = checkpoints
        self._fleet = fleet
        self._next = 0.0
        self.position = 0

    async def restore(self) -> None:
        """Load states and position into the fleet, in slices.

        Raises:
            ConfigurationError: a state can't be read; it says what to do.
        """
        checkpoint = await self._checkpoints.load()
        rows = iter(checkpoint.states)
        while part := list(islice(rows, SLICE)):
            self._fleet.restore([_read(source, job_id, text) for source, job_id, text in part])
            await asyncio.sleep(0)
        self._fleet.position = self.position = checkpoint.position

    def is_due(self) -> bool:
        """Whether enough time has gone by since the last one."""
        return stopwatch() >= self._next

    async def save(self) -> None:
        """Write what changed; the fleet must not be folded meanwhile."""
        fleet, started = self._fleet, stopwatch()
        position, keys = fleet.position, iter(list(fleet.changed))
        rows: list[tuple[str, str, bytes | None]] = []
        while part := list(islice(keys, SLICE)):
            for key in part:
                state = fleet.streams.get(key)
                rows.append((key.source, key.job_id, None if state is None else to_json(state)))
            await asyncio.sleep(0)
        if rows or position != self.position:
            await self._checkpoints.save(position, rows)
        fleet.changed.clear()
        self.position = position
        ended = stopwatch()
        self._next = ended + max(INTERVAL_SECONDS, SHARE * (ended - started))


def _read(source: str, job_id: str, text: bytes) -> StreamState:
    try:
        return from_json(text)
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        problem = (
            f"log.path: the kept state of stream {job_id} of source {source} can't be read (at {where}). "
            "Was it written by a newer version? Move the file with the ending -state away: the service "
            "then folds its log again from the start."
        )
        raise ConfigurationError([problem]) from None
