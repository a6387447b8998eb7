"""Until when a stream that ended badly was well: what began later was started in its place."""

import pytest

from monitor.event import Channel, JobObserved, JobState
from monitor.health.reading import well_until
from tests.health.story import START, Story


def link(story: Story, told: str) -> None:
    """Tell RTMP states by their letters, ten seconds apart."""
    for number, word in enumerate(told.split()):
        story.link(word, at=10.0 * number)


@pytest.mark.parametrize(
    ("told", "until"),
    [
        ("C D R R E", 10.0),
        ("C D C D R E", 30.0),
        ("G E", 0.0),
        ("G D R E", 0.0),
    ],
    ids=["given up", "given up in its second outage", "never connected", "never connected, tried again"],
)
def test_a_stream_that_was_given_up_was_well_until_it_lost_its_push(told: str, until: float) -> None:
    story = Story()
    link(story, told)
    assert well_until(story.known) == START + until


def test_a_stream_that_lives_or_ended_as_it_should_has_no_such_time() -> None:
    story = Story()
    link(story, "C D")
    assert well_until(story.known) is None
    link(story, "C D C E")
    assert well_until(story.known) is None


@pytest.mark.parametrize("state", [JobState.FAILED, JobState.BLOCKED])
def test_a_failure_that_only_the_api_told_may_be_as_old_as_the_last_callback(state: JobState) -> None:
    story = Story()
    story.link("C", at=0.0)
    story.paragraph(1, at=40.0)
    story.tell(JobObserved(state), at=300.0, channel=Channel.API)
    assert well_until(story.known) == START + 40


def test_a_stream_that_was_lost_was_well_until_it_was_last_heard_of() -> None:
    story = Story()
    story.link("C", at=0.0)
    story.paragraph(1, at=40.0)
    story.settle(100_000.0)
    assert story.known.end is not None
    assert well_until(story.known) == START + 40


def test_an_outage_that_was_over_says_nothing_of_an_end_that_turns_out_bad_later() -> None:
    story = Story()
    for word, at, signed in (("C", 0.0, 0), ("D", 10.0, 10), ("C", 20.0, 20), ("E", 100.0, 100)):
        story.link(word, at=at, signed=signed)
    story.link("D", at=101.0, signed=99)
    assert story.known.end is not None
    assert well_until(story.known) == START + 100
