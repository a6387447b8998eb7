"""The numbers that panels mark: those that the alerts wait for, so that a line means a page."""

from typing import NamedTuple

RUNBOOKS_URL = "https://runbooks.example.com/livestream-monitor"
"""Where the runbooks are; a page of each alert's name. Every dashboard has it as a variable."""

OBJECTIVE = 0.99
"""Share of the streams' running time that is neither down nor silent."""

COVERAGE_RATIO = 0.8
"""Of a finished round."""

FLAPPING_RECONNECTS = 3
"""Of one stream, within ten minutes."""

REMAINING_SECONDS = 900
"""Of a script that plays a finite number of times."""

UNPUSHED_SECONDS = 300
"""By which the vendor's running time may outgrow its pushing time."""

CLOCK_SKEW_SECONDS = 120

AUTHENTICATION_SHARE = 0.1
"""Of a source's requests."""

LAG_SECONDS = 60

SPOOL_RATIO = 0.5

SPOOL_AGE_SECONDS = 300

CHECKPOINT_SECONDS = 300


class Burn(NamedTuple):
    """How fast the error budget may be used up. factor: times as fast as allowed, over `window`."""

    factor: float
    window: str
    severity: str


BURNS = (
    Burn(14.4, "1h", "critical"),
    Burn(6.0, "6h", "critical"),
    Burn(3.0, "1d", "warning"),
    Burn(1.0, "3d", "warning"),
)
