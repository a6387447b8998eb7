"""What happens to a stream depends on the seed alone, and leaves nothing open that should be counted."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.event import (
    Channel,
    JobRegistered,
    LinkChanged,
    LinkState,
    ParagraphStarted,
    RandomPlayMode,
    ScriptProgress,
    Vendor,
)
from monitor.simulator.life import LATENESS, Action, Delivery, Fact
from monitor.simulator.options import Scenario, SimulationOptions
from monitor.simulator.run import Life, lives

SEEDS = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def life_of(options: SimulationOptions, index: int) -> Life:
    (life,) = lives(options, index, lambda: 0.0)
    return life


def facts(deliveries: tuple[Delivery, ...]) -> list[Fact]:
    unique = {delivery.fact for delivery in deliveries}
    return sorted(unique, key=lambda fact: (fact.at, fact.number))


@pytest.mark.parametrize("scenario", list(Scenario))
def test_the_same_seed_makes_the_same_lives(options: SimulationOptions, scenario: Scenario) -> None:
    chosen = replace(options, scenario=scenario)
    for index in range(10):
        first, second = life_of(chosen, index), life_of(chosen, index)
        assert first.identity == second.identity
        assert first.deliveries == second.deliveries


def test_another_seed_makes_other_lives(options: SimulationOptions) -> None:
    jobs = {life_of(replace(options, seed=seed), 0).identity.job_id for seed in range(50)}
    assert len(jobs) == 50


def test_vendors_and_sources_take_turns(options: SimulationOptions) -> None:
    sources = [life_of(options, index).identity.source for index in range(12)]
    vendors = [source.vendor for source in sources]
    assert vendors == [Vendor.METASTUDIO, Vendor.SOFTSUGAR] * 6
    assert [source.name for source in sources[:6]] == [
        "meta-head",
        "sugar-signed",
        "meta-query",
        "sugar-open",
        "meta-open",
        "sugar-signed",
    ]


@SEEDS
@given(seed=st.integers(0, 2**32), index=st.integers(0, 9))
def test_a_life_keeps_to_its_time_and_sends_each_fact(
    options: SimulationOptions, seed: int, index: int
) -> None:
    life = life_of(replace(options, seed=seed), index)
    times = [delivery.at for delivery in life.deliveries]
    assert times == sorted(times)
    assert all(0 <= at <= 600 for at in times)
    sent = [delivery.fact for delivery in life.deliveries if delivery.action is Action.SEND]
    assert len(sent) == len(set(sent))
    assert set(sent) == set(facts(life.deliveries))
    for delivery in life.deliveries:
        assert delivery.at - delivery.fact.at <= LATENESS


@SEEDS
@given(
    seed=st.integers(0, 2**32),
    index=st.integers(0, 9),
    scenario=st.sampled_from(Scenario),
    duration=st.integers(1, 60),
)
def test_a_life_may_be_over_before_its_script_begins(
    options: SimulationOptions, seed: int, index: int, scenario: Scenario, duration: int
) -> None:
    life = life_of(replace(options, seed=seed, scenario=scenario, duration=duration), index)
    times = [delivery.at for delivery in life.deliveries]
    assert times
    assert times == sorted(times)


@SEEDS
@given(seed=st.integers(0, 2**32))
def test_nothing_is_held_back_where_no_time_is_signed(options: SimulationOptions, seed: int) -> None:
    for scenario in (Scenario.REORDERED, Scenario.DUPLICATES):
        life = life_of(replace(options, seed=seed, scenario=scenario), 4)
        assert life.identity.source.name == "meta-open"
        previous = None
        for delivery in life.deliveries:
            assert delivery.action is not Action.SIGN
            if delivery.action is not Action.SEND:
                assert delivery.fact == previous
            previous = delivery.fact


@SEEDS
@given(seed=st.integers(0, 2**32))
def test_every_link_fact_is_told_by_callback_and_nothing_follows_the_end(
    options: SimulationOptions, seed: int
) -> None:
    for index in (0, 2, 4):
        life = life_of(replace(options, seed=seed), index)
        told = facts(life.deliveries)
        links = [fact.payload for fact in told if isinstance(fact.payload, LinkChanged)]
        assert links[0].state is LinkState.CONNECTING
        if links[-1].state is LinkState.END:
            last = told[-1].payload
            assert isinstance(last, LinkChanged)
            assert last.state is LinkState.END


@SEEDS
@given(seed=st.integers(0, 2**32))
def test_skipping_streams_register_a_plan_in_order_and_never_skip_its_start(
    options: SimulationOptions, seed: int
) -> None:
    life = life_of(replace(options, seed=seed, scenario=Scenario.SKIPPING), 0)
    registered, *others = [fact.payload for fact in facts(life.deliveries)]
    assert isinstance(registered, JobRegistered)
    assert registered.random_play_mode is RandomPlayMode.NONE
    position = len(registered.plan)
    for payload in others:
        if isinstance(payload, ParagraphStarted):
            place = registered.plan.index(payload.paragraph)
            assert place > position or place == 0
            position = place


@SEEDS
@given(seed=st.integers(0, 2**32))
def test_what_is_lost_is_proved_by_rtc(options: SimulationOptions, seed: int) -> None:
    life = life_of(replace(options, seed=seed, scenario=Scenario.LOST), 0)
    told = facts(life.deliveries)
    reached = [fact.payload for fact in told if isinstance(fact.payload, ScriptProgress | ParagraphStarted)]
    by_rtc = {fact.payload.paragraph for fact in told if isinstance(fact.payload, ScriptProgress)}
    # The last paragraph may be cut by the end of the run before RTC has told of it.
    assert {payload.paragraph for payload in reached[:-1]} <= by_rtc
    guards = [delivery.after for delivery in life.deliveries if delivery.after is not None]
    assert all(guard.fact.channel is Channel.RTC for guard in guards)


def test_without_a_duration_one_stream_follows_another(options: SimulationOptions) -> None:
    now = 0.0
    following = lives(replace(options, duration=None), 0, lambda: now)
    first = next(following)
    now = 5000.0
    second = next(following)
    assert first.identity.job_id != second.identity.job_id
    assert second.deliveries[0].at >= now
    last = first.deliveries[-1].fact.payload
    assert isinstance(last, LinkChanged)
    assert last.state is LinkState.END
