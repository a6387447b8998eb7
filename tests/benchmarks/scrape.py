"""A scrape of many streams: the service, and prometheus_client writing the same samples."""

from collections.abc import Callable
from pathlib import Path

from tests.benchmarks.ours.scrape import MADE, OURS, READY
from tests.benchmarks.programs import ROOT, answer_of, ours
from tests.benchmarks.results import Part, Target
from tests.benchmarks.scale import Scale

TURNS = 3

_TIMES = "times as fast"
"""Than the library with a collector as users write them, whose families are made when they are asked for."""

_TIMES_FASTER = 10.0
_HOLD_MS = 50.0


def measure(scale: Scale, _folder: Path, tell: Callable[[str], None]) -> Part:
    """Scrape the same streams in both formats, plain and compressed."""
    part = Part("scrape", f"Scrape of {scale.streams:,} streams")
    tell("scrape: making streams, then scraping them")
    for found in answer_of(ours("scrape", scale.streams, TURNS), ROOT):
        row = part.row(f"{found['program']}: {found['format']}{', gzip' if found['gzip'] else ''}")
        row.note("ms", found["seconds"] * 1000)
        if "samples" in found:
            row.note("samples", found["samples"])
            row.note("MB", found["bytes"] / 1e6)
        if "hold" in found:
            row.note("event loop held ms", found["hold"] * 1000)
    for page in ("text", "text, gzip", "OpenMetrics", "OpenMetrics, gzip"):
        mine = part.row(f"{OURS}: {page}")
        for program, figure in ((MADE, _TIMES), (READY, "families ready")):
            mine.note(figure, part.row(f"{program}: {page}").median("ms") / mine.median("ms"))
    text = part.row(f"{OURS}: text").median(_TIMES)
    part.targets.append(
        Target("scrape: times as fast as generate_latest", text, _TIMES_FASTER, at_least=True)
    )
    holds = [hold for row in part.rows for hold in row.figures.get("event loop held ms", [])]
    part.targets.append(Target("scrape: event loop held, ms, at worst", max(holds), _HOLD_MS, at_least=False))
    return part
