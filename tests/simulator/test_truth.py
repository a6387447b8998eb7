"""The truth model against cases that a reader can count."""

import pytest

from monitor.event import (
    CallbackKind,
    Channel,
    JobRegistered,
    LinkChanged,
    LinkState,
    Paragraph,
    ParagraphStarted,
    Payload,
    RandomPlayMode,
    ReplyFinished,
    ScriptProgress,
    SessionChanged,
    SessionState,
)
from monitor.simulator.life import Fact
from monitor.simulator.truth import Expectation, Told, expectation

C, X, D, R, E = (
    LinkState.CONNECTED,
    LinkState.CONNECTING,
    LinkState.DISCONNECTED,
    LinkState.RECONNECTING,
    LinkState.END,
)


def told(*payloads: Payload, every: float = 15.0) -> list[Told]:
    """Facts some seconds apart, each answered a moment after it was sent."""
    return [
        Told(Fact(number, float(number), _channel(payload), payload, 0), number * every, number * every + 0.1)
        for number, payload in enumerate(payloads)
    ]


def _channel(payload: Payload) -> Channel:
    if isinstance(payload, ScriptProgress):
        return Channel.RTC
    return Channel.API if isinstance(payload, JobRegistered) else Channel.CALLBACK


def links(*states: LinkState, output: str = "0") -> list[Payload]:
    return [LinkChanged(output, state) for state in states]


def paragraphs(*numbers: int) -> list[Payload]:
    return [ParagraphStarted(Paragraph("Scene", number)) for number in numbers]


def rtc(number: int, offset: int) -> Payload:
    return ScriptProgress(Paragraph("Scene", number), offset)


def job(size: int, mode: RandomPlayMode = RandomPlayMode.NONE) -> JobRegistered:
    plan = tuple(Paragraph("Scene", number) for number in range(1, size + 1))
    return JobRegistered(
        random_play_mode=mode, subscribed=(CallbackKind.PARAGRAPH,), plan=plan, warnings=("B", "A")
    )


@pytest.mark.parametrize(
    ("states", "outages", "reconnects", "ended"),
    [
        ([X, C], 0, 0, None),
        ([X, C, D], 1, 0, None),
        ([X, C, D, C], 1, 1, None),
        ([X, C, D, R], 1, 1, None),
        ([X, C, D, R, D, R, C], 1, 1, None),
        ([X, C, D, C, D, R, C], 2, 2, None),
        ([D, C], 1, 1, None),
        ([X, C, E], 0, 0, "completed"),
        ([X, C, D, E], 1, 0, "cut_off"),
        ([X, C, D, R, E], 1, 1, "cut_off"),
    ],
)
def test_outages_reconnects_and_the_end_are_counted(
    states: list[LinkState], outages: int, reconnects: int, ended: str | None
) -> None:
    counted = expectation(told(*links(*states)))
    assert (counted.outages, counted.reconnects, counted.ended) == (outages, reconnects, ended)
    assert counted.rtmp_state == states[-1].value
    assert counted.undecided == []


def test_a_refreshed_output_is_no_outage_and_no_end() -> None:
    counted = expectation(told(*links(X, C, E), *links(X, C, output="1")))
    assert (counted.outages, counted.reconnects, counted.ended, counted.rtmp_state) == (
        0,
        0,
        None,
        "connected",
    )


@pytest.mark.parametrize(
    ("facts", "rounds", "coverage", "round_coverage", "skipped"),
    [
        ([job(4)], 0, 0.0, None, 0),
        ([job(4), *paragraphs(1, 2, 3)], 0, 0.75, None, 0),
        ([job(4), *paragraphs(1, 2, 3, 4, 1)], 1, 0.25, 1.0, 0),
        ([job(4), *paragraphs(1, 3, 1, 4, 1, 2)], 2, 0.5, 0.5, 4),
        ([job(4), *paragraphs(1, 2, 4, 2, 3)], 1, 0.5, 0.75, 1),
        ([job(4), *paragraphs(1, 1, 2, 2)], 0, 0.5, None, 0),
        (paragraphs(1, 2, 3), 0, None, None, 0),
        (paragraphs(1, 2, 3, 1), 1, 1 / 3, 1.0, 0),
        (paragraphs(1, 2, 3, 4, 5, 3, 2), 1, 0.4, 1.0, 0),
        (paragraphs(1, 2, 3, 3, 1, 2, 1, 3), 1, 1.0, 1.0, 0),
        ([job(3, RandomPlayMode.SCRIPT_ITEM), *paragraphs(1, 2, 3, 2, 1, 3, 1, 2)], 2, 2 / 3, 1.0, 0),
        ([job(4, RandomPlayMode.SCRIPT_ITEM), *paragraphs(1, 2, 3, 4, 2, 3, 4, 2, 3)], 2, 0.5, 0.75, 1),
    ],
)
def test_rounds_and_coverage_are_counted(
    facts: list[Payload], rounds: int, coverage: float | None, round_coverage: float | None, skipped: int
) -> None:
    counted = expectation(told(*facts))
    assert (counted.rounds, counted.skipped) == (rounds, skipped)
    assert (counted.coverage, counted.round_coverage) == (coverage, round_coverage)
    assert counted.undecided == []


def test_a_paragraph_that_came_back_too_early_leaves_the_script_undecided() -> None:
    counted = expectation(told(*paragraphs(1, 2, 3, 4, 5, 3)))
    assert "rounds" in counted.undecided


def test_what_rtc_alone_proves_is_played_and_missed() -> None:
    counted = expectation(told(job(3), *paragraphs(1), rtc(1, 90), rtc(2, 5), rtc(2, 95), *paragraphs(3)))
    assert (counted.coverage, counted.missed) == (1.0, 1)


def test_a_callback_soon_after_its_proof_is_not_missed() -> None:
    facts = [job(3), *paragraphs(1), rtc(2, 5), *paragraphs(2)]
    assert expectation(told(*facts, every=3)).missed == 0
    assert expectation(told(*facts, every=15)).missed == 1


def test_a_callback_at_the_very_end_of_its_time_is_undecided() -> None:
    counted = expectation(told(job(3), *paragraphs(1), rtc(2, 5), *paragraphs(2), every=9.95))
    assert counted.undecided == ["missed"]


def test_only_a_falling_offset_begins_a_round_by_rtc() -> None:
    facts = [job(3), *paragraphs(1), rtc(1, 90), *paragraphs(2), rtc(2, 80), *paragraphs(3), rtc(3, 70)]
    assert expectation(told(*facts, rtc(1, 95))).rounds == 0
    counted = expectation(told(*facts, rtc(1, 4)))
    assert (counted.rounds, counted.coverage, counted.missed) == (1, 1 / 3, 1)


def test_nothing_is_missed_that_nobody_subscribed_to() -> None:
    reply = Told(Fact(1, 1.0, Channel.RTC, ReplyFinished("a"), 0), 1.0, 1.1)
    assert expectation([reply]).missed == 0
    earlier = Told(Fact(0, 0.0, Channel.CALLBACK, ReplyFinished("b"), 0), 0.0, 0.1)
    counted = expectation([reply, earlier])
    assert (counted.missed, counted.replies) == (1, 2)


def test_replies_count_once_whichever_channel_tells() -> None:
    counted = expectation(
        [
            Told(Fact(0, 0.0, Channel.CALLBACK, ReplyFinished("A" * 32), 0), 0.0, 0.1),
            Told(Fact(1, 0.0, Channel.RTC, ReplyFinished("a" * 32), 0), 0.0, 0.1),
        ]
    )
    assert (counted.replies, counted.missed) == (1, 0)


def test_facts_count_in_their_true_order_and_not_in_the_order_of_arrival() -> None:
    facts = told(*links(X, C, D, C))
    assert expectation(reversed(facts)) == expectation(facts)


def test_warnings_are_the_registered_ones() -> None:
    assert expectation(told(job(3))).warnings == ["A", "B"]


def test_a_session_ends_as_it_says() -> None:
    facts = told(SessionChanged(SessionState.RUNNING), SessionChanged(SessionState.ABNORMAL, 83115920))
    assert expectation(facts) == Expectation(ended="abnormal")


def test_what_comes_after_the_end_counts_nothing() -> None:
    counted = expectation(told(job(3), *links(X, C), *paragraphs(1, 2), *links(E), *paragraphs(3)))
    assert counted.coverage == 2 / 3


def test_a_callback_that_may_have_come_twice_behind_a_whole_plan_leaves_the_round_open() -> None:
    def told(number: int, *, doubtful: int) -> Told:
        payload = ParagraphStarted(Paragraph("a", number))
        return Told(Fact(number, float(number), Channel.CALLBACK, payload, 0), number, number + 0.1, doubtful)

    plan = (Paragraph("a", 1), Paragraph("a", 2))
    registered = Told(Fact(0, 0.0, Channel.API, JobRegistered(plan=plan), 0), 0.0, 0.1)

    begun = expectation([registered, told(1, doubtful=1)])
    whole = expectation([registered, told(1, doubtful=0), told(2, doubtful=1)])

    assert begun.undecided == []
    assert set(whole.undecided) == {"rounds", "coverage", "round_coverage", "skipped"}


def test_a_first_paragraph_that_may_have_come_three_times_leaves_open_whether_it_is_the_only_one() -> None:
    first, second = told(*paragraphs(1, 2))

    twice = expectation([first._replace(doubtful=1), second])
    thrice = expectation([first._replace(doubtful=2), second])

    assert twice.undecided == []
    assert set(thrice.undecided) == {"rounds", "coverage", "round_coverage", "skipped"}


def test_what_was_missed_is_open_while_the_script_is_unless_each_callback_came() -> None:
    def doubted(*payloads: Payload) -> Expectation:
        plan = job(2, RandomPlayMode.SCRIPT_ITEM)
        facts = told(plan, *paragraphs(1), rtc(1, 90), *paragraphs(2), *payloads, every=2.0)
        facts[3] = facts[3]._replace(doubtful=1)
        return expectation(facts)

    each_came = doubted(rtc(1, 5), *paragraphs(1), rtc(1, 90))
    one_missed = doubted(rtc(1, 5), rtc(1, 90))

    script = {"rounds", "coverage", "round_coverage", "skipped"}
    assert (set(each_came.undecided), each_came.missed) == (script, 0)
    assert set(one_missed.undecided) == {*script, "missed"}


def test_a_callback_that_came_too_late_for_its_round_leaves_open_what_rtc_proves_of_it() -> None:
    *before, late, progress = told(job(3), *paragraphs(1, 2), rtc(2, 90))
    late = late._replace(answered=late.sent + 48.0)

    assert "missed" not in expectation([*before, late]).undecided
    assert "missed" in expectation([*before, late, progress]).undecided


def test_progress_that_a_relay_held_back_for_long_leaves_open_where_the_script_is() -> None:
    *before, last = told(job(3), *paragraphs(1), rtc(2, 0))

    soon = expectation([*before, last._replace(answered=last.sent + 29.0)])
    late = expectation([*before, last._replace(answered=last.sent + 31.0)])

    assert soon.undecided == []
    assert set(late.undecided) == {"rounds", "coverage", "round_coverage", "skipped", "missed"}


def test_a_number_that_several_facts_leave_open_is_named_once() -> None:
    registered, first, second, third, fourth = told(job(5), *paragraphs(1, 2, 3, 4))

    counted = expectation([registered, first, third], [second.fact, fourth.fact])
    twice = expectation([registered, first, third, fourth], [second.fact])

    assert counted.undecided == twice.undecided == ["rounds", "coverage", "round_coverage", "skipped"]


def test_a_paragraph_that_never_arrived_leaves_the_script_open_from_the_next_one_on() -> None:
    registered, first, second, third = told(job(4), *paragraphs(1, 2, 3))

    in_between = expectation([registered, first, third], [second.fact])
    at_the_end = expectation([registered, first, second], [third.fact])

    assert set(in_between.undecided) == {"rounds", "coverage", "round_coverage", "skipped"}
    assert (at_the_end.undecided, at_the_end.coverage) == ([], 0.5)


def test_what_was_missed_is_open_too_where_rtc_goes_on_behind_a_loss() -> None:
    *before, second, proof = told(job(4), *paragraphs(1, 2), rtc(3, 0))

    assert "missed" in expectation([*before, proof], [second.fact]).undecided


def test_a_state_of_the_push_or_a_reply_that_never_arrived_leaves_nothing_open() -> None:
    connecting, connected, reply, playing = told(*links(X, C), ReplyFinished("a"), *paragraphs(1))

    assert expectation([connecting, playing], [connected.fact, reply.fact]).undecided == []


def signed_links(*states: LinkState) -> list[Told]:
    """States of the push, each signed as it is sent."""
    return [one._replace(signed=int(one.sent)) for one in told(*links(*states))]


def test_a_state_that_was_held_back_until_what_followed_it_stands_leaves_the_push_open() -> None:
    *before, dropped, back = signed_links(X, C, D, C)

    def overtaken_by(seconds: float) -> Expectation:
        held = dropped._replace(sent=back.answered, answered=back.sent + seconds)
        return expectation([*before, held, back])

    assert overtaken_by(119.0).undecided == []
    assert set(overtaken_by(120.0).undecided) == {"outages", "reconnects", "rtmp_state", "ended"}


def test_a_state_that_comes_late_and_that_nothing_overtook_is_as_good_as_any() -> None:
    *before, dropped, back = signed_links(X, C, D, C)
    counted = expectation([*before, dropped, back._replace(answered=back.sent + 1000.0)])
    assert (counted.outages, counted.undecided) == (1, [])


def test_the_end_of_an_address_of_which_nothing_else_arrived_leaves_open_what_became_of_the_one_before() -> (
    None
):
    counted = expectation(told(*links(X, C), *links(E, output="1")))
    assert "ended" in counted.undecided
