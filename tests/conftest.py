"""Rules for the whole suite: a skip is a failure, and hypothesis has no clock."""

import os
from collections.abc import Generator, Iterator

import pytest
from hypothesis import settings

from monitor.log import kafka_sender
from tests.kafka_broker import Brokers

# Reasons for which a test may be skipped; none so far. A component that isn't there is no reason:
# `make test` fetches it.
ALLOWED_SKIPS: frozenset[str] = frozenset()

# No deadlines: how long an example takes is this machine's business, not the code's.
settings.register_profile("default", deadline=None, print_blob=True)
# In CI the examples follow from the code, so that a red run is the commit's doing and repeats.
settings.register_profile("ci", deadline=None, print_blob=True, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Brokers]:
    """One broker for all tests; started by the first that asks."""
    yield from _running(Brokers(tmp_path_factory.mktemp("kafka"), 1))


@pytest.fixture
def own_kafka(kafka: Brokers) -> Iterator[Brokers]:
    """The same broker for a test that pauses or kills it: tests of a process come one after another."""
    yield kafka
    kafka.restore()


@pytest.fixture(scope="session")
def three_kafkas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Brokers]:
    """Three brokers in one cluster; a test that ends one brings it back."""
    yield from _running(Brokers(tmp_path_factory.mktemp("kafkas"), 3))


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a log wait for Kafka: on a busy machine its spool would write some a second time, elsewhere."""
    monkeypatch.setattr(kafka_sender, "ACKNOWLEDGE_SECONDS", 30.0)


def _running(brokers: Brokers) -> Iterator[Brokers]:
    try:
        brokers.start()
        yield brokers
    finally:
        brokers.stop()


# Before xdist reads the marks.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have one process run the tests that share a broker: each process would start and keep one."""
    for item in items:
        grouped = item.get_closest_marker("xdist_group") is not None
        if not grouped and isinstance(item, pytest.Function) and _needs_broker(item):
            item.add_marker(pytest.mark.xdist_group("kafka"))


def _needs_broker(item: pytest.Function) -> bool:
    if "kafka" in item.fixturenames:
        return True
    # The contract's backends ask for theirs by name.
    return hasattr(item, "callspec") and item.callspec.params.get("backend") == "kafka"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and not hasattr(report, "wasxfail"):
        _fail_unless_allowed(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if report.skipped:
        _fail_unless_allowed(report)
    return report


def _fail_unless_allowed(report: pytest.TestReport | pytest.CollectReport) -> None:
    reason = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if reason.removeprefix("Skipped: ") not in ALLOWED_SKIPS:
        report.outcome = "failed"
        report.longrepr = f"{reason} (a skip counts as a failure: tests/conftest.py)"
