"""Resident memory for each live stream."""

from collections.abc import Callable
from pathlib import Path

from tests.benchmarks.programs import ROOT, answer_of, ours
from tests.benchmarks.results import Part, Target
from tests.benchmarks.scale import Scale

_KILOBYTES = 10.0


def measure(scale: Scale, _folder: Path, tell: Callable[[str], None]) -> Part:
    """Let streams live in one process, and see by how much it grows."""
    part = Part("memory", "Memory for each live stream, with the text that scrapes keep of it")
    tell("memory: making streams")
    for found in answer_of(ours("memory", *scale.memory_streams), ROOT):
        row = part.row(f"{found['streams']:,} streams")
        row.note("KB a stream", found["scraped"] / found["streams"] / 1000)
        row.note("KB before the first scrape", found["folded"] / found["streams"] / 1000)
        row.note("MB in all", (found["none"] + found["scraped"]) / 1e6)
    for row in part.rows:
        kilobytes = row.median("KB a stream")
        target = Target(f"memory: KB for each of {row.program}", kilobytes, _KILOBYTES, at_least=False)
        part.targets.append(target)
    return part
