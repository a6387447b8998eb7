"""Asks the vendors' APIs what is true of live streams, and tells the log where it differs."""

from monitor.reconcile.rounds import Surroundings
from monitor.reconcile.running import run_reconcile

__all__ = ["Surroundings", "run_reconcile"]
