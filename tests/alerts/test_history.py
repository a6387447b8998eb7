"""Hours of streams, replayed into a real Prometheus: who would have been paged?"""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from alerts.build import rules
from alerts.rule import Alert, Severity
from alerts.thresholds import read
from monitor.config import load_settings
from monitor.event import Vendor
from monitor.simulator.options import Scenario, SimulationOptions
from monitor.vendors import registry
from tests.alerts.backfill import fired, load
from tests.alerts.demanded import Page, demanded
from tests.alerts.history import BEGUN, record
from tests.end_to_end.observing import Prometheus
from tests.end_to_end.running import MONITOR, SOURCES

THRESHOLDS = read()
ALERTS = [rule for rule in rules(THRESHOLDS) if isinstance(rule, Alert)]


DURATION = 40_000
"""Simulated seconds: the streams begin within the first tenth, so that all live for ten hours."""


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Prometheus]:
    one = Prometheus(tmp_path / "prometheus", "{}\n")
    yield one
    one.stop()


@pytest.fixture
def options(tmp_path: Path) -> SimulationOptions:
    config = tmp_path / "monitor.toml"
    config.write_text(f'[log]\npath = "{tmp_path}/monitor.db"\n{SOURCES}')
    return SimulationOptions(
        settings=load_settings(config, {}),
        target="http://receiver.test",
        streams=10,
        duration=DURATION,
        speed=1.0,
        scenario=Scenario.STEADY,
        seed=3,
        attempts=None,
        truth=None,
        json_output=True,
    )


def replay(folder: Path, until: float, step: int) -> list[float]:
    """Write the series of the folder's log; return the moments of their samples."""
    command = [*MONITOR, "replay", "--config", str(folder / "monitor.toml"), "--to", str(until)]
    command += ["--openmetrics", str(folder / "series.txt"), "--step", str(step), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    pages = json.loads(done.stdout)["pages"]
    last = int(until // step) * step
    return [float(last - step * (pages - 1 - number)) for number in range(pages)]


async def test_ten_steady_hours_fire_nothing_but_the_watchdog(
    options: SimulationOptions, database: Prometheus, tmp_path: Path
) -> None:
    await record(options, tmp_path / "monitor.db")
    moments = replay(tmp_path, BEGUN + DURATION, 60)
    assert moments[-1] - moments[0] > 10 * 3600
    load(database, tmp_path / "series.txt", moments, THRESHOLDS)

    (running,) = database.query(
        "sum(source:livestream_running:count)", start=moments[0], end=moments[-1], step=60
    )
    # At all of them, but for the start: the recordings do have something to say.
    assert len(running["values"]) > 600
    found = {alert.name: labels for alert in ALERTS if (labels := fired(database, alert, moments))}
    assert found == {"Watchdog": [{}]}


async def test_the_pages_of_a_mixed_run_are_those_that_its_truth_demands(
    options: SimulationOptions, database: Prometheus, tmp_path: Path
) -> None:
    chosen = replace(options, scenario=Scenario.MIXED, streams=120, duration=3600, seed=11)
    lived = await record(chosen, tmp_path / "monitor.db")
    moments = replay(tmp_path, BEGUN + 3600 + 120, 15)
    load(database, tmp_path / "series.txt", moments, THRESHOLDS)

    quota = {code for code, _ in registry.alerting_codes(Vendor.SOFTSUGAR)}
    expected = demanded(lived, THRESHOLDS, moments, quota)
    pages = {
        Page(alert.name, labels.get("source", ""), labels.get("job_id", labels.get("code", "")))
        for alert in ALERTS
        if alert.severity is Severity.CRITICAL
        for labels in fired(database, alert, moments)
    }
    assert {page.alert for page in expected} >= {
        "LivestreamDown",
        "LivestreamEndedAbnormally",
        "LivestreamQuotaExhausted",
    }
    assert expected == pages
