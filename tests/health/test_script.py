"""Rounds and coverage, each with the right answer argued in its name or a comment."""

from dataclasses import replace

import pytest

from monitor.event import (
    CallbackKind,
    Channel,
    JobRegistered,
    LinkState,
    Paragraph,
    ParagraphStarted,
    RandomPlayMode,
    Relay,
    ScriptProgress,
    Unrecognised,
)
from monitor.health.effect import Effect
from monitor.health.fold import retire
from monitor.health.reading import coverage, finished_coverage, skipped_paragraphs
from monitor.health.script_state import PlanOrigin
from monitor.health.status import Status
from monitor.health.stream import to_json
from monitor.log.protocol import MOST_STATE_BYTES
from tests.health.story import START, Story

LATER = 100.0
"""Seconds after which a finished round is settled."""


def facts(story: Story) -> tuple[int, float | None, float | None, int]:
    """Return (rounds, coverage of the last finished, of the current, skipped in all)."""
    script = story.known.script
    return script.rounds, finished_coverage(script), coverage(script), script.skipped


def registered(plan: int = 4, mode: RandomPlayMode = RandomPlayMode.NONE) -> Story:
    story = Story()
    story.register(plan=plan, mode=mode)
    return story


@pytest.mark.parametrize("signed", [True, False], ids=["signed", "unsigned"])
@pytest.mark.parametrize(
    ("told", "rounds", "finished", "current", "skipped"),
    [
        ("1", 0, None, 0.25, 0),
        ("1234", 0, None, 1.0, 0),
        ("1234 1", 1, 1.0, 0.25, 0),
        ("124 1", 1, 0.75, 0.25, 1),
        ("12 1", 1, 0.5, 0.25, 2),
        ("1234 1234 12", 2, 1.0, 0.5, 0),
        # The first callback of round two was lost: going from the plan's last back to 2 begins a round.
        ("1234 234 1234", 2, 0.75, 1.0, 1),
        # A delivery of 2 made twice in mid-round: 4 goes on where 3 was, so no round ended.
        ("1 2 3 2 4", 0, None, 1.0, 0),
        # 3 after the second 2 goes on from there: a round had begun with it.
        ("1 2 3 2 3", 1, 0.75, 0.5, 1),
        # The last paragraph was lost, and so was the first of the next round.
        ("123 23 4", 1, 0.75, 0.75, 1),
    ],
)
def test_rounds_in_order_end_where_the_position_goes_back(
    told: str, rounds: int, finished: float | None, current: float, skipped: int, signed: bool
) -> None:
    story = registered()
    story.paragraphs(told, signed=signed)
    story.settle(story.now + LATER)
    assert facts(story) == (rounds, finished, current, skipped)


@pytest.mark.parametrize(
    ("told", "rounds", "finished", "current"),
    [
        # Every first round is in order; from the second on any order goes.
        ("1234 3142 2", 2, 1.0, 0.25),
        ("1234 31", 1, 1.0, 0.5),
        # One repeat alone is tentative: 2 may be a delivery made twice.
        ("1234 3 1 3 4 2", 1, 1.0, 1.0),
        # The one after it was played as well: the round ended without 2 and 4.
        ("1234 31 31", 2, 0.5, 0.5),
    ],
)
def test_rounds_in_random_order_end_when_played_paragraphs_come_back(
    told: str, rounds: int, finished: float, current: float
) -> None:
    story = registered(mode=RandomPlayMode.SCRIPT_ITEM)
    story.paragraphs(told)
    assert facts(story)[:3] == (rounds, finished, current)


def test_an_unregistered_plan_is_learned_from_the_first_round() -> None:
    story = Story()
    story.link("C", at=0.0)
    story.paragraphs("1234")
    assert facts(story) == (0, None, None, 0)
    story.paragraphs("1")
    assert story.known.script.origin is PlanOrigin.LEARNED
    assert facts(story)[:3] == (1, 1.0, 0.25)


def test_a_script_that_is_heard_of_from_its_first_paragraph_on_teaches_its_plan_at_once() -> None:
    # Nothing told of the stream's beginning, but nothing plays before a first paragraph either.
    story = Story()
    story.paragraphs("123 1")
    assert story.known.script.origin is PlanOrigin.LEARNED
    assert facts(story)[:3] == (1, 1.0, 1 / 3)


def test_a_stream_seen_in_its_middle_learns_from_the_next_round() -> None:
    story = Story()
    story.paragraphs("34 1234")
    assert facts(story)[:3] == (1, None, None)
    story.paragraphs("1 2")
    assert facts(story)[:3] == (2, 1.0, 0.5)


@pytest.mark.parametrize("told", ["413 2421 3132 4341 2", "4321 2341 4213 1243", "2431 2421 3132 4"])
def test_what_a_stream_that_is_seen_in_its_middle_leaves_out_counts_once_a_round_was_whole(told: str) -> None:
    # In random order: where its rounds begin is a guess until one has played all that is known.
    story = Story()
    low = []
    for digit in told.replace(" ", ""):
        story.paragraphs(digit, step=40, signed=True)
        low.append(finished_coverage(story.known.script))

    assert story.known.script.skipped == 0
    assert set(low) <= {None, 1.0}


def test_a_stream_that_comes_back_after_it_was_retired_does_so_in_the_middle_of_a_round() -> None:
    story = Story()
    story.link("C", at=1.0)
    story.paragraphs("1234 2143", step=40, signed=True)
    story.links("E")
    story.state = retire(story.known)
    story.links("C", step=3600)

    story.paragraphs("3214 2313 124", step=40, signed=True)

    assert story.known.script.current.skipped == 0


def test_a_stream_that_was_seen_in_its_middle_is_told_what_it_leaves_out_afterwards() -> None:
    story = Story()
    # A round in its middle, one that teaches, a whole one, and one without 2.
    story.paragraphs("34 1234 2143 134 13", step=40)

    assert facts(story)[0] == 4
    assert story.known.script.current.skipped == 1


@pytest.mark.parametrize(("told", "rounds"), [("123456 651432 234516 14", 3), ("123 321 213 1", 3)])
def test_a_second_round_that_begins_with_what_the_first_ended_with_left_nothing_out(
    told: str, rounds: int
) -> None:
    # Paragraphs shorter than the span of retries, and no plan but what the first round shows.
    story = Story()
    story.link("C", at=1.0)
    low = []
    for digit in told.replace(" ", ""):
        story.paragraphs(digit, step=20, signed=True)
        low.append(finished_coverage(story.known.script))

    assert (story.known.script.rounds, story.known.script.skipped) == (rounds, 0)
    assert set(low) <= {None, 1.0}


def test_a_retry_of_the_first_rounds_last_paragraph_is_in_no_rounds_way() -> None:
    story = Story()
    story.link("C", at=1.0)
    story.paragraphs("1234 4 2143 3124 1", step=20, signed=True)

    assert facts(story) == (3, 1.0, 0.25, 0)


def test_paragraphs_without_an_end_are_followed_as_far_as_a_state_has_room() -> None:
    story = registered(plan=3)
    name = "幕" * 300
    for number in range(1500):
        story.paragraph(number, at=10.0 * number, signed=10 * number, scene=f"{name}{number}")
        story.progress(number, 5, at=10.0 * number + 5)

    assert len(to_json(story.known)) < MOST_STATE_BYTES
    assert story.known.script.progress_at == START + 14990.0 + 5


def test_a_stream_whose_start_was_registered_learns_from_its_first_round_whatever_was_told_of_it_first() -> (
    None
):
    story = registered(plan=0)
    story.paragraphs("34 1234")
    assert facts(story)[:3] == (1, 1.0, 1.0)


def test_a_stream_that_is_first_seen_as_it_connects_in_its_middle_left_nothing_out() -> None:
    # It had connected before, when nobody listened: what its first round shows is all that there is yet.
    story = Story()
    story.link("C", at=0.0)
    story.paragraphs("34 1234 1")
    story.settle(story.now + LATER)
    assert facts(story) == (2, 1.0, 0.25, 0)


def test_a_plan_that_is_registered_late_counts_what_was_played() -> None:
    story = Story()
    story.link("C", at=0.0)
    story.paragraphs("12")
    story.register(at=50.0, plan=4)
    assert story.known.script.origin is PlanOrigin.REGISTERED
    assert facts(story) == (0, None, 0.5, 0)


def test_a_paragraph_outside_the_plan_extends_it() -> None:
    story = registered(plan=3)
    story.paragraphs("123 4")
    assert len(story.known.script.plan) == 4
    assert facts(story)[:3] == (0, None, 1.0)


def test_a_dead_letter_that_is_retried_does_not_move_the_script_back() -> None:
    story = registered(plan=4)
    story.paragraphs("1234 123")
    before = facts(story)
    first = Paragraph("Scene", 1)

    assert story.retry(ParagraphStarted(first), at=101.0) is Effect.LATE
    assert story.retry(ScriptProgress(first, 5), at=102.0, channel=Channel.RTC) is Effect.LATE
    story.paragraphs("4")
    assert (facts(story)[:2], coverage(story.known.script)) == (before[:2], 1.0)


@pytest.mark.parametrize("signed", [True, False], ids=["signed", "unsigned"])
@pytest.mark.parametrize("mode", [RandomPlayMode.NONE, RandomPlayMode.SCRIPT_ITEM])
@pytest.mark.parametrize("plan", [4, 0], ids=["registered", "learned"])
def test_a_plan_that_is_registered_anew_holds_what_is_written_out_of_it_for_the_round_that_played_it(
    plan: int, mode: RandomPlayMode, signed: bool
) -> None:
    story = Story()
    story.register(plan=plan, mode=mode)
    story.paragraphs("1234 12", signed=signed)
    rewritten = tuple(Paragraph("Scene", number) for number in (1, 3, 4, 5))
    story.tell(JobRegistered(random_play_mode=mode, plan=rewritten), at=story.now + 1, channel=Channel.API)
    story.paragraphs("345", signed=signed)
    assert facts(story)[:3] == (1, 1.0, 1.0)

    story.paragraphs("1345 1", signed=signed)
    assert story.known.script.plan == tuple(paragraph.key for paragraph in rewritten)
    assert facts(story)[:3] == (3, 1.0, 0.25)
    assert story.settle(story.now + 60).script.skipped == 0


def test_what_is_written_out_of_a_plan_stands_in_it_where_it_stood_until_its_round_is_over() -> None:
    story = registered()
    story.paragraphs("123")
    shorter = tuple(Paragraph("Scene", number) for number in (1, 3, 4))
    story.tell(JobRegistered(plan=shorter, plan_by_api=True), at=65.0, channel=Channel.API)
    assert story.known.script.origin is PlanOrigin.API
    assert story.known.script.plan == ("1/Scene", "2/Scene", "3/Scene", "4/Scene")
    story.paragraphs("4 1")
    assert story.known.script.plan == ("1/Scene", "3/Scene", "4/Scene")


def test_a_script_that_is_cut_down_to_the_paragraph_that_plays_goes_on_in_rounds_of_one() -> None:
    story = Story()
    story.register(plan=3)
    story.paragraphs("12")
    payload = JobRegistered(random_play_mode=RandomPlayMode.NONE, plan=(Paragraph("Scene", 2),))
    story.tell(payload, at=story.now + 1, channel=Channel.API)
    story.paragraphs("222")

    script = story.settle(story.now + 60).script
    assert (script.rounds, script.skipped, coverage(script)) == (3, 0, 1.0)
    assert story.status(story.now).status is Status.HEALTHY


def test_a_plan_that_is_registered_again_as_it_was_changes_nothing() -> None:
    story = registered(plan=4)
    story.paragraphs("123 2")
    story.register(at=story.now + 1, plan=4)
    story.paragraphs("3")

    assert facts(story)[:2] == (1, 0.75)


@pytest.mark.parametrize("plan", [4, 0], ids=["registered", "learned"])
def test_a_paragraph_that_is_written_before_the_first_one_was_not_left_out_of_the_round_before(
    plan: int,
) -> None:
    story = Story()
    story.register(plan=plan)
    story.paragraphs("1234 1234 0 1234 0")
    assert finished_coverage(story.known.script) == 1.0
    story.settle(story.now + 60)
    assert (story.known.script.rounds, story.known.script.skipped) == (3, 0)
    assert len(story.known.script.plan) == 5


def test_a_late_last_paragraph_is_credited_to_the_round_it_was_played_in() -> None:
    story = registered()
    for number, at in ((1, 10), (2, 20), (3, 30), (1, 50)):
        story.paragraph(number, at=at, signed=at)
    assert story.paragraph(4, at=51, signed=40) is Effect.LATE
    story.settle(LATER * 2)
    assert facts(story) == (1, 1.0, 0.25, 0)


def test_a_late_paragraph_at_the_start_of_a_round_belongs_to_that_round() -> None:
    # 1 was signed after 4 and before 2; round one has its 1 already, so it starts round two.
    story = registered()
    for number, at in ((1, 10), (2, 20), (3, 30), (4, 40), (2, 60)):
        story.paragraph(number, at=at, signed=at)
    assert story.paragraph(1, at=61, signed=50) is Effect.LATE
    story.settle(LATER * 2)
    assert facts(story) == (1, 1.0, 0.5, 0)


@pytest.mark.parametrize(("at", "played"), [(104.9, 0.75), (105.0, 0.5)])
def test_a_late_paragraph_is_credited_until_what_was_played_after_it_is_45_seconds_old(
    at: float, played: float
) -> None:
    story = registered()
    story.paragraph(1, at=20.0, signed=20)
    story.paragraph(3, at=60.0, signed=60)
    assert story.paragraph(2, at=at, signed=40) is Effect.LATE
    assert facts(story) == (0, None, played, 0)


def test_a_copy_of_the_last_paragraph_after_the_next_round_began_changes_nothing() -> None:
    story = registered()
    for number, at in ((1, 10), (2, 20), (3, 30), (4, 40), (1, 50)):
        story.paragraph(number, at=at, signed=at)
    assert story.paragraph(4, at=51, signed=40) is Effect.DUPLICATE
    assert facts(story)[:3] == (1, 1.0, 0.25)


def test_the_same_paragraph_again_is_a_duplicate() -> None:
    story = registered()
    story.paragraphs("12")
    assert story.paragraph(2, at=story.now + 5) is Effect.DUPLICATE
    assert facts(story)[:3] == (0, None, 0.5)


def test_with_a_plan_of_one_a_repeat_more_than_a_second_later_is_a_round() -> None:
    story = registered(plan=1)
    story.paragraph(1, at=10.0)
    story.paragraph(1, at=10.5)
    assert facts(story)[0] == 0
    story.paragraph(1, at=30.0)
    assert facts(story)[:3] == (1, 1.0, 1.0)


def test_an_unregistered_script_of_one_paragraph_is_known_by_its_third_playing() -> None:
    story = Story()
    story.link("C", at=0.0)
    story.paragraphs("111")
    assert facts(story)[:3] == (2, 1.0, 1.0)


def test_a_copy_of_the_second_telling_of_a_first_paragraph_is_no_third_playing() -> None:
    story = Story()
    story.link("C", at=0.0)
    story.paragraph(1, at=10.0)
    story.paragraph(1, at=14.0)
    assert story.paragraph(1, at=14.1) is Effect.DUPLICATE
    story.paragraph(2, at=30.0)
    assert facts(story) == (0, None, None, 0)


def test_progress_of_a_first_paragraph_that_was_told_twice_begins_no_round() -> None:
    story = Story()
    story.link("C", at=0.0)
    story.paragraph(1, at=10.0, signed=10)
    story.paragraph(1, at=12.0, signed=12)
    story.progress(1, offset=40, at=14.0)
    story.paragraph(2, at=30.0, signed=30)
    assert facts(story) == (0, None, None, 0)


def test_progress_by_rtc_begins_a_round_of_one_only_where_its_offset_falls() -> None:
    story = registered(plan=1)
    for tick in range(30):
        story.progress(1, offset=(tick * 5) % 60, at=tick * 5.0)
    assert story.known.script.rounds == 2


def test_an_unregistered_script_of_one_paragraph_is_known_by_rtc_once_its_offset_falls() -> None:
    story = Story()
    story.progress(1, 60_000, at=0.0)
    story.progress(1, 500, at=20.0)
    assert facts(story)[:3] == (1, 1.0, 1.0)


@pytest.mark.parametrize("offset", [9000, None])
def test_progress_that_stands_still_or_names_no_offset_begins_no_round_and_hides_none(
    offset: int | None,
) -> None:
    story = registered(plan=1)
    story.progress(1, 9000, at=10.0)
    story.progress(1, offset, at=20.0)
    assert facts(story)[0] == 0
    story.progress(1, 500, at=30.0)
    assert facts(story)[0] == 1


def test_progress_that_told_of_a_playing_only_as_it_began_shows_no_pace() -> None:
    story = registered(plan=1)
    story.progress(1, 500, at=0.0)
    story.paragraph(1, at=20.0)
    story.progress(1, 600, at=21.0)
    assert facts(story)[0] == 1


def test_progress_of_a_paragraph_that_was_left_out_so_far_begins_no_round() -> None:
    story = registered()
    story.paragraphs("13")
    story.progress(2, 500, at=50.0)
    story.paragraphs("4")
    assert facts(story) == (0, None, 1.0, 0)


def test_progress_inside_a_paragraph_is_no_round() -> None:
    story = registered()
    story.paragraph(1, at=0.0)
    for tick in range(1, 5):
        story.progress(1, offset=tick * 5, at=tick * 5.0)
    assert facts(story) == (0, None, 0.25, 0)


def test_stale_progress_of_the_paragraph_before_moves_nothing() -> None:
    story = registered()
    story.paragraph(1, at=0.0)
    story.progress(1, offset=5, at=5.0)
    story.paragraph(2, at=10.0)
    assert story.progress(1, offset=9, at=10.5) is Effect.LATE
    assert story.known.script.round is not None
    assert story.known.script.round.last == Paragraph("Scene", 2).key


@pytest.mark.parametrize("lag", [2.0, 4.0, 10.0])
def test_progress_that_lags_behind_the_callback_of_a_plan_of_one_begins_no_other_round(lag: float) -> None:
    story = registered(plan=1)
    starts = [(began, None) for began in (0.0, 30.0, 60.0)]
    ticks = [(began + offset + lag, offset) for began, _ in starts for offset in (4, 14, 29)]
    for at, offset in sorted([*starts, *ticks], key=lambda one: one[0]):
        if offset is None:
            story.paragraph(1, at=at)
        else:
            story.progress(1, offset=offset, at=at)
    assert facts(story)[0] == 2


def test_progress_that_first_tells_of_a_plan_of_one_far_into_it_is_no_lag() -> None:
    story = registered(plan=1)
    story.paragraph(1, at=0.0)
    story.progress(1, offset=15, at=15.0)
    story.paragraph(1, at=20.0)
    story.progress(1, offset=16, at=36.0)
    # The callback of the third playing was lost: RTC proves it.
    story.progress(1, offset=2, at=42.0)
    assert facts(story)[0] == 2


def test_progress_without_an_offset_that_lags_behind_a_new_round_moves_nothing() -> None:
    story = registered(plan=2)
    story.paragraph(1, at=0.0)
    story.progress(1, offset=None, at=5.0)
    story.paragraph(2, at=20.0)
    story.progress(2, offset=None, at=25.0)
    story.paragraph(1, at=40.0)
    assert story.progress(2, offset=None, at=41.0) is Effect.LATE
    story.progress(1, offset=None, at=45.0)
    story.settle(LATER)
    assert facts(story)[:3] == (1, 1.0, 0.5)


@pytest.mark.parametrize("mode", [RandomPlayMode.NONE, RandomPlayMode.SCRIPT_ITEM])
def test_progress_that_first_tells_of_a_short_last_paragraph_in_the_next_round_moves_nothing(
    mode: RandomPlayMode,
) -> None:
    story = Story()
    story.register(plan=3, mode=mode, subscribed=(CallbackKind.PARAGRAPH,))
    # RTC tells every ten seconds, and is three seconds late: it never tells of 3 before 1 is back.
    for began in (0.0, 44.0):
        story.paragraph(1, at=began)
        story.progress(1, offset=10, at=began + 13.0)
        story.paragraph(2, at=began + 20.0)
        story.progress(2, offset=5, at=began + 28.0)
        story.paragraph(3, at=began + 40.0)
        story.paragraph(1, at=began + 44.0)
        assert story.progress(3, offset=2, at=began + 45.0) is Effect.LATE
    story.settle(200.0)
    assert facts(story) == (2, 1.0, pytest.approx(1 / 3), 0)
    assert story.known.missed == 0


def test_what_rtc_proves_in_a_round_of_which_it_has_told_is_none_of_the_round_before() -> None:
    story = Story()
    story.register(plan=3, subscribed=(CallbackKind.PARAGRAPH,))
    for number in (1, 2, 3):
        story.paragraph(number, at=10.0 * number)
        story.progress(number, offset=3, at=10.0 * number + 3.0)
    story.paragraph(1, at=40.0)
    story.progress(1, offset=2, at=42.0)
    # The callback was lost, and in the round before RTC told of this paragraph early alone.
    story.progress(2, offset=4, at=54.0)
    story.paragraph(3, at=60.0)
    story.settle(LATER)
    assert facts(story)[:3] == (1, 1.0, 1.0)
    assert story.known.missed == 1


def test_progress_of_the_round_before_that_is_sent_again_moves_nothing() -> None:
    story = registered(plan=2)
    story.paragraph(1, at=0.0)
    story.paragraph(2, at=20.0)
    story.progress(2, offset=15, at=35.0)
    story.paragraph(1, at=40.0)
    story.progress(1, offset=1, at=41.0)
    assert story.progress(2, offset=15, at=45.0) is Effect.LATE
    assert facts(story)[:3] == (1, 1.0, 0.5)


def test_what_was_counted_as_skipped_stays_though_another_plan_is_given() -> None:
    story = Story()
    # Told before there was a plan, which doesn't hold it; and of two paragraphs one is signed.
    story.paragraph(3, at=0.0, signed=0)
    story.register(at=1.0, plan=1)
    story.paragraph(2, at=2.0)
    story.settle(LATER)
    skipped = story.known.script.skipped
    story.register(at=LATER + 1.0, plan=4)
    assert story.known.script.skipped >= skipped > 0


def learning() -> Story:
    """Tell three paragraphs, by both witnesses, of a script in random order whose plan has to be learned."""
    story = Story()
    story.register(mode=RandomPlayMode.SCRIPT_ITEM, subscribed=(CallbackKind.PARAGRAPH,))
    for number in (1, 2, 3):
        story.paragraph(number, at=20.0 * number)
        story.progress(number, offset=5, at=20.0 * number + 5.0)
    return story


def test_a_callback_that_rtc_seemed_to_refute_is_not_missed_once_rtc_comes_to_its_paragraph() -> None:
    # In random order the second round may begin with any paragraph.
    story = learning()
    story.paragraph(2, at=80.0)
    story.progress(3, offset=20, at=81.0)
    story.progress(2, offset=2, at=83.0)
    story.settle(LATER)
    assert facts(story)[:3] == (1, 1.0, pytest.approx(1 / 3))
    assert story.known.missed == 0


def test_a_callback_that_rtc_seemed_to_refute_begins_the_round_though_rtc_never_comes_to_it() -> None:
    story = learning()
    story.paragraph(2, at=80.0)
    # RTC is late, and 2 is shorter than the time between what RTC tells.
    story.progress(3, offset=20, at=81.0)
    story.paragraph(1, at=84.0)
    story.progress(1, offset=2, at=86.0)
    story.paragraph(3, at=100.0)
    story.paragraph(2, at=120.0)
    story.settle(2 * LATER)
    assert facts(story) == (2, 1.0, pytest.approx(1 / 3), 0)


def test_rtc_that_comes_back_to_a_paragraph_proves_its_callback_wherever_it_is_in_it() -> None:
    story = learning()
    story.paragraph(2, at=80.0)
    story.progress(3, offset=20, at=81.0)
    # In the round before RTC told of it early alone, so that the offset is no less than it was then.
    story.progress(2, offset=6, at=86.0)
    assert facts(story)[:3] == (1, 1.0, pytest.approx(1 / 3))


@pytest.mark.parametrize("signed", [True, False], ids=["signed anew", "unsigned"])
def test_what_plays_told_again_does_not_begin_the_round_that_rtc_seemed_to_refute(signed: bool) -> None:
    story = Story()
    story.register(mode=RandomPlayMode.SCRIPT_ITEM, subscribed=(CallbackKind.PARAGRAPH,))

    def tell(number: int, at: int) -> Effect:
        return story.paragraph(number, at=float(at), signed=at if signed else None)

    for at, number in enumerate((1, 2, 3, 1, 2, 1), start=1):
        tell(number, at=20 * at)
    # 1 was told twice: RTC goes on in 2, and so does its callback, made twice.
    story.progress(2, offset=None, at=121.0)
    before = facts(story)
    tell(2, at=122)
    assert facts(story) == before == (1, 1.0, pytest.approx(2 / 3), 0)


def test_a_callback_that_rtc_refuted_long_ago_is_none_of_what_rtc_begins_now() -> None:
    story = learning()
    # A copy of the second paragraph's callback: RTC goes on with the third one.
    story.paragraph(2, at=66.0)
    story.progress(3, offset=10, at=70.0)
    story.progress(2, offset=2, at=82.0)
    story.settle(LATER)
    assert facts(story)[0] == 1
    assert story.known.missed == 1


def test_a_callback_confirms_what_rtc_proved_first() -> None:
    story = registered()
    story.paragraph(1, at=0.0)
    story.progress(2, offset=1, at=20.0)
    assert story.paragraph(2, at=21.0) is Effect.APPLIED
    story.settle(LATER)
    assert facts(story)[:3] == (0, None, 0.5)
    assert story.known.missed == 0


def test_a_callback_that_does_not_follow_is_missed_once_and_the_round_is_right() -> None:
    story = registered()
    story.paragraph(1, at=0.0)
    story.progress(2, offset=1, at=20.0)
    story.progress(2, offset=6, at=25.0)
    story.paragraph(3, at=40.0)
    story.settle(LATER)
    assert story.known.missed == 1
    assert facts(story)[:3] == (0, None, 0.75)


@pytest.mark.parametrize(("late", "rounds"), [(19.0, 0), (31.0, 1)])
@pytest.mark.parametrize("signed", [True, False], ids=["signed", "unsigned"])
def test_a_callback_that_comes_late_for_what_rtc_proved_is_missed_and_no_new_round_within_the_retry_span(
    late: float, rounds: int, signed: bool
) -> None:
    # In random order the last paragraph of a whole round may follow itself.
    story = registered(plan=3, mode=RandomPlayMode.SCRIPT_ITEM)
    story.paragraphs("12", signed=signed)
    proved = story.now + 20.0
    story.progress(3, offset=1, at=proved)
    story.settle(proved + 11.0)
    assert story.known.missed == 1
    story.paragraph(3, at=proved + late, signed=int(proved + late) if signed else None)
    assert facts(story)[0] == rounds
    assert story.known.missed == 1


@pytest.mark.parametrize("signed", [True, False], ids=["signed", "unsigned"])
def test_one_lost_callback_of_a_script_of_one_paragraph_makes_no_other_one_missed(signed: bool) -> None:
    story = Story()
    story.register(plan=1, subscribed=(CallbackKind.PARAGRAPH,))
    # Of each round but the first comes its callback, and then RTC.
    for number in range(5):
        began = 20.0 * number
        if number > 0:
            story.paragraph(1, at=began, signed=int(began) if signed else None)
        for seconds in (1, 6, 11, 16):
            story.progress(1, offset=seconds, at=began + seconds)
    story.settle(LATER)

    assert facts(story)[0] == 4
    assert story.known.missed == 1


@pytest.mark.parametrize("mode", [RandomPlayMode.NONE, RandomPlayMode.SCRIPT_ITEM])
@pytest.mark.parametrize("late", [2.0, 24.5, 40.0])
def test_a_callback_that_comes_after_that_of_the_next_paragraph_is_of_what_rtc_proved(
    late: float, mode: RandomPlayMode
) -> None:
    story = registered(plan=6, mode=mode)
    story.paragraph(1, at=1.0, signed=1)
    story.progress(2, offset=0, at=40.2)
    story.progress(3, offset=0, at=40.0 + late - 0.8)
    story.paragraph(3, at=40.0 + late - 0.5, signed=41)
    assert story.paragraph(2, at=40.0 + late, signed=40) is Effect.LATE
    story.settle(LATER * 2)
    assert facts(story) == (0, None, 0.5, 0)


def test_an_unsigned_copy_of_a_callback_that_confirmed_rtc_begins_no_round() -> None:
    # In random order the last paragraph of a whole round may follow itself.
    story = registered(plan=3, mode=RandomPlayMode.SCRIPT_ITEM)
    story.paragraphs("12")
    story.progress(3, offset=1, at=60.0)
    story.paragraph(3, at=64.0)
    story.paragraph(3, at=64.1)
    assert facts(story)[0] == 0
    story.paragraph(3, at=80.0)
    assert facts(story)[0] == 1


def test_a_retry_signed_anew_of_a_callback_that_confirmed_rtc_begins_no_round() -> None:
    # In random order the last paragraph of a whole round may follow itself.
    story = registered(plan=3, mode=RandomPlayMode.SCRIPT_ITEM)
    story.paragraphs("12", signed=True)
    story.progress(3, offset=1, at=59.9)
    story.paragraph(3, at=60.0, signed=60)
    story.paragraph(3, at=61.1, signed=61)
    assert facts(story)[0] == 0
    story.paragraph(3, at=80.0, signed=80)
    assert facts(story)[0] == 1


def test_a_retry_signed_before_what_rtc_proved_is_not_its_callback() -> None:
    story = registered(plan=2)
    story.paragraph(1, at=10.0, signed=10)
    story.progress(1, 9000, at=25.0)
    story.paragraph(2, at=30.0, signed=30)
    story.progress(1, 500, at=50.0)
    story.paragraph(1, at=52.0, signed=12)
    assert story.settle(LATER).missed == 1


def test_a_callback_of_the_round_before_confirms_after_rtc_began_the_next() -> None:
    story = registered(plan=3)
    story.paragraphs("12", step=10)
    story.progress(3, offset=1, at=30.0)
    story.progress(1, offset=0, at=34.0)
    assert facts(story)[0] == 0
    story.progress(1, offset=1, at=35.0)
    story.paragraph(3, at=38.0)
    story.paragraph(1, at=39.0)
    story.settle(LATER)
    assert story.known.missed == 0
    assert facts(story)[:3] == (1, 1.0, pytest.approx(1 / 3))


@pytest.mark.parametrize("signed", [True, False], ids=["signed", "unsigned"])
def test_a_callback_that_comes_after_the_end_is_not_missed(signed: bool) -> None:
    story = Story()
    story.register(plan=3, subscribed=(CallbackKind.PARAGRAPH, CallbackKind.REPLY))
    story.link("C", at=0.0, signed=0 if signed else None)
    story.progress(1, offset=5, at=10.0)
    story.reply("one", at=10.0, channel=Channel.RTC)
    story.link("E", at=11.0, signed=11 if signed else None)
    assert story.paragraph(1, at=13.0, signed=12 if signed else None) is Effect.AFTER_END
    story.reply("one", at=13.0)
    story.settle(60.0)
    assert story.known.missed == 0


def test_nothing_is_missed_of_a_type_that_nobody_subscribed_to() -> None:
    story = Story()
    story.register(plan=3)
    story.progress(1, offset=1, at=1.0)
    story.settle(LATER)
    assert story.known.missed == 0


def test_a_subscription_that_was_registered_makes_a_missing_callback_count() -> None:
    story = Story()
    story.register(plan=3, subscribed=(CallbackKind.PARAGRAPH,))
    story.progress(1, offset=1, at=1.0)
    story.settle(LATER)
    assert story.known.missed == 1


def test_a_relay_that_was_offline_does_not_move_the_script_back() -> None:
    story = registered()
    story.progress(1, offset=1, at=0.0, relay=Relay("page", 1, 1000.0))
    story.paragraphs("1234 12", step=20)
    for sequence, number in enumerate((2, 3, 4, 1), start=2):
        story.progress(number, offset=1, at=150.0, relay=Relay("page", sequence, 1000.0 + sequence * 20))
    assert facts(story)[:3] == (1, 1.0, 0.5)


@pytest.mark.parametrize("step", [40.0, 600.0])
def test_progress_is_followed_again_half_a_minute_after_a_clock_was_set(step: float) -> None:
    story = registered()
    for tick in range(1, 41):
        behind = step if tick > 20 else 0.0
        relay = Relay("page", tick, 5.0 * tick - behind)
        effect = story.progress((tick - 1) // 5 % 4 + 1, offset=tick % 5 or 5, at=5.0 * tick, relay=relay)
        assert effect is (Effect.LATE if 20 < tick <= 26 else Effect.APPLIED)
    # Of this round's first paragraph nothing else told.
    assert facts(story)[:3] == (1, 1.0, 0.75)


@pytest.mark.parametrize(("lag", "again"), [(0.0, 10.0), (5.0, 2.0)], ids=["RTC in time", "RTC late"])
@pytest.mark.parametrize("copied", [True, False], ids=["told twice", "played twice"])
def test_rtc_shows_whether_a_round_in_random_order_begins_with_the_last_paragraph_of_the_one_before(
    copied: bool, lag: float, again: float
) -> None:
    story = registered(plan=3, mode=RandomPlayMode.SCRIPT_ITEM)
    orders = ("123", "213", "132", "312") if copied else ("123", "213", "312", "132")
    for number in map(int, "".join(orders)):
        began = story.now + 1.0
        story.paragraph(number, at=began)
        is_copied = not copied
        for second in range(1, 14, 4):
            if not is_copied and lag + second > again:
                story.paragraph(number, at=began + again)
                is_copied = True
            story.progress(number, offset=second, at=began + lag + second)
        story.now = began + 19.0
    assert facts(story) == (3, 1.0, 1.0, 0)


@pytest.mark.parametrize("signed", [True, False], ids=["signed", "unsigned"])
@pytest.mark.parametrize(
    ("plan", "told", "expected"),
    [
        # Nobody gave a plan: the first round teaches it, and isn't known to be complete before it is over.
        (0, "1234 4213 1324", (2, 1.0, 1.0, 0)),
        # The second round left 3 out.
        (5, "12345 2415 51324", (2, 0.8, 1.0, 1)),
    ],
    ids=["learned", "left out"],
)
def test_a_round_in_random_order_may_begin_with_what_the_one_before_ended_with(
    plan: int, told: str, expected: tuple[int, float, float, int], signed: bool
) -> None:
    story = Story()
    story.link("C", at=0.0, signed=0 if signed else None)
    story.register(plan=plan, mode=RandomPlayMode.SCRIPT_ITEM)
    # Longer than a vendor's attempts take: told again sooner, it may be one of those.
    story.paragraphs(told, step=31.0, signed=signed)
    story.settle(story.now + LATER)
    assert facts(story) == expected


def test_a_paragraph_that_is_told_again_and_again_begins_no_round_of_which_more_is_to_come() -> None:
    story = registered(plan=5, mode=RandomPlayMode.SCRIPT_ITEM)
    story.paragraphs("12345 2444 153", step=31.0, signed=True)
    story.settle(story.now + LATER)
    assert facts(story) == (1, 1.0, 1.0, 0)


def test_progress_that_falls_back_inside_a_paragraph_of_a_script_in_order_begins_no_round() -> None:
    story = registered()
    story.paragraphs("12")
    for seconds, offset in ((1, 1), (6, 6), (11, 1), (16, 2)):
        story.progress(2, offset, at=40.0 + seconds)
    assert story.paragraph(2, at=75.0) is Effect.DUPLICATE
    story.paragraph(3, at=80.0)
    assert facts(story) == (0, None, 0.75, 0)


@pytest.mark.parametrize("told", ["1 2 3 3 4 1", "1 2 3 4 4 3 1 2"])
def test_an_attempt_that_is_signed_anew_begins_no_round_in_random_order(told: str) -> None:
    once, twice = (Story(), Story())
    for story in (once, twice):
        story.link("C", at=0.0, signed=0)
        before = ""
        for number in told.split():
            story.now += 10.0
            if story is twice or number != before:
                story.paragraph(int(number), at=story.now, signed=int(story.now))
            before = number
        story.settle(story.now + LATER)
    assert facts(twice) == facts(once)


def test_rtc_shows_that_a_round_of_a_script_that_nobody_registered_begins_with_the_last_paragraph_again() -> (
    None
):
    story = Story()
    story.link("C", at=0.0)
    story.paragraphs("123")
    for seconds, offset in ((21.0, 1), (26.0, 6), (31.0, 11), (41.0, 1)):
        story.progress(3, offset, at=40.0 + seconds)
    # What is sent again is followed by an offset that goes on.
    story.progress(3, 12, at=82.0)
    assert facts(story)[0] == 0
    for seconds, offset in ((45.0, 1), (50.0, 6)):
        story.progress(3, offset, at=40.0 + seconds)
    assert facts(story)[:3] == (1, 1.0, pytest.approx(1 / 3))
    story.paragraph(1, at=100.0)
    story.paragraph(2, at=120.0)
    story.settle(LATER * 3)
    assert facts(story) == (1, 1.0, 1.0, 0)


def test_a_message_that_a_relay_sends_twice_is_a_duplicate() -> None:
    story = registered()
    story.progress(1, offset=9, at=1.0, relay=Relay("page", 5, 1.0))
    assert story.progress(1, offset=9, at=2.0, relay=Relay("page", 5, 1.0)) is Effect.DUPLICATE


def test_a_relay_that_was_started_again_and_counts_from_the_beginning_is_heard() -> None:
    story = registered()
    for sequence, at in ((1000, 1.0), (1001, 6.0)):
        story.progress(1, offset=sequence, at=at, relay=Relay("server", sequence, at))
    assert story.progress(2, offset=1, at=20.0, relay=Relay("server", 1, 20.0)) is Effect.APPLIED
    assert story.progress(2, offset=6, at=25.0, relay=Relay("server", 2, 25.0)) is Effect.APPLIED
    # Whatever it sends twice is known, of both its lives, and where it tells when it sent it too.
    for sequence, at in ((1, 20.0), (1000, 1.0), (1001, 6.0), (2, 30.0)):
        copy = Relay("server", sequence, at)
        assert story.progress(2, offset=1, at=27.0, relay=copy) is Effect.DUPLICATE
    assert story.progress(2, offset=11, at=30.0, relay=Relay("server", 3, 30.0)) is Effect.APPLIED


def test_a_message_of_an_unknown_type_that_a_relay_sends_twice_is_a_duplicate() -> None:
    story = Story()
    first, second = Relay("page", 1, 1.0), Relay("page", 2, 2.0)
    for relay, effect in ((first, Effect.APPLIED), (first, Effect.DUPLICATE), (second, Effect.APPLIED)):
        assert story.tell(Unrecognised("new"), at=2.0, channel=Channel.RTC, relay=relay) is effect


def test_two_relays_in_one_room_do_not_make_the_offset_fall() -> None:
    story = registered(plan=1)
    for tick in range(1, 10):
        at = tick * 5.0
        story.progress(1, offset=tick * 5, at=at, relay=Relay("one", tick, at))
        story.progress(1, offset=tick * 5 - 3, at=at + 1, relay=Relay("two", tick, at))
    assert story.known.script.rounds == 0


def test_another_relay_is_followed_once_the_one_before_says_nothing_any_more() -> None:
    story = registered()
    story.progress(1, offset=1, at=0.0, relay=Relay("one", 1, 0.0))
    assert story.progress(2, offset=1, at=30.0, relay=Relay("two", 1, 30.0)) is Effect.DUPLICATE
    assert story.progress(2, offset=2, at=31.0, relay=Relay("two", 2, 31.0)) is Effect.APPLIED
    assert story.known.script.progress_at == START + 31
    assert story.progress(2, offset=3, at=32.0, relay=Relay("one", 2, 32.0)) is Effect.DUPLICATE


@pytest.mark.parametrize("wrong", [-300.0, 300.0])
def test_a_relay_whose_clock_is_minutes_wrong_is_followed(wrong: float) -> None:
    story = registered()
    for sequence, number in enumerate((1, 2, 3), start=1):
        at = sequence * 20.0
        told = story.progress(number, offset=1, at=at, relay=Relay("page", sequence, START + at + wrong))
        assert told is Effect.APPLIED
    assert story.known.script.progress_at == START + 60


def test_a_round_cut_by_the_end_is_no_finished_round() -> None:
    story = registered()
    story.link("C", at=0.0)
    story.paragraphs("1234 12")
    story.link("E", at=story.now + 5)
    story.settle(story.now + LATER)
    assert facts(story) == (1, 1.0, 0.5, 0)


def test_what_a_round_skipped_is_named() -> None:
    story = registered()
    story.paragraphs("1 3 1")
    assert skipped_paragraphs(story.known.script) == [Paragraph("Scene", 2), Paragraph("Scene", 4)]


def test_what_a_round_skipped_counts_once_nothing_signed_can_come_late_any_more() -> None:
    story, unsigned = registered(), registered()
    story.paragraphs("1 3 1", signed=True)
    ended = story.now
    assert story.settle(ended + 44.0).script.skipped == 0
    assert story.settle(ended + 45.0).script.skipped == 2

    # Without signed times the order of arrival is all there is.
    unsigned.paragraphs("1 3 1")
    assert unsigned.known.script.skipped == 2


def test_a_paragraph_signed_before_the_end_counts_after_it_and_one_signed_later_does_not() -> None:
    story = registered()
    story.link("C", at=0.0, signed=0)
    story.paragraph(1, at=10.0, signed=10)
    story.link("E", at=30.0, signed=30)
    assert story.paragraph(2, at=31.0, signed=20) is Effect.LATE
    assert story.paragraph(3, at=32.0, signed=32) is Effect.AFTER_END
    assert facts(story)[2] == 0.5
    assert story.paragraph(2, at=36.0, signed=20) is Effect.DUPLICATE


def test_a_paragraph_that_straggles_in_once_its_stream_was_retired_is_none_of_a_new_one() -> None:
    story = registered()
    story.link("C", at=0.0, signed=0)
    story.paragraph(1, at=10.0, signed=10)
    story.link("E", at=30.0, signed=30)
    story.state = retire(story.known)
    assert story.paragraph(2, at=31.0, signed=20) is Effect.AFTER_END
    assert story.known.script.progress_at is None


def test_progress_that_is_told_after_the_end_moves_nothing() -> None:
    story = registered()
    story.link("C", at=0.0)
    story.paragraphs("12")
    story.link("E", at=50.0)
    assert story.progress(3, 1000, at=51.0) is Effect.AFTER_END
    assert facts(story)[2] == 0.5


def test_scenes_are_in_the_order_in_which_they_were_played() -> None:
    story = Story()
    story.link("C", at=0.0)
    for at, scene, number in ((10, "One", 1), (20, "One", 2), (30, "Two", 1), (40, "Two", 2), (50, "One", 1)):
        story.paragraph(number, at=at, scene=scene)
    assert story.known.script.plan == ("1/One", "2/One", "1/Two", "2/Two")
    assert facts(story)[:3] == (1, 1.0, 0.25)


def test_replies_count_once_whichever_channel_tells() -> None:
    story = Story()
    story.reply("a", at=0.0)
    story.reply("a", at=1.0, channel=Channel.RTC)
    assert story.reply("b", at=2.0, channel=Channel.RTC) is Effect.APPLIED
    assert story.reply("b", at=3.0) is Effect.APPLIED
    assert story.reply("b", at=4.0) is Effect.DUPLICATE
    story.reply("c", at=5.0, channel=Channel.RTC)
    story.settle(LATER)
    assert story.known.replies.finished == 3
    assert story.known.missed == 1


@pytest.mark.parametrize("by_callback", [True, False], ids=["callback", "another relay"])
def test_replies_that_a_relay_held_back_do_not_count_again_though_they_are_forgotten_by_then(
    by_callback: bool,
) -> None:
    story = Story()
    story.progress(1, offset=1, at=0.0, relay=Relay("page", 1, 0.0))
    for number in range(100):
        channel = Channel.CALLBACK if by_callback else Channel.RTC
        relay = None if by_callback else Relay("other", number, 30.0 * number)
        story.reply(str(number), at=30.0 * number, channel=channel, relay=relay)
    for number in range(100):
        told = Relay("page", 2 + number, 30.0 * number)
        story.reply(str(number), at=3000.0, channel=Channel.RTC, relay=told)
    story.settle(LATER)
    assert (story.known.replies.finished, story.known.missed) == (100, 0)


def test_replies_that_a_relay_held_back_count_where_nobody_else_could_have_told_them() -> None:
    story = Story()
    story.progress(1, offset=1, at=0.0, relay=Relay("page", 1, 0.0))
    for number in range(100):
        told = Relay("page", 2 + number, 30.0 * number)
        story.reply(str(number), at=3000.0, channel=Channel.RTC, relay=told)
    assert story.known.replies.finished == 100


def test_the_room_is_learned_from_a_callback() -> None:
    story = Story()
    story.link("C", at=0.0)
    assert story.known.job.room_id == "room"
    assert story.known.link.current.outputs["a"].state is LinkState.CONNECTED
    # Not every kind of callback names it.
    story.reply("a", at=1.0)
    assert story.known.job.room_id == "room"


def test_what_a_later_registration_leaves_out_stays_as_it_was() -> None:
    story = Story()
    known = JobRegistered(
        "room",
        "rtc",
        "live",
        RandomPlayMode.NONE,
        "wide",
        repeat_count=2,
        max_duration=3600,
        warnings=("RANDOM_PLAY_CLOSED",),
    )
    story.tell(known, at=0.0, channel=Channel.API)
    before = replace(story.known.job)
    assert (before.room_id, before.rtc_room_id, before.play_mode, before.view_mode) == (
        "room",
        "rtc",
        "live",
        "wide",
    )
    assert (before.random_play_mode, before.repeat_count) == (RandomPlayMode.NONE, 2)
    assert before.expected_end == START + 3600
    story.tell(JobRegistered(), at=100.0, channel=Channel.API)
    assert story.known.job == before
    # How long it may run counts from its start, however often that is said.
    story.tell(JobRegistered(max_duration=7200), at=200.0, channel=Channel.API)
    assert story.known.job == replace(before, expected_end=START + 7200)
    assert story.known.warnings == ("RANDOM_PLAY_CLOSED",)


def test_a_flood_of_replies_is_remembered_up_to_a_bound_and_what_is_forgotten_awaits_no_callback() -> None:
    story = Story()
    story.reply("a", at=0.0)
    for number in range(100):
        story.reply(str(number), at=1.0, channel=Channel.RTC)
    assert len(story.known.replies.recent) == 64
    assert story.settle(LATER).missed == 64
    assert story.known.replies.finished == 101
