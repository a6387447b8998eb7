"""What faces the vendors: limits, source, verify, identify, append, answer."""

from monitor.receiver.app import Receiver
from monitor.receiver.limits import Limits

__all__ = ["Limits", "Receiver"]
