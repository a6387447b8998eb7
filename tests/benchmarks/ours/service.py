"""The parts of the service that the benchmarks run by themselves."""

import sys

import structlog
from prometheus_client import CollectorRegistry

from monitor.config import Source
from monitor.event import Vendor
from monitor.metrics.service import ServiceMetrics

SOURCE = Source(
    name="metastudio-bench",
    vendor=Vendor.METASTUDIO,
    public_url="https://hooks.example.com/callbacks/metastudio-bench",
    max_streams=1_000_000,
)


def metrics() -> ServiceMetrics:
    """Return the service's own metrics, with the source declared as the service does."""
    made = ServiceMetrics(CollectorRegistry())
    made.declare_source(SOURCE.vendor, SOURCE.name, ())
    return made


def log_to_stderr() -> None:
    """Leave standard output to the answer."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
