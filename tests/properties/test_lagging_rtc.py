"""RTC that is slower than callbacks tells of the paragraph before for a while, and changes no sum."""

from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from monitor.event import (
    CallbackKind,
    Channel,
    JobRegistered,
    Paragraph,
    ParagraphStarted,
    RandomPlayMode,
    ScriptProgress,
)
from monitor.health.fold import settle
from monitor.health.reading import coverage
from tests.properties.examples import examples
from tests.properties.stories import PARAGRAPHS, SETTINGS, START, Step, log_of, told, written

LONGEST_LAG = 4.0
"""Beside an RTC message that comes up to three seconds after its paragraph began, that is well inside the
ten seconds for which a callback and RTC wait for one another."""


class Playing(NamedTuple):
    """One paragraph: how long it plays, when RTC tells of it, and whether its callback is lost. Seconds."""

    paragraph: Paragraph
    seconds: float
    ticks: list[float]
    lost: bool


class Show(NamedTuple):
    """What was played, round by round, and the story that callbacks and RTC tell of it."""

    rounds: list[list[Playing]]
    steps: list[Step]

    @property
    def lost(self) -> int:
        return sum(one.lost for played in self.rounds for one in played)


@st.composite
def playings(draw: st.DrawFn, paragraph: Paragraph, *, shortest: float, may_be_lost: bool) -> Playing:
    """Draw how a paragraph plays."""
    seconds = draw(st.floats(shortest, 40.0))
    first, every = draw(st.floats(0.2, 3.0)), draw(st.floats(2.0, 5.0))
    ticks = [first + every * number for number in range(int((seconds - first) / every) + 1)]
    return Playing(paragraph, seconds, ticks, may_be_lost and draw(st.integers(0, 3)) == 0)


@st.composite
def orders(draw: st.DrawFn, plan: list[Paragraph], mode: RandomPlayMode) -> list[list[Paragraph]]:
    """Draw in which order each round plays the plan; no paragraph but a single one follows itself."""
    rounds = [plan]
    for _ in range(draw(st.integers(0, 4))):
        order = plan if mode is RandomPlayMode.NONE else draw(st.permutations(plan))
        if len(plan) > 1 and order[0] == rounds[-1][-1]:
            order = [*order[1:], order[0]]
        rounds.append(order)
    return rounds


@st.composite
def shows(draw: st.DrawFn) -> Show:
    """Draw a show whose callbacks come at once, and whose RTC comes after a lag."""
    plan = PARAGRAPHS[: draw(st.integers(1, len(PARAGRAPHS)))]
    mode = draw(st.sampled_from(list(RandomPlayMode)))
    signed, lag = draw(st.booleans()), draw(st.floats(0.0, LONGEST_LAG))
    with_offset = draw(st.booleans())
    # Only a registered plan can say that there is nothing but this one paragraph.
    registered = len(plan) == 1 or draw(st.booleans())
    # What is over before RTC has told of it, or only of how it began, is known by its callback alone; and a
    # paragraph that follows itself by what it has grown to. Of one that came back early RTC without offsets
    # doesn't show whether it goes on.
    short = with_offset and len(plan) > 1 and draw(st.booleans())
    shortest = LONGEST_LAG if short else 12.0
    # Without an offset, RTC doesn't prove that a paragraph began again.
    may_be_lost = with_offset and len(plan) > 1 and not short
    rounds = [
        [draw(playings(paragraph, shortest=shortest, may_be_lost=may_be_lost)) for paragraph in order]
        for order in draw(orders(plan, mode))
    ]
    registration = JobRegistered(
        room_id="room",
        random_play_mode=mode,
        repeat_count=-1,
        subscribed=(CallbackKind.PARAGRAPH,),
        plan=tuple(plan) if registered else (),
    )
    steps = [Step(0.0, registration, channel=Channel.API)]
    began = 10.0
    for one in (one for played in rounds for one in played):
        if not one.lost:
            second = int(began) if signed else None
            steps.append(Step(began, ParagraphStarted(one.paragraph, "room"), second))
        for tick in one.ticks:
            offset = int(tick * 10) if with_offset else None
            progress = ScriptProgress(one.paragraph, offset)
            steps.append(Step(began + tick + lag, progress, channel=Channel.RTC))
        began += one.seconds
    return Show(rounds, sorted(steps, key=lambda step: step.at))


@examples(300)
@given(shows())
def test_a_lag_of_rtc_changes_neither_rounds_nor_coverage_nor_what_is_missed(show: Show) -> None:
    state = told(log_of(show.steps))
    settle(state, START + show.steps[-1].at + 60.0, SETTINGS)

    facts = (state.script.rounds, state.script.skipped, state.missed)
    assert facts == (len(show.rounds) - 1, 0, show.lost), written(show.steps)
    if state.script.origin is not None:
        assert coverage(state.script) == 1.0, written(show.steps)
