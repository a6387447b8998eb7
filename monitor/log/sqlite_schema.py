"""The tables of the embedded log, and how events and dead letters become their rows.

Made for few bytes and few pages a row. `origins` holds once what thousands of events share. The index
of a stream's history is cut into windows of 4,096 offsets, so that writes touch the few pages of the
newest window, not one somewhere in a large tree for every stream (measured with 10,000 streams: 2.6 µs
an event rather than 6.2, and that one grows with the log); a history asks window by window instead.
Times are whole microseconds: a REAL would lose digits on its way through text, and a Kafka log has
no more either.
"""

import sqlite3
import zlib
from typing import Any, NamedTuple

from monitor.event import Channel, Event, EventId, Vendor
from monitor.log.bulk import gather
from monitor.log.cloudevents import from_microseconds, to_microseconds
from monitor.log.protocol import DeadLetter, StoredLetter
from monitor.log.sqlite_file import Kind

WINDOW_BITS = 12

_RECEIVED_TEXT = (
    "strftime('%Y-%m-%dT%H:%M:%S', received / 1000000, 'unixepoch') || printf('.%06dZ', received % 1000000)"
)

LOG = Kind(
    name="an event log of livestream-monitor",
    application=0x4C73_4D6C,
    version=1,
    schema=f"""
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE receivers (name TEXT PRIMARY KEY, boot INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE origins (
    number INTEGER PRIMARY KEY,
    receiver TEXT NOT NULL,
    vendor TEXT NOT NULL,
    source TEXT NOT NULL,
    channel TEXT NOT NULL,
    type TEXT NOT NULL,
    UNIQUE (receiver, vendor, source, channel, type)
);
CREATE TABLE events (
    offset INTEGER PRIMARY KEY AUTOINCREMENT,
    origin INTEGER NOT NULL,
    boot INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    job_id TEXT NOT NULL,
    received INTEGER NOT NULL,
    signed INTEGER,
    stream INTEGER NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX events_by_stream ON events (offset >> {WINDOW_BITS}, stream);
CREATE TABLE dead_letters (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    receiver TEXT NOT NULL,
    boot INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    vendor TEXT NOT NULL,
    source TEXT NOT NULL,
    job_id TEXT,
    channel TEXT NOT NULL,
    type TEXT,
    received INTEGER NOT NULL,
    signed INTEGER,
    body BLOB NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    UNIQUE (receiver, boot, sequence)
);
CREATE VIEW cloudevents AS
SELECT
    offset,
    '1.0' AS ce_specversion,
    receiver || '-' || boot || '-' || sequence AS ce_id,
    '/sources/' || source AS ce_source,
    vendor || '.' || channel || '.' || type AS ce_type,
    job_id AS ce_subject,
    CASE
        WHEN signed IS NULL THEN {_RECEIVED_TEXT}
        ELSE strftime('%Y-%m-%dT%H:%M:%SZ', signed, 'unixepoch')
    END AS ce_time,
    {_RECEIVED_TEXT} AS ce_receivedtime,
    body AS data
FROM events JOIN origins ON origins.number = events.origin
""",  # noqa: S608 - made of this module's constants
)

SPOOL = LOG._replace(name="a spool of livestream-monitor", application=0x4C73_4D70)
"""The same tables in front of Kafka. Another kind, so that an embedded log is never taken for a spool:
all that is in a spool is sent to Kafka and removed."""


class Origin(NamedTuple):
    """What many events share; one row of `origins`, where the enums are text."""

    receiver: str
    vendor: Vendor
    source: str
    channel: Channel
    type: str


INSERT_EVENTS = "INSERT INTO events (origin, boot, sequence, job_id, received, signed, stream, body)"
EVENT_COLUMNS = 8

# What was folded and not kept when a process was killed is folded again, its dead letters among it.
INSERT_LETTERS = (
    "INSERT OR IGNORE INTO dead_letters (receiver, boot, sequence, vendor, source, job_id, channel, type,"
    " received, signed, body, reason, detail)"
)
LETTER_COLUMNS = 13

SELECT_LETTERS = (
    "SELECT number, receiver, boot, sequence, vendor, source, job_id, channel, type, received, signed,"
    " body, reason, detail FROM dead_letters"
)

_GATHERED = "offset, origin, boot, sequence, job_id, received, signed"

SELECT_EVENTS = gather(
    _GATHERED, "body", "SELECT * FROM events WHERE offset > :after ORDER BY offset LIMIT :limit"
)

SELECT_HISTORY = gather(
    _GATHERED,
    "body",
    f"""
    WITH RECURSIVE windows (number) AS (
        VALUES (:newest) UNION ALL SELECT number - 1 FROM windows WHERE number > :oldest
    )
    SELECT events.* FROM windows CROSS JOIN events INDEXED BY events_by_stream
    WHERE events.offset >> {WINDOW_BITS} = windows.number AND stream = :stream AND offset < :before
        AND job_id = :job_id AND origin IN (SELECT number FROM origins WHERE source = :source)
    ORDER BY offset DESC LIMIT :limit
    """,  # noqa: S608 - made of this module's constants
)

EventRow = tuple[int, int, int, str, int, int | None, int, bytes]
LetterRow = tuple[str, int, int, str, str, str | None, str, str | None, int, int | None, bytes, str, str]


def stream_number(source: str, job_id: str) -> int:
    """Return a number for a stream that fits four bytes; two streams may share one."""
    return zlib.crc32(f"{source}/{job_id}".encode())


def newest_offset(connection: sqlite3.Connection) -> int:
    """Return the greatest offset ever given, also when its event has expired since; 0 if none was."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
    return 0 if row is None else int(row[0])


def event_row(event: Event, origin: int) -> EventRow:
    """Return an event's values in the order of INSERT_EVENTS."""
    (_, boot, sequence), _, source, job_id, _, _, received, signed, body = event
    return (
        origin,
        boot,
        sequence,
        job_id,
        to_microseconds(received),
        signed,
        stream_number(source, job_id),
        body,
    )


def letter_row(letter: DeadLetter) -> LetterRow:
    """Return a dead letter's values in the order of INSERT_LETTERS."""
    return (
        *letter.id,
        letter.vendor.value,
        letter.source,
        letter.job_id,
        letter.channel.value,
        letter.type,
        to_microseconds(letter.received),
        letter.signed,
        letter.body,
        letter.reason,
        letter.detail,
    )


def stored_letter(row: tuple[Any, ...]) -> StoredLetter:
    """Return the letter of a row of SELECT_LETTERS."""
    number, receiver, boot, sequence, vendor, source, job_id, channel, kind, received, *rest = row
    letter = DeadLetter(
        EventId(receiver, boot, sequence),
        Vendor(vendor),
        source,
        job_id,
        Channel(channel),
        kind,
        from_microseconds(received),
        *rest,
    )
    return StoredLetter(number, letter)
