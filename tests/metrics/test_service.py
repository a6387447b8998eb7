import pytest
from prometheus_client import CollectorRegistry, generate_latest

from monitor.event import Vendor
from monitor.health.status import Status
from monitor.metrics.service import ServiceMetrics


def test_what_can_happen_at_a_source_is_exported_at_0_from_the_start() -> None:
    registry = CollectorRegistry()
    metrics = ServiceMetrics(registry)

    metrics.declare_source(Vendor.SOFTSUGAR, "sugar", [(80115947, "quota")])

    expected = [
        ("monitor_callbacks_total", {"source": "sugar", "outcome": "accepted"}),
        ("monitor_callbacks_total", {"source": "sugar", "outcome": "overloaded"}),
        ("monitor_authentication_failures_total", {"source": "sugar", "reason": "timestamp"}),
        ("monitor_callback_duration_seconds_count", {"source": "sugar"}),
        (
            "monitor_dead_letters_total",
            {"source": "sugar", "channel": "callback", "reason": "not_json"},
        ),
        (
            "monitor_vendor_errors_total",
            {"vendor": "softsugar", "source": "sugar", "code": "80115947", "category": "quota"},
        ),
    ]
    for name, labels in expected:
        assert registry.get_sample_value(name, labels) == 0


@pytest.mark.parametrize("channel", ["callback", "rtc", "api"])
@pytest.mark.parametrize(
    "reason", ["not_json", "no_job_id", "wrong_type", "too_many", "decoder_failed", "fold_failed"]
)
def test_a_source_s_first_dead_letter_is_a_rise_whatever_its_reason(channel: str, reason: str) -> None:
    registry = CollectorRegistry()
    metrics = ServiceMetrics(registry)

    metrics.declare_source(Vendor.METASTUDIO, "studio", [])

    labels = {"source": "studio", "channel": channel, "reason": reason}
    assert registry.get_sample_value("monitor_dead_letters_total", labels) == 0


def test_what_a_server_can_refuse_by_itself_is_exported_at_0_and_counts_by_its_reason() -> None:
    registry = CollectorRegistry()
    refused = ServiceMetrics(registry).declare_listener("receiver", ["not_http", "head_too_large"])

    refused("not_http")

    counted = [
        registry.get_sample_value(
            "monitor_connections_refused_total", {"listener": "receiver", "reason": reason}
        )
        for reason in ("not_http", "head_too_large")
    ]
    assert counted == [1, 0]


def test_nothing_says_1970_before_anything_happened() -> None:
    registry = CollectorRegistry()
    ServiceMetrics(registry)

    assert registry.get_sample_value("monitor_checkpoint_timestamp_seconds") is None
    assert registry.get_sample_value("monitor_log_oldest_unfolded_timestamp_seconds") is None


def test_the_clock_skew_of_a_source_is_absent_until_it_is_known() -> None:
    registry = CollectorRegistry()
    metrics = ServiceMetrics(registry)

    metrics.declare_source(Vendor.METASTUDIO, "studio", [])

    assert registry.get_sample_value("monitor_clock_skew_seconds", {"source": "studio"}) is None


def test_numbers_of_streams_fall_back_to_0() -> None:
    registry = CollectorRegistry()
    metrics = ServiceMetrics(registry)
    metrics.declare_source(Vendor.METASTUDIO, "studio", [])
    labels = {"vendor": "metastudio", "source": "studio", "status": "down"}

    metrics.set_streams({(Vendor.METASTUDIO, "studio", Status.DOWN): 3})
    assert registry.get_sample_value("monitor_streams", labels) == 3

    metrics.set_streams({})
    assert registry.get_sample_value("monitor_streams", labels) == 0


def test_streams_of_a_source_that_left_the_configuration_are_counted() -> None:
    registry = CollectorRegistry()
    metrics = ServiceMetrics(registry)

    metrics.set_streams({(Vendor.METASTUDIO, "gone", Status.HEALTHY): 1})

    labels = {"vendor": "metastudio", "source": "gone", "status": "healthy"}
    assert registry.get_sample_value("monitor_streams", labels) == 1


def test_no_series_of_creation_times_are_added() -> None:
    registry = CollectorRegistry()
    ServiceMetrics(registry).declare_source(Vendor.METASTUDIO, "studio", [])

    assert b"_created" not in generate_latest(registry)
