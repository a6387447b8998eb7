"""From a vendor's name to what verifies and decodes for it."""

from monitor.config import Source
from monitor.errors import UndecodableError
from monitor.event import Channel, Decoded, Event, Vendor
from monitor.vendors import metastudio, softsugar
from monitor.vendors.json_body import whole_characters
from monitor.vendors.observation import JOB_OBSERVED, decode_observation
from monitor.vendors.protocol import Registration, VendorProtocol, Verifier
from monitor.vendors.registration import JOB_REGISTERED, decode_reduced
from monitor.vendors.rtc_batch import split_rtc

__all__ = [
    "UNKNOWN_CATEGORY",
    "VENDORS",
    "alerting_codes",
    "decode",
    "decode_callback",
    "decode_rtc",
    "error_category",
    "error_message",
    "event_types",
    "live_warnings",
    "reduce_registration",
    "split_rtc",
    "verifier",
]

UNKNOWN_CATEGORY = "unknown"
"""The category of an error whose code its vendor hasn't published."""

VENDORS: dict[Vendor, VendorProtocol] = {Vendor.METASTUDIO: metastudio, Vendor.SOFTSUGAR: softsugar}


def verifier(source: Source) -> Verifier:
    """Prepare what checks this source's callbacks, to be kept: it computes once what depends on the source.

    It raises AuthenticationError (missing or signature). The time window is the caller's to check,
    so that the clock's skew can be seen of refused requests too.
    """
    return VENDORS[source.vendor].verifier(source)


def decode_callback(source: Source, body: bytes) -> Decoded:
    """Decode the body of a callback.

    Raises:
        UndecodableError: not_json, no_job_id or wrong_type.
    """
    return VENDORS[source.vendor].decode_callback(source, whole_characters(body))


def decode_rtc(vendor: Vendor, message: bytes) -> Decoded:
    """Decode one message of an RTC room; its job id is None, since such a message carries none.

    Raises:
        UndecodableError: not_json or wrong_type.
    """
    return VENDORS[vendor].decode_rtc(whole_characters(message))


def reduce_registration(vendor: Vendor, body: bytes) -> Registration:
    """Take from a posted registration the job id and what health needs, and nothing secret.

    Raises:
        UndecodableError: not_json, no_job_id, wrong_type or too_many.
    """
    return VENDORS[vendor].reduce_registration(whole_characters(body))


def decode(event: Event, source: Source) -> Decoded:
    """Decode an event of the log by the channel it came on.

    Raises:
        UndecodableError: not_json, no_job_id or wrong_type.
    """
    if event.channel is Channel.CALLBACK:
        return VENDORS[event.vendor].decode_callback(source, whole_characters(event.body))
    if event.channel is Channel.RTC:
        return decode_rtc(event.vendor, event.body)
    if event.type == JOB_REGISTERED:
        return decode_reduced(event.body)
    if event.type == JOB_OBSERVED:
        return decode_observation(event.body)
    raise UndecodableError("wrong_type", f"no event of the channel {event.channel} has this type")


def event_types(vendor: Vendor) -> tuple[tuple[Channel, str], ...]:
    """Name the types that an event of a vendor's stream can have, with the channel of each."""
    return (*VENDORS[vendor].event_types(), (Channel.API, JOB_REGISTERED), (Channel.API, JOB_OBSERVED))


def live_warnings(vendor: Vendor) -> tuple[str, ...]:
    """Name the live warnings that a vendor publishes, in its own spelling; none if it gives none."""
    return VENDORS[vendor].live_warnings()


def error_category(vendor: Vendor, code: int) -> str:
    """Say whose business an error of a callback is (a metric label)."""
    return VENDORS[vendor].error_category(code) or UNKNOWN_CATEGORY


def error_message(vendor: Vendor, code: int) -> str | None:
    """Say in the vendor's words what an error of a callback means; None if the code isn't published."""
    return VENDORS[vendor].error_message(code)


def alerting_codes(vendor: Vendor) -> tuple[tuple[int, str], ...]:
    """Name the error codes that somebody on call must see, each with its category."""
    return VENDORS[vendor].alerting_codes()
