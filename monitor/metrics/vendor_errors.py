"""Vendors' error codes as they are counted: each under the category that its vendor publishes."""

from collections.abc import Iterable, Mapping

from monitor.config import Source
from monitor.event import Event, Payload, SessionChanged, Vendor
from monitor.health.effect import Effect
from monitor.health.stream import StreamKey, StreamState
from monitor.metrics.service import ServiceMetrics
from monitor.vendors import registry

UNPUBLISHED_NAMED = 50
"""Codes outside its vendor's list that a source counts by name. Without an end, whoever reaches a source that
has no key could make as many series as there are numbers."""

CODE_LENGTH = 12
"""Digits and sign of the longest code that is counted by name; published ones have eight at most."""

OTHER_CODE = "other"
"""The label of all further codes."""


def declare_sources(metrics: ServiceMetrics, sources: Iterable[Source]) -> None:
    """Declare each source with what its vendor can tell, and the error codes that people on call must see."""
    for source in sources:
        vendor = source.vendor
        codes, types = registry.alerting_codes(vendor), registry.event_types(vendor)
        metrics.declare_source(vendor, source.name, codes, types)


def count_told(
    metrics: ServiceMetrics,
    streams: Mapping[StreamKey, StreamState],
    event: Event,
    payload: Payload,
    effect: Effect,
) -> None:
    """Count the error that an event told, if it told one, and was no repeat.

    Args:
        metrics: the service's own.
        streams: among them the one that the event was just folded into.
        event: what was folded.
        payload: what it says.
        effect: what it did.
    """
    if type(payload) is not SessionChanged or payload.code is None or effect is not Effect.APPLIED:
        return
    state = streams[StreamKey(event.source, event.job_id)]
    # The status that it came with may be all that was new.
    if state.session.codes.get(payload.code) == state.last_received:
        count_error(metrics, event.vendor, event.source, str(payload.code))


def count_error(metrics: ServiceMetrics, vendor: Vendor, source: str, code: str) -> None:
    """Count an error that a vendor told, in a callback or in an answer of its API.

    Args:
        metrics: the service's own.
        vendor: who told it.
        source: of which source.
        code: as the vendor wrote it: a whole number.
    """
    category = registry.error_category(vendor, int(code))
    if category == registry.UNKNOWN_CATEGORY:
        code = _bounded(metrics.unpublished_codes.setdefault(source, set()), code)
    metrics.vendor_errors.labels(vendor, source, code, category).inc()


def _bounded(named: set[str], code: str) -> str:
    """Return the label of a code that its vendor doesn't publish."""
    if code not in named:
        if len(named) == UNPUBLISHED_NAMED or len(code) > CODE_LENGTH:
            return OTHER_CODE
        named.add(code)
    return code
