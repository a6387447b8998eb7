"""The streams that this process may speak of, whichever partitions of the log they come from."""

import math
from collections.abc import Iterable

from monitor.clock import Clock, stopwatch
from monitor.health.stream import StreamKey, StreamState
from monitor.worker.shard import Shard


class Fleet:
    """The shards that are true by now: one of the embedded log, any number of Kafka's partitions.

    A shard that is still being restored or folded up to date is not in the fleet.

    Args:
        clock: tells the time.
        shards: those that are true from the start.

    Attributes:
        expires: until when (of `stopwatch`) the shards are this process's to speak of. Somebody who
            must prove that again and again moves it on; behind it the fleet is empty.
        fresh_until: until when (of `stopwatch`) the streams are told as they are. Somebody who reads them
            from elsewhere moves it on; behind it they are told as they were.
        unfolded: whether events wait that no worker folds, as far as somebody who isn't one can see.
    """

    def __init__(self, clock: Clock, shards: Iterable[Shard] = ()) -> None:
        self.clock = clock
        self._recovering = True
        self.expires = math.inf
        self.fresh_until = math.inf
        self.unfolded = False
        self._shards = {shard.partition: shard for shard in shards}
        self._losses = 0
        self._lapsed = False

    @property
    def recovering(self) -> bool:
        """Whether streams that belong here are not shown: they aren't true yet, or the proof is overdue."""
        return self._recovering or self.lapsed

    @recovering.setter
    def recovering(self, recovering: bool) -> None:
        self._recovering = recovering

    @property
    def lapsed(self) -> bool:
        """Whether `expires` is over, and the fleet is empty until somebody moves it on."""
        return self._notice()

    @property
    def streams(self) -> dict[StreamKey, StreamState]:
        """All streams by their keys, markers of ended ones among them."""
        if self.lapsed:
            return {}
        if len(self._shards) == 1:
            return next(iter(self._shards.values())).streams
        merged: dict[StreamKey, StreamState] = {}
        for shard in self._shards.values():
            merged.update(shard.streams)
        return merged

    @property
    def stale(self) -> bool:
        """Whether the streams are told as they were some time ago."""
        return self.unread or self.unfolded

    @property
    def unread(self) -> bool:
        """Whether what has come can't be read."""
        return stopwatch() > self.fresh_until

    @property
    def losses(self) -> int:
        """How often streams have left: what was read before it rose may be somebody else's by now."""
        self._notice()
        return self._losses

    def get(self, key: StreamKey) -> StreamState | None:
        """Return one stream."""
        if self.lapsed:
            return None
        return next((shard.streams[key] for shard in self._shards.values() if key in shard.streams), None)

    def shown(self) -> list[StreamState]:
        """Return the streams that are worth a look: live, or ended and not yet retired."""
        return [state for state in self.streams.values() if not state.retired]

    def now(self) -> float:
        """Return the clock's time, in Unix seconds; where the clock was set back, it is earlier than before.

        Were it held until the clock has caught up, a moment of an hour ahead would leave streams silent for
        an hour.
        """
        return self.clock.now()

    def join(self, shard: Shard) -> None:
        """Take a shard in whose streams are true."""
        self._shards[shard.partition] = shard

    def leave(self, partition: int) -> None:
        """Let a partition's shard go."""
        if self._shards.pop(partition, None) is not None:
            self._losses += 1

    def has(self, partition: int) -> bool:
        """Whether a partition's shard is in the fleet."""
        return partition in self._shards

    def _notice(self) -> bool:
        # Asked for with each look, not once a second: a process that was stopped for a minute and goes
        # on must not answer before it has noticed.
        lapsed = bool(self._shards) and stopwatch() > self.expires
        if lapsed and not self._lapsed:
            self._losses += 1
        self._lapsed = lapsed
        return lapsed
