"""Writes the series of stored events as Prometheus would have scraped them.

`promtool tsdb create-blocks-from openmetrics F DIRECTORY` makes Prometheus' blocks of the file.
"""

import math
import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import NamedTuple, Self, TextIO

from prometheus_client import CollectorRegistry

from monitor.config import Settings
from monitor.errors import MonitorError
from monitor.event import Decoded, Stored
from monitor.metrics.exposition import Exposition
from monitor.metrics.service import ServiceMetrics
from monitor.metrics.text import OPENMETRICS_END
from monitor.metrics.vendor_errors import count_told, declare_sources
from monitor.replay import Events, Period
from monitor.worker.fleet import Fleet
from monitor.worker.folding import let_pass
from monitor.worker.shard import Shard, retire_replaced

ACCEPT = "application/openmetrics-text; version=1.0.0"

OF_THE_FOLD = ("livestream_", "monitor_streams ", "monitor_events ", "monitor_vendor_errors ")
"""How the families begin that follow from the events alone. What the service did, nobody can say again."""


class Written(NamedTuple):
    """What a file holds: pages (one for each moment), and samples in all of them."""

    pages: int
    samples: int


class _Moment:
    """A clock that stands where it is put."""

    def __init__(self) -> None:
        self.at = 0.0

    def now(self) -> float:
        return self.at


class _Families:
    """Collects a file's samples by family: in OpenMetrics a family stands in one piece.

    Args:
        path: the file, which is written when the context ends well; a link is followed, and a pipe or a
            device written to.
    """

    def __init__(self, path: Path) -> None:
        self._is_file = path.is_file() or not path.exists()
        self._path = Path(os.path.realpath(path)) if self._is_file else path
        self._files: dict[str, TextIO] = {}
        # Beside the file, so that the whole can take its place at once.
        beside = self._path.parent if self._is_file else None
        self._folder = TemporaryDirectory(prefix=".replay-", dir=beside)
        self.written = Written(0, 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: BaseException | TracebackType | None) -> None:
        for file in self._files.values():
            file.close()
        try:
            if kind is None:
                self._join()
        finally:
            self._folder.cleanup()

    def add(self, page: str, at: float) -> None:
        """Add a page of OpenMetrics as of a moment, Unix seconds."""
        samples = 0
        file: TextIO | None = None
        is_new = False
        # Not `splitlines`: an id may hold characters that only Unicode takes for a line's end.
        for line in (f"{text}\n" for text in page.split("\n")[:-1]):
            if line.startswith("# HELP "):
                file, is_new = self._family(line.split(" ", 3)[2])
            if file is None or line == OPENMETRICS_END.decode():
                continue
            if not line.startswith("#"):
                file.write(f"{line[:-1]} {at:.3f}\n")
                samples += 1
            elif is_new:
                file.write(line)
        self.written = Written(self.written.pages + 1, self.written.samples + samples)

    def _family(self, name: str) -> tuple[TextIO | None, bool]:
        """Return the file of a family, and whether it is empty; no file if the family isn't wanted."""
        if not f"{name} ".startswith(OF_THE_FOLD):
            return None, False
        is_new = name not in self._files
        if is_new:
            self._files[name] = (Path(self._folder.name) / name).open("w", encoding="utf-8")
        return self._files[name], is_new

    def _join(self) -> None:
        whole = Path(self._folder.name) / "whole"
        with whole.open("w", encoding="utf-8") as target:
            for name in self._files:
                # OpenMetrics wants all samples of a series together; one family at a time is in memory.
                series: dict[str, list[str]] = {}
                with (Path(self._folder.name) / name).open(encoding="utf-8") as part:
                    for line in part:
                        series.setdefault(line if line[0] == "#" else line.rsplit(" ", 2)[0], []).append(line)
                for lines in series.values():
                    target.writelines(lines)
            target.write(OPENMETRICS_END.decode())
        if self._is_file:
            whole.replace(self._path)
            return
        with whole.open(encoding="utf-8") as source, self._path.open("w", encoding="utf-8") as target:
            shutil.copyfileobj(source, target)


class _Series:
    """The service's page, made of events rather than of time that goes by."""

    def __init__(self, settings: Settings) -> None:
        self._clock = _Moment()
        self._metrics = ServiceMetrics(CollectorRegistry())
        declare_sources(self._metrics, settings.sources)
        limits = {source.name: source.max_streams for source in settings.sources}
        self._shard = Shard(settings.health, limits)
        self._fleet = Fleet(self._clock, [self._shard])
        self._fleet.recovering = False
        self._exposition = Exposition(self._metrics, self._fleet, settings.health)

    def take(self, stored: Stored, decoded: Decoded) -> None:
        """Fold an event."""
        event = stored.event
        effect = self._shard.fold(stored, decoded)
        self._metrics.events.labels(event.vendor, event.source, event.channel, event.type, effect).inc()
        count_told(self._metrics, self._shard.streams, event, decoded.payload, effect)

    async def pass_until(self, at: float) -> None:
        """Do what time alone brings about until a moment; all events before it must have been taken."""
        self._clock.at = at
        await let_pass(self._shard, at)
        retire_replaced([self._shard], at)

    async def page(self) -> str:
        """Return the page as of the moment until which time has passed."""
        return (await self._exposition.render(ACCEPT, "")).body.decode()

    def close(self) -> None:
        """End the writing thread."""
        self._exposition.close()


async def write_openmetrics(
    events: Events, settings: Settings, period: Period, path: Path, step: float
) -> Written:
    """Write a sample of each series for each moment that is a whole multiple of `step` (seconds).

    Raises:
        MonitorError: the file can't be written.
    """
    series = _Series(settings)
    # A number of steps: added up, they would drift away from whole multiples.
    due: int | None = None
    try:
        with _Families(path) as families:

            async def until(moment: float) -> None:
                nonlocal due
                while due is not None and (at := due * step) < moment:
                    await series.pass_until(at)
                    if period.since is None or at >= period.since:
                        families.add(await series.page(), at)
                    due += 1

            newest = 0.0
            async for stored, decoded in events:
                newest = max(newest, stored.event.received)
                if due is None:
                    due = math.ceil(newest / step)
                await until(newest)
                try:
                    series.take(stored, decoded)
                except Exception as error:
                    events.leave_out(error)
            await until(math.nextafter(period.until or events.newest, math.inf))
            return families.written
    except OSError as error:
        raise MonitorError(f"{path}: can't be written: {error.strerror}") from None
    finally:
        series.close()
