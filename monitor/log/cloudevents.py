"""An Event as CloudEvents 1.0 in Kafka's binary mode: attributes in headers, the body as it came.

| header | what |
|---|---|
| `ce_specversion` | `1.0` |
| `ce_id` | the event's id, `<receiver>-<boot>-<sequence>` |
| `ce_source` | `/sources/<source>` |
| `ce_type` | `<vendor>.<channel>.<event type>` |
| `ce_subject` | the job id |
| `ce_time` | the vendor's signed time, else the time we received it |
| `ce_receivedtime` | the time we received it |

A dead letter has two more, `ce_reason` and `ce_detail`; a job id or an event type that its body didn't
tell is left out (`ce_type` is then `<vendor>.<channel>`).

Times are RFC 3339 in UTC. A signed time has whole seconds and no fraction
(`2026-11-21T05:54:00Z`); a received time always has six digits of fraction
(`2026-11-21T05:54:00.250000Z`). So a reader sees from `ce_time` alone whether it was signed.

The round trip is exact, but for parts of `received` finer than a microsecond, which are rounded away.
"""

import calendar
import time
from collections.abc import Iterable
from functools import lru_cache

from monitor.config import is_source_name
from monitor.event import Channel, Event, EventId, Vendor
from monitor.log.protocol import DeadLetter

Header = tuple[str, bytes]
Headers = list[Header]

_SOURCE_PREFIX = "/sources/"
_SPEC_VERSION = ("ce_specversion", b"1.0")
_VENDORS = {vendor.value: vendor for vendor in Vendor}
_CHANNELS = {channel.value: channel for channel in Channel}
_YEAR_10000 = 253_402_300_800
# The last two: somebody else's header may have a name alone, and None for its value.
_UNREADABLE = (KeyError, ValueError, AttributeError, TypeError)
_SECONDS_LENGTH = len("2026-11-21T05:54:00")
_MICROSECONDS_LENGTH = len("2026-11-21T05:54:00.250000Z")


def to_microseconds(seconds: float) -> int:
    """Return Unix seconds as whole microseconds, the nearest."""
    return round(seconds * 1_000_000)


def from_microseconds(microseconds: int) -> float:
    """Return whole microseconds as Unix seconds: the float that is nearest to that decimal number."""
    return microseconds / 1_000_000


def to_headers(event: Event) -> Headers:
    """Return the attributes of an event; its value is `event.body`.

    Raises:
        ValueError: a time outside the years 1970 to 9999, or text that UTF-8 can't carry.
    """
    received, time_told = _times(event.received, event.signed)
    receiver, boot, sequence = event.id
    source, kind = _origin(event.source, event.vendor, event.channel, event.type)
    return [
        _SPEC_VERSION,
        ("ce_id", f"{receiver}-{boot}-{sequence}".encode()),
        source,
        kind,
        ("ce_subject", event.job_id.encode()),
        ("ce_time", time_told),
        ("ce_receivedtime", received),
    ]


def from_headers(headers: Iterable[tuple[str, bytes]], body: bytes) -> Event:
    """Read what `to_headers` wrote; other headers are ignored.

    Raises:
        ValueError: an attribute is missing or is not of this service's form; the text says which.
    """
    values = dict(headers)
    attribute = "ce_id"
    try:
        identity = EventId.parse(values[attribute].decode())
        attribute = "ce_source"
        source = _source(values[attribute])
        attribute = "ce_type"
        vendor, channel, event_type = values[attribute].decode().split(".", 2)
        kind = _VENDORS[vendor], _CHANNELS[channel]
        attribute = "ce_subject"
        job_id = values[attribute].decode()
        attribute = "ce_time"
        signed = _signed(values[attribute])
        attribute = "ce_receivedtime"
        received = _received(values[attribute])
    except _UNREADABLE as error:
        raise _unreadable(attribute, values) from error
    return Event(identity, kind[0], source, job_id, kind[1], event_type, received, signed, body)


def letter_to_headers(letter: DeadLetter) -> Headers:
    """Return the attributes of a dead letter; its value is `letter.body`.

    Raises:
        ValueError: as `to_headers`.
    """
    received, time_told = _times(letter.received, letter.signed)
    kind = f"{letter.vendor}.{letter.channel}"
    headers = [
        _SPEC_VERSION,
        ("ce_id", str(letter.id).encode()),
        ("ce_source", f"{_SOURCE_PREFIX}{letter.source}".encode()),
        ("ce_type", (kind if letter.type is None else f"{kind}.{letter.type}").encode()),
        ("ce_time", time_told),
        ("ce_receivedtime", received),
        ("ce_reason", letter.reason.encode()),
        ("ce_detail", letter.detail.encode()),
    ]
    if letter.job_id is not None:
        headers.append(("ce_subject", letter.job_id.encode()))
    return headers


def letter_from_headers(headers: Iterable[tuple[str, bytes]], body: bytes) -> DeadLetter:
    """Read what `letter_to_headers` wrote.

    Raises:
        ValueError: as `from_headers`.
    """
    values = dict(headers)
    attribute = "ce_id"
    try:
        identity = EventId.parse(values[attribute].decode())
        attribute = "ce_source"
        source = _source(values[attribute])
        attribute = "ce_type"
        vendor, channel, *rest = values[attribute].decode().split(".", 2)
        kind = _VENDORS[vendor], _CHANNELS[channel], rest[0] if rest else None
        attribute = "ce_subject"
        job_id = values[attribute].decode() if attribute in values else None
        attribute = "ce_time"
        signed = _signed(values[attribute])
        attribute = "ce_receivedtime"
        received = _received(values[attribute])
        attribute = "ce_reason"
        reason = values[attribute].decode()
        attribute = "ce_detail"
        detail = values[attribute].decode()
    except _UNREADABLE as error:
        raise _unreadable(attribute, values) from error
    return DeadLetter(
        identity, kind[0], source, job_id, kind[1], kind[2], received, signed, body, reason, detail
    )


def _unreadable(attribute: str, values: dict[str, bytes]) -> ValueError:
    if attribute not in values:
        return ValueError(f"{attribute}: this header is missing")
    return ValueError(f"{attribute}: not of the form that this service writes")


def _times(received: float, signed: int | None) -> tuple[bytes, bytes]:
    """Return `ce_receivedtime` and `ce_time`."""
    seconds, fraction = divmod(to_microseconds(received), 1_000_000)
    text = b"%b.%06dZ" % (_text_of_second(seconds), fraction)
    return text, text if signed is None else _text_of_second(signed) + b"Z"


def _signed(text: bytes) -> int | None:
    if len(text) == _MICROSECONDS_LENGTH:
        return None
    if len(text) != _SECONDS_LENGTH + 1:
        raise ValueError(text)
    return _second_of_text(text[:_SECONDS_LENGTH])


def _received(text: bytes) -> float:
    if len(text) != _MICROSECONDS_LENGTH:
        raise ValueError(text)
    fraction = int(text[_SECONDS_LENGTH + 1 : -1])
    return from_microseconds(_second_of_text(text[:_SECONDS_LENGTH]) * 1_000_000 + fraction)


# Each event names its source, and a service has few.
@lru_cache(maxsize=4096)
def _source(text: bytes) -> str:
    prefix, name = text[: len(_SOURCE_PREFIX)].decode(), text[len(_SOURCE_PREFIX) :].decode()
    if prefix != _SOURCE_PREFIX or not is_source_name(name):
        raise ValueError(text)
    return name


# Thousands of events have one origin.
@lru_cache(maxsize=4096)
def _origin(source: str, vendor: Vendor, channel: Channel, kind: str) -> tuple[Header, Header]:
    """Return `ce_source` and `ce_type`."""
    return (
        ("ce_source", f"{_SOURCE_PREFIX}{source}".encode()),
        ("ce_type", f"{vendor}.{channel}.{kind}".encode()),
    )


# Neighbouring events share their second, so that formatting and parsing are done once for many.
@lru_cache(maxsize=4096)
def _text_of_second(seconds: int) -> bytes:
    if not 0 <= seconds < _YEAR_10000:
        raise ValueError(f"{seconds} is not a Unix time of the years 1970 to 9999")
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)).encode()


@lru_cache(maxsize=4096)
def _second_of_text(text: bytes) -> int:
    seconds = calendar.timegm(time.strptime(text.decode(), "%Y-%m-%dT%H:%M:%S"))
    if seconds < 0:
        # Of the years that can be read, these are those that `_text_of_second` doesn't write.
        raise ValueError(text)
    return seconds
