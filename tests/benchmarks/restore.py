"""Restoring the states of many streams from Kafka, as a worker does that gets all partitions at once."""

from collections.abc import Callable
from pathlib import Path

from tests.benchmarks.broker import broker
from tests.benchmarks.programs import ROOT, BenchmarkError, answer_of, ours
from tests.benchmarks.results import Part, Target
from tests.benchmarks.scale import Scale

_HOLD_MS = 50.0


def measure(scale: Scale, folder: Path, tell: Callable[[str], None]) -> Part:
    """Write states once, and restore them as often as there are rounds."""
    part = Part("restore", f"Restore: the states of {scale.restored_streams:,} streams from Kafka")
    row = part.row("ours")
    with broker(folder / "kafka") as kafka:
        tell("restore: writing states")
        filled = answer_of(ours("restore", "fill", kafka, scale.restored_streams), ROOT)
        for turn in range(scale.rounds):
            tell(f"restore {turn + 1}/{scale.rounds}")
            told = answer_of(ours("restore", "run", kafka, filled["prefix"]), ROOT)
            if told["streams"] != scale.restored_streams:
                raise BenchmarkError(f"{told['streams']:.0f} streams were restored")
            row.note("s", told["seconds"])
            row.note("peak MB", told["peak"] / 1e6)
            row.note("MB of states", filled["bytes"] / 1e6)
            row.note("event loop held ms", told["hold"] * 1000)
    hold = max(row.figures["event loop held ms"])
    part.targets.append(Target("restore: event loop held, ms, at worst", hold, _HOLD_MS, at_least=False))
    return part
