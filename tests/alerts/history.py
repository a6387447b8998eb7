"""What the simulator's vendors told in simulated hours, in a real log, without waiting for any of it."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import httpx

from monitor.config import Source
from monitor.event import Event
from monitor.log.sqlite import SqliteLog
from monitor.simulator.delivery import Addresses, Courier
from monitor.simulator.options import SimulationOptions
from monitor.simulator.run import Life, lives
from monitor.simulator.truth import Told
from tests.simulator.receiving import Receiving
from tests.simulator.stepped import BEGUN, SteppedPace

COMMIT = 5000


@dataclass
class Lived:
    """A stream, and those of its facts that the service acknowledged."""

    life: Life
    told: list[Told]


class _Collector(Receiving):
    def __init__(self, sources: tuple[Source, ...], pace: SteppedPace) -> None:
        super().__init__(sources, pace)
        self.events: list[Event] = []

    def take(self, event: Event, _source: Source, /) -> None:
        self.events.append(event)


async def record(options: SimulationOptions, path: Path) -> list[Lived]:
    """Let every stream of a simulation live, and keep in a log at `path` what was told, as it came.

    The simulation begins at `BEGUN`, and a second of it is one of the log's.
    """
    lived, events = [], []
    for index in range(options.streams):
        (life,) = lives(options, index, lambda: 0.0)
        pace = SteppedPace(1.0)
        collector = _Collector(options.settings.sources, pace)
        async with httpx.AsyncClient(transport=httpx.MockTransport(collector.answer)) as client:
            addresses = Addresses("http://receiver.test", "http://admin.test")
            courier = Courier(life.identity, client, addresses, pace, None, Counter())
            for delivery in life.deliveries:
                assert await courier.deliver(delivery)
        lived.append(Lived(life, list(courier.told.values())))
        events += collector.events
    events.sort(key=lambda event: event.received)
    log = await SqliteLog.open(path)
    for start in range(0, len(events), COMMIT):
        part = events[start : start + COMMIT]
        await log.append([event._replace(id=log.next_id()) for event in part])
    await log.close()
    return lived


__all__ = ["BEGUN", "Lived", "record"]
