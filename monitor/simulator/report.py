"""What a run tells: progress on a terminal, a table or JSON at its end, and the truth file."""

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from monitor.errors import MonitorError
from monitor.event import Channel
from monitor.simulator.bodies import Identity
from monitor.simulator.delivery import Courier, Fate
from monitor.simulator.options import SimulationOptions
from monitor.simulator.pace import Pace
from monitor.simulator.truth import Expectation, expectation
from monitor.terminal import print_rows

_REFRESH_SECONDS = 0.5

_SUMMED = ("reconnects", "outages", "rounds", "skipped", "replies", "missed")


class Report:
    """Gathers what the couriers did, for the end of the run.

    Args:
        options: of the run.

    Raises:
        MonitorError: the truth file can't be written; better known now than after hours.
    """

    def __init__(self, options: SimulationOptions) -> None:
        if options.truth is not None:
            _write(options.truth, "", mode="a")
        self._options = options
        self._streams: list[tuple[Identity, Courier]] = []
        self.counts: Counter[str] = Counter()
        self.running = 0
        self.registered = False
        """Whether the service has taken a registration."""
        self.failure: MonitorError | None = None
        """Why the run ended before its time."""

    def begin(self, identity: Identity, courier: Courier) -> None:
        """Note a stream that starts."""
        self._streams.append((identity, courier))
        self.running += 1

    def finish(self) -> None:
        """Note a stream that is over."""
        self.running -= 1

    @property
    def callbacks(self) -> int:
        """How many callbacks were acknowledged."""
        return sum(courier.events[Channel.CALLBACK] for _, courier in self._streams)

    @property
    def refusals(self) -> Counter[str]:
        """How many callbacks were not, by what became of their last try."""
        return sum((courier.refusals for _, courier in self._streams), Counter[str]())

    def truth(self) -> dict[str, Any]:
        """Return what really happened, as the truth file has it, of every stream that was told of."""
        streams = [
            _stream(identity, courier)
            for identity, courier in self._streams
            if courier.told or courier.unknown
        ]
        streams.sort(key=lambda stream: (stream["source"], stream["job_id"]))
        totals: dict[str, Any] = {name: sum(stream[name] for stream in streams) for name in _SUMMED}
        totals["streams"] = len(streams)
        totals["ended"] = dict(Counter(stream["ended"] for stream in streams if stream["ended"] is not None))
        events: Counter[str] = Counter()
        for stream in streams:
            events.update(stream["events"])
        totals["events"] = dict(events)
        return {
            "seed": self._options.seed,
            "scenario": self._options.scenario.value,
            "streams": streams,
            "totals": totals,
        }

    def write(self) -> None:
        """Write the truth file, if one was asked for, and print what the run did."""
        truth = self.truth()
        if self._options.truth is not None:
            _write(self._options.truth, json.dumps(truth, indent=1, ensure_ascii=False) + "\n")
        counts = {"requests": self.counts["requests"], **dict(sorted(self.counts.items()))}
        if self._options.json_output:
            print(json.dumps({**counts, "totals": truth["totals"]}))  # noqa: T201 - the command's answer
            return
        rows = [*counts.items(), *((name, truth["totals"][name]) for name in ("streams", *_SUMMED))]
        rows += [(f"ended: {outcome}", number) for outcome, number in truth["totals"]["ended"].items()]
        print_rows(("what", "number"), [(name, str(number)) for name, number in rows])


def _write(path: Path, text: str, mode: str = "w") -> None:
    try:
        with path.open(mode, encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise MonitorError(f"{path}: can't be written: {error.strerror}") from None


def _stream(identity: Identity, courier: Courier) -> dict[str, Any]:
    expected: Expectation = expectation(courier.told.values(), courier.lost)
    events = courier.events
    return {
        "vendor": identity.source.vendor.value,
        "source": identity.source.name,
        "job_id": identity.job_id,
        **asdict(expected),
        "events": {
            "accepted": events[Fate.ACKNOWLEDGED],
            "duplicates": events["duplicates"],
            "refused": events[Fate.REFUSED],
            "callback": events["callback"],
            "rtc": events["rtc"],
            "api": events["api"],
        },
        "unacknowledged": [f"{fact.channel}: {fact.payload}" for fact in courier.unknown],
    }


@contextlib.contextmanager
def show_progress(options: SimulationOptions, pace: Pace, report: Report) -> Iterator[None]:
    """Show how far the run is, on a terminal only; without a duration, how much was sent."""
    console = Console(stderr=True)
    if options.json_output or not console.is_terminal:
        yield
        return
    columns = (
        SpinnerColumn(),
        *([BarColumn()] if options.duration is not None else []),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("starting", total=options.duration)
        refresher = asyncio.create_task(_refresh(progress, task, pace, report))
        try:
            yield
        finally:
            refresher.cancel()


async def _refresh(progress: Progress, task: TaskID, pace: Pace, report: Report) -> None:
    while True:
        description = f"{report.running} streams, {report.counts[Fate.ACKNOWLEDGED]} acknowledged"
        progress.update(task, completed=pace.simulated, description=description)
        await asyncio.sleep(_REFRESH_SECONDS)
