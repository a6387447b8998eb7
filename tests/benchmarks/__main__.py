"""Runs the benchmarks: `python -m tests.benchmarks [NAME...] [--json F]`, all of them unless named.

BENCH_SCALE (1 unless set) makes a run smaller: 0.1 takes a tenth of streams, events and seconds.
"""

import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from tests.benchmarks import machine, memory, receiver, restore, results, scrape, worker
from tests.benchmarks.programs import ROOT, BenchmarkError
from tests.benchmarks.results import Part
from tests.benchmarks.scale import Scale, scaled

_BUSY = 0.3
"""Load for each core from which on somebody else's work shows in the figures."""

_WIDTH = 150
"""Columns of the tables where no terminal says how many it has."""


class Name(StrEnum):
    """The benchmarks, in the order in which they run."""

    RECEIVER = "receiver"
    WORKER = "worker"
    SCRAPE = "scrape"
    MEMORY = "memory"
    RESTORE = "restore"


MEASURES: dict[Name, Callable[[Scale, Path, Callable[[str], None]], Part]] = {
    Name.RECEIVER: receiver.measure,
    Name.WORKER: worker.measure,
    Name.SCRAPE: scrape.measure,
    Name.MEMORY: memory.measure,
    Name.RESTORE: restore.measure,
}


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    names: Annotated[list[Name] | None, typer.Argument(help="Which to run; all unless named.")] = None,
    scale: Annotated[float, typer.Option(envvar="BENCH_SCALE", min=0.01, help="How large.")] = 1.0,
    rounds: Annotated[int, typer.Option(min=1, help="How often each takes its turn.")] = 3,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="F", help="Where to write it.")] = None,
) -> None:
    """Measure the service beside its peers, in one run; print tables and write a JSON file."""
    began = datetime.now(UTC)
    target = json_file or ROOT / "var" / "bench" / f"{began:%Y%m%dT%H%M%SZ}.json"
    sizes = scaled(scale, rounds)
    about = {"began": began.isoformat(timespec="seconds"), "sizes": sizes._asdict(), **machine.described()}
    wanted = [name for name in Name if not names or name in names]
    parts: list[Part] = []
    progress = Console(stderr=True)
    # Beside the results, on the disk that a service would use: /tmp may be memory, where a sync is free.
    (ROOT / "var" / "bench").mkdir(parents=True, exist_ok=True)
    with progress.status("") as shown:

        def tell(doing: str) -> None:
            shown.update(doing)
            if not progress.is_terminal:
                print(doing, file=sys.stderr)

        for name in wanted:
            with tempfile.TemporaryDirectory(dir=ROOT / "var" / "bench", prefix=f"{name}.") as folder:
                parts.append(MEASURES[name](sizes, Path(folder), tell))
    if about["machine"]["load_before"] > _BUSY * about["machine"]["cores"]:
        print(f"The machine was busy (load {about['machine']['load_before']:.1f}): don't trust the figures.")
    results.show(Console(width=None if sys.stdout.isatty() else _WIDTH), parts)
    results.write(target, about, parts)
    print(f"Written to {target}")


if __name__ == "__main__":
    try:
        app(prog_name="python -m tests.benchmarks")
    except BenchmarkError as error:
        print(f"benchmark failed: {error}", file=sys.stderr)
        sys.exit(1)
