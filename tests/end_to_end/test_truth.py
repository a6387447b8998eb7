"""What really happened, as the simulator knows it, is what the service says: each stream, each number."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.components import promtool
from tests.end_to_end.database import ask, scraping
from tests.end_to_end.running import Service, Simulation, wait_for
from tests.end_to_end.truth import SETTLING_SPEED, uncomparable, unexpected, wait_until_true

SETTLING_SECONDS = 75

STREAMS = 200


@pytest.fixture
def database(service: Service, tmp_path: Path) -> Iterator[str]:
    with scraping(tmp_path / "prometheus", service.admin) as url:
        yield url


def _query(database: str, query: str) -> float | None:
    result = ask(database, "query", query=query)["result"]
    return float(result[0]["value"][1]) if result else None


def _assert_true(truth: dict[str, Any], service: Service) -> None:
    wait_until_true(truth, service.page, seconds=SETTLING_SECONDS, settled=False)
    service.hasten(SETTLING_SPEED)
    wait_for(service.is_ready, what="readiness with a clock that runs faster")
    wait_until_true(truth, service.page, seconds=SETTLING_SECONDS)


# Those that keep the machine busiest run one after another, whatever runs beside them.
@pytest.mark.xdist_group("busy")
def test_the_truth_of_a_mixed_run_is_what_metrics_and_a_real_prometheus_say(
    service: Service, database: str
) -> None:
    service.start()
    run = Simulation(service, streams=STREAMS, duration=480, speed=8, scenario="mixed", seed=11)
    run.start()
    truth = run.finish(seconds=240)
    assert len(truth["streams"]) == STREAMS
    # On a busy machine a copy may come so late that nobody can tell; nearly all is compared.
    assert unexpected(truth) == []
    assert len(uncomparable(truth)) < STREAMS / 10

    _assert_true(truth, service)
    reconnects = sum(stream["reconnects"] for stream in truth["streams"])
    assert reconnects > 0
    told = wait_for(
        lambda: _query(database, "sum(livestream_reconnects_total)") == reconnects,
        what=f"Prometheus to answer {reconnects} reconnects",
    )
    assert told

    checked = subprocess.run(
        [str(promtool()), "check", "metrics"],
        input=service.page(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
    assert service.stop() == 0


# By itself it would begin among the last, and three processes would wait for its end.
@pytest.mark.xdist_group("busy")
def test_after_twenty_kills_every_acknowledged_callback_counts_once(service: Service) -> None:
    service.start()
    run = Simulation(service, streams=60, duration=750, speed=5, scenario="mixed", seed=23, attempts=60)
    run.start()
    moments = Random(5)
    for _ in range(20):
        # A moment at random, not a wait for something: the kill may hit anything that goes on.
        time.sleep(moments.uniform(0.3, 3.0))
        assert run.is_running(), "the run was over before the last kill"
        service.kill()
        service.launch()
        wait_for(service.is_ready, what="readiness after a kill")
    run.stop()
    truth = run.finish(seconds=60)
    assert unexpected(truth) == []
    _assert_true(truth, service)
