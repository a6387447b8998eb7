"""Whatever is told, in whatever order: no exception, no counter that steps back, no second twice."""

from copy import deepcopy
from math import inf
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from monitor.event import Channel, JobRegistered, Payload
from monitor.health.fold import begin, fold, retire, settle
from monitor.health.reading import (
    coverage,
    finished_coverage,
    last_heard,
    remaining_seconds,
    rtmp_state,
    script_is_over,
    seconds,
    skipped_paragraphs,
    stall_after,
)
from monitor.health.status import Status, status
from monitor.health.stream import StreamState, from_json, to_json
from tests.properties.examples import examples
from tests.properties.stories import (
    SETTINGS,
    Logged,
    Step,
    any_stories,
    log_of,
    progress,
    registrations,
    switches,
    told,
)


class Counters(NamedTuple):
    """All that Prometheus takes for a counter, and the whole of the time."""

    outages: int
    reconnects: int
    rounds: int
    skipped: int
    replies: int
    missed: int
    connected_seconds: float
    outage_seconds: float
    all_seconds: float


def counters(state: StreamState, now: float) -> Counters:
    spent = seconds(state, now)
    return Counters(
        state.link.outages,
        state.link.reconnects,
        state.script.rounds,
        state.script.skipped,
        state.replies.finished,
        state.missed,
        spent.connected,
        spent.outage,
        sum(spent),
    )


def look_at(state: StreamState, now: float) -> None:
    """Read all that can be read of a state, and check what must hold of any."""
    verdict = status(state, now, SETTINGS)
    assert verdict.since <= now
    assert state.end is not None or not state.retired
    assert (verdict.status is Status.HEALTHY) is (verdict.reasons == ())
    assert all(reason.endswith(".") for reason in verdict.reasons)
    assert len(verdict.troubles) == (len(verdict.reasons) if verdict.status is Status.DEGRADED else 0)
    for ratio in (coverage(state.script), finished_coverage(state.script)):
        assert ratio is None or 0.0 <= ratio <= 1.0
    skipped_paragraphs(state.script)
    rtmp_state(state)
    last_heard(state)
    script_is_over(state)
    left = remaining_seconds(state, now)
    assert left is None or left >= 0.0
    stall = stall_after(state, SETTINGS)
    assert stall is None or stall > 0.0
    assert from_json(to_json(state)) == state


@examples(250)
@given(any_stories())
def test_nothing_that_can_be_told_breaks_the_fold_or_a_reader(
    story: list[tuple[Logged, float | None]],
) -> None:
    state = begin(story[0][0].stored.event)
    now = state.last_received
    for (stored, decoded), settled in story:
        fold(state, stored, decoded, SETTINGS)
        now = max(now, state.last_received)
        look_at(state, now)
        if settled is not None:
            now += settled
            settle(state, now, SETTINGS)
            look_at(state, now)
        if state.end is not None and settled == 46.0:
            state = retire(state)
            look_at(state, now)


@examples(250)
@given(st.lists(st.one_of(switches, switches, progress, registrations), min_size=1, max_size=20))
def test_a_plan_may_be_registered_at_any_moment_of_a_script(payloads: list[Payload]) -> None:
    steps = [
        Step(
            10.0 * number, payload, channel=Channel.API if isinstance(payload, JobRegistered) else Channel.RTC
        )
        for number, payload in enumerate(payloads)
    ]
    state = told(log_of(steps))
    look_at(state, state.last_received)
    current = state.script.round
    assert current is None or set(current.played) <= set(state.script.plan)


@examples(250)
@given(any_stories())
def test_no_counter_ever_goes_down_and_no_second_counts_twice(
    story: list[tuple[Logged, float | None]],
) -> None:
    state = begin(story[0][0].stored.event)
    now = state.last_received
    before = counters(state, now)
    for number, ((stored, decoded), settled) in enumerate(story, start=1):
        fold(state, stored, decoded, SETTINGS)
        now = max(now, state.last_received)
        looks = [now]
        # A look at running seconds promises no more than what was received until then.
        to_come = min((one.stored.event.received for one, _ in story[number:]), default=inf)
        if settled is not None and to_come > now:
            looks.append(min(now + settled, to_come))
        for now in looks:
            settle(state, now, SETTINGS)
            after = counters(state, now)
            assert all(new >= old for old, new in zip(before, after, strict=True)), (before, after)
            assert after.all_seconds <= now - state.first_received + 1e-6
            before = after


@examples(250)
@given(any_stories())
def test_every_second_of_a_stream_that_is_not_reopened_is_in_one_phase(
    story: list[tuple[Logged, float | None]],
) -> None:
    state = begin(story[0][0].stored.event)
    reopened = False
    for (stored, decoded), _ in story:
        ended, heard = deepcopy(state.end), state.last_received
        fold(state, stored, decoded, SETTINGS)
        reopened |= ended is not None and (state.end is None or state.end.at != ended.at)
        # The stream was given up as lost in between, and this event says better.
        reopened |= ended is None and state.last_received - heard >= SETTINGS.abandon_after_seconds
    now = state.last_received + 7.0
    until = now if state.end is None else state.end.at
    spent = sum(seconds(state, now))
    if reopened:
        assert spent <= now - state.first_received + 1e-6
    else:
        assert abs(spent - (until - state.first_received)) < 1e-6
