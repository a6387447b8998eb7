"""The streams of one partition of the log, and how far in it they are true."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

from monitor.config import HealthSettings
from monitor.event import Decoded, Stored
from monitor.health import script
from monitor.health.effect import Effect
from monitor.health.fold import begin, fold, is_due, retire, settle
from monitor.health.status import Status, status
from monitor.health.stream import Outcome, StreamKey, StreamState

DEFAULT_MAX_STREAMS = 20000
"""For events of a source that is no longer configured."""

MARKER_SECONDS = 86400.0
"""How long the marker of an ended stream stays, so that a late event can't bring it back to life."""


@dataclass(slots=True)
class Shard:
    """The streams by their keys; markers of ended ones among them.

    max_streams: how many of a source may be live here at once, and how many kept that ended as they began:
    whoever makes up jobs could end one after the other. live, brief: how many of either there are.
    position: offset of the last event folded; before the first, one less than a log's first offset.
    changed: streams whose state differs from the last checkpoint; one that isn't in `streams` any more was
    dropped.
    """

    settings: HealthSettings
    max_streams: Mapping[str, int]
    partition: int = 0
    streams: dict[StreamKey, StreamState] = field(default_factory=dict)
    live: dict[str, int] = field(default_factory=dict)
    brief: dict[str, int] = field(default_factory=dict)
    changed: set[StreamKey] = field(default_factory=set)
    position: int = 0

    def restore(self, states: Iterable[StreamState]) -> None:
        """Take states from a checkpoint."""
        for state in states:
            script.share(state.script)
            self.streams[state.key] = state
            self._move(state, None)

    def fold(self, stored: Stored, decoded: Decoded) -> Effect:
        """Fold one event into its stream, which it may begin; `position` moves on."""
        event = stored.event
        self.position = stored.offset
        state = self.streams.get(StreamKey(event.source, event.job_id))
        if state is None:
            return self._begin(stored, decoded)
        return self._fold(state, stored, decoded)

    def _begin(self, stored: Stored, decoded: Decoded) -> Effect:
        source = stored.event.source
        most = self.max_streams.get(source, DEFAULT_MAX_STREAMS)
        if self.live.get(source, 0) >= most:
            return Effect.OVERFLOW
        state = begin(stored.event)
        was_changed = state.key in self.changed
        self.streams[state.key] = state
        self._move(state, None)
        effect = self._fold(state, stored, decoded)
        if self._count_of(state) is self.brief and self.brief[source] > most:
            self._forget(state)
            if not was_changed:
                # Nothing is kept of it, nor that it is gone.
                self.changed.discard(state.key)
            return Effect.OVERFLOW
        return effect

    def _fold(self, state: StreamState, stored: Stored, decoded: Decoded) -> Effect:
        before = self._count_of(state)
        self.changed.add(state.key)
        try:
            return fold(state, stored, decoded, self.settings)
        finally:
            # A fault may leave half of it done: what is kept and counted is what is here all the same.
            if before is not self.live or state.end is not None:
                self._move(state, before)

    def tick(self, now: float, keys: Iterable[StreamKey]) -> None:
        """Do for these streams what only time brings about: settle, retire, forget.

        Args:
            now: Unix seconds; everything received before must have been folded.
        """
        settings = self.settings
        for key in keys:
            state = self.streams.get(key)
            if state is None:
                continue
            if is_due(state, now, settings):
                before = self._count_of(state)
                settle(state, now, settings)
                self._move(state, before)
                self.changed.add(key)
            if state.end is None:
                continue
            if state.retired:
                if now - state.end.at > MARKER_SECONDS:
                    self._forget(state)
            elif now - state.end.at > self._keep_seconds(state):
                self.streams[key] = retire(state)
                self.changed.add(key)

    def slices(self, size: int) -> Iterator[list[StreamKey]]:
        """Return all keys, `size` at a time, as they are now."""
        keys = iter(list(self.streams))
        while part := list(islice(keys, size)):
            yield part

    def _count_of(self, state: StreamState) -> dict[str, int] | None:
        """Return where a stream is counted."""
        if state.end is None:
            return self.live
        return self.brief if state.end.at == state.first_received else None

    def _move(self, state: StreamState, before: dict[str, int] | None) -> None:
        """Count a stream where it belongs by now, and no more where it was counted before."""
        after = self._count_of(state)
        if after is before:
            return
        if before is not None:
            before[state.source] -= 1
        if after is not None:
            after[state.source] = after.get(state.source, 0) + 1

    def _forget(self, state: StreamState) -> None:
        counted = self._count_of(state)
        if counted is not None:
            counted[state.source] -= 1
        del self.streams[state.key]
        self.changed.add(state.key)

    def _keep_seconds(self, state: StreamState) -> float:
        completed = state.end is not None and state.end.outcome is Outcome.COMPLETED
        return self.settings.keep_ended_seconds if completed else self.settings.keep_abnormal_seconds


def retire_replaced(shards: Iterable[Shard], now: float) -> None:
    """Retire streams that ended badly once a job of their room that began since they were well is healthy.

    It may be in any of the shards.
    """
    shards = list(shards)
    replaced = [
        (shard, state)
        for shard in shards
        for state in shard.streams.values()
        if state.end is not None
        and not state.retired
        and state.end.outcome is not Outcome.COMPLETED
        and state.job.room_id is not None
    ]
    if not replaced:
        return
    rooms = {(state.source, state.job.room_id) for _, state in replaced}
    healthy: dict[tuple[str, str], float] = {}
    for shard in shards:
        for state in shard.streams.values():
            room = state.job.room_id
            # Judging all streams would hold the event loop, and few rooms are asked for.
            if state.end is not None or room is None or (state.source, room) not in rooms:
                continue
            if status(state, now, shard.settings).status is Status.HEALTHY:
                begun = healthy.get((state.source, room), 0.0)
                healthy[state.source, room] = max(begun, state.first_received)
    for shard, state in replaced:
        room = state.job.room_id
        until = state.well_until
        if room is not None and until is not None and healthy.get((state.source, room), 0.0) > until:
            shard.streams[state.key] = retire(state)
            shard.changed.add(state.key)
