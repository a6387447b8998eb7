"""Until when a stream that ended was well: what began later was started in its place."""

import pytest

from monitor.event import Channel, JobObserved, JobState
from monitor.health.stream import Outcome
from tests.health.story import START, Story

A_DAY = 100_000.0


def link(story: Story, told: str) -> None:
    """Tell RTMP states by their letters, a hundred seconds apart."""
    for number, word in enumerate(told.split()):
        story.link(word, at=100.0 * number)


def answer(story: Story, state: JobState, *, at: float, push: float | None = None) -> None:
    story.tell(JobObserved(state, duration=at, push_duration=push), at=at, channel=Channel.API)


def outcome(story: Story) -> Outcome | None:
    return story.known.end.outcome if story.known.end is not None else None


@pytest.mark.parametrize(
    ("told", "until"),
    [("C D R R E", 100.0), ("C D C D R E", 300.0), ("G E", 60.0), ("G D R E", 60.0)],
    ids=["given up", "given up in its second outage", "never connected", "never connected, tried again"],
)
def test_a_stream_that_was_given_up_was_well_until_it_lost_its_push(told: str, until: float) -> None:
    story = Story()
    link(story, told)
    assert (outcome(story), story.known.well_until) == (Outcome.CUT_OFF, START + until)


def test_a_stream_that_never_connected_and_ended_at_once_was_well_until_then() -> None:
    story = Story()
    story.link("G", at=0.0)
    story.link("E", at=20.0)
    assert story.known.well_until == START + 20


@pytest.mark.parametrize("state", [JobState.FAILED, JobState.BLOCKED])
def test_a_failure_in_an_outage_is_as_old_as_the_outage_whatever_was_told_in_it(state: JobState) -> None:
    story = Story()
    link(story, "C D R R")
    answer(story, state, at=400.0)
    assert outcome(story) in (Outcome.FAILED, Outcome.BLOCKED)
    assert story.known.well_until == START + 100


def test_a_stream_that_was_lost_in_an_outage_was_well_until_that_began() -> None:
    story = Story()
    link(story, "C D R R")
    story.settle(A_DAY)
    assert (outcome(story), story.known.well_until) == (Outcome.LOST, START + 100)


def test_why_it_ended_changes_nothing_of_when_it_was_well() -> None:
    story = Story()
    link(story, "C D R E")
    answer(story, JobState.BLOCKED, at=500.0)
    assert (outcome(story), story.known.well_until) == (Outcome.BLOCKED, START + 100)


@pytest.mark.parametrize("state", [JobState.FAILED, JobState.BLOCKED])
def test_a_failure_that_only_the_api_told_may_be_as_old_as_the_last_callback(state: JobState) -> None:
    story = Story()
    story.link("C", at=0.0)
    story.paragraph(1, at=40.0)
    answer(story, state, at=300.0)
    # What comes behind the end moves nothing.
    story.link("E", at=305.0)
    assert story.known.well_until == START + 40


def test_a_stream_that_was_lost_was_well_until_it_was_last_heard_of() -> None:
    story = Story()
    story.link("C", at=0.0)
    story.paragraph(1, at=40.0)
    story.settle(A_DAY)
    assert (outcome(story), story.known.well_until) == (Outcome.LOST, START + 40)


def test_a_stream_whose_push_rested_before_its_end_was_well_until_then() -> None:
    story = Story()
    story.link("C", at=0.0)
    for at in (10.0, 100.0, 140.0, 200.0):
        answer(story, JobState.RUNNING, at=at, push=min(at, 100.0))
    story.link("E", at=400.0)
    assert (outcome(story), story.known.well_until) == (Outcome.CUT_OFF, START + 100)


def test_an_outage_that_was_over_says_nothing_of_an_end_that_turns_out_bad_later() -> None:
    story = Story()
    for word, at, signed in (("C", 0.0, 0), ("D", 10.0, 10), ("C", 20.0, 20), ("E", 100.0, 100)):
        story.link(word, at=at, signed=signed)
    assert outcome(story) is Outcome.COMPLETED
    story.link("D", at=101.0, signed=99)
    assert (outcome(story), story.known.well_until) == (Outcome.CUT_OFF, START + 100)


def test_an_outage_goes_on_where_its_stream_was_given_up_by_mistake() -> None:
    story = Story()
    link(story, "C D")
    answer(story, JobState.MISSING, at=200.0)
    assert outcome(story) is Outcome.VANISHED
    story.link("R", at=250.0)
    assert story.known.well_until is None
    story.link("E", at=300.0)
    assert (outcome(story), story.known.well_until) == (Outcome.CUT_OFF, START + 100)
