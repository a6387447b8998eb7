"""SoftSugar publishes no messages of its RTC rooms."""

from monitor.errors import UndecodableError
from monitor.event import Decoded


def decode_rtc(message: bytes) -> Decoded:
    """Refuse to guess: a relay that posts to a SoftSugar source has the wrong source.

    Raises:
        UndecodableError: wrong_type, always.
    """
    del message
    raise UndecodableError("wrong_type", "SoftSugar has no RTC messages; post to a MetaStudio source")
