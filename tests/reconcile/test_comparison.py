"""Whatever is known of a stream and whatever the API says: what was told once is no news the second time."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from monitor.event import CallbackAim, Channel, JobObserved, JobState, Unrecognised, Vendor
from monitor.health.fold import fold, retire
from monitor.health.stream import Outcome, StreamState
from monitor.health.told import was_a_guess
from monitor.reconcile.comparison import LAG_SECONDS, REFRESH_SECONDS, Difference, compare
from monitor.vendors.api_protocol import ObservedJob
from monitor.vendors.observation import decode_observation, encode_observation
from tests.health.story import START, Story
from tests.properties.examples import examples
from tests.properties.stories import SETTINGS, Logged, Step, any_stories, logged, observations, told

NOW = 1_000_000.0
"""Seconds since START, when every story is over."""


def folded(state: StreamState, said: JobObserved, *, at: float, sequence: int) -> None:
    one = logged(Step(at, said, channel=Channel.API), sequence, state.vendor, "reconcile", 1)
    fold(state, one.stored, one.decoded, SETTINGS)


def known(story: list[tuple[Logged, float | None]]) -> StreamState:
    return told([one for one, _ in story])


@examples(200)
@given(any_stories(), observations)
def test_an_answer_that_was_folded_is_no_news_any_more(
    story: list[tuple[Logged, float | None]], said: JobObserved
) -> None:
    state = known(story)
    job = ObservedJob("job", "job", said)
    at = max(NOW, state.last_received - START + 1)

    for number in range(3):
        # The first answer may bring a stream back, and only the next compares with it alive.
        kind = compare(state, job, START + at)
        if kind is None:
            break
        folded(state, said, at=at, sequence=100 + number)

    assert compare(state, job, START + at) is None


@given(any_stories(), observations)
def test_the_marker_of_an_ended_stream_wants_to_know_nothing(
    story: list[tuple[Logged, float | None]], said: JobObserved
) -> None:
    state = known(story)
    assume(state.end is None or not was_a_guess(state.end))
    assert compare(retire(state), ObservedJob("job", "job", said), NOW) is None


@given(st.sampled_from(list(JobState)), st.sampled_from([None, NOW - 10, NOW - 7200]))
def test_of_a_job_that_nobody_told_of_what_runs_or_failed_lately_is_news(
    said: JobState, ended: float | None
) -> None:
    live = said in (JobState.WAITING, JobState.RUNNING)
    failed = said in (JobState.FAILED, JobState.BLOCKED) and ended != NOW - 7200

    found = compare(None, ObservedJob("job", "job", JobObserved(said), ended), NOW)

    assert found == (Difference.UNKNOWN if live or failed else None)


def test_an_answer_that_agrees_is_told_again_once_the_last_one_is_old() -> None:
    said = JobObserved(JobState.RUNNING)
    state = told([logged(Step(NOW, said, channel=Channel.API), 1, Vendor.METASTUDIO, "reconcile", 1)])
    job = ObservedJob("job", "job", said)

    assert compare(state, job, START + NOW + REFRESH_SECONDS - 1) is None
    assert compare(state, job, START + NOW + REFRESH_SECONDS) is Difference.AGREES


@pytest.mark.parametrize("channel", [Channel.CALLBACK, Channel.RTC])
def test_that_a_job_is_missing_counts_a_minute_after_its_last_sign_of_life(channel: Channel) -> None:
    story = Story()
    story.link("C", at=0.0)
    story.tell(Unrecognised("NEW"), at=100.0, channel=channel)
    story.tell(JobObserved(JobState.RUNNING), at=150.0, channel=Channel.API)
    job = ObservedJob("job", "job", JobObserved(JobState.MISSING))

    assert compare(story.known, job, START + 100 + LAG_SECONDS - 1) is None
    assert compare(story.known, job, START + 100 + LAG_SECONDS) is Difference.END


@pytest.mark.parametrize("guess", [Outcome.VANISHED, Outcome.LOST])
@pytest.mark.parametrize("is_retired", [False, True])
@pytest.mark.parametrize(
    ("said", "news"),
    [
        (JobState.WAITING, Difference.STATE),
        (JobState.RUNNING, Difference.STATE),
        (JobState.SUCCEEDED, Difference.END),
        (JobState.FAILED, Difference.END),
        (JobState.MISSING, None),
        (None, None),
    ],
)
def test_what_the_api_knows_after_all_of_a_stream_that_was_given_up_is_news(
    guess: Outcome, is_retired: bool, said: JobState | None, news: Difference | None
) -> None:
    story = Story()
    story.link("C", at=0.0)
    if guess is Outcome.VANISHED:
        story.tell(JobObserved(JobState.MISSING), at=60.0, channel=Channel.API)
    else:
        story.settle(100_000.0)
    assert story.known.end is not None
    assert story.known.end.outcome is guess

    state = retire(story.known) if is_retired else story.known
    found = compare(state, ObservedJob("job", "job", JobObserved(said)), START + story.now + 60)

    # Of what nobody sees any more, only that it lives is.
    assert found is (None if is_retired and news is Difference.END else news)


@pytest.mark.parametrize(
    ("said", "news"),
    [
        (JobState.SUCCEEDED, Difference.AGREES),
        (JobState.FAILED, Difference.END),
        (JobState.BLOCKED, Difference.END),
        (JobState.MISSING, None),
    ],
)
def test_why_a_stream_ended_is_news_and_so_is_the_first_word_that_agrees(
    said: JobState, news: Difference | None
) -> None:
    story = Story()
    story.links("C E")

    found = compare(story.known, ObservedJob("job", "job", JobObserved(said)), START + 60)

    assert found is news


@pytest.mark.parametrize(
    ("said", "news"),
    [
        (JobObserved(JobState.RUNNING, None, 200.0, 181.0), None),
        (JobObserved(JobState.RUNNING, None, 200.0, 180.0), Difference.PUSH),
        (JobObserved(JobState.RUNNING, aim=CallbackAim.HERE), None),
        (JobObserved(JobState.RUNNING, aim=CallbackAim.ELSEWHERE), Difference.STATE),
        (JobObserved(JobState.WAITING), Difference.STATE),
        (JobObserved(JobState.SUCCEEDED), Difference.END),
    ],
)
def test_what_is_otherwise_than_the_api_said_before_is_news(
    said: JobObserved, news: Difference | None
) -> None:
    story = Story()
    story.link("C", at=0.0)
    before = JobObserved(JobState.RUNNING, None, 100.0, 90.0, aim=CallbackAim.HERE)
    story.tell(before, at=10.0, channel=Channel.API)

    assert compare(story.known, ObservedJob("job", "job", said), START + 20) is news


@pytest.mark.parametrize(("after", "news"), [(59.0, None), (60.0, Difference.STATE)])
def test_that_a_job_still_runs_is_news_once_its_end_is_a_minute_old(
    after: float, news: Difference | None
) -> None:
    story = Story()
    story.link("C", at=0.0)
    story.link("E", at=100.0)
    job = ObservedJob("job", "job", JobObserved(JobState.RUNNING, None, 160.0, 160.0))

    assert compare(story.known, job, START + 100 + after) is news


def test_how_long_a_job_pushed_is_news_where_the_api_had_not_said_so() -> None:
    story = Story()
    story.link("C", at=0.0)
    story.tell(JobObserved(JobState.RUNNING), at=10.0, channel=Channel.API)
    said = JobObserved(JobState.RUNNING, None, 100.0, 100.0)

    assert compare(story.known, ObservedJob("job", "job", said), START + 20) is Difference.PUSH


@given(observations)
def test_what_is_kept_of_an_answer_is_what_was_said(said: JobObserved) -> None:
    decoded = decode_observation(encode_observation("job", said))

    assert (decoded.job_id, decoded.payload) == ("job", said)
