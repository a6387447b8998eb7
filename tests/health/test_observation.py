"""The vendor's API as the second witness: what it sets right, and that it says so."""

import pytest

from monitor.event import (
    CallbackAim,
    CallbackKind,
    Channel,
    JobObserved,
    JobState,
    SessionState,
    Vendor,
)
from monitor.health.effect import Effect
from monitor.health.status import Status, Trouble
from monitor.health.stream import Outcome, Phase, StreamState, from_json, to_json
from tests.health.story import START, Story


def answer(
    story: Story,
    state: JobState | None,
    *,
    at: float,
    duration: float | None = None,
    push: float | None = None,
    error: str | None = None,
    warnings: tuple[str, ...] | None = None,
    aim: CallbackAim | None = None,
) -> Effect:
    said = JobObserved(state, None, duration, push, error, None, warnings, aim)
    return story.tell(said, at=at, channel=Channel.API)


def running(story: Story, *, at: float, duration: float, push: float) -> Effect:
    return answer(story, JobState.RUNNING, at=at, duration=duration, push=push)


def end_of(story: Story) -> tuple[Outcome, bool]:
    assert story.known.end is not None
    return story.known.end.outcome, story.known.end.by_api


def lines(story: Story) -> list[str]:
    return [line.what for line in story.known.transitions if line.channel is Channel.API]


def test_a_lost_end_is_an_end_that_the_api_told() -> None:
    story = Story()
    story.link("C", at=0.0)
    answer(story, JobState.SUCCEEDED, at=60.0)

    assert end_of(story) == (Outcome.COMPLETED, True)
    verdict = story.status(61.0)
    assert verdict[:2] == (Status.ENDED, START + 60)
    assert verdict.reasons == ("The stream ended as it should. The vendor's API says so; no callback did.",)
    assert lines(story) == ["ended: completed (the vendor's API says so)"]


def test_the_callback_of_an_end_is_missed_once_it_has_not_followed() -> None:
    story = Story()
    story.link("C", at=0.0)
    answer(story, JobState.SUCCEEDED, at=60.0)

    assert story.settle(69.0).missed == 0
    assert story.settle(71.0).missed == 1
    assert story.settle(200.0).missed == 1


def test_the_callback_of_an_end_has_its_time_though_something_else_is_due_before() -> None:
    story = Story()
    story.link("C", at=0.0, signed=0)
    answer(story, JobState.SUCCEEDED, at=115.0)

    # What was told of the link settles after two minutes.
    assert story.settle(120.0).missed == 0
    assert story.settle(125.0).missed == 1


@pytest.mark.parametrize(
    ("subscribed", "said"), [(CallbackKind.REPLY, JobState.SUCCEEDED), (CallbackKind.LINK, JobState.MISSING)]
)
def test_the_callback_of_an_end_is_missed_only_where_one_is_sent(
    subscribed: CallbackKind, said: JobState
) -> None:
    story = Story()
    story.register(subscribed=(subscribed,))
    answer(story, said, at=60.0)

    assert story.known.end is not None
    assert story.settle(200.0).missed == 0


def test_an_end_that_is_called_back_after_the_api_told_it_is_one_end_and_not_missed() -> None:
    story = Story()
    story.link("C", at=0.0)
    answer(story, JobState.SUCCEEDED, at=60.0)
    story.link("E", at=63.0)

    assert story.settle(200.0).missed == 0
    assert story.status(200.0)[1:3] == (START + 60, ("The stream ended as it should.",))


def test_a_job_that_ends_in_an_outage_was_given_up() -> None:
    story = Story()
    story.links("C D")
    answer(story, JobState.SUCCEEDED, at=200.0)

    assert end_of(story) == (Outcome.CUT_OFF, True)


def without_push(*, since: float, until: float) -> Story:
    """Return a stream that has pushed no more since then, which its API alone tells."""
    story = Story()
    story.link("C", at=0.0)
    at = 0.0
    while (at := at + 20.0) <= until:
        running(story, at=at, duration=at, push=min(at, since))
    return story


@pytest.mark.parametrize("called_back", [True, False], ids=["called back", "by the API"])
def test_a_job_that_ends_while_it_runs_without_pushing_was_given_up(called_back: bool) -> None:
    story = without_push(since=100.0, until=260.0)
    if called_back:
        story.link("E", at=280.0)
    else:
        answer(story, JobState.SUCCEEDED, at=280.0)

    assert end_of(story) == (Outcome.CUT_OFF, not called_back)
    why = "The stream ended while its job ran without pushing: the vendor gave it up."
    assert story.status(281.0).reasons[0].startswith(why)
    # What else is told of the same end makes it no other.
    story.link("E", at=285.0)
    answer(story, JobState.SUCCEEDED, at=290.0)
    assert end_of(story) == (Outcome.CUT_OFF, not called_back)


@pytest.mark.parametrize(
    ("rested", "called_back", "outcome"),
    [
        (29.0, True, Outcome.COMPLETED),
        (30.0, True, Outcome.CUT_OFF),
        (89.0, False, Outcome.COMPLETED),
        (90.0, False, Outcome.CUT_OFF),
    ],
)
def test_a_job_without_push_was_given_up_after_half_a_minute_and_a_minute_later_by_the_api_alone(
    rested: float, called_back: bool, outcome: Outcome
) -> None:
    story = Story()
    story.link("C", at=0.0)
    running(story, at=100.0, duration=100.0, push=100.0)
    running(story, at=100.0 + rested, duration=100.0 + rested, push=100.0)
    if called_back:
        story.link("E", at=200.0)
    else:
        answer(story, JobState.SUCCEEDED, at=200.0)
    assert end_of(story) == (outcome, not called_back)


@pytest.mark.parametrize("called_back", [True, False], ids=["called back", "by the API"])
def test_a_job_that_pushes_again_after_a_rest_ends_as_it_should(called_back: bool) -> None:
    story = without_push(since=100.0, until=260.0)
    running(story, at=280.0, duration=280.0, push=120.0)
    if called_back:
        story.link("E", at=285.0)
    else:
        answer(story, JobState.SUCCEEDED, at=285.0)

    assert end_of(story) == (Outcome.COMPLETED, not called_back)


@pytest.mark.parametrize("signed", [True, False], ids=["signed", "unsigned"])
def test_a_push_that_is_told_to_be_connected_again_rests_no_more(signed: bool) -> None:
    story = Story()
    story.link("C", at=0.0, signed=0 if signed else None)
    for at, push in ((20.0, 20.0), (40.0, 40.0), (80.0, 40.0), (120.0, 40.0)):
        running(story, at=at, duration=at, push=push)
    assert story.status(120.0).status is Status.DEGRADED
    if signed:
        story.link("C", at=125.0, signed=0)
        assert story.status(125.0).status is Status.DEGRADED

    story.link("C", at=130.0, signed=130 if signed else None)
    assert story.status(130.0)[:2] == (Status.HEALTHY, START + 130)
    running(story, at=135.0, duration=135.0, push=45.0)
    story.link("E", at=140.0, signed=140 if signed else None)
    assert end_of(story) == (Outcome.COMPLETED, False)


def test_a_job_whose_push_stopped_a_minute_before_the_api_told_its_end_is_completed() -> None:
    story = without_push(since=100.0, until=140.0)
    answer(story, JobState.SUCCEEDED, at=400.0, duration=160.0, push=100.0)

    assert end_of(story) == (Outcome.COMPLETED, True)


def test_what_the_api_says_after_an_end_does_not_make_it_another() -> None:
    story = without_push(since=100.0, until=100.0)
    story.link("E", at=101.0, signed=101)
    for at in (140.0, 170.0, 200.0):
        running(story, at=at, duration=at, push=100.0)
    story.link("C", at=201.0, signed=1)

    assert end_of(story) == (Outcome.COMPLETED, False)


@pytest.mark.parametrize("guess", [JobState.MISSING, None], ids=["vanished", "lost"])
def test_a_job_that_vanished_in_an_outage_and_turns_out_to_be_over_was_given_up(
    guess: JobState | None,
) -> None:
    story = Story()
    story.links("C D")
    if guess is None:
        story.settle(100_000.0)
    else:
        answer(story, guess, at=200.0)
    answer(story, JobState.SUCCEEDED, at=story.now + 60)

    assert end_of(story) == (Outcome.CUT_OFF, True)


def test_an_end_that_is_called_back_says_whether_the_stream_was_in_an_outage() -> None:
    # CONNECTED and END were on their way while the API already said that all is over.
    story = Story()
    story.link("C", at=0.0, signed=0)
    story.link("D", at=100.0, signed=100)
    answer(story, JobState.SUCCEEDED, at=116.0)
    assert end_of(story) == (Outcome.CUT_OFF, True)
    story.link("C", at=120.0, signed=110)
    story.link("E", at=121.0, signed=115)

    assert end_of(story) == (Outcome.COMPLETED, True)


def test_what_happened_before_the_vendors_last_word_does_not_bring_a_stream_back() -> None:
    story = Story()
    story.link("C", at=0.0)
    answer(story, JobState.FAILED, at=60.0, error="MSS.00000004")
    story.link("D", at=65.0)
    story.link("C", at=66.0)

    assert end_of(story) == (Outcome.FAILED, True)


def test_a_failure_that_no_callback_told_ends_the_stream_with_its_error() -> None:
    story = Story()
    story.register()
    answer(story, JobState.FAILED, at=30.0, error="MSS.00000004 Internal Error")

    verdict = story.status(31.0)
    assert verdict.status is Status.ENDED
    assert verdict.reasons == ("The vendor's API says that the job failed: MSS.00000004 Internal Error.",)


def test_an_end_that_is_called_back_of_a_job_that_failed_leaves_it_a_failure() -> None:
    story = Story()
    story.link("C", at=0.0)
    answer(story, JobState.FAILED, at=60.0)
    story.link("E", at=63.0)

    assert end_of(story) == (Outcome.FAILED, True)
    assert story.settle(200.0).missed == 0


def test_a_job_that_is_first_heard_of_as_failed_is_a_stream_that_failed() -> None:
    story = Story()
    answer(story, JobState.BLOCKED, at=0.0, error="banned")

    assert end_of(story) == (Outcome.BLOCKED, True)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (JobState.FAILED, (Outcome.FAILED, True)),
        (JobState.BLOCKED, (Outcome.BLOCKED, True)),
        (JobState.SUCCEEDED, (Outcome.COMPLETED, False)),
        (JobState.RUNNING, (Outcome.COMPLETED, False)),
    ],
)
def test_of_an_ended_stream_only_a_failure_is_news(said: JobState, expected: tuple[Outcome, bool]) -> None:
    story = Story()
    story.links("C E")
    answer(story, said, at=60.0)

    assert end_of(story) == expected


@pytest.mark.parametrize("sign", ["script", "push"])
def test_a_job_that_the_api_does_not_know_any_more_has_vanished_until_it_gives_a_sign_of_life(
    sign: str,
) -> None:
    story = Story()
    story.link("C", at=0.0)
    answer(story, JobState.MISSING, at=60.0)
    assert end_of(story) == (Outcome.VANISHED, True)

    answer(story, JobState.MISSING, at=120.0)
    assert end_of(story) == (Outcome.VANISHED, True)

    answer(story, None, at=125.0, warnings=("RANDOM_PLAY_CLOSED",))
    assert end_of(story) == (Outcome.VANISHED, True)

    if sign == "script":
        story.paragraph(1, at=130.0)
    else:
        story.link("D", at=128.0)
        story.link("C", at=130.0)
    assert story.status(131.0).status is Status.HEALTHY


def test_a_lost_connected_is_proved_by_a_push_that_grows() -> None:
    story = Story()
    story.register(subscribed=(CallbackKind.LINK,))
    story.link("G", at=0.0)
    running(story, at=60.0, duration=60.0, push=50.0)
    assert story.status(60.0).status is Status.STARTING

    running(story, at=70.0, duration=70.0, push=60.0)

    assert story.status(70.0)[:2] == (Status.HEALTHY, START + 70)
    assert lines(story)[-1] == "connected (the vendor's API says so)"
    assert story.known.missed == 1


def test_a_lost_connected_ends_an_outage_and_counts_its_reconnect() -> None:
    story = Story()
    story.links("C D")
    running(story, at=90.0, duration=90.0, push=80.0)
    assert story.status(90.0).status is Status.DOWN
    running(story, at=100.0, duration=100.0, push=90.0)

    assert story.status(100.0).status is Status.HEALTHY
    assert (story.known.link.outages, story.known.link.reconnects) == (1, 1)
    story.link("D", at=120.0, signed=120)
    assert story.status(121.0).status is Status.DEGRADED


@pytest.mark.parametrize("signed", [True, False], ids=["signed", "unsigned"])
@pytest.mark.parametrize("parting", ["E", "D", "D E"])
@pytest.mark.parametrize("new", ["b", "Z"])
def test_a_proved_push_is_that_of_the_new_address_though_the_old_one_said_the_last_word(
    new: str, parting: str, signed: bool
) -> None:
    story = Story()
    story.links("C", signed=signed)
    story.link("G", at=60.0, signed=60 if signed else None, output=new)
    story.now = 60.0
    story.links(parting, step=1.0, signed=signed)
    running(story, at=90.0, duration=90.0, push=80.0)
    running(story, at=100.0, duration=100.0, push=90.0)
    assert story.status(100.0).status is Status.HEALTHY

    story.link("D", at=120.0, signed=120 if signed else None, output=new)
    assert story.status(180.0).status is Status.DOWN
    story.link("E", at=300.0, signed=300 if signed else None, output=new)
    assert end_of(story) == (Outcome.CUT_OFF, False)


@pytest.mark.parametrize("signed", [100, 99], ids=["a copy", "a late delivery"])
@pytest.mark.parametrize("settled", [False, True])
def test_a_delivery_from_before_a_proved_push_does_not_undo_it(signed: int, settled: bool) -> None:
    story = Story()
    story.link("C", at=0.0, signed=0)
    story.link("D", at=100.0, signed=100)
    running(story, at=103.0, duration=103.0, push=100.0)
    running(story, at=113.0 + 200.0 * settled, duration=113.0 + 200.0 * settled, push=110.0 + 200.0 * settled)
    effect = story.link("D" if signed == 100 else "R", at=125.0 + 200.0 * settled, signed=signed)

    assert effect is not Effect.APPLIED
    assert story.status(story.now).status is Status.HEALTHY
    assert story.known.link.outages == 1


@pytest.mark.parametrize("word", ["C E", "C D E"])
@pytest.mark.parametrize("signed", [True, False])
def test_a_push_that_grows_long_after_its_end_shows_that_the_stream_goes_on(word: str, signed: bool) -> None:
    story = Story()
    story.links(word, signed=signed)
    ended = story.now
    # The address was refreshed, and both callbacks of the new one were lost.
    running(story, at=ended + 70.0, duration=70.0, push=60.0)
    assert story.known.end is not None
    running(story, at=ended + 80.0, duration=80.0, push=70.0)

    assert story.status(ended + 81.0).status is Status.HEALTHY
    assert lines(story) == ["connected (the vendor's API says so)", "reopened"]
    assert story.known.missed == 1
    story.link("E", at=ended + 100.0, signed=int(ended + 100.0) if signed else None, output="b")
    story.link("E", at=ended + 100.0, signed=int(ended + 100.0) if signed else None)
    assert end_of(story) == (Outcome.COMPLETED, False)


@pytest.mark.parametrize("pushed", [60.0, 62.0], ids=["rests", "hardly grows"])
def test_a_job_that_is_said_to_run_after_its_end_and_pushes_no_more_is_over(pushed: float) -> None:
    story = Story()
    story.links("C E")
    for seconds in (70.0, 80.0, 140.0):
        running(story, at=story.now + seconds, duration=seconds, push=60.0 if seconds == 70.0 else pushed)
    assert end_of(story) == (Outcome.COMPLETED, False)


def test_a_push_that_grew_while_the_vendor_was_clearing_up_opens_nothing() -> None:
    story = Story()
    story.links("C E")
    ended = story.now
    running(story, at=ended + 5.0, duration=75.0, push=65.0)
    running(story, at=ended + 65.0, duration=135.0, push=125.0)
    assert end_of(story) == (Outcome.COMPLETED, False)


def test_an_answer_from_before_the_outage_proves_nothing_of_now() -> None:
    story = Story()
    story.link("C", at=0.0)
    running(story, at=10.0, duration=10.0, push=10.0)
    story.link("D", at=50.0)
    running(story, at=60.0, duration=60.0, push=50.0)

    assert story.status(61.0).status is Status.DEGRADED


def test_an_answer_from_before_the_outage_of_the_new_address_proves_nothing_of_now() -> None:
    story = Story()
    story.link("C", at=0.0)
    story.link("C", at=5.0, output="b")
    running(story, at=10.0, duration=10.0, push=10.0)
    story.link("D", at=50.0, output="b")
    running(story, at=60.0, duration=60.0, push=50.0)

    assert story.status(61.0).status is Status.DEGRADED


def test_a_push_that_does_not_grow_leaves_an_outage_as_it_is() -> None:
    story = Story()
    story.links("C D")
    running(story, at=90.0, duration=90.0, push=10.0)
    running(story, at=150.0, duration=150.0, push=10.0)

    assert story.status(150.0).status is Status.DOWN


def test_a_job_without_any_callback_is_connected_once_it_is_seen_to_push() -> None:
    story = Story()
    answer(story, JobState.WAITING, at=0.0, aim=CallbackAim.HERE)
    running(story, at=20.0, duration=10.0, push=5.0)
    assert story.status(20.0).status is Status.STARTING
    running(story, at=30.0, duration=20.0, push=15.0)

    assert story.status(30.0)[:2] == (Status.HEALTHY, START + 30)
    assert story.known.missed == 0


def test_the_callback_of_a_push_that_was_never_told_of_is_missed_once_where_one_is_sent() -> None:
    story = Story()
    story.register(subscribed=(CallbackKind.LINK,))
    for at in (20.0, 30.0, 40.0):
        running(story, at=at, duration=at, push=at - 10)

    assert story.known.phase is Phase.CONNECTED
    assert story.known.missed == 1


@pytest.mark.parametrize(
    ("aim", "words"),
    [
        (CallbackAim.NOWHERE, "it was started without callbacks"),
        (CallbackAim.ELSEWHERE, "its callbacks go to another address"),
        (CallbackAim.HERE, "the address may be out of reach."),
        (None, "its callback configuration is probably wrong"),
    ],
)
def test_a_job_that_runs_and_never_called_back_is_degraded_and_says_why(
    aim: CallbackAim | None, words: str
) -> None:
    story = Story()
    answer(story, JobState.RUNNING, at=0.0, duration=1.0, aim=aim)
    assert story.status(119.0).status is Status.STARTING

    verdict = story.status(120.0)

    assert verdict[:2] == (Status.DEGRADED, START + 120)
    assert words in verdict.reasons[0]
    assert verdict.troubles == (Trouble.UNCALLED,)
    story.link("C", at=130.0)
    assert story.status(131.0).status is Status.HEALTHY


def test_a_job_of_whose_room_the_api_told_first_is_degraded_if_it_never_calls_back() -> None:
    story = Story()
    answer(story, None, at=0.0, warnings=())
    for at in (50.0, 110.0, 170.0):
        running(story, at=at, duration=at, push=at)

    assert story.status(169.0).status is Status.HEALTHY
    assert story.status(170.0).status is Status.DEGRADED


def test_a_job_that_asked_for_replies_alone_may_never_call_back() -> None:
    story = Story()
    story.register(subscribed=(CallbackKind.REPLY,))
    answer(story, JobState.WAITING, at=1.0, aim=CallbackAim.HERE)
    for at in (10.0, 70.0, 600.0):
        running(story, at=at, duration=at, push=at)
    assert story.status(600.0).status is Status.HEALTHY


def test_a_job_that_is_older_than_the_first_look_may_have_told_all_that_it_had_to() -> None:
    story = Story()
    running(story, at=0.0, duration=7200.0, push=7200.0)
    running(story, at=60.0, duration=7260.0, push=7260.0)

    assert story.status(3600.0).status is Status.HEALTHY


def test_a_job_that_runs_without_pushing_is_degraded_until_it_pushes_again() -> None:
    story = Story()
    story.link("C", at=0.0)
    for at in (10.0, 70.0):
        running(story, at=at, duration=at, push=at)
    running(story, at=130.0, duration=130.0, push=75.0)

    verdict = story.status(130.0)
    assert verdict[:2] == (Status.DEGRADED, START + 70)
    assert verdict.reasons == ("The vendor's API says that the job runs and doesn't push.",)
    assert verdict.troubles == (Trouble.PUSHLESS,)
    running(story, at=190.0, duration=190.0, push=135.0)
    assert story.status(190.0)[:2] == (Status.HEALTHY, START + 190)


def test_a_job_that_stopped_pushing_soon_after_it_began_is_degraded_too() -> None:
    story = Story()
    story.link("C", at=0.0)
    running(story, at=5.0, duration=5.0, push=5.0)
    assert story.status(5.0).status is Status.HEALTHY
    running(story, at=65.0, duration=65.0, push=20.0)

    assert story.status(65.0)[:2] == (Status.DEGRADED, START + 5)


def test_a_job_that_began_to_push_a_moment_before_it_was_asked_about_does_not_run_without_push() -> None:
    story = Story()
    story.link("G", at=0.0)
    for at, push in ((10.0, 0.0), (70.0, 0.0), (130.0, 5.0), (190.0, 65.0)):
        running(story, at=at, duration=at, push=push)
        assert story.status(at).status in (Status.STARTING, Status.HEALTHY)

    assert story.status(190.0).status is Status.HEALTHY


def test_a_push_that_rests_for_less_than_half_a_minute_is_no_reason() -> None:
    story = Story()
    story.link("C", at=0.0)
    for at in (10.0, 70.0):
        running(story, at=at, duration=at, push=at)
    running(story, at=99.0, duration=99.0, push=70.0)
    assert story.status(99.0).status is Status.HEALTHY
    running(story, at=110.0, duration=110.0, push=70.0)
    assert story.status(110.0)[:2] == (Status.DEGRADED, START + 70)


@pytest.mark.parametrize("asked", [True, False], ids=["asked in the outage", "not asked in the outage"])
def test_a_push_that_rested_in_an_outage_is_not_resting_once_it_is_connected_again(asked: bool) -> None:
    story = Story()
    story.link("C", at=0.0)
    for at in (10.0, 70.0):
        running(story, at=at, duration=at, push=at)
    story.link("D", at=75.0)
    if asked:
        running(story, at=80.0, duration=80.0, push=75.0)
        running(story, at=120.0, duration=120.0, push=75.0)
    story.link("C", at=125.0)
    assert story.status(126.0)[:2] == (Status.HEALTHY, START + 125)
    running(story, at=130.0, duration=130.0, push=80.0)
    assert story.status(130.0)[:2] == (Status.HEALTHY, START + 125)
    for at in (200.0, 260.0):
        running(story, at=at, duration=at, push=90.0)
    assert story.status(260.0)[:2] == (Status.DEGRADED, START + 130)


def test_a_push_that_goes_on_makes_no_stream_healthy_anew() -> None:
    story = Story()
    story.link("C", at=0.0, signed=0)
    for at in (10.0, 70.0, 130.0):
        running(story, at=at, duration=at, push=at)
    story.link("C", at=140.0, signed=140)
    assert story.status(150.0)[:2] == (Status.HEALTHY, START)


def test_a_pushed_time_that_falls_says_nothing() -> None:
    story = Story()
    story.link("C", at=0.0)
    running(story, at=70.0, duration=70.0, push=70.0)
    running(story, at=130.0, duration=130.0, push=5.0)
    assert story.status(130.0).status is Status.HEALTHY


def test_a_push_that_rests_in_an_outage_is_no_other_reason() -> None:
    story = Story()
    story.link("C", at=0.0)
    running(story, at=70.0, duration=70.0, push=70.0)
    story.link("D", at=75.0)
    running(story, at=130.0, duration=130.0, push=75.0)
    assert story.status(130.0).troubles == (Trouble.OUTAGE,)


def test_a_job_whose_push_rests_since_it_was_first_asked_about_is_degraded() -> None:
    story = Story()
    story.link("C", at=0.0)
    running(story, at=500.0, duration=500.0, push=400.0)
    assert story.status(500.0).status is Status.HEALTHY
    running(story, at=560.0, duration=560.0, push=400.0)

    assert story.status(560.0)[:2] == (Status.DEGRADED, START + 500)


def test_a_pushed_time_of_0_says_nothing() -> None:
    story = Story()
    story.link("C", at=0.0)
    for at in (10.0, 70.0, 130.0):
        running(story, at=at, duration=at, push=0.0)

    assert story.status(130.0).status is Status.HEALTHY


def test_live_warnings_that_come_or_go_are_in_the_timeline() -> None:
    story = Story()
    story.register(warnings=("RANDOM_PLAY_CLOSED",))
    answer(story, JobState.RUNNING, at=60.0, warnings=("TOO_SHORT_SCRIPT_TIME",))

    assert story.known.warnings == ("TOO_SHORT_SCRIPT_TIME",)
    assert lines(story)[1:] == [
        "warning came: TOO_SHORT_SCRIPT_TIME",
        "warning went: RANDOM_PLAY_CLOSED",
    ]
    answer(story, JobState.RUNNING, at=70.0)
    assert story.known.warnings == ("TOO_SHORT_SCRIPT_TIME",)


def test_a_session_is_what_the_list_of_running_ones_says() -> None:
    story = Story(vendor=Vendor.SOFTSUGAR)
    answer(story, JobState.WAITING, at=0.0)
    assert story.status(1.0).status is Status.STARTING
    answer(story, JobState.RUNNING, at=60.0)
    assert story.status(61.0)[:2] == (Status.HEALTHY, START + 60)
    answer(story, JobState.MISSING, at=120.0)
    assert end_of(story) == (Outcome.VANISHED, True)
    story.session(SessionState.COMPLETED, at=125.0, signed=125)
    assert end_of(story) == (Outcome.COMPLETED, False)


def test_a_session_that_the_api_calls_abnormal_ended_so() -> None:
    story = Story(vendor=Vendor.SOFTSUGAR)
    story.session(SessionState.RUNNING, at=0.0, signed=0)
    answer(story, JobState.FAILED, at=60.0)

    assert end_of(story) == (Outcome.ABNORMAL, True)


@pytest.mark.parametrize(
    ("said", "told"),
    [(JobState.SUCCEEDED, SessionState.COMPLETED), (JobState.FAILED, SessionState.ABNORMAL)],
)
def test_the_end_of_a_session_that_is_called_back_after_the_api_told_it_is_one_end(
    said: JobState, told: SessionState
) -> None:
    story = Story(vendor=Vendor.SOFTSUGAR)
    story.session(SessionState.RUNNING, at=0.0, signed=0)
    answer(story, said, at=60.0)
    ended = story.status(61.0)
    story.session(told, at=65.0, signed=58)

    assert story.status(66.0) == ended


def test_the_room_of_a_job_is_known_of_which_the_api_alone_told() -> None:
    story = Story()
    story.tell(JobObserved(JobState.RUNNING, "room"), at=0.0, channel=Channel.API)

    assert story.known.job.room_id == "room"


def test_an_answer_is_a_sign_of_life() -> None:
    story = Story()
    story.link("C", at=0.0)
    story.paragraph(1, at=10.0)
    answer(story, JobState.RUNNING, at=890.0)

    assert story.status(1000.0).status is not Status.SILENT


def test_what_the_api_told_survives_a_checkpoint() -> None:
    story = Story()
    running(story, at=0.0, duration=10.0, push=10.0)
    answer(story, JobState.FAILED, at=60.0, error="MSS.00000004", aim=CallbackAim.HERE)

    restored: StreamState = from_json(to_json(story.known))

    assert restored == story.known


@pytest.mark.parametrize(
    ("since_lost", "ran", "pushed", "proved"),
    [
        (2.0, 60.0, 30.0, True),
        (1.9, 60.0, 30.0, False),
        (2.0, 60.0, 29.0, False),
        (2.0, 5.0, 5.0, True),
        (2.0, 4.0, 4.0, False),
    ],
)
def test_a_push_is_proved_by_half_of_five_seconds_or_more_from_two_seconds_after_its_last_callback(
    since_lost: float, ran: float, pushed: float, proved: bool
) -> None:
    story = Story()
    story.links("C D")
    first = story.now + since_lost
    running(story, at=first, duration=100.0, push=50.0)
    running(story, at=first + ran, duration=100.0 + ran, push=50.0 + pushed)

    assert (story.known.phase is Phase.CONNECTED) == proved


@pytest.mark.parametrize(("rested", "pushless"), [(29.0, False), (30.0, True)])
def test_a_push_that_rests_for_half_a_minute_by_two_answers_is_none(rested: float, pushless: bool) -> None:
    story = Story()
    story.link("C", at=0.0)
    running(story, at=5.0, duration=5.0, push=5.0)
    running(story, at=65.0, duration=65.0, push=65.0)
    running(story, at=65.0 + rested, duration=65.0 + rested, push=65.0)

    assert (story.status(65.0 + rested).status is Status.DEGRADED) == pushless
