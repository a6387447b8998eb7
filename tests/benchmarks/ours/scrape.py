"""Scrapes a fleet with a past, and lets prometheus_client write the same samples.

python -m tests.benchmarks.ours.scrape STREAMS TURNS
"""

import asyncio
import gc
import gzip
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import uvloop
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from monitor.clock import SystemClock, stopwatch
from monitor.config import HealthSettings
from monitor.metrics.exposition import Exposition
from monitor.worker.fleet import Fleet
from monitor.worker.shard import Shard
from tests.benchmarks.ours.lives import fold_lives
from tests.benchmarks.ours.probe import probing
from tests.benchmarks.ours.service import SOURCE, metrics, prepare_process

FORMATS: dict[str, tuple[str, Callable[[str], Iterable[Metric]], Callable[[CollectorRegistry], bytes]]] = {
    "text": ("text/plain;version=0.0.4", read_text, generate_latest),
    "OpenMetrics": (
        "application/openmetrics-text;version=1.0.0",
        read_openmetrics,
        openmetrics.generate_latest,
    ),
}


OURS, READY, MADE = "ours", "prometheus_client", "prometheus_client, families made at the scrape"


class Ready:
    """A collector whose families are there already, so that only their writing is measured."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterator[Metric]:
        return iter(self._families)


class Made:
    """A collector as users write them: each scrape makes its families from values that it looks up."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = [
            (
                GaugeMetricFamily if family.type == "gauge" else CounterMetricFamily,
                family.name,
                family.documentation,
                tuple(family.samples[0].labels),
                [(tuple(sample.labels.values()), sample.value) for sample in family.samples],
            )
            for family in families
            if family.name.startswith("livestream_") and family.samples
        ]

    def collect(self) -> Iterator[Metric]:
        for kind, name, documentation, labels, values in self._families:
            family = kind(name, documentation, labels=labels)
            for labelled, value in values:
                family.add_metric(labelled, value)
            yield family


async def main(streams: int, turns: int) -> list[dict[str, Any]]:
    settings, clock = HealthSettings(), SystemClock()
    shard = Shard(settings, {SOURCE.name: SOURCE.max_streams})
    fleet = Fleet(clock, [shard])
    for _ in fold_lives(shard, range(streams), clock.now()):
        await asyncio.sleep(0)
    fleet.recovering = False
    exposition = Exposition(metrics(), fleet, settings)
    found = [await _first(exposition)]
    for name, (accept, read, write) in FORMATS.items():
        page = (await exposition.render(accept, "")).body
        families = list(read(page.decode()))
        samples = sum(len(family.samples) for family in families)
        what = {"format": name, "samples": samples, "bytes": len(page)}
        # In turns, since a machine is quicker at one time than at another.
        for _ in range(turns):
            for gzipped in (False, True, False, True):
                seconds, hold = await _ours(exposition, accept, "gzip" if gzipped else "")
                found.append({**what, "program": OURS, "gzip": gzipped, "seconds": seconds, "hold": hold})
            for program, collector in ((READY, Ready(families)), (MADE, Made(families))):
                for gzipped, seconds in _theirs(collector, write, len(page)):
                    found.append({**what, "program": program, "gzip": gzipped, "seconds": seconds})
    exposition.close()
    return found


async def _first(exposition: Exposition) -> dict[str, Any]:
    """Measure the first scrape, which makes the text that later ones reuse."""
    seconds, hold = await _ours(exposition, FORMATS["text"][0], "")
    return {
        "program": "ours, first scrape",
        "format": "text",
        "gzip": False,
        "seconds": seconds,
        "hold": hold,
    }


async def _ours(exposition: Exposition, accept: str, encoding: str) -> tuple[float, float]:
    """Return how long a scrape took, and for how long at most it held the event loop."""
    # What earlier turns left must not be this one's to collect.
    gc.collect()
    async with probing() as probe:
        began = stopwatch()
        await exposition.render(accept, encoding)
        seconds = stopwatch() - began
    return seconds, probe.longest


def _theirs(
    collector: Ready | Made, write: Callable[[CollectorRegistry], bytes], size: int
) -> Iterator[tuple[bool, float]]:
    """Yield how long prometheus_client takes to write the page, and to write and compress it."""
    registry = CollectorRegistry()
    registry.register(collector)
    gc.collect()
    began = stopwatch()
    page = write(registry)
    plain = stopwatch() - began
    # The library writes a number as 1.0 where we write 1: a little more text.
    assert len(page) >= size * 0.95
    yield False, plain
    gzip.compress(page)
    yield True, stopwatch() - began


if __name__ == "__main__":
    prepare_process()
    print(json.dumps(uvloop.run(main(int(sys.argv[1]), int(sys.argv[2])))))
