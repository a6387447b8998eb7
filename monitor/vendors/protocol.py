"""What a vendor's folder offers, and the request that it is shown."""

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from monitor.config import Source
from monitor.event import Channel, Decoded


class Request(NamedTuple):
    """An HTTP request as far as a signature can depend on it.

    query: as it came, undecoded, without the question mark. headers: names in lower case.
    """

    query: str
    headers: Mapping[str, str]
    body: bytes


class Verified(NamedTuple):
    """What an authentic request proves.

    signed: the vendor's signed time in Unix seconds; None where it signs none. form: which of the
    accepted forms of the signature matched, `none` where there is no signature (a metric label).
    """

    signed: int | None
    form: str


UNSIGNED = Verified(None, "none")

Verifier = Callable[[Request], Verified]
"""Checks requests of one source; raises AuthenticationError (missing or signature) and nothing else."""


class Registration(NamedTuple):
    """A registration without its secrets. job_id: canonical. body: what the log keeps, as JSON."""

    job_id: str
    body: bytes


class VendorProtocol(Protocol):
    """One vendor. Every decoding function raises UndecodableError and nothing else."""

    def verifier(self, source: Source) -> Verifier:
        """Prepare what checks this source's callbacks."""
        ...

    def decode_callback(self, source: Source, body: bytes) -> Decoded:
        """Decode the body of a callback."""
        ...

    def decode_rtc(self, message: bytes) -> Decoded:
        """Decode one message of an RTC room, bare or in a relay's envelope."""
        ...

    def event_types(self) -> tuple[tuple[Channel, str], ...]:
        """Name the types that decoding can find, with the channel of each."""
        ...

    def live_warnings(self) -> tuple[str, ...]:
        """Name the live warnings that the vendor publishes, in its own spelling; none if it gives none."""
        ...

    def reduce_registration(self, body: bytes) -> Registration:
        """Take from a registration what the health of a stream needs, and nothing secret."""
        ...

    def error_category(self, code: int) -> str | None:
        """Say whose business an error of a callback is; None if the code isn't published."""
        ...

    def error_message(self, code: int) -> str | None:
        """Say what an error of a callback means; None if the code isn't published."""
        ...

    def alerting_codes(self) -> tuple[tuple[int, str], ...]:
        """Name the error codes that somebody on call must see, each with its category."""
        ...
