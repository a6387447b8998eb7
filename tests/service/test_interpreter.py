"""What long work on the event loop does to the threads beside it."""

import asyncio
import gc
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvloop

from monitor.clock import stopwatch
from monitor.log.sqlite import SqliteLog
from monitor.service.interpreter import prepare_interpreter
from tests.log.making import event

SLICE_SECONDS = 0.001
"""As long as a checkpoint's."""

CALLBACKS = 5

MOST_SLICES = 5000


@pytest.fixture
def as_in_the_service() -> Iterator[None]:
    interval, thresholds = sys.getswitchinterval(), gc.get_threshold()
    prepare_interpreter()
    yield
    sys.setswitchinterval(interval)
    gc.set_threshold(*thresholds)


@pytest.mark.usefixtures("as_in_the_service")
def test_callbacks_are_kept_while_long_work_goes_on_in_slices(tmp_path: Path) -> None:
    # uvloop lets go of the interpreter between two slices, too briefly for a thread that waits for it.
    assert uvloop.run(_slices_until_kept(tmp_path / "monitor.db")) < MOST_SLICES


async def _slices_until_kept(path: Path) -> int:
    """Return how many slices of work were done before all callbacks were kept, one after another."""
    log = await SqliteLog.open(path)
    slices = 0

    async def receive() -> None:
        for _ in range(CALLBACKS):
            await log.append([event(log.next_id())])

    receiving = asyncio.create_task(receive())
    while not receiving.done() and slices < MOST_SLICES:
        until = stopwatch() + SLICE_SECONDS
        while stopwatch() < until:
            pass
        slices += 1
        await asyncio.sleep(0)
    await receiving
    await log.close()
    return slices
