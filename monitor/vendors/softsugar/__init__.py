"""SoftSugar / SenseTime."""

from monitor.vendors.softsugar.callback import decode_callback
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
    "reduce_registration",
    "verifier",
]
