"""What rounds keep in mind of their questions and answers, so that nothing is asked or told too often."""

import pytest

from monitor.event import CallbackAim, Channel, JobObserved, JobState
from monitor.health.stream import StreamKey
from monitor.reconcile.comparison import REFRESH_SECONDS
from monitor.reconcile.memory import KEPT_SECONDS, SETTLE_SECONDS, Memory
from tests.health.story import START, Story

KEY = StreamKey("prod", "job")
RUNNING = JobObserved(JobState.RUNNING, None, 100.0, 90.0, aim=CallbackAim.HERE)


def test_what_is_old_is_forgotten_and_what_is_not_is_kept() -> None:
    memory, old, new = Memory(), StreamKey("prod", "old"), StreamKey("prod", "new")
    for key, at in ((old, START), (new, START + 1)):
        memory.ask(key, at)
        memory.suspect(key, at, 10.0)
        memory.warn(key.job_id, at)
        memory.tell(key, RUNNING, at)

    memory.forget(START + KEPT_SECONDS)

    assert (memory.asked_at(old), memory.asked_at(new)) == (0.0, START + 1)
    assert (memory.warned_at("old"), memory.warned_at("new")) == (0.0, START + 1)
    suspected = [memory.suspect(key, START + KEPT_SECONDS, 10.0) for key in (old, new)]
    assert suspected == [False, True]
    told = [memory.was_told(key, RUNNING, START + 2, known=True) for key in (old, new)]
    assert told == [False, True]


def test_what_was_noted_while_the_clock_was_ahead_holds_up_nothing_once_it_is_set_back() -> None:
    memory, ahead, just_now = Memory(), START + 7200, StreamKey("prod", "just now")
    memory.ask(just_now, START)
    memory.ask(KEY, ahead)
    memory.suspect(KEY, ahead, 10.0)
    memory.warn("room", ahead)
    memory.tell(KEY, RUNNING, ahead)

    memory.forget(START)

    assert memory.asked_at(just_now) == START
    assert (memory.asked_at(KEY), memory.warned_at("room")) == (0.0, 0.0)
    assert not memory.was_told(KEY, RUNNING, START, known=True)
    assert [memory.suspect(KEY, START + later, 10.0) for later in (0, 10)] == [False, True]


def test_a_stream_is_due_once_neither_its_api_was_heard_nor_asked_about_it_for_long() -> None:
    memory, story = Memory(), Story()
    story.tell(RUNNING, at=100.0, channel=Channel.API)
    heard = START + 100
    assert not memory.is_due(story.known, heard + REFRESH_SECONDS - 1)
    assert memory.is_due(story.known, heard + REFRESH_SECONDS)

    memory.ask(KEY, heard + REFRESH_SECONDS)

    assert not memory.is_due(story.known, heard + 2 * REFRESH_SECONDS - 1)
    assert memory.is_due(story.known, heard + 2 * REFRESH_SECONDS)


@pytest.mark.parametrize("seconds", [SETTLE_SECONDS, REFRESH_SECONDS])
def test_what_was_told_of_a_stream_is_told_again_sooner_where_its_state_is_here(seconds: float) -> None:
    memory = Memory()
    memory.tell(KEY, RUNNING, START)
    known = seconds == SETTLE_SECONDS

    assert memory.was_told(KEY, RUNNING, START + seconds - 1, known=known)
    assert not memory.was_told(KEY, RUNNING, START + seconds, known=known)


def test_of_a_stream_that_is_folded_elsewhere_only_another_state_is_told_at_once() -> None:
    memory = Memory()
    memory.tell(KEY, RUNNING, START)
    longer = RUNNING._replace(duration=200.0, push_duration=190.0)

    assert memory.was_told(KEY, longer, START + 1, known=False)
    assert not memory.was_told(KEY, longer, START + 1, known=True)
    assert not memory.was_told(KEY, RUNNING._replace(state=JobState.FAILED), START + 1, known=False)
    assert not memory.was_told(KEY, RUNNING._replace(aim=CallbackAim.ELSEWHERE), START + 1, known=False)
