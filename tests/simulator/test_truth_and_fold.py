"""The simulator's truth and the service's fold are written apart: they must agree on every stream."""

from collections import Counter
from dataclasses import replace
from urllib.parse import unquote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.config import HealthSettings, Source
from monitor.event import Channel, Event, EventId, Stored, canonical_job_id
from monitor.health import fold as folding
from monitor.health import reading
from monitor.health.stream import StreamState
from monitor.simulator.delivery import Addresses, Courier
from monitor.simulator.options import Scenario, SimulationOptions
from monitor.simulator.run import lives
from monitor.simulator.truth import Expectation, expectation
from monitor.vendors import registry
from monitor.vendors.protocol import Request
from tests.simulator.stepped import SteppedPace

HEALTH = HealthSettings()


class Folder:
    """A service without a log: what is posted is verified, decoded and folded at once."""

    def __init__(self, sources: tuple[Source, ...], pace: SteppedPace) -> None:
        self._sources = {source.name: source for source in sources}
        self._pace = pace
        self._sequence = 0
        self.states: dict[tuple[str, str], StreamState] = {}

    def answer(self, request: httpx.Request) -> httpx.Response:
        parts = request.url.raw_path.decode().partition("?")[0].split("/")
        body = request.content
        if parts[1] == "callbacks":
            source = self._sources[parts[2]]
            shown = Request(request.url.query.decode(), dict(request.headers), body)
            signed = registry.verify(source, shown).signed
            job_id = registry.decode_callback(source, body).job_id
            assert job_id is not None
            self._fold(source, job_id, Channel.CALLBACK, signed, body)
        elif parts[1] == "rtc":
            source = self._sources[parts[2]]
            assert source.rtc_token is not None
            assert request.headers["authorization"] == f"Bearer {source.rtc_token.get_secret_value()}"
            for message in registry.split_rtc(body):
                self._fold(source, canonical_job_id(unquote(parts[3])), Channel.RTC, None, message)
        else:
            source = self._sources[parts[3]]
            job_id, reduced = registry.reduce_registration(source.vendor, body)
            self._fold(source, job_id, Channel.API, None, reduced)
        return httpx.Response(200)

    def _fold(self, source: Source, job_id: str, channel: Channel, signed: int | None, body: bytes) -> None:
        self._sequence += 1
        identity = EventId("receiver", 1, self._sequence)
        kind = "job_registered" if channel is Channel.API else "any"
        received = self._pace.now()
        event = Event(identity, source.vendor, source.name, job_id, channel, kind, received, signed, body)
        state = self.states.setdefault((source.name, job_id), folding.begin(event))
        folding.fold(state, Stored(0, self._sequence, event), registry.decode(event, source), HEALTH)


def seen(state: StreamState, now: float) -> Expectation:
    folding.settle(state, now, HEALTH)
    told = reading.rtmp_state(state)
    return Expectation(
        reconnects=state.link.reconnects,
        outages=state.link.outages,
        rounds=state.script.rounds,
        coverage=reading.coverage(state.script),
        round_coverage=reading.finished_coverage(state.script),
        skipped=state.script.skipped,
        replies=state.replies.finished,
        missed=state.missed,
        rtmp_state=None if told is None else told.value,
        ended=None if state.end is None else state.end.outcome.value,
        warnings=sorted(state.warnings),
    )


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
        expected = expectation(courier.told.values())
        assert expected.undecided == []
        state = folder.states[life.identity.source.name, life.identity.job_id]
        assert seen(state, pace.now() + 60) == expected, (index, life)
