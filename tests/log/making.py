"""Events and dead letters for the tests of logs."""

from hypothesis import strategies as st

from monitor.event import Channel, Event, EventId, Vendor
from monitor.log.cloudevents import from_microseconds
from monitor.log.protocol import DeadLetter

RECEIVED = 1795240440.123456
SIGNED = 1795240440

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
NAMES = st.from_regex(r"[a-z0-9][a-z0-9-]{0,20}", fullmatch=True)
LAST_SECOND = 253_402_300_799
"""The last second of the year 9999."""

EVENTS = st.builds(
    Event,
    st.builds(EventId, NAMES, st.integers(0, 2**31), st.integers(0, 2**62)),
    st.sampled_from(Vendor),
    NAMES,
    TEXT,
    st.sampled_from(Channel),
    TEXT,
    # Until the year 2106: further off, floats of seconds hold no microseconds.
    st.integers(0, 2**32 * 1_000_000).map(from_microseconds),
    st.none() | st.integers(0, LAST_SECOND),
    st.binary(max_size=300),
)


def event(
    identity: EventId,
    *,
    source: str = "room-a",
    job_id: str = "job-1",
    received: float = RECEIVED,
    signed: int | None = SIGNED,
    body: bytes = b'{"event_type": "REPLY_COMMAND_FINISH"}',
) -> Event:
    """Return an event of which the test says what matters to it."""
    return Event(
        identity,
        Vendor.METASTUDIO,
        source,
        job_id,
        Channel.CALLBACK,
        "REPLY_COMMAND_FINISH",
        received,
        signed,
        body,
    )


def dead_letter(
    identity: EventId, *, received: float = RECEIVED, body: bytes = b"\x00\xff no JSON"
) -> DeadLetter:
    """Return a dead letter that tells neither job nor type."""
    return DeadLetter(
        identity,
        Vendor.SOFTSUGAR,
        "room-b",
        None,
        Channel.CALLBACK,
        None,
        received,
        None,
        body,
        "not_json",
        "expected a JSON object",
    )
