"""Makes an authentic body an event of its job, or a dead letter; never nothing."""

from collections.abc import Callable
from typing import NamedTuple

import structlog

from monitor.errors import UndecodableError, fault_place
from monitor.event import Channel, Decoded, Event, EventId
from monitor.log.protocol import DeadLetter
from monitor.receiver.sources import PreparedSource

_logger = structlog.get_logger(__name__)


class Arrival(NamedTuple):
    """How and when an authentic body came.

    job_id: canonical, where the request told it rather than the body. received: our Unix seconds.
    signed: the vendor's, if any.
    """

    source: PreparedSource
    channel: Channel
    job_id: str | None
    received: float
    signed: int | None


def identify(
    arrival: Arrival, identity: EventId, body: bytes, decode: Callable[[], Decoded]
) -> Event | DeadLetter:
    """Return what the log is to keep of a body: an event if it can be decoded, else a dead letter."""
    return keep(arrival, identity, body, read(arrival, decode))


def read(arrival: Arrival, decode: Callable[[], Decoded]) -> Decoded | UndecodableError:
    """Return what a body says, or why that can't be told."""
    try:
        decoded = decode()
    except UndecodableError as error:
        return error
    except Exception as error:
        # A fault of ours must not lose what will not come again.
        fault = type(error).__name__
        source, place = arrival.source.name, fault_place(error)
        _logger.error("decoder_failed", source=source, channel=arrival.channel, error=fault, at=place)
        return UndecodableError("decoder_failed", f"The decoder failed with {fault}.")
    if arrival.job_id is None and decoded.job_id is None:
        return UndecodableError("no_job_id", "The body names no job.")
    return decoded


def keep(
    arrival: Arrival, identity: EventId, body: bytes, said: Decoded | UndecodableError
) -> Event | DeadLetter:
    """Return what the log is to keep of a body that was read. said: of `read`."""
    if isinstance(said, UndecodableError):
        return dead_letter(arrival, identity, body, said)
    source, decoded = arrival.source, said
    job_id = arrival.job_id or decoded.job_id
    assert job_id is not None
    return Event(
        identity,
        source.vendor,
        source.name,
        job_id,
        arrival.channel,
        decoded.type,
        arrival.received,
        arrival.signed,
        body,
    )


def dead_letter(arrival: Arrival, identity: EventId, body: bytes, error: UndecodableError) -> DeadLetter:
    """Return the dead letter of a body that can't be decoded."""
    return DeadLetter(
        id=identity,
        vendor=arrival.source.vendor,
        source=arrival.source.name,
        job_id=arrival.job_id,
        channel=arrival.channel,
        type=None,
        received=arrival.received,
        signed=arrival.signed,
        body=body,
        reason=error.reason,
        detail=error.detail,
    )
