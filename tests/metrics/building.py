"""An exposition over a real fleet at a time that the test sets, and its pages read back."""

import gzip
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from monitor.config import HealthSettings
from monitor.health.stream import StreamState
from monitor.metrics.exposition import Exposition, Rendered
from monitor.metrics.service import ServiceMetrics
from monitor.worker.fleet import Fleet
from monitor.worker.shard import Shard
from tests.health.story import START
from tests.set_clock import SetClock

TEXT = "text/plain;version=0.0.4"
OPENMETRICS = "application/openmetrics-text;version=1.0.0"

Labels = frozenset[tuple[str, str]]


class Key(NamedTuple):
    """What names a sample."""

    name: str
    labels: Labels


def key(name: str, **labels: str) -> Key:
    return Key(name, frozenset(labels.items()))


def families(rendered: Rendered) -> list[Metric]:
    """Read a page with prometheus_client's parser of its format."""
    body = gzip.decompress(rendered.body) if rendered.encoding == "gzip" else rendered.body
    openmetrics = rendered.content_type.startswith("application/openmetrics-text")
    return list((parse_openmetrics if openmetrics else parse_text)(body.decode()))


def samples(read: Iterable[Metric]) -> dict[Key, float]:
    """Return all samples; there is one of each name and labels."""
    found: dict[Key, float] = {}
    for family in read:
        for sample in family.samples:
            name = Key(sample.name, frozenset(sample.labels.items()))
            assert name not in found
            found[name] = sample.value
    return found


@dataclass
class Desk:
    """A process's metrics. Times are seconds since START."""

    clock: SetClock = field(default_factory=lambda: SetClock(START))
    settings: HealthSettings = field(default_factory=HealthSettings)

    def __post_init__(self) -> None:
        self.shard = Shard(self.settings, {})
        self.fleet = Fleet(self.clock, [self.shard])
        self.fleet.recovering = False
        self.service = ServiceMetrics(CollectorRegistry())
        self.exposition = Exposition(self.service, self.fleet, self.settings)

    def show(self, *states: StreamState) -> None:
        """Have these streams in the fleet."""
        for state in states:
            self.shard.streams[state.key] = state

    async def scrape(self, *, at: float = 0.0) -> dict[Key, float]:
        """Return the samples of a page rendered at a time."""
        self.clock.time = START + at
        return samples(families(await self.exposition.render(TEXT, "")))
