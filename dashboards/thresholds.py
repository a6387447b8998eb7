"""The numbers that panels mark: those that the alerts wait for, so that a line means an alert."""

from typing import NamedTuple

from alerts.rule import span
from alerts.thresholds import read

_ALERTS = read()

RUNBOOKS_URL = _ALERTS.links.runbook_url
"""Where the runbooks are; a page of each alert's name. Every dashboard has it as a variable."""

OBJECTIVE = _ALERTS.objective.availability
"""Share of the streams' running time that is neither down nor silent."""

FEWEST_STREAMS = _ALERTS.objective.fewest_streams
"""That a source has on average, or the objective raises no alert."""

COVERAGE_RATIO = _ALERTS.streams.coverage_ratio
"""Of a finished round."""

FLAPPING_RECONNECTS = _ALERTS.streams.flapping_reconnects
"""Of one stream, within `FLAPPING_WINDOW`."""

FLAPPING_WINDOW = span(_ALERTS.streams.flapping_window_seconds)
"""As PromQL writes it."""

REMAINING_SECONDS = _ALERTS.streams.remaining_seconds
"""Of a script that plays a finite number of times."""

UNPUSHED_SECONDS = _ALERTS.streams.unpushed_seconds
"""By which the vendor's running time may outgrow its pushing time, within `UNPUSHED_WINDOW`."""

UNPUSHED_WINDOW = span(_ALERTS.streams.unpushed_window_seconds)
"""As PromQL writes it."""

CLOCK_SKEW_SECONDS = _ALERTS.ingest.clock_skew_seconds

AUTHENTICATION_SHARE = _ALERTS.ingest.authentication_share
"""Of a source's requests."""

LAG_SECONDS = _ALERTS.pipeline.lag_seconds

SPOOL_RATIO = _ALERTS.pipeline.spool_ratio

SPOOL_AGE_SECONDS = _ALERTS.pipeline.spool_age_seconds

CHECKPOINT_SECONDS = _ALERTS.pipeline.checkpoint_seconds


class Burn(NamedTuple):
    """How fast the error budget may be used up. factor: times as fast as allowed, over `window`."""

    factor: float
    window: str
    severity: str


BURNS = tuple(Burn(burn.factor, span(burn.long_seconds), burn.severity) for burn in _ALERTS.objective.burns)
