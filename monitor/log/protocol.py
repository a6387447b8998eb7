"""What the rest of the service knows of a log, whichever one it is.

Times are Unix seconds. A log keeps `received` to the microsecond; finer digits are rounded away.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import NamedTuple, Protocol

from monitor.event import Channel, Event, EventId, Stored, Vendor

MOST_STATE_BYTES = 7_900_000
"""What the state of one stream may take, wherever it is kept: with a script of thousands of paragraphs it has
megabytes."""


class DeadLetter(NamedTuple):
    """An authentic message that could not be decoded, whole.

    job_id, type: None where the body didn't tell. reason: a metric label (see UndecodableError).
    detail: a sentence on what was expected.
    """

    id: EventId
    vendor: Vendor
    source: str
    job_id: str | None
    channel: Channel
    type: str | None
    received: float
    signed: int | None
    body: bytes
    reason: str
    detail: str


class StoredLetter(NamedTuple):
    """A dead letter with its number, by which it is shown and retried."""

    number: int
    letter: DeadLetter


class Checkpoint(NamedTuple):
    """States as they were after the event at `position` was folded.

    position: before the first event, one less than the log's first offset: 0, on Kafka -1. states:
    (source, job id, state) each.
    """

    position: int
    states: list[tuple[str, str, bytes]]


StoredLetters = list[StoredLetter]
"""Several letters; spelled here because a class with a method `list` can't name the type."""


Progress = Callable[[int], None]
"""Is told how much has been read, in the archive's own measure."""


class EventLog(Protocol):
    """Where events are kept: what a receiver knows of a log.

    `append` raises LogUnavailableError when the log can't do it now, and after `close`.
    """

    @property
    def refusing(self) -> bool:
        """Whether it is known by now that the next append will fail as well."""
        ...

    def next_id(self) -> EventId:
        """Return an id that no other event has, greater than all that this receiver gave before."""
        ...

    async def append(self, events: Sequence[Event], dead_letters: Sequence[DeadLetter] = ()) -> None:
        """Keep events and dead letters; all of it is durable on return.

        Appends of one stream are kept in the order of the calls. After an error, or for a caller that
        is cancelled, some of it may be kept all the same.

        Raises:
            LogOverloadedError: too much is waiting already.
            LogUnavailableError: it could not be made durable.
        """
        ...

    async def close(self) -> None:
        """Make durable what waits, then let go of everything."""
        ...


class Heard(NamedTuple):
    """When a stream was first heard of, and when last; Unix seconds, as its events were received."""

    first: float
    last: float


class Past(NamedTuple):
    """Events of one stream, newest first. older: below which offset to read on; None at the end."""

    events: list[Stored]
    older: int | None


class History(Protocol):
    """What happened to one stream."""

    async def history(
        self, source: str, job_id: str, before: int | None, limit: int, heard: Heard | None = None
    ) -> Past:
        """Return up to `limit` events of one stream, newest first, below the offset `before` if given.

        There may be fewer, or none, though older ones are left: a log that has to look for them among those
        of other streams gives up some time. With `heard`, if that is known, it looks where they are.

        Raises:
            LogUnavailableError: the log can't be read now.
        """
        ...


class ReadableLog(EventLog, History, Protocol):
    """A log that is read where it is written: events in the order in which they became durable.

    An append is kept whole or not at all. Every method raises LogUnavailableError when the log can't
    do it now, and after `close`.
    """

    @property
    def known_head(self) -> int:
        """The head as far as it is known without asking: of the last read or later."""
        ...

    async def read(self, after: int, limit: int) -> list[Stored]:
        """Return up to `limit` events in order of offset, beginning behind the offset `after`."""
        ...

    async def head(self) -> int:
        """Return the offset of the newest durable event, 0 if there never was one."""
        ...

    async def wait_beyond(self, offset: int) -> None:
        """Return once an event with a greater offset is durable."""
        ...

    async def remove_expired(self, older_than: float, folded_up_to: int) -> int:
        """Remove events and dead letters received before `older_than`; return how many went.

        An event behind the offset `folded_up_to` stays, however old it is.
        """
        ...


class Archive(Protocol):
    """All events that a log holds, for who reads it from its start beside the running service.

    total: how much there is to read, in whatever the archive counts.
    """

    total: int

    def events(self, progress: Progress) -> AsyncIterator[Stored]:
        """Yield each event; those of one stream in the order in which a worker folds them.

        Events of several streams come about in the order in which they were received.

        Raises:
            LogUnavailableError: the log can't be read now.
        """
        ...


class DeadLetters(Protocol):
    """The dead letters of a log."""

    async def list(self, limit: int, before: int | None) -> StoredLetters:
        """Return up to `limit` letters, newest first, below the number `before` if given."""
        ...

    async def show(self, number: int) -> StoredLetter | None:
        """Return one letter, None if there is no such number."""
        ...

    async def retry(self, number: int, event: Event) -> None:
        """Append the event that a letter turned out to be, and remove the letter.

        Whatever is interrupted where: the event counts once in the end, and the letter is there until
        the event is durable.

        Args:
            number: the letter's.
            event: with a new id: a stream ignores ids older than the last it has seen of a receiver.
                A log may give it another one that is new.

        Raises:
            LookupError: there is no such letter (any more); nothing was appended.
        """
        ...


class Checkpoints(Protocol):
    """Where the states of streams are kept between runs."""

    async def load(self) -> Checkpoint:
        """Return the last whole checkpoint; the position before the first event, and no states, if none."""
        ...

    async def save(self, position: int, changed: Sequence[tuple[str, str, bytes | None]]) -> None:
        """Keep a position and the states that changed since the last one: all of it or nothing.

        Args:
            position: the offset of the last event that went into the states.
            changed: (source, job id, state) each; None removes the state.

        Raises:
            LogUnavailableError: it could not be written; the last checkpoint stands.
        """
        ...
