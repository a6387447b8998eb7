from prometheus_client import CollectorRegistry

from monitor.event import Vendor
from monitor.metrics.service import ServiceMetrics
from monitor.metrics.vendor_errors import UNPUBLISHED_NAMED, count_error, declare_sources
from tests.vendors.building import metastudio, softsugar


def counted(metrics: ServiceMetrics) -> dict[tuple[str, str], float]:
    """Return how often each code was counted, with its category."""
    return {
        (sample.labels["code"], sample.labels["category"]): sample.value
        for family in metrics.vendor_errors.collect()
        for sample in family.samples
    }


def test_a_source_s_first_event_of_a_stream_beyond_its_limit_is_a_rise_whatever_it_tells() -> None:
    registry = CollectorRegistry()

    declare_sources(ServiceMetrics(registry), [metastudio(), softsugar()])

    expected = {
        "metastudio": [
            ("callback", "RTMP_STREAM_STATE_CHANGE"),
            ("callback", "SHOOT_SCRIPT_SWITCH"),
            ("callback", "REPLY_COMMAND_FINISH"),
            ("callback", "unknown"),
            ("rtc", "live_progress_notify"),
            ("rtc", "reply_command_finish_notify"),
            ("rtc", "unknown"),
            ("api", "job_registered"),
            ("api", "job_observed"),
        ],
        "softsugar": [
            ("callback", "session_status"),
            ("callback", "unknown"),
            ("api", "job_registered"),
            ("api", "job_observed"),
        ],
    }
    for vendor, types in expected.items():
        for channel, kind in types:
            labels = {"vendor": vendor, "source": vendor, "channel": channel, "event_type": kind}
            value = registry.get_sample_value("monitor_events_total", {**labels, "outcome": "overflow"})
            assert value == 0, labels


def test_a_published_code_is_counted_under_its_category_however_many_others_came_before() -> None:
    metrics = ServiceMetrics(CollectorRegistry())

    for code in range(1_000, 1_200):
        count_error(metrics, Vendor.SOFTSUGAR, "sugar", str(code))
    count_error(metrics, Vendor.SOFTSUGAR, "sugar", "80115962")

    assert counted(metrics)["80115962", "quota"] == 1


def test_codes_that_nobody_publishes_get_a_series_each_until_there_are_many() -> None:
    metrics = ServiceMetrics(CollectorRegistry())

    for code in [*range(1_000, 1_200), 1_000]:
        count_error(metrics, Vendor.SOFTSUGAR, "sugar", str(code))
    count_error(metrics, Vendor.SOFTSUGAR, "another", "1199")

    assert counted(metrics)["1000", "unknown"] == 2
    assert counted(metrics)["other", "unknown"] == 200 - UNPUBLISHED_NAMED
    assert counted(metrics)["1199", "unknown"] == 1
    assert len(counted(metrics)) == UNPUBLISHED_NAMED + 2


def test_a_code_of_a_thousand_digits_is_no_label() -> None:
    metrics = ServiceMetrics(CollectorRegistry())

    count_error(metrics, Vendor.SOFTSUGAR, "sugar", "9" * 1_000)

    assert counted(metrics) == {("other", "unknown"): 1}
