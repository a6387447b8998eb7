"""Huawei Cloud MetaStudio."""

from monitor.vendors.metastudio.callback import decode_callback
from monitor.vendors.metastudio.registration import reduce_registration
from monitor.vendors.metastudio.rtc import decode_rtc
from monitor.vendors.metastudio.signature import verifier

__all__ = ["decode_callback", "decode_rtc", "reduce_registration", "verifier"]
