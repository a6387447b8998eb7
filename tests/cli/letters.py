"""Dead letters of the source `one`, as the receiver keeps them."""

from monitor.event import Channel, EventId, Vendor
from monitor.log.protocol import DeadLetter

DECODABLE = b'{"sessionId": "session-1", "status": 35}'
"""The body of a letter that becomes an event when it is tried again."""


def letter(sequence: int, body: bytes, *, source: str = "one", job_id: str | None = None) -> DeadLetter:
    """Return the letter of a sequence number; later ones were received later."""
    return DeadLetter(
        EventId("receiver-1", 1, sequence),
        Vendor.SOFTSUGAR,
        source,
        job_id,
        Channel.CALLBACK,
        None,
        1_700_000_000.25 + sequence,
        1_700_000_000,
        body,
        "not_json",
        "The body is not JSON.",
    )
