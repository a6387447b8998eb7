"""Livestream health monitor: vendors' callbacks in, stream health and Prometheus metrics out."""

__version__ = "0.1.0"
