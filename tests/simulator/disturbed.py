"""A service that dies, loses answers, answers late and folds late, in memory and by a seed."""

from collections.abc import Iterator
from random import Random
from typing import NamedTuple

import httpx

from monitor.config import HealthSettings, Source
from monitor.event import Event, Stored
from monitor.health.stream import StreamState, from_json, to_json
from monitor.vendors import registry
from monitor.worker.folding import TICK_SECONDS
from monitor.worker.shard import Shard
from tests.simulator.receiving import Receiving
from tests.simulator.stepped import BEGUN, SteppedPace

HEALTH = HealthSettings()

DIES = 0.08
"""The share of requests during which the receiver dies, or before which it has died."""

LATE = 0.1
"""The share of requests whose body, or whose answer, takes its time."""

LONGEST_AWAY = 20.0
LONGEST_ANSWER = 12.0

RESTARTS = 0.05
"""The share of ticks instead of which a worker dies, and another one begins at the last checkpoint."""

SETTLING_SECONDS = 60.0
"""What a round skipped is counted 45 seconds after it ended."""


class Kept(NamedTuple):
    """An event and its source. visible: when a worker can read it, in the pace's seconds."""

    visible: float
    event: Event
    source: Source


class Disturbed(Receiving):
    """A receiver that is killed and comes back; what it keeps becomes visible in order, but later.

    Args:
        sources: as configured.
        pace: whose time it takes.
        random: decides what goes wrong.
        spooling: seconds for which events may wait in a spool; 0: they are visible once they are kept.
    """

    def __init__(
        self, sources: tuple[Source, ...], pace: SteppedPace, random: Random, spooling: float
    ) -> None:
        super().__init__(sources, pace)
        self._random = random
        self._spooling = spooling
        self._up_from = 0.0
        self._spooled_until = 0.0
        self.log: list[Kept] = []

    def take(self, event: Event, source: Source, /) -> None:
        self._take_time(LONGEST_ANSWER / 2)
        now = self._pace.elapsed
        if self._spooling and now > self._spooled_until and self._random.random() < 0.1:
            self._spooled_until = now + self._random.uniform(0, self._spooling)
        self.log.append(Kept(max(now, self._spooled_until), event, source))

    def answer(self, request: httpx.Request) -> httpx.Response:
        if self._pace.elapsed < self._up_from:
            raise httpx.ConnectError("nobody listens")
        fate = self._random.random() / DIES
        if fate < 0.25:
            self._die()
            raise httpx.ConnectError("nobody listens")
        if fate < 0.5:
            self._die()
            raise httpx.ReadError("died before it kept the event")
        self._take_time(LONGEST_ANSWER / 2)
        answer = super().answer(request)
        if fate < 1.0:
            self._die()
            raise httpx.ReadError("died before it answered")
        return answer

    def _die(self) -> None:
        # Most are back soon.
        away = LONGEST_AWAY * self._random.random() ** 3
        self._up_from = self._pace.elapsed + 0.5 + away

    def _take_time(self, longest: float) -> None:
        if self._random.random() < LATE:
            self._pace.elapsed += self._random.uniform(0, longest)


def folded(log: list[Kept], random: Random, end: float, margin: float) -> StreamState:
    """Return the state of the one stream of a log, as workers make it, one after another.

    Args:
        random: decides when they die.
        end: when all has been told, in the pace's seconds.
        margin: how far behind now it is settled, in seconds.
    """
    shard, position = Shard(HEALTH, {}), 0
    checkpoint: tuple[int, list[bytes]] = 0, []
    for now in _ticks(random.random(), end + margin + SETTLING_SECONDS):
        if now < end and random.random() < RESTARTS:
            position, states = checkpoint
            # What was folded already is known by its id.
            position = max(0, position - random.randint(0, 2))
            shard = Shard(HEALTH, {})
            shard.restore(map(from_json, states))
            continue
        while position < len(log) and log[position].visible <= now:
            _, event, source = log[position]
            position += 1
            shard.fold(Stored(0, position, event), registry.decode(event, source))
        shard.tick(BEGUN + now - margin, list(shard.streams))
        if random.random() < 0.5:
            checkpoint = position, [to_json(state) for state in shard.streams.values()]
    [state] = shard.streams.values()
    return state


def _ticks(first: float, last: float) -> Iterator[float]:
    now = first
    while now < last:
        yield now
        now += TICK_SECONDS
    yield last
