"""The parts of the service that the benchmarks run by themselves."""

import sys

import structlog
from prometheus_client import CollectorRegistry

from monitor.config import Source
from monitor.event import Vendor
from monitor.metrics.service import ServiceMetrics
from monitor.service.interpreter import prepare_interpreter

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


def counted(counters: ServiceMetrics) -> float:
    """Return how many events were folded."""
    return sum(
        sample.value
        for family in counters.events.collect()
        for sample in family.samples
        if sample.name == "monitor_events_total"
    )


def prepare_process() -> None:
    """Run Python as the service does, and leave standard output to the answer."""
    prepare_interpreter()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
