"""What an operator does with dead letters: lists them, reads one, and has them decoded again.

The log may be in use by the running service meanwhile.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from monitor.config import Source
from monitor.errors import MonitorError, UndecodableError
from monitor.event import UNKNOWN_TYPE, Event, EventId
from monitor.log.protocol import DeadLetter, DeadLetters, StoredLetter
from monitor.vendors import registry

RETRY_RECEIVER = "retry"
"""The receiver's name in the ids of retried events.

Not the name of the one that took the letter: its stream may have seen newer ids of that receiver
since, and would take the event for one it has folded already.
"""

_PAGE = 100


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


async def show(letters: DeadLetters, number: int) -> StoredLetter:
    """Return one letter.

    Raises:
        MonitorError: there is no letter of this number.
    """
    stored = await letters.show(number)
    if stored is None:
        raise _no_such_letter(number)
    return stored


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

    Raises:
        MonitorError: there is no letter of this number.
    """
    letter = (await show(letters, number)).letter
    source = next((one for one in sources if one.name == letter.source), None)
    if source is None or source.vendor is not letter.vendor:
        return Retried(number, f"the configuration has no {letter.vendor} source {letter.source}")
    try:
        event = _event(letter, source, next_id())
    except UndecodableError as error:
        return Retried(number, f"{error.reason}: {error.detail}")
    try:
        await letters.retry(number, event)
    except LookupError:
        raise _no_such_letter(number) from None
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


def _no_such_letter(number: int) -> MonitorError:
    return MonitorError(f"there is no dead letter {number}; `monitor dead-letters list` shows which there are")
