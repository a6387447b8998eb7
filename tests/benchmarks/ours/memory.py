"""How much memory live streams keep resident.

python -m tests.benchmarks.ours.memory STREAMS...
"""

import asyncio
import gc
import json
import os
import sys
from pathlib import Path

import uvloop

from monitor.clock import SystemClock
from monitor.config import HealthSettings
from monitor.metrics.exposition import Exposition
from monitor.worker.fleet import Fleet
from tests.benchmarks.ours.lives import fold_lives
from tests.benchmarks.ours.service import SOURCE, log_to_stderr, metrics

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

WARM_UP = 50
"""Streams that live before the first measurement, so that code and caches count for nobody."""


def resident_bytes() -> int:
    """Return what this process has in memory now, the rest of dropped objects not counted."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES


async def main(numbers: list[int]) -> list[dict[str, int]]:
    settings, clock = HealthSettings(), SystemClock()
    fleet = Fleet(settings, clock, {SOURCE.name: SOURCE.max_streams})
    fleet.recovering = False
    exposition = Exposition(metrics(), fleet, settings)
    await _fold(fleet, range(WARM_UP), clock)
    await exposition.render("", "gzip")
    none = resident_bytes()
    found, begun = [], WARM_UP
    for number in numbers:
        await _fold(fleet, range(begun, number + WARM_UP), clock)
        begun = number + WARM_UP
        fleet.changed.clear()
        folded = resident_bytes()
        await exposition.render("", "gzip")
        await exposition.render("", "gzip")
        found.append(
            {
                "streams": number,
                "live": sum(fleet.live.values()) - WARM_UP,
                "none": none,
                "folded": folded - none,
                "scraped": resident_bytes() - none,
            }
        )
    exposition.close()
    return found


async def _fold(fleet: Fleet, numbers: range, clock: SystemClock) -> None:
    for offset in fold_lives(fleet, numbers, clock.now()):
        fleet.position = offset
        await asyncio.sleep(0)


if __name__ == "__main__":
    log_to_stderr()
    print(json.dumps(uvloop.run(main([int(number) for number in sys.argv[1:]]))))
