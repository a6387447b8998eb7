import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.registry import DuplicateTimeseries

from monitor.metrics.catalogue import family
from monitor.metrics.collectors import BatchHistogram, OptionalGauge
from monitor.metrics.service import DELAY_BUCKETS, ServiceMetrics

DELAY = family("monitor_event_delay_seconds")
CHECKPOINT = family("monitor_checkpoint_timestamp_seconds")

# 1024ths add up exactly in any order.
VALUES = st.one_of(
    st.sampled_from(DELAY_BUCKETS).filter(lambda bound: bound >= 0.25), st.integers(0, 10**7)
).map(lambda value: math.floor(value * 1024) / 1024)


@given(st.lists(st.lists(VALUES)))
def test_a_batch_histogram_is_written_as_the_librarys_own(batches: list[list[float]]) -> None:
    ServiceMetrics(CollectorRegistry())  # turns the library's `_created` series off
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    batched = BatchHistogram(DELAY, DELAY_BUCKETS, ours)
    single = Histogram(DELAY.name, DELAY.help, buckets=DELAY_BUCKETS, registry=theirs)

    for batch in batches:
        batched.observe_many(batch)
        for value in batch:
            single.observe(value)

    assert generate_latest(theirs) == generate_latest(ours)
    assert generate_openmetrics(theirs) == generate_openmetrics(ours)  # type: ignore[no-untyped-call]  # no annotations


@pytest.mark.parametrize("bound", DELAY_BUCKETS)
def test_a_value_on_a_bound_belongs_to_its_bucket(bound: float) -> None:
    registry = CollectorRegistry()
    histogram = BatchHistogram(DELAY, DELAY_BUCKETS, registry)

    histogram.observe_many([bound])

    (metric,) = registry.collect()
    reached = [sample for sample in metric.samples if sample.name.endswith("_bucket") and sample.value]
    assert float(reached[0].labels["le"]) == bound


def test_an_optional_gauge_is_absent_until_it_is_set() -> None:
    registry = CollectorRegistry()
    gauge = OptionalGauge(CHECKPOINT, registry)
    assert registry.get_sample_value(CHECKPOINT.name) is None

    gauge.set(0.0)
    assert registry.get_sample_value(CHECKPOINT.name) == 0.0

    gauge.set(None)
    assert registry.get_sample_value(CHECKPOINT.name) is None


def test_a_registry_refuses_a_second_collector_of_a_name() -> None:
    registry = CollectorRegistry()
    OptionalGauge(CHECKPOINT, registry)
    BatchHistogram(DELAY, DELAY_BUCKETS, registry)

    with pytest.raises(DuplicateTimeseries):
        OptionalGauge(CHECKPOINT, registry)
    with pytest.raises(DuplicateTimeseries):
        BatchHistogram(DELAY, DELAY_BUCKETS, registry)
