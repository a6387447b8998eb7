"""What no rule can decide from what was told: what is said then, and what heals it.

`test_reordering.py` leaves these out of its stories; each has its reason here. A counter is never taken
back, so what was counted on good evidence stays counted; the state is right again with the next witness.
"""

from monitor.event import Channel, LinkState, RandomPlayMode
from monitor.health.effect import Effect
from monitor.health.reading import coverage, rtmp_state
from monitor.health.status import Status
from monitor.health.stream import Outcome, Phase
from tests.health.story import Story


def counts(story: Story) -> tuple[int, int]:
    """Return (outages, reconnects)."""
    return story.known.link.outages, story.known.link.reconnects


def test_an_outage_that_was_the_first_word_stays_counted_when_an_earlier_connecting_follows() -> None:
    # A stream whose first word is DISCONNECTED was seen in an outage. Only CONNECTING, signed before
    # and heard after, tells that it had never been connected; a counter can't be taken back.
    story = Story()
    story.link("D", at=6.0, signed=5)
    story.link("G", at=7.0, signed=0)
    assert counts(story) == (1, 0)
    assert story.known.phase is Phase.STARTING
    story.link("C", at=20.0, signed=20)
    assert counts(story) == (1, 0)
    assert story.status(21.0).status is Status.HEALTHY


def test_a_new_start_that_overtakes_the_end_of_the_same_output_stays_counted_as_an_outage() -> None:
    # CONNECTING after CONNECTED is an outage until the END between the two is heard of.
    story = Story()
    story.link("C", at=0.0, signed=0)
    story.link("G", at=20.0, signed=20)
    story.link("E", at=21.0, signed=10)
    assert counts(story) == (1, 0)
    assert story.known.phase is Phase.STARTING
    story.link("C", at=25.0, signed=25)
    assert counts(story) == (1, 0)
    assert story.known.phase is Phase.CONNECTED


def test_a_reconnect_on_a_fresh_output_stays_counted_when_the_end_of_the_old_one_follows() -> None:
    # In the right order the old output's END closed the outage, so the next CONNECTED was no reconnect.
    story = Story()
    story.link("C", at=0.0, signed=0)
    story.link("D", at=10.0, signed=10)
    story.link("C", at=30.0, signed=30, output="b")
    story.link("E", at=31.0, signed=20)
    assert counts(story) == (1, 1)
    assert story.known.end is None
    assert rtmp_state(story.known) is LinkState.CONNECTED


def test_a_paragraph_that_overtakes_the_reopening_of_its_stream_is_missing_until_rtc_tells_of_it() -> None:
    # The stream had ended, and what was signed after its end is no fact of it, as far as anybody knew.
    story = Story()
    story.register(plan=4)
    story.link("C", at=0.0, signed=0)
    story.link("E", at=10.0, signed=10)
    assert story.paragraph(1, at=25.0, signed=25) is Effect.AFTER_END
    story.link("C", at=26.0, signed=20)
    assert story.known.end is None
    assert coverage(story.known.script) == 0.0
    story.progress(1, offset=9, at=30.0)
    assert coverage(story.known.script) == 0.25


def test_a_connected_sent_again_under_a_new_signed_time_in_an_outage_looks_like_a_connection() -> None:
    # Whether a retry is signed anew is not published. Signed after the DISCONNECTED it must be believed.
    story = Story()
    story.link("C", at=0.0, signed=0)
    story.link("D", at=5.0, signed=5)
    story.link("C", at=10.0, signed=10)
    assert story.known.phase is Phase.CONNECTED
    story.link("R", at=15.0, signed=15)
    assert story.known.phase is Phase.OUTAGE


def test_unsigned_deliveries_that_overtake_each_other_count_as_they_come() -> None:
    # What happened was an outage that was over; what is heard last is that it began.
    story = Story()
    story.link("C", at=0.0)
    story.link("C", at=10.0)
    story.link("D", at=11.0)
    assert story.known.phase is Phase.OUTAGE
    story.link("C", at=60.0)
    assert counts(story) == (1, 1)
    assert story.known.phase is Phase.CONNECTED


def test_two_facts_of_one_signed_second_count_in_the_order_in_which_they_come() -> None:
    story = Story()
    story.link("G", at=0.0, signed=0)
    story.link("D", at=5.8, signed=5)
    story.link("C", at=5.9, signed=5)
    assert story.known.phase is Phase.CONNECTED
    other = Story()
    other.link("G", at=0.0, signed=0)
    other.link("C", at=5.8, signed=5)
    other.link("D", at=5.9, signed=5)
    assert other.known.phase is Phase.OUTAGE
    other.link("C", at=9.0, signed=9)
    assert other.known.phase is Phase.CONNECTED


def test_a_copy_within_two_seconds_of_its_first_may_be_a_flap_and_counts_as_one() -> None:
    # The vendor tries again after a second, within the signed second in which the link had broken.
    story = Story()
    story.link("C", at=0.1, signed=0)
    story.link("D", at=0.3, signed=0)
    assert story.link("C", at=1.3, signed=0) is Effect.APPLIED
    assert counts(story) == (1, 1)
    story.link("R", at=9.0, signed=9)
    assert story.known.phase is Phase.OUTAGE


def test_the_last_paragraph_of_a_complete_random_round_told_again_is_the_next_round() -> None:
    # In random order a paragraph may follow itself; signed anew, a retry looks just like that.
    story = Story()
    story.register(plan=2, mode=RandomPlayMode.SCRIPT_ITEM)
    for at, number in ((10, 1), (40, 2), (70, 1), (100, 2), (110, 2)):
        story.paragraph(number, at=at, signed=at)
    assert story.known.script.rounds == 2
    story.paragraph(1, at=130, signed=130)
    assert coverage(story.known.script) == 1.0


def test_a_script_that_was_learned_to_be_of_one_paragraph_keeps_its_rounds_when_a_late_one_shows_more() -> (
    None
):
    # The third 2 in a row looked like a script of just this one.
    story = Story()
    story.link("C", at=0.0, signed=0)
    for at, number in ((10, 2), (30, 2), (50, 2)):
        story.paragraph(number, at=at, signed=at)
    assert story.known.script.rounds == 2
    story.paragraph(1, at=60, signed=40)
    assert story.known.script.rounds == 2
    assert len(story.known.script.plan) == 2


def test_a_round_in_any_order_that_two_repeats_ended_stays_counted_when_a_late_one_parts_them() -> None:
    # Without 4, 3 and 1 come back one after the other and end the round. With 4 between them neither
    # decides anything: 3 may have been a retry.
    story = Story()
    story.register(plan=5, mode=RandomPlayMode.SCRIPT_ITEM)
    story.paragraphs("12345 312", signed=True)
    start = int(story.now)
    story.paragraph(3, at=start + 20, signed=start + 20)
    story.paragraph(1, at=start + 60, signed=start + 60)
    assert story.known.script.rounds == 2
    story.paragraph(4, at=start + 61, signed=start + 40)
    assert story.known.script.rounds == 2
    story.paragraphs("5 2", step=20, signed=True)
    assert story.known.script.rounds == 2


def test_a_retry_signed_anew_of_what_rtc_has_just_proved_is_taken_for_its_callback() -> None:
    story = Story()
    story.register(plan=2)
    for at, number in ((10, 1), (40, 2), (70, 1)):
        story.paragraph(number, at=at, signed=at)
    story.progress(2, offset=1, at=100.0)
    story.paragraph(2, at=101.0, signed=101)
    story.settle(200.0)
    assert story.known.missed == 0


def test_a_round_whose_beginning_was_lost_stays_open_until_the_paragraph_after_it() -> None:
    # 2 after 3 may be a retry of 2 or round two without its 1; the next paragraph tells.
    story = Story()
    story.register(plan=4)
    story.paragraphs("123 2", signed=True)
    assert story.known.script.rounds == 0
    story.paragraphs("3", signed=True)
    assert story.known.script.rounds == 1


def test_a_fact_that_comes_minutes_late_is_named_and_changes_no_sum() -> None:
    # Facts are kept for four times the retry span; what comes later has no place to go.
    story = Story()
    for word, at in (("C", 0), ("D", 10), ("C", 20), ("R", 300), ("C", 310)):
        story.link(word, at=at, signed=at)
    assert story.link("D", at=400.0, signed=5) is Effect.LATE
    assert counts(story) == (2, 2)
    assert story.known.transitions[-1].what == "disconnected (late)"


def test_how_a_stream_ended_that_was_never_connected_is_taken_for_the_worse() -> None:
    # Neither connected nor in an outage: only a completed end may be quiet.
    story = Story()
    story.links("G E")
    assert story.known.end is not None
    assert story.known.end.outcome is Outcome.CUT_OFF


def test_a_reply_that_overtakes_the_reopening_of_its_stream_is_not_counted_until_rtc_tells_of_it() -> None:
    story = Story()
    story.link("C", at=0.0, signed=0)
    story.link("E", at=10.0, signed=10)
    assert story.reply("a", at=25.0) is Effect.AFTER_END
    story.link("C", at=26.0, signed=20)
    story.reply("a", at=27.0, channel=Channel.RTC)
    assert story.known.replies.finished == 1
