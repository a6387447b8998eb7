"""Tells a reader that stands still from one that has nothing to read.

aiokafka's consumer can stop for good without a word, after all brokers were gone for a while. Where it
is and where its partitions end tell: the one stays and the other grows.
"""

from collections.abc import Mapping


class Watchdog:
    """Looks at positions and ends from time to time.

    Args:
        seconds: how long a position may stay behind its partition's end.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._seen: dict[int, tuple[int, float]] = {}

    def look(self, positions: Mapping[int, int], ends: Mapping[int, int], now: float) -> list[int]:
        """Return the partitions that stand still.

        Args:
            positions: for each partition, the offset that is read next.
            ends: the offset behind its last event.
            now: seconds of `stopwatch`.
        """
        seen: dict[int, tuple[int, float]] = {}
        for partition, position in positions.items():
            before, since = self._seen.get(partition, (position, now))
            # Where nothing waits, standing still begins anew with the next event.
            waits = ends.get(partition, position) > position
            seen[partition] = (position, since if waits and position == before else now)
        self._seen = seen
        return sorted(partition for partition, (_, since) in seen.items() if now - since >= self._seconds)
