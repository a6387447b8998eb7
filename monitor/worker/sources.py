"""Which source an event of the log is of, also when that one has left the configuration since."""

from collections.abc import Iterable, Mapping

import structlog

from monitor.config import Source
from monitor.event import Event

UNHEARD = (
    "no source of this name is configured, so nothing is heard of its streams any more: they turn silent, "
    "and are lost after abandon_after_seconds"
)
"""What becomes of the live streams of a source that was taken out, or has another name."""

_log = structlog.get_logger(__name__)


def tell_unheard(configured: Iterable[Source], live: Mapping[str, int]) -> None:
    """Log which sources have live streams and are not configured.

    Args:
        configured: the sources as configured today.
        live: how many streams of each source live.
    """
    names = {source.name for source in configured}
    for source, streams in live.items():
        if streams and source not in names:
            _log.warning("source not configured", source=source, live_streams=streams, problem=UNHEARD)


class Sources:
    """Finds the sources of events.

    Args:
        configured: the sources as configured today.
    """

    def __init__(self, configured: Iterable[Source]) -> None:
        self._by_name = {source.name: source for source in configured}
        self._configured = frozenset(self._by_name)

    def of(self, event: Event) -> Source:
        """Return the event's source as configured; one that was taken out since decodes by default."""
        source = self._by_name.get(event.source)
        if source is None:
            source = Source(name=event.source, vendor=event.vendor, public_url="http://removed.invalid/")
            self._by_name[event.source] = source
        return source

    def is_configured(self, name: str) -> bool:
        """Whether a source of this name is in the configuration today."""
        return name in self._configured
