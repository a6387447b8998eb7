"""A process that appends to a log, or saves checkpoints, until it is killed; each ack is a line on stdout."""

import asyncio
import os
import sys
from pathlib import Path

import structlog

from monitor.config import KafkaSettings, LogSettings, Settings
from monitor.log.kafka import KafkaLog
from monitor.log.protocol import EventLog
from monitor.log.sqlite import SqliteLog
from monitor.log.sqlite_checkpoints import SqliteCheckpoints
from tests.log.making import event

CALLERS = 8
STATES = 2000


async def append(path: Path) -> None:
    """Append from several callers at once; tell each event's id once its append has returned."""
    await _append(await SqliteLog.open(path))


async def append_kafka(path: Path, kafka: str) -> None:
    """Append to Kafka, with a spool at a path."""
    settings = KafkaSettings.model_validate_json(kafka)
    await _append(await KafkaLog.open(Settings(kafka=settings, log=LogSettings(path=path))))


async def _append(log: EventLog) -> None:
    async def caller(name: str) -> None:
        while True:
            one = event(log.next_id(), job_id=name, body=os.urandom(200))
            await log.append([one])
            os.write(1, f"{one.id}\n".encode())

    await asyncio.gather(*(caller(f"job-{number}") for number in range(CALLERS)))


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
    # What is logged would get between the acks.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    mode, path, *arguments = sys.argv[1:]
    work = {"append": append, "save": save}.get(mode)
    asyncio.run(work(Path(path)) if work else append_kafka(Path(path), *arguments))
