"""What a simulation is asked to do."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from monitor.config import Settings


class Scenario(StrEnum):
    """What goes wrong with the streams of a simulation."""

    STEADY = "steady"
    FLAPPING = "flapping"
    OUTAGE = "outage"
    STALL = "stall"
    SKIPPING = "skipping"
    DUPLICATES = "duplicates"
    REORDERED = "reordered"
    LOST = "lost"
    MIXED = "mixed"


@dataclass(frozen=True)
class SimulationOptions:
    """One simulation.

    settings: the service's own configuration: its sources, keys and clock. target: the base URL of
    the receiver. duration: simulated seconds of the run; None: until interrupted. speed: simulated
    seconds for each real one. attempts: how often a callback is tried, for both vendors; None: as
    the vendors do. truth: where to write what really happened.
    """

    settings: Settings
    target: str
    streams: int
    duration: float | None
    speed: float
    scenario: Scenario
    seed: int
    attempts: int | None
    truth: Path | None
    json_output: bool
