"""Asks the vendors' APIs what is true of live streams, and tells the log where it differs."""

from monitor.reconcile.running import run_reconcile
from monitor.reconcile.streams import LiveStreams

__all__ = ["LiveStreams", "run_reconcile"]
