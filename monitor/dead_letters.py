"""What an operator does with dead letters: lists them, reads one, and has them decoded again.

The log may be in use by the running service meanwhile.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import NamedTuple

from monitor.config import Settings, Source
from monitor.errors import UndecodableError, fault
from monitor.event import RETRY_RECEIVER, UNKNOWN_TYPE, Event, EventId
from monitor.log import kafka_client, kafka_dead_letters, kafka_topics
from monitor.log.protocol import DeadLetter, DeadLetters, StoredLetter
from monitor.log.sqlite import SqliteLog
from monitor.log.sqlite_file import must_be_there
from monitor.vendors import registry

NO_SUCH_LETTER = "there is no dead letter of this number"

_PAGE = 100


@dataclass(frozen=True, slots=True)
class Opened:
    """The dead letters of a log, and what gives the ids of the events that they become."""

    letters: DeadLetters
    next_id: Callable[[], EventId]


class Retried(NamedTuple):
    """What became of one letter. problem: why it is still one; None if it is an event now."""

    number: int
    problem: str | None


def described(stored: StoredLetter) -> dict[str, object]:
    """Return a letter as JSON values, but for its body. Times are RFC 3339 in UTC."""
    letter = stored.letter
    return {
        "number": stored.number,
        "id": str(letter.id),
        "vendor": letter.vendor.value,
        "source": letter.source,
        "job_id": letter.job_id,
        "channel": letter.channel.value,
        "type": letter.type,
        "received": _time(letter.received),
        "signed": None if letter.signed is None else _time(letter.signed),
        "reason": letter.reason,
        "detail": letter.detail,
        "bytes": len(letter.body),
    }


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


@asynccontextmanager
async def opened(settings: Settings, *, to_retry: bool = False) -> AsyncIterator[Opened]:
    """Open the dead letters beside the service that may be running, and close them at the end.

    Args:
        settings: name the log.
        to_retry: whether letters are to become events, rather than be looked at.

    Raises:
        MonitorError: the log isn't there, or can't be opened.
    """
    if settings.log.backend == "kafka":
        kafka_client.tell_nothing()
        if to_retry:
            # What is retried goes to the topic of events, which may not be there any more.
            await kafka_topics.ensure(settings)
        async with kafka_dead_letters.opened(settings.kafka) as letters:
            # It makes the lasting ids of the letters' own.
            numbers = count(1)
            yield Opened(letters, lambda: EventId(RETRY_RECEIVER, 1, next(numbers)))
        return
    path = settings.log.path
    must_be_there(path)
    log = await (SqliteLog.open(path, receiver=RETRY_RECEIVER) if to_retry else SqliteLog.open_reader(path))
    try:
        yield Opened(log, log.next_id)
    finally:
        await log.close()


async def all_numbers(letters: DeadLetters) -> list[int]:
    """Return the number of every letter, oldest first."""
    numbers: list[int] = []
    while page := await letters.list(_PAGE, numbers[-1] if numbers else None):
        numbers.extend(stored.number for stored in page)
    return numbers[::-1]


async def retry(
    letters: DeadLetters, number: int, sources: Sequence[Source], next_id: Callable[[], EventId]
) -> Retried:
    """Decode a letter with today's code; if that works, put it into the log as an event instead.

    The event keeps the times at which it came.

    Args:
        letters: of the log.
        number: the letter's.
        sources: as configured today; a letter of none of them stays.
        next_id: gives the event's id, each greater than the one before.
    """
    stored = await letters.show(number)
    if stored is None:
        return Retried(number, NO_SUCH_LETTER)
    letter = stored.letter
    source = next((one for one in sources if one.name == letter.source), None)
    if source is None or source.vendor is not letter.vendor:
        return Retried(number, f"the configuration has no {letter.vendor} source {letter.source}")
    identity = next_id()
    try:
        event = _event(letter, source, identity)
    except UndecodableError as error:
        return Retried(number, f"{error.reason}: {error.detail}")
    except Exception as error:
        # A fault of ours that is there still keeps no other letter from being tried.
        return Retried(number, f"decoder_failed: The decoder failed with {fault(error)}.")
    try:
        await letters.retry(number, event)
    except LookupError:
        return Retried(number, NO_SUCH_LETTER)
    return Retried(number, None)


def _event(letter: DeadLetter, source: Source, identity: EventId) -> Event:
    event = Event(
        identity,
        letter.vendor,
        letter.source,
        letter.job_id or "",
        letter.channel,
        letter.type or UNKNOWN_TYPE,
        letter.received,
        letter.signed,
        letter.body,
    )
    decoded = registry.decode(event, source)
    job_id = letter.job_id or decoded.job_id
    if job_id is None:
        raise UndecodableError("no_job_id", "The body names no job.")
    return event._replace(job_id=job_id, type=decoded.type)
