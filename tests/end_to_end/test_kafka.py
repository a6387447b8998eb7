"""The truth of a simulation against the sum over the workers' metrics, whatever is killed meanwhile."""

import asyncio
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from monitor.event import EventId
from tests.end_to_end.deployment import SESSION_SECONDS, Deployment, Watcher
from tests.end_to_end.running import Service, Simulation, wait_for
from tests.end_to_end.truth import SETTLING_SPEED, unexpected, wait_until_true
from tests.kafka_broker import Brokers, bring_back
from tests.log.kafka_records import event_ends, events

SETTLING_SECONDS = 120
"""Partitions may still be moving."""

LONGEST = 1200
"""Simulated seconds after which a run ends, if nobody has stopped it before."""

SPEED = 5
"""Simulated seconds for each real one. The services' clocks run as ever, so that a machine that is busy for
some seconds is late by no more than that."""

TROUBLES = 20

KILLS = 10
"""Of a receiver that drains its spool."""

SPOOLED = 300
"""So many events make a drain that takes its time."""

AWAY_SECONDS = 60
"""How long all brokers are gone."""


@pytest.fixture
def on_three(three_kafkas: Brokers, tmp_path: Path) -> Iterator[Deployment]:
    """Processes on three brokers, with three replicas of everything."""
    one = Deployment(tmp_path, three_kafkas.settings(partitions=6))
    yield one
    one.close()


@pytest.fixture
def on_its_own(own_kafka: Brokers, tmp_path: Path) -> Iterator[Deployment]:
    """Processes on a broker that is this test's alone."""
    one = Deployment(tmp_path, own_kafka.settings(partitions=4))
    yield one
    one.close()


@pytest.fixture
def deployment(kafka: Brokers, tmp_path: Path) -> Iterator[Deployment]:
    """Processes on one broker, with twelve partitions."""
    one = Deployment(tmp_path, kafka.settings(partitions=12))
    yield one
    one.close()


def assert_true(truth: dict[str, Any], deployment: Deployment) -> None:
    """Check that each number is right, and that each stream is exported by one worker alone."""
    assert unexpected(truth) == []
    deployment.wait_until_ready()
    wait_until_true(truth, deployment.page, seconds=SETTLING_SECONDS, settled=False)
    deployment.hasten(SETTLING_SPEED)
    wait_until_true(truth, deployment.page, seconds=SETTLING_SECONDS)
    owners = Counter(stream for streams in deployment.claims().values() for stream in streams)
    assert set(owners.values()) == {1}
    assert len(owners) == len(truth["streams"])


@pytest.mark.xdist_group("busy")
def test_each_event_counts_once_whatever_becomes_of_the_workers(deployment: Deployment) -> None:
    watcher = Watcher(lambda: dict(deployment.workers))
    run = started(deployment, workers=3, streams=300, seed=41)
    with watcher.watching():
        trouble(deployment, run, Random(17))
        run.stop()
        truth = run.finish(seconds=60)
        assert_true(truth, deployment)

    assert watcher.complaints == []
    assert len(truth["streams"]) == 300


def trouble(deployment: Deployment, run: Simulation, choices: Random) -> None:
    """Kill, add and pause workers at random moments, so that two to four are left."""
    for number in range(TROUBLES):
        # Moments at random, not waits for something: they may hit anything that goes on.
        time.sleep(choices.uniform(0.2, 2.5))
        assert run.is_running(), f"the run was over before trouble {number + 1}"
        workers = sorted(deployment.workers)
        kinds = ["pause"] + ["add"] * (len(workers) < 4) + ["kill"] * (len(workers) > 2)
        kind, worker = choices.choice(kinds), choices.choice(workers)
        if kind == "kill":
            deployment.remove_worker(worker)
        elif kind == "add":
            deployment.add_worker()
        else:
            deployment.workers[worker].pause()
            time.sleep(SESSION_SECONDS + choices.uniform(0.5, 1.5))
            deployment.workers[worker].resume()


@pytest.mark.xdist_group("brokers")
def test_each_event_counts_once_while_each_broker_is_killed_and_comes_back(
    on_three: Deployment, three_kafkas: Brokers
) -> None:
    run = started(on_three, workers=2, streams=150, seed=43)
    moments = Random(19)
    for broker in three_kafkas.each * 2:
        time.sleep(moments.uniform(0.5, 2.5))
        assert run.is_running(), "the run was over before the last kill"
        broker.kill()
        time.sleep(moments.uniform(1.0, 10.0))
        bring_back(broker)
    run.stop()
    truth = run.finish(seconds=60)

    assert_true(truth, on_three)


@pytest.mark.xdist_group("brokers")
def test_the_spool_takes_all_while_all_brokers_are_gone(on_three: Deployment, three_kafkas: Brokers) -> None:
    run = started(on_three, workers=2, streams=150, seed=47)
    wait_for(lambda: any(on_three.claims().values()), what="a stream that a worker exports")
    for broker in three_kafkas.each:
        broker.kill()
    time.sleep(AWAY_SECONDS)
    assert run.is_running(), "the run was over before the brokers came back"
    spooled = on_three.receiver.total("monitor_spool_events")
    bring_back(*three_kafkas.each)
    run.stop()
    truth = run.finish(seconds=60)

    assert spooled > 0
    # Nothing was refused meanwhile.
    assert outcomes(on_three.receiver) == {"accepted"}
    assert_true(truth, on_three)
    assert on_three.receiver.total("monitor_spool_events") == 0


@pytest.mark.xdist_group("busy")
def test_each_event_counts_once_when_receivers_die_while_their_spool_drains(
    on_its_own: Deployment, own_kafka: Brokers
) -> None:
    run = started(on_its_own, workers=1, streams=500, seed=53, attempts=60)
    receiver, moments, kills = on_its_own.receiver, Random(29), 0
    [broker] = own_kafka.each
    usual = 0.05
    while kills < KILLS:
        assert run.is_running(), f"the run was over after {kills} kills"
        broker.pause()
        wait_for(lambda: len(spooled(receiver)) > SPOOLED, what="the spool to fill")
        full = spooled(receiver)
        broker.resume()
        # A moment at random, in any step of the drain; where the last one came too early or too late, so
        # would the next.
        time.sleep(usual * moments.uniform(0.5, 1.5))
        receiver.kill()
        left = spooled(receiver)
        ends = asyncio.run(event_ends(on_its_own.kafka))
        # Before the topic is read: the longer callbacks wait for a receiver, the more of them come too late
        # for a number to be decided.
        receiver.start()
        written = {event.id for event in asyncio.run(events(on_its_own.kafka, before=ends))}
        # Only what hit the drain counts: some rows are left, and some are gone or were written already.
        if not left:
            usual /= 1.5
        elif full - left or left & written:
            kills += 1
        else:
            usual *= 1.5
    run.stop()
    truth = run.finish(seconds=60)

    assert_true(truth, on_its_own)
    assert receiver.total("monitor_spool_events") == 0


def started(
    deployment: Deployment,
    *,
    workers: int,
    streams: int,
    seed: int,
    attempts: int | None = None,
) -> Simulation:
    """Start a receiver, workers, and a simulation once they are ready."""
    deployment.receiver.start()
    for _ in range(workers):
        deployment.add_worker()
    deployment.wait_until_ready()
    return deployment.play(
        streams=streams, duration=LONGEST, speed=SPEED, scenario="mixed", seed=seed, attempts=attempts
    )


def outcomes(receiver: Service) -> set[str]:
    """Return what became of callbacks, one at least of each."""
    return {
        sample.labels["outcome"]
        for family in text_string_to_metric_families(receiver.page())
        for sample in family.samples
        if sample.name == "monitor_callbacks_total" and sample.value > 0
    }


def spooled(receiver: Service) -> set[EventId]:
    """Return the ids of the events in a spool."""
    path = receiver.folder / "monitor.db"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as connection:
        rows = connection.execute(
            "SELECT receiver, boot, sequence FROM events JOIN origins ON origins.number = events.origin"
        )
        return {EventId(*row) for row in rows}
