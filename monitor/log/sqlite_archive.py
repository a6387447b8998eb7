"""All events of an embedded log, read beside the service that may be running."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from monitor.event import Stored
from monitor.log.protocol import Progress
from monitor.log.sqlite import SqliteLog
from monitor.log.sqlite_file import must_be_there

_BATCH = 500


class SqliteArchive:
    """The Archive of an embedded log; made by `opened`. It counts offsets."""

    def __init__(self, log: SqliteLog, total: int) -> None:
        self._log = log
        self.total = total

    async def events(self, progress: Progress) -> AsyncIterator[Stored]:
        """Yield each event in order of offset.

        Raises:
            LogUnavailableError: the file can't be read.
        """
        position = 0
        while batch := await self._log.read(position, _BATCH):
            for stored in batch:
                yield stored
            position = batch[-1].offset
            progress(position)


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[SqliteArchive]:
    """Open a log's file to read it, while the context is open.

    Raises:
        LogUnavailableError: it isn't there, or can't be opened.
    """
    must_be_there(path)
    log = await SqliteLog.open_reader(path)
    try:
        yield SqliteArchive(log, await log.head())
    finally:
        await log.close()
