"""The logs that the contract suite runs against, by name."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Protocol

import pytest

from monitor.log.protocol import Checkpoints, DeadLetters, EventLog
from monitor.log.sqlite import SqliteLog
from monitor.log.sqlite_checkpoints import SqliteCheckpoints


class Log(EventLog, DeadLetters, Protocol):
    """A log that keeps dead letters as well."""


class ClosableCheckpoints(Checkpoints, Protocol):
    """Checkpoints that a test opens and closes."""

    async def close(self) -> None:
        """Let go of the file or the connection."""
        ...


class Backend(Protocol):
    """A kind of log, and a place of its own for one test."""

    async def open(self) -> Log:
        """Open the log of this place as a service would."""
        ...

    async def open_checkpoints(self, log: Log) -> ClosableCheckpoints:
        """Open the checkpoints of that log."""
        ...


class SqliteBackend:
    """The embedded log in a folder."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "var" / "monitor.db"

    async def open(self) -> SqliteLog:
        """Open the file, making it the first time."""
        return await SqliteLog.open(self._path)

    async def open_checkpoints(self, log: Log) -> SqliteCheckpoints:
        """Open the state file beside it."""
        assert isinstance(log, SqliteLog)
        return await SqliteCheckpoints.open(self._path, log)


BACKENDS: dict[str, Callable[[Path], Backend]] = {"sqlite": SqliteBackend}


@pytest.fixture(params=sorted(BACKENDS))
def new_backend(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], Backend]:
    """Make a backend in an empty place, as often as a test likes."""
    make = BACKENDS[request.param]
    return lambda: make(tmp_path_factory.mktemp("log"))


@pytest.fixture
def backend(new_backend: Callable[[], Backend]) -> Backend:
    """A backend in an empty place."""
    return new_backend()


@pytest.fixture
async def log(backend: Backend) -> AsyncIterator[Log]:
    """An empty log."""
    opened = await backend.open()
    yield opened
    await opened.close()


@pytest.fixture
async def checkpoints(backend: Backend, log: Log) -> AsyncIterator[ClosableCheckpoints]:
    """The empty log's checkpoints."""
    opened = await backend.open_checkpoints(log)
    yield opened
    await opened.close()
