"""Outages, reconnects and ends, each with the right answer argued in its name or a comment."""

import pytest

from monitor.event import JobRegistered, LinkChanged, LinkState, Payload, RandomPlayMode, Unrecognised
from monitor.health.effect import Effect
from monitor.health.fold import retire
from monitor.health.reading import rtmp_state, seconds
from monitor.health.status import Status
from monitor.health.stream import Outcome, Phase, StreamState
from tests.health.story import LINK_WORDS, START, Story


def counts(story: Story) -> tuple[int, int]:
    """Return (outages, reconnects)."""
    return story.known.link.outages, story.known.link.reconnects


@pytest.mark.parametrize("signed", [True, False], ids=["signed", "unsigned"])
@pytest.mark.parametrize(
    ("told", "outages", "reconnects", "phase"),
    [
        ("G", 0, 0, Phase.STARTING),
        ("G C", 0, 0, Phase.CONNECTED),
        ("C D C", 1, 1, Phase.CONNECTED),
        ("C R C", 1, 1, Phase.CONNECTED),
        ("C D R C", 1, 1, Phase.CONNECTED),
        ("C R D C", 1, 1, Phase.CONNECTED),
        ("C R D R C", 1, 1, Phase.CONNECTED),
        ("C D G C", 1, 1, Phase.CONNECTED),
        ("C D R", 1, 1, Phase.OUTAGE),
        ("C D", 1, 0, Phase.OUTAGE),
        ("C G C", 1, 1, Phase.CONNECTED),
        ("C D C D C", 2, 2, Phase.CONNECTED),
        ("R", 1, 1, Phase.OUTAGE),
        ("R C", 1, 1, Phase.CONNECTED),
        ("D C", 1, 1, Phase.CONNECTED),
        ("G D G C", 0, 0, Phase.CONNECTED),
        ("G C E", 0, 0, Phase.ENDED),
        ("C D E", 1, 0, Phase.ENDED),
    ],
)
def test_outages_and_reconnects_are_counted_as_defined(
    told: str, outages: int, reconnects: int, phase: Phase, signed: bool
) -> None:
    story = Story()
    story.links(told, signed=signed)
    assert (outages, reconnects) == counts(story)
    assert story.known.phase is phase


def test_connected_disconnected_connected_within_one_signed_second_is_a_real_flap() -> None:
    # The first and the third body are the same to the byte; only a window of "seen bodies" would take
    # the third for a copy, and leave the stream down for ever.
    story = Story()
    story.link("C", at=0.1, signed=0)
    story.link("D", at=0.4, signed=0)
    assert story.link("C", at=0.8, signed=0) is Effect.APPLIED
    assert counts(story) == (1, 1)
    assert rtmp_state(story.known) is LinkState.CONNECTED


def test_a_copy_of_the_same_signed_second_that_comes_seconds_later_is_a_duplicate() -> None:
    story = Story()
    story.link("C", at=0.1, signed=0)
    story.link("D", at=0.4, signed=0)
    assert story.link("C", at=5.0, signed=0) is Effect.DUPLICATE
    assert rtmp_state(story.known) is LinkState.DISCONNECTED


def test_a_copy_after_something_signed_later_is_a_duplicate() -> None:
    story = Story()
    story.link("C", at=0.1, signed=0)
    story.link("D", at=1.1, signed=1)
    assert story.link("C", at=1.5, signed=0) is Effect.DUPLICATE
    assert counts(story) == (1, 0)


@pytest.mark.parametrize("signed", [0, None])
def test_connected_while_connected_is_nothing_new(signed: int | None) -> None:
    story = Story()
    story.link("C", at=0.0, signed=signed)
    assert story.link("C", at=0.5, signed=signed) is Effect.DUPLICATE
    assert counts(story) == (0, 0)


def test_a_retry_under_a_new_signed_time_changes_nothing_while_the_state_stands() -> None:
    story = Story()
    story.link("C", at=0.0, signed=0)
    assert story.link("C", at=10.0, signed=10) is Effect.DUPLICATE
    assert counts(story) == (0, 0)


def test_a_retry_of_one_output_counts_no_reconnect_in_the_outage_of_another() -> None:
    story = Story()
    story.link("G", at=6.2, signed=6)
    story.link("R", at=6.5, signed=6)
    story.link("D", at=7.4, signed=7, output="b")
    assert story.link("R", at=7.4, signed=7) is Effect.DUPLICATE
    assert counts(story) == (1, 0)


def test_a_late_disconnect_is_an_outage_that_happened_and_no_state() -> None:
    story = Story()
    story.link("C", at=0.0, signed=0)
    story.link("C", at=20.0, signed=20)
    assert story.link("D", at=21.0, signed=10) is Effect.LATE
    assert counts(story) == (1, 1)
    assert rtmp_state(story.known) is LinkState.CONNECTED


@pytest.mark.parametrize(("at", "expected"), [(139.9, (1, 1)), (140.0, (0, 0))])
def test_a_late_disconnect_counts_until_what_was_told_around_it_is_two_minutes_old(
    at: float, expected: tuple[int, int]
) -> None:
    story = Story()
    story.link("C", at=0.0, signed=0)
    story.link("C", at=20.0, signed=20)
    assert story.link("D", at=at, signed=10) is Effect.LATE
    assert counts(story) == expected
    assert rtmp_state(story.known) is LinkState.CONNECTED


def test_a_late_connected_splits_an_outage_in_two() -> None:
    story = Story()
    for word, signed in (("C", 0), ("D", 10), ("D", 30)):
        story.link(word, at=signed, signed=signed)
    assert story.link("C", at=31.0, signed=20) is Effect.LATE
    assert counts(story) == (2, 1)
    assert rtmp_state(story.known) is LinkState.DISCONNECTED


def test_an_end_overtaken_by_its_disconnect_is_cut_off() -> None:
    # The END arrives first and looks like a quiet end; the DISCONNECTED signed before it tells better.
    story = Story()
    story.link("C", at=0.0, signed=0)
    story.link("E", at=190.0, signed=190)
    assert story.known.end is not None
    assert story.known.end.outcome is Outcome.COMPLETED
    story.link("D", at=191.0, signed=100)
    assert story.known.end.outcome is Outcome.CUT_OFF
    assert story.status(200.0).since == START + 190


def test_disconnected_for_three_minutes_then_end_is_cut_off() -> None:
    story = Story()
    story.links("G C")
    story.link("D", at=100.0, signed=100)
    story.link("E", at=280.0, signed=280)
    assert story.known.end is not None
    assert story.known.end.outcome is Outcome.CUT_OFF
    assert story.status(281.0).reasons == ("The stream ended during an outage: the vendor gave it up.",)
    assert counts(story) == (1, 0)
    assert seconds(story.known, START + 1000).outage == pytest.approx(180.0)


def test_an_end_while_connected_is_completed() -> None:
    story = Story()
    story.links("G C E")
    assert story.known.end is not None
    assert story.known.end.outcome is Outcome.COMPLETED


def test_the_end_of_one_output_and_connected_on_the_next_is_one_stream_without_an_outage() -> None:
    story = Story()
    story.link("C", at=0.0, signed=0, output="a")
    story.link("E", at=60.0, signed=60, output="a")
    story.link("G", at=61.0, signed=61, output="b")
    story.link("C", at=63.0, signed=63, output="b")
    assert story.known.end is None
    assert counts(story) == (0, 0)
    assert story.known.phase is Phase.CONNECTED


@pytest.mark.parametrize("signed", [True, False], ids=["signed", "unsigned"])
def test_an_output_that_was_refreshed_away_without_an_end_no_longer_counts(signed: bool) -> None:
    story = Story()
    at = iter(range(0, 100, 10))
    for word, output in (("C", "a"), ("D", "a"), ("G", "b"), ("C", "b")):
        now = next(at)
        story.link(word, at=now, signed=now if signed else None, output=output)
    assert story.known.phase is Phase.CONNECTED
    assert rtmp_state(story.known) is LinkState.CONNECTED
    assert counts(story) == (1, 1)


@pytest.mark.parametrize("signed", [True, False])
def test_an_outage_lasts_until_the_new_output_connects_though_the_lost_one_has_ended(signed: bool) -> None:
    # Somebody refreshes the address in an outage, and the new one doesn't connect either.
    story = Story()
    for word, at, output in (("C", 0, "a"), ("D", 10, "a"), ("G", 60, "b"), ("E", 61, "a")):
        story.link(word, at=at, signed=at if signed else None, output=output)

    assert story.status(90.0)[:2] == (Status.DOWN, START + 70)
    story.link("C", at=100.0, signed=100 if signed else None, output="b")
    assert counts(story) == (1, 1)
    assert seconds(story.known, START + 100).outage == 90.0
    assert story.known.phase is Phase.CONNECTED


@pytest.mark.parametrize("signed", [True, False], ids=["signed", "unsigned"])
def test_an_output_that_a_newer_one_replaced_says_nothing_of_the_stream_any_more(signed: bool) -> None:
    # Somebody refreshes the address while it pushes, and the vendor tells of the old push last.
    story = Story()
    for word, at, output in (("C", 0, "a"), ("G", 60, "b"), ("C", 62, "b"), ("D", 63, "a")):
        story.link(word, at=at, signed=at if signed else None, output=output)
    # And here is a copy of its first word.
    story.link("C", at=64.0, signed=0 if signed else None, output="a")

    assert story.known.phase is Phase.CONNECTED
    assert counts(story) == (0, 0)
    story.link("D", at=70.0, signed=70 if signed else None, output="b")
    assert rtmp_state(story.known) is LinkState.DISCONNECTED
    story.link("C", at=80.0, signed=80 if signed else None, output="b")
    assert counts(story) == (1, 1)
    story.link("E", at=90.0, signed=90 if signed else None, output="b")
    assert story.known.end is not None
    assert story.known.end.outcome is Outcome.COMPLETED


@pytest.mark.parametrize("signed", [True, False], ids=["signed", "unsigned"])
@pytest.mark.parametrize("word", ["D", "R"])
def test_a_new_output_that_is_lost_is_an_outage_though_its_connected_never_came(
    word: str, signed: bool
) -> None:
    def lost() -> Story:
        story = Story()
        for what, at, output in (("C", 0, "a"), ("G", 60, "b"), (word, 300, "b")):
            story.link(what, at=at, signed=at if signed else None, output=output)
        return story

    story = lost()
    assert story.status(360.0)[:2] == (Status.DOWN, START + 360)
    story.link("C", at=400.0, signed=400 if signed else None, output="b")
    assert story.known.phase is Phase.CONNECTED
    assert counts(story) == (1, 1)

    story = lost()
    story.link("E", at=480.0, signed=480 if signed else None, output="b")
    assert story.known.end is not None
    assert story.known.end.outcome is Outcome.CUT_OFF


@pytest.mark.parametrize("signed", [True, False], ids=["signed", "unsigned"])
@pytest.mark.parametrize("word", ["D", "R"])
def test_a_new_output_of_which_only_its_loss_is_told_has_replaced_the_one_before(
    word: str, signed: bool
) -> None:
    def lost() -> Story:
        story = Story()
        for what, at, output in (("C", 0, "a"), (word, 300, "b")):
            story.link(what, at=at, signed=at if signed else None, output=output)
        return story

    story = lost()
    story.link("E", at=480.0, signed=480 if signed else None, output="b")
    assert story.known.end is not None
    assert story.known.end.outcome is Outcome.CUT_OFF
    assert counts(story) == (1, 1 if word == "R" else 0)

    story = lost()
    story.link("C", at=400.0, signed=400 if signed else None, output="a")
    assert story.known.phase is Phase.CONNECTED
    assert counts(story) == (1, 1)


@pytest.mark.parametrize("signed", [True, False], ids=["signed", "unsigned"])
@pytest.mark.parametrize("began", ["G", ""], ids=["told", "untold"])
def test_an_address_refreshed_in_an_outage_that_is_lost_as_well_is_cut_off_by_its_own_end(
    began: str, signed: bool
) -> None:
    story = Story()
    for word, at, output in (
        ("C", 0, "a"),
        ("D", 10, "a"),
        (began, 60, "b"),
        ("D", 70, "b"),
        ("E", 190, "b"),
    ):
        if word:
            story.link(word, at=at, signed=at if signed else None, output=output)

    assert story.known.end is not None
    assert story.known.end.outcome is Outcome.CUT_OFF
    assert counts(story) == (1, 0)


@pytest.mark.parametrize("signed", [True, False], ids=["signed", "unsigned"])
@pytest.mark.parametrize("word", ["D", "R"])
@pytest.mark.parametrize("ended_at", [65, 80], ids=["before", "afterwards"])
def test_a_new_output_that_never_connects_is_an_outage_whenever_the_end_of_the_one_before_is_told(
    ended_at: int, word: str, signed: bool
) -> None:
    facts = [("C", 0, "a"), ("G", 60, "b"), (word, 70, "b"), ("E", ended_at, "a")]
    story = Story()
    for what, at, output in sorted(facts, key=lambda fact: fact[1]):
        story.link(what, at=at, signed=at if signed else None, output=output)

    assert story.status(130.0)[:2] == (Status.DOWN, START + 130)
    story.link("E", at=250.0, signed=250 if signed else None, output="b")
    assert story.known.end is not None
    assert story.known.end.outcome is Outcome.CUT_OFF
    assert counts(story) == (1, 1 if word == "R" else 0)
    assert seconds(story.known, START + 300).outage == 180.0


def test_a_stream_that_is_opened_again_is_in_no_outage_before_it_connects() -> None:
    story = Story()
    story.links("C E")
    for word, at in (("G", 100), ("D", 110)):
        story.link(word, at=at, signed=at)

    assert story.known.phase is Phase.STARTING
    assert counts(story) == (0, 0)


def test_the_end_of_a_new_output_that_overtook_all_it_said_before_is_cut_off_once_that_has_come() -> None:
    story = Story()
    for word, at, signed, output in (
        ("C", 0.0, 0, "a"),
        ("E", 60.0, 60, "a"),
        ("E", 65.0, 65, "b"),
        ("D", 66.0, 61, "b"),
    ):
        story.link(word, at=at, signed=signed, output=output)
    assert story.known.end is not None
    assert story.known.end.outcome is Outcome.COMPLETED

    assert story.link("C", at=70.0, signed=58, output="b") is Effect.LATE
    assert story.known.end is not None
    assert story.known.end.outcome is Outcome.CUT_OFF
    assert counts(story) == (1, 0)


def test_an_output_that_gave_way_to_the_one_before_it_and_is_lost_is_no_outage() -> None:
    story = Story()
    for word, at, output in (("C", 0, "a"), ("G", 60, "b"), ("D", 61, "a"), ("C", 62, "a"), ("D", 70, "b")):
        story.link(word, at=at, output=output)

    assert story.known.phase is Phase.CONNECTED
    assert counts(story) == (1, 1)


def test_an_address_may_be_refreshed_to_the_one_before() -> None:
    story = Story()
    for word, at, output in (("C", 0, "a"), ("C", 60, "b"), ("C", 120, "a"), ("D", 121, "b")):
        story.link(word, at=at, output=output)

    assert counts(story) == (0, 0)
    story.link("D", at=130.0, output="a")
    assert story.known.phase is Phase.OUTAGE


def test_a_late_event_of_an_ended_stream_does_not_bring_it_back() -> None:
    story = Story()
    story.links("C E")
    assert story.link("C", at=25.0, signed=15) is Effect.LATE
    assert story.link("D", at=26.0, signed=30) is Effect.AFTER_END
    assert story.known.end is not None
    assert story.known.phase is Phase.ENDED


def test_what_an_ended_output_said_opens_nothing_when_it_comes_again_minutes_later() -> None:
    story = Story()
    story.link("E", at=0.2, signed=0)
    story.link("G", at=0.3, signed=0, output="b")
    assert story.link("D", at=3.2, signed=3) is Effect.AFTER_END
    assert story.link("D", at=137.2, signed=137) is Effect.AFTER_END
    lines = len(story.known.transitions)
    assert story.link("D", at=137.2, signed=3) is Effect.AFTER_END
    assert len(story.known.transitions) == lines


@pytest.mark.parametrize("retired", [False, True])
def test_a_connected_signed_after_the_end_opens_the_stream_again(retired: bool) -> None:
    story = Story()
    story.links("C E")
    if retired:
        story.state = retire(story.known)
    story.link("C", at=25.0, signed=21)
    assert story.known.end is None
    assert story.known.phase is Phase.CONNECTED
    # Nobody would see it.
    assert not story.known.retired


def test_a_stream_that_is_opened_again_once_it_was_retired_does_not_flap_by_what_was_before_its_end() -> None:
    story = Story()
    story.links("C D C D C D C E", step=1200.0)
    story.state = retire(story.known)
    story.links("G C")
    assert story.status(story.now + 1)[:2] == (Status.HEALTHY, START + story.now)
    assert counts(story) == (3, 3)


def test_a_stream_that_is_opened_again_once_it_was_retired_goes_on_counting() -> None:
    story = Story()
    story.register(plan=3, mode=RandomPlayMode.NONE)
    story.links("C D C")
    story.paragraphs("123 13 1")
    story.reply("one", at=story.now + 1)
    story.links("E")
    story.settle(story.now + 100)
    before = story.known

    def counters(state: StreamState) -> tuple[float, ...]:
        return (
            *(state.link.outages, state.link.reconnects, state.replies.finished, state.missed),
            *(state.script.rounds, state.script.skipped),
            *(state.starting_seconds, state.connected_seconds, state.outage_seconds),
        )

    story.state = retire(before)
    story.links("C", step=1200.0)

    assert story.known.end is None
    assert counters(story.known) == counters(before)
    assert min(counters(before)[:3]) == 1
    assert (before.script.rounds, before.script.skipped) == (2, 1)
    assert min(before.connected_seconds, before.outage_seconds) > 0


def test_an_unsigned_connected_opens_an_ended_stream_only_later_or_on_another_output() -> None:
    story = Story()
    story.links("C E", signed=False)
    assert story.link("C", at=50.0) is Effect.AFTER_END
    assert story.known.end is not None
    story.link("C", at=50.1)
    assert story.known.end is None
    other = Story()
    other.links("C E", signed=False)
    other.link("C", at=21.0, output="b")
    assert other.known.end is None


def test_a_dead_letter_that_is_retried_does_not_bring_an_older_state_back() -> None:
    story = Story()
    story.link("C", at=0.0)
    story.link("D", at=4000.0)
    for word, at in (("D", 100.0), ("C", 110.0)):
        assert story.retry(LinkChanged("a", LINK_WORDS[word]), at=at) is Effect.LATE

    assert story.status(4060.0)[:2] == (Status.DOWN, START + 4060)
    assert counts(story) == (1, 0)


@pytest.mark.parametrize("retired", [False, True])
def test_a_dead_letter_that_is_retried_does_not_open_a_stream_that_ended_since(retired: bool) -> None:
    story = Story()
    story.links("C E", signed=False)
    story.reply("r", at=4000.0)
    if retired:
        story.state = retire(story.known)
    story.retry(LinkChanged("a", LINK_WORDS["C"]), at=15.0)

    assert story.known.end is not None
    assert story.known.end.outcome is Outcome.COMPLETED


def test_dead_letters_that_are_retried_tell_what_nobody_told_since() -> None:
    story = Story()
    story.link("C", at=0.0)
    story.reply("r", at=4000.0)
    for word, at in (("D", 100.0), ("C", 110.0), ("D", 200.0)):
        assert story.retry(LinkChanged("a", LINK_WORDS[word]), at=at) is Effect.APPLIED

    assert story.known.phase is Phase.OUTAGE
    assert counts(story) == (2, 1)


def test_an_end_repeated_is_a_duplicate() -> None:
    story = Story()
    story.links("C E")
    assert story.link("E", at=40.0, signed=20) is Effect.DUPLICATE


def test_a_received_time_that_steps_back_takes_no_second_away() -> None:
    story = Story()
    story.link("C", at=100.0)
    story.link("D", at=40.0)
    spent = seconds(story.known, START + 100)
    assert spent == (0.0, 0.0, 0.0)
    assert seconds(story.known, START + 110).outage == 10.0


def test_a_vendor_clock_two_minutes_ahead_makes_nothing_late_and_no_second_longer() -> None:
    # Signed times are compared with signed times alone; RTC and the API, which sign nothing, come in
    # between and are ordered by when they were received. Seconds are received ones.
    story, ahead = Story(), 120
    effects = [
        story.register(at=0.0, plan=2),
        story.link("C", at=10.0, signed=10 + ahead),
        story.paragraph(1, at=12.0, signed=12 + ahead),
        story.progress(1, 2000, at=15.0),
        story.link("D", at=30.0, signed=30 + ahead),
        story.progress(2, 1000, at=35.0),
        story.paragraph(2, at=36.0, signed=36 + ahead),
        story.link("R", at=40.0, signed=40 + ahead),
        story.link("C", at=50.0, signed=50 + ahead),
    ]

    assert set(effects) == {Effect.APPLIED}
    assert counts(story) == (1, 1)
    starting, connected, outage = seconds(story.settle(60.0), START + 60.0)
    assert (starting, connected, outage) == (10.0, 30.0, 20.0)


@pytest.mark.parametrize("payload", [Unrecognised("X"), JobRegistered()], ids=["unknown", "registration"])
def test_what_says_nothing_of_the_push_comes_after_the_end_too(payload: Payload) -> None:
    story = Story()
    story.links("C E")
    assert story.tell(payload, at=100.0) is Effect.AFTER_END
    assert story.status(101.0).status is Status.ENDED


def test_of_too_many_outputs_the_one_told_of_longest_ago_is_forgotten_an_ended_one_before_the_others() -> (
    None
):
    story = Story()
    for at, output in enumerate("abcdefgh"):
        story.link("E" if output == "c" else "G", at=at, output=output)
    story.link("G", at=8.0, output="i")
    assert "".join(story.known.link.current.outputs) == "abdefghi"
    story.link("G", at=9.0, output="j")
    assert "".join(story.known.link.current.outputs) == "bdefghij"


def test_the_rtmp_state_is_the_worst_of_the_outputs_that_are_open() -> None:
    story = Story()
    story.link("C", at=0.0)
    story.link("G", at=10.0, output="b")
    assert rtmp_state(story.known) is LinkState.CONNECTING
    story.link("D", at=20.0)
    assert rtmp_state(story.known) is LinkState.DISCONNECTED
    story.link("C", at=30.0, output="b")
    assert rtmp_state(story.known) is LinkState.CONNECTED


@pytest.mark.parametrize(("apart", "effect"), [(2.0, Effect.APPLIED), (2.1, Effect.DUPLICATE)])
def test_the_same_body_of_one_signed_second_is_a_copy_more_than_two_seconds_later(
    apart: float, effect: Effect
) -> None:
    story = Story()
    story.link("C", at=10.0, signed=10)
    story.link("D", at=10.5, signed=10)

    assert story.link("C", at=10.0 + apart, signed=10) is effect
