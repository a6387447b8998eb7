"""Vendors' error codes as they are counted: each under the category that its vendor publishes."""

from collections.abc import Iterable

from monitor.config import Source
from monitor.event import Vendor
from monitor.metrics.service import ServiceMetrics
from monitor.vendors import registry


def declare_sources(metrics: ServiceMetrics, sources: Iterable[Source]) -> None:
    """Declare each source with those error codes of its vendor that somebody on call must see."""
    for source in sources:
        metrics.declare_source(source.vendor, source.name, registry.alerting_codes(source.vendor))


def count_error(metrics: ServiceMetrics, vendor: Vendor, source: str, code: str) -> None:
    """Count an error that a vendor told, in a callback or in an answer of its API.

    Args:
        metrics: the service's own.
        vendor: who told it.
        source: of which source.
        code: as the vendor wrote it: a whole number.
    """
    metrics.vendor_errors.labels(vendor, source, code, registry.error_category(vendor, int(code))).inc()
