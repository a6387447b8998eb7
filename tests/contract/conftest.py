"""The logs that the contract suite runs against, by name."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path
from typing import Protocol

import pytest

from monitor.config import LogSettings, Settings
from monitor.event import Event
from monitor.log import kafka_dead_letters
from monitor.log.kafka import KafkaLog
from monitor.log.kafka_checkpoints import KafkaCheckpoints
from monitor.log.protocol import Checkpoints, DeadLetters, EventLog, ReadableLog
from monitor.log.sqlite import SqliteLog
from monitor.log.sqlite_checkpoints import SqliteCheckpoints
from tests.kafka_broker import Brokers
from tests.log import kafka_records


class ClosableCheckpoints(Checkpoints, Protocol):
    """Checkpoints that a test opens and closes."""

    async def close(self) -> None:
        """Let go of the file or the connection."""
        ...


class Backend(Protocol):
    """A kind of log, and a place of its own for one test.

    start: the position of checkpoints that were never saved.
    """

    start: int

    async def open(self) -> EventLog:
        """Open the log of this place as a service would."""
        ...

    def letters(self, log: EventLog) -> AbstractAsyncContextManager[DeadLetters]:
        """Open the dead letters of the open log as a command would."""
        ...

    async def events(self, log: EventLog) -> list[Event]:
        """Return what the open log holds, each stream's in order."""
        ...

    async def open_checkpoints(self, log: EventLog) -> ClosableCheckpoints:
        """Open the checkpoints of the open log, on Kafka those of one partition, as a worker would."""
        ...


class SqliteBackend:
    """The embedded log in a folder."""

    start = 0

    def __init__(self, folder: Path) -> None:
        self._path = folder / "var" / "monitor.db"

    async def open(self) -> SqliteLog:
        """Open the file, making it the first time."""
        return await SqliteLog.open(self._path)

    def letters(self, log: EventLog) -> AbstractAsyncContextManager[DeadLetters]:
        """Return the log itself."""
        assert isinstance(log, SqliteLog)
        return nullcontext(log)

    async def events(self, log: EventLog) -> list[Event]:
        """Read all of it."""
        assert isinstance(log, SqliteLog)
        return [stored.event for stored in await log.read(0, 10_000)]

    async def open_checkpoints(self, log: EventLog) -> SqliteCheckpoints:
        """Open the state file beside it."""
        assert isinstance(log, SqliteLog)
        return await SqliteCheckpoints.open(self._path, log)


class KafkaBackend:
    """Topics of their own on the broker, and a spool in a folder."""

    start = -1

    def __init__(self, kafka: Brokers, folder: Path) -> None:
        spool = LogSettings(backend="kafka", path=folder / "var" / "spool.db")
        self._settings = Settings(kafka=kafka.settings(), log=spool)

    async def open(self) -> KafkaLog:
        """Connect, making the topics the first time."""
        return await KafkaLog.open(self._settings)

    def letters(self, log: EventLog) -> AbstractAsyncContextManager[DeadLetters]:
        """Connect to the dead letters' topic, which the log has made."""
        del log
        return kafka_dead_letters.opened(self._settings.kafka)

    async def events(self, log: EventLog) -> list[Event]:
        """Read all partitions."""
        del log
        return await kafka_records.events(self._settings.kafka)

    async def open_checkpoints(self, log: EventLog) -> KafkaCheckpoints:
        """Connect to the health topic, which the log has made."""
        del log
        return await KafkaCheckpoints.open(self._settings, 2)


BACKENDS: dict[str, Callable[[pytest.FixtureRequest, Path], Backend]] = {
    "sqlite": lambda _, folder: SqliteBackend(folder),
    # Asked for by name, so that a run without Kafka starts no broker.
    "kafka": lambda request, folder: KafkaBackend(request.getfixturevalue("kafka"), folder),
}


@pytest.fixture(params=sorted(BACKENDS))
def backend(request: pytest.FixtureRequest, tmp_path: Path, patient: None) -> Backend:
    """A backend in an empty place."""
    del patient
    return BACKENDS[request.param](request, tmp_path)


@pytest.fixture
async def log(backend: Backend) -> AsyncIterator[EventLog]:
    """An empty log."""
    opened = await backend.open()
    yield opened
    await opened.close()


@pytest.fixture
async def letters(backend: Backend, log: EventLog) -> AsyncIterator[DeadLetters]:
    """The empty log's dead letters."""
    async with backend.letters(log) as opened:
        yield opened


@pytest.fixture
def readable_backend(tmp_path: Path) -> SqliteBackend:
    """A backend whose log is read where it is written, in an empty place."""
    return SqliteBackend(tmp_path)


@pytest.fixture
async def readable_log(readable_backend: SqliteBackend) -> AsyncIterator[ReadableLog]:
    """An empty log that is read where it is written."""
    opened = await readable_backend.open()
    yield opened
    await opened.close()


@pytest.fixture
async def checkpoints(backend: Backend, log: EventLog) -> AsyncIterator[ClosableCheckpoints]:
    """The empty log's checkpoints."""
    opened = await backend.open_checkpoints(log)
    yield opened
    await opened.close()
