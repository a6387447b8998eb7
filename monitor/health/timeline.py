"""The last lines of a stream's timeline, packed.

A line as an object of its own takes 140 bytes, and a live stream keeps a dozen of them; packed it takes 27.
They are read only when somebody looks at the stream.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct
from typing import NamedTuple

from pydantic import Base64Bytes

from monitor.event import Channel

TRANSITIONS = 20
"""Lines of the timeline kept in the state; older ones are read from the log."""

_PLACE = Struct("<dqHB")
_CHANNELS = tuple(Channel)


class Transition(NamedTuple):
    """One line of a stream's timeline. partition, offset: where in the log its event is."""

    at: float
    what: str
    channel: Channel
    partition: int
    offset: int


@dataclass(slots=True)
class Timeline:
    """The last `TRANSITIONS` lines, oldest first; a sequence of `Transition`.

    words: what each line says. packed: all else of each, one after the other.
    """

    words: tuple[str, ...] = ()
    packed: Base64Bytes = b""

    def add(self, line: Transition) -> None:
        """Append a line, dropping the oldest one if there are too many."""
        # Nearly all lines of all streams say one of a few things.
        self.words = (*self.words, sys.intern(line.what))[-TRANSITIONS:]
        place = _PLACE.pack(line.at, line.offset, line.partition, _CHANNELS.index(line.channel))
        self.packed = (self.packed + place)[-TRANSITIONS * _PLACE.size :]

    def __len__(self) -> int:
        return len(self.words)

    def __iter__(self) -> Iterator[Transition]:
        for what, place in zip(self.words, _PLACE.iter_unpack(self.packed), strict=True):
            yield _line(what, place)

    def __getitem__(self, index: int) -> Transition:
        what = self.words[index]
        return _line(what, _PLACE.unpack_from(self.packed, index % len(self.words) * _PLACE.size))


def _line(what: str, place: tuple[float, int, int, int]) -> Transition:
    at, offset, partition, channel = place
    return Transition(at, what, _CHANNELS[channel], partition, offset)
