"""Where a worker stops, restarts or looks at the clock makes no difference to what it says."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from monitor.health.fold import fold, settle
from monitor.health.stream import StreamState, from_json, to_json
from tests.properties.examples import examples
from tests.properties.stories import SETTINGS, START, Logged, Step, any_stories, log_of, signed_stories, told

stories = st.one_of(
    signed_stories().map(log_of),
    any_stories().map(lambda story: [logged for logged, _ in story]),
)


@examples(250)
@given(stories, st.data())
def test_a_log_that_is_split_anywhere_and_resumed_from_a_checkpoint_equals_one_pass(
    log: list[Logged], data: st.DataObject
) -> None:
    at_once = told(log)
    split = data.draw(st.integers(1, len(log)), label="split")
    checkpoint = to_json(told(log[:split]))
    assert to_json(from_json(checkpoint)) == checkpoint
    assert told(log[split:], from_json(checkpoint)) == at_once


@examples(250)
@given(signed_stories(), st.data())
def test_events_that_are_read_again_after_a_restart_count_once(
    steps: list[Step], data: st.DataObject
) -> None:
    log = log_of(steps)
    split = data.draw(st.integers(1, len(log)), label="split")
    reread = data.draw(st.integers(0, split), label="reread")
    restored = from_json(to_json(told(log[:split])))
    assert told(log[reread:], restored) == told(log)


@examples(250)
@given(signed_stories(), st.lists(st.floats(0.0, 1.0), max_size=5), st.data())
def test_it_makes_no_difference_when_and_how_often_somebody_settles(
    steps: list[Step], moments: list[float], data: st.DataObject
) -> None:
    far = data.draw(st.sampled_from([0.0, 11.0, 60.0, 90000.0]), label="last gap")
    log = log_of(steps)
    end = log[-1].stored.event.received + far
    straight = told(log)
    settle(straight, end, SETTINGS)
    settled: StreamState = told(log[:1])
    for one, following in pairwise([*log, None]):
        until = end if following is None else following.stored.event.received
        since = one.stored.event.received if one is not None else START
        for moment in sorted(moments):
            settle(settled, since + (until - since) * moment, SETTINGS)
        if following is not None:
            fold(settled, following.stored, following.decoded, SETTINGS)
    settle(settled, end, SETTINGS)
    assert straight == settled
