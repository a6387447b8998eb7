"""SoftSugar / SenseTime."""

from monitor.event import UNKNOWN_TYPE, Channel
from monitor.vendors.softsugar.callback import SESSION_STATUS, decode_callback
from monitor.vendors.softsugar.error_codes import alerting_codes, error_category, error_message
from monitor.vendors.softsugar.registration import reduce_registration
from monitor.vendors.softsugar.rtc import decode_rtc
from monitor.vendors.softsugar.signature import verifier

__all__ = [
    "alerting_codes",
    "decode_callback",
    "decode_rtc",
    "error_category",
    "error_message",
    "event_types",
    "live_warnings",
    "reduce_registration",
    "verifier",
]


def event_types() -> tuple[tuple[Channel, str], ...]:
    """Name the types that decoding can find, with the channel of each."""
    return (Channel.CALLBACK, SESSION_STATUS), (Channel.CALLBACK, UNKNOWN_TYPE)


def live_warnings() -> tuple[str, ...]:
    """The vendor gives none."""
    return ()
