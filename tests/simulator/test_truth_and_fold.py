"""The simulator's truth and the service's fold are written apart: they must agree on every stream."""

from collections import Counter
from dataclasses import replace

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.config import HealthSettings, Source
from monitor.event import Event, Stored
from monitor.health import fold as folding
from monitor.health.stream import StreamState
from monitor.simulator.delivery import Addresses, Courier
from monitor.simulator.options import Scenario, SimulationOptions
from monitor.simulator.run import lives
from monitor.simulator.truth import expectation
from monitor.vendors import registry
from tests.simulator.comparing import seen
from tests.simulator.receiving import Receiving
from tests.simulator.stepped import SteppedPace

HEALTH = HealthSettings()


class Folder(Receiving):
    """A service without a log: what is posted is folded at once."""

    def __init__(self, sources: tuple[Source, ...], pace: SteppedPace) -> None:
        super().__init__(sources, pace)
        self.states: dict[tuple[str, str], StreamState] = {}

    def take(self, event: Event, source: Source, /) -> None:
        state = self.states.setdefault((event.source, event.job_id), folding.begin(event))
        stored = Stored(0, event.id.sequence, event)
        folding.fold(state, stored, registry.decode(event, source), HEALTH)


@pytest.mark.parametrize("scenario", list(Scenario))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), speed=st.sampled_from((1.0, 20.0, 60.0)))
async def test_the_fold_says_what_the_simulator_did(
    options: SimulationOptions, scenario: Scenario, seed: int, speed: float
) -> None:
    chosen = replace(options, scenario=scenario, seed=seed, speed=speed, duration=900)
    for index in range(5):
        (life,) = lives(chosen, index, lambda: 0.0)
        pace = SteppedPace(speed)
        folder = Folder(chosen.settings.sources, pace)
        transport = httpx.MockTransport(folder.answer)
        async with httpx.AsyncClient(transport=transport) as client:
            addresses = Addresses("http://receiver.test", "http://admin.test")
            courier = Courier(life.identity, client, addresses, pace, None, Counter())
            for delivery in life.deliveries:
                assert await courier.deliver(delivery)
        # Nothing breaks or is held up here: the copies come as they were planned, and can be told.
        expected = expectation(one._replace(doubtful=0) for one in courier.told.values())
        assert expected.undecided == []
        state = folder.states[life.identity.source.name, life.identity.job_id]
        folding.settle(state, pace.now() + 60, HEALTH)
        assert seen(state) == expected, (index, life)
