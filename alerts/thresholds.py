"""Reads `thresholds.toml`: every number that an alert waits for."""

import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

FILE = Path(__file__).resolve().parent / "thresholds.toml"

Seconds = Annotated[int, Field(ge=0)]
Window = Annotated[int, Field(gt=0)]
Count = Annotated[int, Field(gt=0)]
JobName = Annotated[str, Field(pattern=r"^[\w./:-]+$")]
Share = Annotated[float, Field(gt=0, lt=1)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Links(_Section):
    """Where pages point to: base URLs without a slash at the end."""

    grafana_url: str
    runbook_url: str


class View(_Section):
    """What Prometheus sees of the service. job: the scrape job's name."""

    job: JobName
    hold_seconds: Window
    settle_seconds: Window


class Streams(_Section):
    """One stream."""

    handover_seconds: Window
    replaced_seconds: Window
    connecting_seconds: Seconds
    flapping_reconnects: Count
    flapping_window_seconds: Window
    silent_for_seconds: Seconds
    stalled_for_seconds: Seconds
    coverage_ratio: Share
    remaining_seconds: Seconds
    unpushed_seconds: Seconds
    unpushed_window_seconds: Window


class Incident(_Section):
    """Many streams of one source at once."""

    share: Share
    fewest_streams: Count
    for_seconds: Seconds
    ended_within_seconds: Window
    keep_firing_seconds: Seconds


class Quota(_Section):
    """The vendor refuses more."""

    window_seconds: Window


class Burn(_Section):
    """One pair of windows. factor: how many times as fast as allowed the budget is used up."""

    severity: Literal["critical", "warning"]
    factor: Annotated[float, Field(gt=0)]
    long_seconds: Window
    short_seconds: Window


class Objective(_Section):
    """What share of the streams' running time should be fine."""

    availability: Share
    fewest_streams: Count
    still_seconds: Window
    burns: tuple[Burn, ...]


class Ingest(_Section):
    """What comes in from the vendors."""

    authentication_window_seconds: Window
    authentication_failures: Count
    authentication_share: Share
    refused_callbacks: Count
    refused_connections: Count
    refused_window_seconds: Window
    clock_skew_seconds: Seconds
    clock_skew_for_seconds: Seconds
    clock_skew_told_seconds: Window
    dead_letters_window_seconds: Window
    missed_callbacks: Count
    missed_window_seconds: Window
    no_callbacks_seconds: Seconds
    no_callbacks_for_seconds: Seconds
    no_callbacks_streams: Count
    unanswered_seconds: Window
    untracked_window_seconds: Window


class Pipeline(_Section):
    """The service itself."""

    down_for_seconds: Seconds
    lag_seconds: Seconds
    lag_for_seconds: Seconds
    spool_ratio: Share
    spool_age_seconds: Seconds
    checkpoint_seconds: Seconds
    recovering_seconds: Seconds


class Thresholds(_Section):
    """All of the file."""

    links: Links
    view: View
    streams: Streams
    incident: Incident
    quota: Quota
    objective: Objective
    ingest: Ingest
    pipeline: Pipeline


def read(path: Path = FILE) -> Thresholds:
    """Return the thresholds of a file.

    Raises:
        pydantic.ValidationError: a number is missing, unknown or impossible; it names the key.
    """
    return Thresholds.model_validate(tomllib.loads(path.read_text()))
