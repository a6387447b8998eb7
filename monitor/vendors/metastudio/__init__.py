"""Huawei Cloud MetaStudio."""

from monitor.event import Channel
from monitor.vendors.metastudio.api_answers import WARNING_SENTENCES
from monitor.vendors.metastudio.callback import CALLBACK_TYPES, decode_callback
from monitor.vendors.metastudio.error_codes import alerting_codes, error_category, error_message
from monitor.vendors.metastudio.registration import reduce_registration
from monitor.vendors.metastudio.rtc import RTC_TYPES, decode_rtc
from monitor.vendors.metastudio.signature import verifier

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
    callbacks = [(Channel.CALLBACK, name) for name in CALLBACK_TYPES]
    return (*callbacks, *((Channel.RTC, name) for name in RTC_TYPES))


def live_warnings() -> tuple[str, ...]:
    """Name the live warnings that the vendor publishes."""
    return tuple(WARNING_SENTENCES)
