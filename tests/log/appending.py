"""A process that appends to a log, or saves checkpoints, until it is killed; each ack is a line on stdout."""

import asyncio
import os
import sys
from pathlib import Path

from monitor.log.sqlite import SqliteLog
from monitor.log.sqlite_checkpoints import SqliteCheckpoints
from tests.log.making import event

CALLERS = 8
STATES = 2000


async def append(path: Path) -> None:
    """Append from several callers at once; tell each event's id once its append has returned."""
    log = await SqliteLog.open(path)

    async def caller() -> None:
        while True:
            one = event(log.next_id(), body=os.urandom(200))
            await log.append([one])
            os.write(1, f"{one.id}\n".encode())

    await asyncio.gather(*(caller() for _ in range(CALLERS)))


async def save(path: Path) -> None:
    """Save states that all name the position they belong to; tell each position that was saved."""
    log = await SqliteLog.open(path)
    checkpoints = await SqliteCheckpoints.open(path, log)
    while True:
        await log.append([event(log.next_id())])
        position = await log.head()
        state = b"%d" % position
        await checkpoints.save(position, [("source", str(job), state * 50) for job in range(STATES)])
        os.write(1, state + b"\n")


if __name__ == "__main__":
    asyncio.run({"append": append, "save": save}[sys.argv[1]](Path(sys.argv[2])))
