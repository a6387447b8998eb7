"""The one answer to "is it fine?", with since when and why."""

import pytest

from monitor.config import REMEMBERED_RECONNECTS, HealthSettings
from monitor.event import SessionState, Vendor
from monitor.health.effect import Effect
from monitor.health.fold import retire
from monitor.health.reading import remaining_seconds, seconds
from monitor.health.status import Status, Trouble
from monitor.health.stream import Outcome, Phase
from tests.health.story import START, Story


def test_a_stream_starts_until_it_is_connected() -> None:
    story = Story()
    story.link("G", at=0.0)
    verdict = story.status(5.0)
    assert verdict[:2] == (Status.STARTING, START)
    assert verdict.reasons == ("The RTMP push hasn't connected yet; it is connecting.",)
    story.link("C", at=7.0)
    assert story.status(9.0)[:2] == (Status.HEALTHY, START + 7)


def test_an_outage_degrades_at_once_and_is_down_after_a_minute() -> None:
    story = Story()
    story.link("C", at=0.0)
    story.link("D", at=10.0)
    assert story.status(11.0)[:2] == (Status.DEGRADED, START + 10)
    assert story.status(69.9).status is Status.DEGRADED
    assert story.status(69.9).troubles == (Trouble.OUTAGE,)
    verdict = story.status(70.0)
    assert verdict[:2] == (Status.DOWN, START + 70)
    assert verdict.reasons == ("The RTMP push is disconnected, without connection for 1 min.",)
    story.link("C", at=80.0)
    assert story.status(81.0)[:2] == (Status.HEALTHY, START + 80)


def test_three_reconnects_in_ten_minutes_are_flapping_until_the_window_has_passed() -> None:
    story = Story()
    story.link("C", at=0.0)
    for at in (100.0, 200.0, 300.0):
        story.link("D", at=at)
        story.link("C", at=at + 5)
    assert story.status(310.0)[:2] == (Status.DEGRADED, START + 305)
    assert story.status(310.0).troubles == (Trouble.FLAPPING,)
    assert story.status(705.0).status is Status.DEGRADED
    assert story.status(706.0)[:2] == (Status.HEALTHY, START + 705)


@pytest.mark.parametrize(("third", "expected"), [(700.0, Status.DEGRADED), (701.0, Status.HEALTHY)])
def test_reconnects_are_flapping_only_where_three_fall_within_ten_minutes(
    third: float, expected: Status
) -> None:
    story = Story()
    story.link("C", at=0.0)
    for at in (100.0, 400.0, third):
        story.link("D", at=at)
        story.link("C", at=at)
    assert story.status(third).status is expected
    if expected is Status.HEALTHY:
        assert story.status(third + 1000).since == START + third
    else:
        assert story.status(third).reasons == ("The RTMP push reconnected 3 times within 10 min.",)


def test_as_many_reconnects_as_can_be_asked_for_are_remembered() -> None:
    story = Story(settings=HealthSettings(flapping_reconnects=REMEMBERED_RECONNECTS))
    story.link("C", at=0.0)
    for number in range(REMEMBERED_RECONNECTS):
        assert story.status(10.0 * number + 9).status is Status.HEALTHY
        story.link("D", at=10.0 * number + 10)
        story.link("C", at=10.0 * number + 15)

    assert story.status(10.0 * REMEMBERED_RECONNECTS + 9).troubles == (Trouble.FLAPPING,)


def test_flapping_that_goes_on_began_with_its_third_reconnect_and_what_comes_after_a_rest_is_another() -> (
    None
):
    story = Story()
    story.link("C", at=0.0)
    for at in (100.0, 200.0, 300.0, 400.0, 1500.0, 1600.0, 1700.0):
        story.link("D", at=at)
        story.link("C", at=at + 5)
        if at == 400.0:
            assert story.status(805.0)[:2] == (Status.DEGRADED, START + 305)
            assert story.status(806.0)[:2] == (Status.HEALTHY, START + 805)
    assert story.status(1710.0)[:2] == (Status.DEGRADED, START + 1705)


def test_a_stream_that_was_down_while_it_flapped_is_degraded_since_it_came_back() -> None:
    story = Story()
    story.link("C", at=0.0)
    for at in (100.0, 200.0, 300.0):
        story.link("D", at=at)
        story.link("R", at=at + 1)
        story.link("C", at=at + (5 if at < 300.0 else 100))
    assert story.status(410.0)[:2] == (Status.DEGRADED, START + 400)


def test_what_a_stream_suffers_from_since_it_was_down_began_when_it_did() -> None:
    story = Story()
    story.link("C", at=0.0)
    story.paragraphs("123", step=5)
    story.link("D", at=20.0)
    story.link("C", at=120.0)
    assert story.status(150.0)[:2] == (Status.HEALTHY, START + 120)
    assert story.status(151.0)[:2] == (Status.DEGRADED, START + 150)


def test_a_script_that_stands_still_in_an_outage_is_not_stalled() -> None:
    story = Story()
    story.link("C", at=0.0)
    story.paragraphs("123", step=5)
    story.link("D", at=16.0)
    assert story.status(75.0).troubles == (Trouble.OUTAGE,)


def test_a_script_that_moves_shows_that_a_stream_runs_though_its_push_was_never_told_to_connect() -> None:
    story = Story()
    story.link("G", at=0.0)
    story.paragraph(1, at=30.0)
    story.paragraph(2, at=50.0)
    assert story.status(51.0)[:2] == (Status.HEALTHY, START + 30)


def test_a_script_that_stops_is_stalled_after_three_of_its_paragraphs() -> None:
    story = Story()
    story.register(plan=4)
    story.link("C", at=0.0)
    story.paragraphs("123", step=20)
    assert story.status(119.0).status is Status.HEALTHY
    verdict = story.status(121.0)
    assert verdict[:2] == (Status.DEGRADED, START + 120)
    assert verdict.reasons == ("The script hasn't moved for 1 min 1 s.",)
    assert verdict.troubles == (Trouble.STALLED,)
    story.paragraph(4, at=200.0)
    assert story.status(201.0)[:2] == (Status.HEALTHY, START + 200)


@pytest.mark.parametrize(("short", "patience"), [(2, 162.4), (14, 87.7)])
def test_a_long_paragraph_gives_those_after_it_time_and_is_half_forgotten_after_fourteen(
    short: int, patience: float
) -> None:
    story = Story()
    story.link("C", at=0.0)
    story.paragraph(1, at=0.0)
    story.paragraph(2, at=60.0)
    for number in range(short):
        story.paragraph(number + 3, at=70.0 + 10 * number)
    assert story.status(story.now + patience).status is Status.HEALTHY
    assert story.status(story.now + patience + 0.1).status is Status.DEGRADED


def test_a_script_that_moves_on_as_it_should_makes_no_stream_healthy_anew() -> None:
    story = Story()
    story.link("C", at=0.0)
    story.paragraphs("123456")
    assert story.status(story.now)[:2] == (Status.HEALTHY, START)


def test_a_script_of_short_paragraphs_has_half_a_minute_before_it_is_stalled() -> None:
    story = Story()
    story.register(plan=4)
    story.link("C", at=0.0)
    story.paragraphs("123", step=5)
    assert story.status(45.0).status is Status.HEALTHY
    assert story.status(46.0)[:2] == (Status.DEGRADED, START + 45)


@pytest.mark.parametrize("plan", [1, 0], ids=["registered", "learned"])
def test_a_script_of_one_paragraph_stalls_as_any_other(plan: int) -> None:
    story = Story()
    story.register(plan=plan)
    story.link("C", at=0.0)
    story.paragraphs("1111")
    assert story.now == 80.0
    assert story.status(140.0).status is Status.HEALTHY
    assert story.status(300.0).status is Status.DEGRADED


def test_a_stream_that_was_opened_again_is_not_stalled_by_the_time_for_which_it_was_over() -> None:
    story = Story()
    story.link("C", at=0.0, signed=0)
    story.paragraphs("1231231", signed=True)
    story.link("E", at=150.0, signed=150)
    story.link("C", at=750.0, signed=750, output="b")
    assert story.status(810.0)[:2] == (Status.HEALTHY, START + 750)
    assert story.status(811.0)[:2] == (Status.DEGRADED, START + 810)


def test_a_finite_script_that_is_over_is_no_stall() -> None:
    story = Story()
    story.register(plan=2, repeat_count=0)
    story.link("C", at=0.0)
    story.paragraphs("12")
    assert story.status(story.now + 600).status is Status.HEALTHY


@pytest.mark.parametrize("repeat_count", [0, 1])
def test_a_finite_script_that_skipped_a_paragraph_is_over_with_its_last_one(repeat_count: int) -> None:
    story = Story()
    story.register(plan=5, repeat_count=repeat_count)
    story.link("C", at=0.0)
    story.paragraphs("12345" * repeat_count + "12 45")
    assert story.status(story.now + 600).status is Status.HEALTHY
    assert remaining_seconds(story.known, START + story.now + 600) == 0.0


@pytest.mark.parametrize(
    ("told", "over"),
    [("12", False), ("123", False), ("123 12", False), ("123 123", True), ("123 123 1", True)],
)
def test_a_finite_script_may_stand_still_after_the_last_paragraph_of_its_last_round(
    told: str, over: bool
) -> None:
    story = Story()
    story.register(plan=3, repeat_count=1)
    story.link("C", at=0.0)
    story.paragraphs(told)
    expected = Status.HEALTHY if over else Status.DEGRADED
    assert story.status(story.now + 600).status is expected


def test_what_remains_of_a_finite_script_is_what_is_left_of_it_at_its_usual_pace() -> None:
    story = Story()
    story.register(plan=4, repeat_count=1)
    story.link("C", at=0.0)
    story.paragraph(1, at=20.0)
    assert remaining_seconds(story.known, START + 20) is None
    story.paragraph(2, at=40.0)
    # The second plays; two more of this round, and four of the next.
    assert remaining_seconds(story.known, START + 40) == 20 + 6 * 20
    assert remaining_seconds(story.known, START + 55) == 5 + 6 * 20
    assert remaining_seconds(story.known, START + 75) == 6 * 20
    story.paragraph(3, at=80.0)
    left = remaining_seconds(story.known, START + 80)
    assert left is not None
    assert 20 + 5 * 20 < left < 40 + 5 * 40
    story.paragraphs("4 1234")
    assert remaining_seconds(story.known, START + 1000) == 0.0
    story.paragraphs("1")
    assert remaining_seconds(story.known, START + 1000) == 0.0


@pytest.mark.parametrize("repeat_count", [-1, None])
def test_nobody_knows_how_long_a_script_plays_that_is_repeated_for_ever_or_of_which_nobody_said(
    repeat_count: int | None,
) -> None:
    story = Story()
    story.register(plan=2, repeat_count=repeat_count)
    story.link("C", at=0.0)
    story.paragraphs("12")
    assert remaining_seconds(story.known, START + story.now) is None


def test_a_stream_with_a_script_is_silent_after_a_quarter_of_an_hour() -> None:
    story = Story()
    story.link("C", at=0.0)
    story.paragraph(1, at=10.0)
    assert story.status(900.0).status is not Status.SILENT
    assert story.status(910.0)[:2] == (Status.SILENT, START + 910)
    assert story.status(10.0 + 7200).reasons == ("Nothing was heard of the stream for 2 h.",)
    assert story.status(10.0 + 7500).reasons == ("Nothing was heard of the stream for 2 h 5 min.",)


def test_a_clock_that_steps_back_makes_no_stream_silent_before_its_time() -> None:
    story = Story()
    story.paragraph(1, at=100.0)
    story.reply("a", at=40.0)
    assert story.status(999.0).status is Status.HEALTHY
    assert story.status(1000.0)[:2] == (Status.SILENT, START + 1000)


def test_a_stream_that_was_silent_is_healthy_since_it_was_heard_again() -> None:
    story = Story()
    story.register(plan=2, repeat_count=0)
    story.link("C", at=0.0)
    story.paragraphs("12")
    assert story.status(2000.0).status is Status.SILENT
    story.reply("a", at=2000.0)
    assert story.status(2001.0)[:2] == (Status.HEALTHY, START + 2000)


def test_a_softsugar_session_may_say_nothing_for_six_hours() -> None:
    story = Story(vendor=Vendor.SOFTSUGAR)
    story.session(SessionState.STARTING, at=0.0, signed=0)
    assert story.status(1.0).status is Status.STARTING
    story.session(SessionState.RUNNING, at=20.0, signed=20)
    assert story.status(20.0 + 6 * 3600)[:2] == (Status.HEALTHY, START + 20)


def test_a_stream_that_rightly_said_nothing_for_hours_is_healthy_since_before_it_did() -> None:
    session = Story(vendor=Vendor.SOFTSUGAR)
    session.session(SessionState.RUNNING, at=20.0, signed=20)
    session.session(None, at=20000.0, signed=20000, code=84115922)
    assert session.status(20001.0)[:2] == (Status.HEALTHY, START + 20)
    push = Story()
    push.link("C", at=20.0)
    push.link("G", at=20000.0, output="b")
    assert push.status(20001.0)[:2] == (Status.HEALTHY, START + 20)


@pytest.mark.parametrize(
    ("state", "outcome", "reason"),
    [
        (SessionState.COMPLETED, Outcome.COMPLETED, "The stream ended as it should."),
        (SessionState.ABNORMAL, Outcome.ABNORMAL, "The vendor ended the session as abnormal."),
    ],
)
def test_a_session_ends_as_the_vendor_says(state: SessionState, outcome: Outcome, reason: str) -> None:
    story = Story(vendor=Vendor.SOFTSUGAR)
    story.session(SessionState.RUNNING, at=0.0, signed=0)
    story.session(state, at=100.0, signed=100)
    assert story.known.end is not None
    assert story.known.end.outcome is outcome
    assert story.status(200.0)[:3] == (Status.ENDED, START + 100, (reason,))


@pytest.mark.parametrize("retired", [False, True])
def test_a_session_that_is_over_is_not_brought_back_by_a_late_delivery(retired: bool) -> None:
    story = Story(vendor=Vendor.SOFTSUGAR)
    story.session(SessionState.COMPLETED, at=10.0, signed=10)
    if retired:
        story.state = retire(story.known)
    assert story.session(SessionState.RUNNING, at=11.0, signed=5) is Effect.AFTER_END
    assert story.known.phase is Phase.ENDED


def test_a_session_that_runs_is_not_set_back_by_a_late_delivery() -> None:
    story = Story(vendor=Vendor.SOFTSUGAR)
    story.session(SessionState.RUNNING, at=10.0, signed=10)
    assert story.session(SessionState.STARTING, at=11.0, signed=5) is Effect.LATE
    assert story.status(12.0).status is Status.HEALTHY


def test_the_same_delivery_of_a_code_counts_once() -> None:
    story = Story(vendor=Vendor.SOFTSUGAR)
    assert story.session(None, at=10.0, signed=10, code=83115920) is Effect.APPLIED
    assert story.session(None, at=11.0, signed=10, code=83115920) is Effect.DUPLICATE
    assert story.session(None, at=21.0, signed=21, code=83115920) is Effect.DUPLICATE
    assert story.session(None, at=99.0, signed=99, code=83115920) is Effect.APPLIED


def test_an_error_that_was_overtaken_by_another_counts_once() -> None:
    story = Story(vendor=Vendor.SOFTSUGAR)
    assert story.session(None, at=10.0, signed=10, code=83115920) is Effect.APPLIED
    assert story.session(None, at=12.0, signed=5, code=84115944) is Effect.APPLIED
    assert story.session(None, at=14.0, signed=14, code=83115920) is Effect.DUPLICATE
    assert story.session(None, at=18.0, signed=10, code=83115920) is Effect.DUPLICATE


def test_the_code_that_is_shown_is_the_one_that_was_signed_last() -> None:
    story = Story(vendor=Vendor.SOFTSUGAR)
    for at, signed, code in ((10.0, 10, 83115920), (12.0, 5, 84115944)):
        story.session(None, at=at, signed=signed, code=code)
    assert (story.known.session.code, story.known.session.code_at) == (83115920, START + 10)
    story.session(None, at=14.0, signed=14, code=80115947)
    assert (story.known.session.code, story.known.session.code_at) == (80115947, START + 14)


def test_two_codes_that_are_told_in_turns_are_two_complaints_within_the_retry_span() -> None:
    story = Story(vendor=Vendor.SOFTSUGAR)
    told = [(0, 80115947), (1, 84115944), (10, 80115947), (11, 84115944), (20, 80115947), (21, 84115944)]
    effects = [story.session(None, at=at, signed=at, code=code) for at, code in told]
    assert effects == [Effect.APPLIED] * 2 + [Effect.DUPLICATE] * 4
    assert story.session(None, at=31.0, signed=31, code=80115947) is Effect.APPLIED
    for number in range(100):
        story.session(None, at=32.0, signed=32, code=90000000 + number)
    assert len(story.known.session.codes) == 8


def test_a_code_is_another_complaint_once_the_vendors_retries_are_over() -> None:
    story = Story(vendor=Vendor.SOFTSUGAR)
    story.session(None, at=10.0, signed=10, code=83115920)
    assert story.session(None, at=40.0, signed=40, code=83115920) is Effect.DUPLICATE
    assert story.session(None, at=41.0, signed=41, code=83115920) is Effect.APPLIED


def test_a_code_whose_body_is_the_same_is_another_complaint_where_the_signed_second_is_another() -> None:
    story = Story(vendor=Vendor.SOFTSUGAR, signed_in_headers=True)
    assert story.session(None, at=10.0, signed=10, code=80115962) is Effect.APPLIED
    assert story.session(None, at=610.0, signed=610, code=80115962) is Effect.APPLIED
    assert story.session(None, at=641.0, signed=610, code=80115962) is Effect.DUPLICATE


def test_an_error_counts_though_the_status_that_it_came_with_is_late() -> None:
    story = Story(Vendor.SOFTSUGAR)
    story.session(SessionState.RUNNING, at=0.0, signed=0)
    assert story.session(SessionState.STARTING, at=5.0, signed=3, code=84115944) is Effect.APPLIED
    assert story.known.session.state is SessionState.RUNNING
    story.session(SessionState.COMPLETED, at=10.0, signed=10)
    assert story.session(SessionState.ABNORMAL, at=15.0, signed=15, code=80115947) is Effect.APPLIED
    assert story.known.session.state is SessionState.COMPLETED
    assert [line.what for line in story.known.transitions][-1] == "code 80115947"


def test_a_stream_of_which_nothing_is_heard_for_a_day_is_lost_and_comes_back_with_its_next_word() -> None:
    story = Story()
    story.link("C", at=0.0)
    story.settle(86400.0)
    assert story.known.end is not None
    assert story.known.end.outcome is Outcome.LOST
    assert seconds(story.known, START + 90000) == (0.0, 86400.0, 0.0)
    story.link("D", at=90000.0)
    assert story.known.end is None
    assert story.status(90001.0).status is Status.DEGRADED


def test_a_lost_stream_comes_back_also_after_it_was_retired() -> None:
    story = Story()
    story.paragraph(1, at=0.0)
    story.settle(86400.0)
    story.state = retire(story.known)
    story.paragraph(2, at=110_000.0)
    assert story.known.end is None
    assert not story.known.retired
    assert story.status(110_001.0).status is Status.HEALTHY


def test_every_second_between_first_event_and_end_is_in_one_phase() -> None:
    story = Story()
    for word, at in (("G", 0.0), ("C", 10.0), ("D", 50.0), ("C", 57.0), ("E", 100.0)):
        story.link(word, at=at)
    assert seconds(story.known, START + 500) == (10.0, 83.0, 7.0)


def test_live_warnings_are_kept_and_no_part_of_the_status() -> None:
    story = Story()
    story.register(warnings=("RANDOM_PLAY_CLOSED",))
    story.link("C", at=1.0)
    assert story.known.warnings == ("RANDOM_PLAY_CLOSED",)
    assert story.status(2.0).status is Status.HEALTHY
