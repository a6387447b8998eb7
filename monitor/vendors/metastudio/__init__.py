"""Huawei Cloud MetaStudio."""

from monitor.vendors.metastudio.callback import decode_callback
from monitor.vendors.metastudio.error_codes import alerting_codes, error_category, error_message
from monitor.vendors.metastudio.registration import reduce_registration
from monitor.vendors.metastudio.rtc import decode_rtc
from monitor.vendors.metastudio.signature import verifier

__all__ = [
    "alerting_codes",
    "decode_callback",
    "decode_rtc",
    "error_category",
    "error_message",
    "reduce_registration",
    "verifier",
]
