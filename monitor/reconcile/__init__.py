"""Asks the vendors' APIs what is true of live streams, and tells the log where it differs."""

from monitor.reconcile.running import run_reconcile
from monitor.reconcile.streams import FleetStreams, LiveStreams

__all__ = ["FleetStreams", "LiveStreams", "run_reconcile"]
