"""Livestream health monitor: vendors' callbacks in, stream health and Prometheus metrics out."""
