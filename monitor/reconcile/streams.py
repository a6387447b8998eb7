"""What reconcile sees of the streams: their states as they are folded, to be read and left alone."""

from collections.abc import Iterable
from typing import Protocol

from monitor.health.stream import StreamKey, StreamState


class LiveStreams(Protocol):
    """The streams that this process answers for."""

    @property
    def recovering(self) -> bool:
        """Whether they aren't true yet."""
        ...

    def shown(self) -> Iterable[StreamState]:
        """Return the streams that live or ended not long ago."""
        ...

    def get(self, key: StreamKey) -> StreamState | None:
        """Return a stream, or the marker of one that ended; None if it isn't known here."""
        ...
