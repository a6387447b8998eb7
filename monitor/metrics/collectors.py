"""Two instruments that prometheus_client lacks: a histogram for batches, and a gauge that can be absent."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.utils import floatToGoString

from monitor.metrics.catalogue import Family


class BatchHistogram:
    """A histogram without labels that takes many values at once.

    prometheus_client's takes a lock or two for each value, which is too slow for each event of a
    worker. This one is for a single writer; any thread may collect. A collection in the middle of a
    batch sees some of its values, in the buckets before the sum.

    Args:
        family: its line of the catalogue.
        bounds: inclusive upper bounds of the buckets, rising, without infinity.
        registry: where it is exported.
    """

    def __init__(self, family: Family, bounds: Sequence[float], registry: CollectorRegistry) -> None:
        self._family = family
        self._bounds = tuple(bounds)
        self._names = [*map(floatToGoString, bounds), "+Inf"]
        self._counts = [0] * len(self._names)
        self._sum = 0.0
        registry.register(self)

    def observe_many(self, values: Iterable[float]) -> None:
        """Count values that are 0 or more (a negative one would make the sum of a counter fall)."""
        bounds, counts = self._bounds, self._counts
        total = 0.0
        for value in values:
            counts[bisect_left(bounds, value)] += 1
            total += value
        self._sum += total

    def describe(self) -> Iterator[HistogramMetricFamily]:
        """Yield the family without samples, by which the registry refuses a second one of its name."""
        yield HistogramMetricFamily(self._family.name, self._family.help)

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Yield the family with its samples."""
        cumulative = accumulate(self._counts.copy())
        buckets = [(name, float(count)) for name, count in zip(self._names, cumulative, strict=True)]
        yield HistogramMetricFamily(self._family.name, self._family.help, buckets, self._sum)


class OptionalGauge:
    """A gauge without labels that is absent while it has no value.

    prometheus_client's would export 0, and a timestamp of 0 reads as 1970.

    Args:
        family: its line of the catalogue.
        registry: where it is exported.
    """

    def __init__(self, family: Family, registry: CollectorRegistry) -> None:
        self._family = family
        self._value: float | None = None
        registry.register(self)

    def set(self, value: float | None) -> None:
        """Take a value, or none."""
        self._value = value

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Yield the family without samples, by which the registry refuses a second one of its name."""
        yield GaugeMetricFamily(self._family.name, self._family.help)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the family, with a sample if there is a value."""
        yield GaugeMetricFamily(self._family.name, self._family.help, self._value)
