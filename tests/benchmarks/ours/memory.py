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
from monitor.worker.shard import Shard
from tests.benchmarks.ours.lives import fold_lives
from tests.benchmarks.ours.service import SOURCE, metrics, prepare_process

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

WARM_UP = 50
"""Streams that live before the first measurement, so that code and caches count for nobody."""


def resident_bytes() -> int:
    """Return what this process has in memory now, the rest of dropped objects not counted."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES


async def main(numbers: list[int]) -> list[dict[str, int]]:
    settings, clock = HealthSettings(), SystemClock()
    shard = Shard(settings, {SOURCE.name: SOURCE.max_streams})
    fleet = Fleet(clock, [shard])
    fleet.recovering = False
    exposition = Exposition(metrics(), fleet, settings)
    await _fold(shard, range(WARM_UP), clock)
    await exposition.render("", "gzip")
    none = resident_bytes()
    found, begun = [], WARM_UP
    for number in numbers:
        await _fold(shard, range(begun, number + WARM_UP), clock)
        begun = number + WARM_UP
        shard.changed.clear()
        folded = resident_bytes()
        await exposition.render("", "gzip")
        await exposition.render("", "gzip")
        # Until the event loop goes on, what it has just handed over holds the page.
        await asyncio.sleep(0)
        found.append(
            {
                "streams": number,
                "live": sum(shard.live.values()) - WARM_UP,
                "none": none,
                "folded": folded - none,
                "scraped": resident_bytes() - none,
            }
        )
    exposition.close()
    return found


async def _fold(shard: Shard, numbers: range, clock: SystemClock) -> None:
    for offset in fold_lives(shard, numbers, clock.now()):
        shard.position = offset
        await asyncio.sleep(0)


if __name__ == "__main__":
    prepare_process()
    print(json.dumps(uvloop.run(main([int(number) for number in sys.argv[1:]]))))
