from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from monitor.event import Channel
from monitor.health.timeline import TRANSITIONS, Timeline, Transition

lines = st.lists(
    st.builds(
        Transition,
        at=st.floats(allow_nan=False, allow_infinity=False),
        what=st.text(),
        channel=st.sampled_from(Channel),
        partition=st.integers(0, 65_535),
        offset=st.integers(0, 2**63 - 1),
    ),
    max_size=2 * TRANSITIONS,
)


def timeline(told: list[Transition]) -> Timeline:
    made = Timeline()
    for line in told:
        made.add(line)
    return made


@given(lines)
def test_the_last_lines_come_back_as_they_were_told(told: list[Transition]) -> None:
    kept = timeline(told)
    assert told[-TRANSITIONS:] == list(kept)
    assert len(told[-TRANSITIONS:]) == len(kept)


@given(lines.filter(bool))
def test_a_line_can_be_asked_for_by_its_place_from_either_end(told: list[Transition]) -> None:
    kept = timeline(told)
    assert told[-TRANSITIONS:][0] == kept[0]
    assert told[-1] == kept[-1]


@given(lines)
def test_a_timeline_is_the_same_after_it_was_kept_as_json(told: list[Transition]) -> None:
    adapter = TypeAdapter(Timeline)
    kept = timeline(told)
    assert kept == adapter.validate_json(adapter.dump_json(kept))
