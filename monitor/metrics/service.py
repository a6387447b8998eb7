"""The service's own metrics: what it received, folded and refused."""

import platform
from collections.abc import Callable, Iterable, Mapping

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from monitor import __version__
from monitor.event import Channel, Vendor
from monitor.health.effect import Effect
from monitor.health.status import Status
from monitor.metrics.catalogue import family
from monitor.metrics.collectors import BatchHistogram, OptionalGauge

CALLBACK_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Bounds of a callback's duration in seconds: from a fast synced write to what a vendor won't wait for."""

DELAY_BUCKETS = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
    *(10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0),
)
"""Bounds of an event's delay in seconds: from a live worker to one that catches up after an hour."""

CALLBACK_OUTCOMES = ("accepted", "dead_lettered", "unauthenticated", "too_large", "overloaded")
"""What alerts and dashboards ask of each source; the receiver adds rarer ones."""

AUTHENTICATION_REASONS = ("signature", "timestamp", "missing", "token", "network")
"""What a request can lack."""

DEAD_LETTER_REASONS = ("not_json", "no_job_id", "wrong_type", "too_many", "decoder_failed", "fold_failed")
"""Why a body can't be decoded, or what it says can't be folded."""


class ServiceMetrics:
    """One attribute for each of the service's own families.

    Args:
        registry: where they are exported.
        role: what the process does, as `--role` has it.

    Attributes:
        unpublished_codes: of each source, the error codes outside its vendor's list that have a series.
    """

    def __init__(self, registry: CollectorRegistry, role: str = "all") -> None:
        # The library would add a `_created` series to each counter: families outside the catalogue
        # that double the page. The switch is the library's only one, and it is for the process.
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # it has no annotations
        self.registry = registry
        self.callbacks = self._counter("monitor_callbacks_total")
        self.authentication_failures = self._counter("monitor_authentication_failures_total")
        self.connections_refused = self._counter("monitor_connections_refused_total")
        self.callback_duration = self._histogram("monitor_callback_duration_seconds", CALLBACK_BUCKETS)
        self.clock_skew = self._gauge("monitor_clock_skew_seconds")
        self.signature_forms = self._counter("monitor_signature_forms_total")
        self.events = self._counter("monitor_events_total")
        self.event_delay = BatchHistogram(family("monitor_event_delay_seconds"), DELAY_BUCKETS, registry)
        self.dead_letters = self._counter("monitor_dead_letters_total")
        self.vendor_errors = self._counter("monitor_vendor_errors_total")
        self.reconcile_calls = self._counter("monitor_reconcile_calls_total")
        self.reconcile_failures = self._counter("monitor_reconcile_failures_total")
        self.reconcile_differences = self._counter("monitor_reconcile_differences_total")
        self.reconcile_round_timestamp = self._gauge("monitor_reconcile_round_timestamp_seconds")
        self.log_lag = self._gauge("monitor_log_lag_events")
        self.log_oldest_unfolded = self._optional("monitor_log_oldest_unfolded_timestamp_seconds")
        self.consumer_stalled = self._gauge("monitor_consumer_stalled")
        self.spool_events = self._optional("monitor_spool_events")
        self.spool_bytes = self._optional("monitor_spool_bytes")
        self.spool_capacity_bytes = self._optional("monitor_spool_capacity_bytes")
        self.spool_oldest = self._optional("monitor_spool_oldest_timestamp_seconds")
        self.streams = self._gauge("monitor_streams")
        self.recovering = self._gauge("monitor_recovering")
        self.checkpoint_timestamp = self._optional("monitor_checkpoint_timestamp_seconds")
        self.build_info = self._gauge("monitor_build_info")
        self.build_info.labels(__version__, platform.python_version(), role).set(1)
        self.unpublished_codes: dict[str, set[str]] = {}
        self._sources: list[tuple[Vendor, str]] = []

    def declare_source(
        self,
        vendor: Vendor,
        source: str,
        alerting_codes: Iterable[tuple[int, str]],
        event_types: Iterable[tuple[Channel, str]] = (),
    ) -> None:
        """Export at 0 what can happen at a source, so that the first time it does is a rise.

        Args:
            vendor: the source's vendor.
            source: its name.
            alerting_codes: the vendor's error codes that somebody on call must see, and their category.
            event_types: what can come of a stream beyond the source's limit.
        """
        self._sources.append((vendor, source))
        for outcome in CALLBACK_OUTCOMES:
            self.callbacks.labels(source, outcome)
        for reason in AUTHENTICATION_REASONS:
            self.authentication_failures.labels(source, reason)
        self.callback_duration.labels(source)
        for channel in Channel:
            for reason in DEAD_LETTER_REASONS:
                self.dead_letters.labels(source, channel, reason)
        for channel, event_type in event_types:
            self.events.labels(vendor, source, channel, event_type, Effect.OVERFLOW)
        for code, category in alerting_codes:
            self.vendor_errors.labels(vendor, source, str(code), category)

    def declare_listener(self, listener: str, reasons: Iterable[str]) -> Callable[[str], None]:
        """Export at 0 what an HTTP server can refuse by itself; return what counts a refusal.

        Args:
            listener: the section of the configuration that says where the server listens.
            reasons: why it may refuse.
        """
        refused = {reason: self.connections_refused.labels(listener, reason) for reason in reasons}
        return lambda reason: refused[reason].inc()

    def set_streams(self, numbers: Mapping[tuple[Vendor, str, Status], int]) -> None:
        """Set how many streams each source has in each status; what isn't named is 0.

        Args:
            numbers: streams by vendor, source and status.
        """
        # A source that has left the configuration can still have streams.
        sources = dict.fromkeys([*self._sources, *((vendor, source) for vendor, source, _ in numbers)])
        self.hide_streams()
        for vendor, source in sources:
            for status in Status:
                self.streams.labels(vendor, source, status).set(numbers.get((vendor, source, status), 0))

    def hide_streams(self) -> None:
        """Export no numbers of streams: nobody knows them yet, and 0 would be a claim."""
        self.streams.clear()

    def _counter(self, name: str) -> Counter:
        line = family(name)
        return Counter(line.name, line.help, line.labels, registry=self.registry)

    def _gauge(self, name: str) -> Gauge:
        line = family(name)
        return Gauge(line.name, line.help, line.labels, registry=self.registry)

    def _optional(self, name: str) -> OptionalGauge:
        return OptionalGauge(family(name), self.registry)

    def _histogram(self, name: str, bounds: tuple[float, ...]) -> Histogram:
        line = family(name)
        return Histogram(line.name, line.help, line.labels, registry=self.registry, buckets=bounds)
