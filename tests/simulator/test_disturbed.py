"""The truth of streams whose receiver dies and whose workers are late: what is decided is what is folded."""

from collections import Counter
from dataclasses import replace
from random import Random

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.event import JobRegistered
from monitor.simulator.delivery import Addresses, Courier
from monitor.simulator.options import Scenario, SimulationOptions
from monitor.simulator.run import lives
from monitor.simulator.truth import expectation
from monitor.worker.loop import MARGIN_SECONDS
from monitor.worker.partitions import DRAINED_SECONDS
from tests.simulator.comparing import differences
from tests.simulator.disturbed import Disturbed, folded
from tests.simulator.stepped import SteppedPace

ATTEMPTS = 60
"""More than any time away needs: nothing is lost but where a life says so."""

SPOOLING_SECONDS = 13.0
"""Acknowledgements stop for nine seconds when a follower of Kafka's dies, and then a spool has to drain."""


@pytest.mark.parametrize(
    ("spooling", "margin"),
    [(0.0, MARGIN_SECONDS), (SPOOLING_SECONDS, DRAINED_SECONDS)],
    ids=["embedded", "kafka"],
)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    scenario=st.sampled_from(Scenario),
    seed=st.integers(0, 2**32),
    speed=st.sampled_from((5.0, 8.0)),
    attempts=st.sampled_from((None, ATTEMPTS)),
)
async def test_whatever_dies_and_whatever_is_late_the_fold_says_what_the_truth_has_decided(
    options: SimulationOptions,
    spooling: float,
    margin: float,
    scenario: Scenario,
    seed: int,
    speed: float,
    attempts: int | None,
) -> None:
    chosen = replace(options, scenario=scenario, seed=seed, speed=speed, duration=900)
    for index in range(5):
        random = Random(f"{seed}/{index}")
        (life,) = lives(chosen, index, lambda: 0.0)
        pace = SteppedPace(speed)
        service = Disturbed(chosen.settings.sources, pace, random, spooling)
        async with httpx.AsyncClient(transport=httpx.MockTransport(service.answer)) as client:
            addresses = Addresses("http://receiver.test", "http://admin.test")
            courier = Courier(life.identity, client, addresses, pace, attempts, Counter())
            # A run may be stopped at any time.
            for delivery in life.deliveries[: random.randint(1, 2 * len(life.deliveries))]:
                if not await courier.deliver(delivery) or _is_lost_registration(courier):
                    break
        assert attempts is None or not (courier.unknown or courier.lost)
        if courier.told and not (courier.unknown or _is_lost_registration(courier)):
            state = folded(service.log, random, pace.elapsed, margin)
            expected = expectation(courier.told.values(), courier.lost)
            assert differences(state, expected) == {}, (index, life.identity, life.scenario)


def _is_lost_registration(courier: Courier) -> bool:
    """Whether a job could not be registered, which ends a run."""
    return any(isinstance(fact.payload, JobRegistered) for fact in courier.lost)
