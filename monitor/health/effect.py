"""What an event did to a stream: the `outcome` label of `monitor_events_total`."""

from enum import StrEnum


class Effect(StrEnum):
    """What became of an event.

    applied: it told something. duplicate: a delivery seen before, or nothing new. late: signed earlier
    than what was applied; what is a fact of its own was credited. after_end: its stream has ended.
    overflow: its source has too many live streams, so it was counted and not tracked.
    """

    APPLIED = "applied"
    DUPLICATE = "duplicate"
    LATE = "late"
    AFTER_END = "after_end"
    OVERFLOW = "overflow"
