"""A delivery made twice changes nothing that anybody sees, wherever the copy turns up."""

from copy import deepcopy
from itertools import cycle

from hypothesis import given
from hypothesis import strategies as st

from monitor.event import (
    RETRY_RECEIVER,
    Channel,
    LinkChanged,
    LinkState,
    ParagraphStarted,
    RandomPlayMode,
    ReplyFinished,
)
from monitor.health import plan
from monitor.health.fold import REMEMBERED_RECEIVERS, retire
from monitor.health.rounds import RETRY_SECONDS
from monitor.health.stream import Phase, StreamState
from tests.properties.examples import examples
from tests.properties.health_facts import health, health_in_time
from tests.properties.stories import (
    GAPS,
    START,
    Logged,
    Step,
    log_of,
    logged,
    signed_stories,
    told,
    written,
)

SETTLED_SECONDS = 120.0
"""How long the facts of a link are kept one by one."""


def is_same_dimension(one: Step, other: Step) -> bool:
    """Whether two callbacks tell of the same link output, or both of the script."""
    if isinstance(one.payload, LinkChanged) and isinstance(other.payload, LinkChanged):
        return one.payload.output == other.payload.output
    return isinstance(one.payload, ParagraphStarted) and isinstance(other.payload, ParagraphStarted)


def insert(data: st.DataObject, steps: list[Step], original: int) -> tuple[int, float]:
    """Draw where after the original a copy comes: its place, and when it is received."""
    place = data.draw(st.integers(original + 1, len(steps)), label="place")
    earliest = steps[place - 1].at
    if place == len(steps):
        return place, earliest + data.draw(st.sampled_from(GAPS), label="later")
    return place, earliest + (steps[place].at - earliest) * data.draw(st.sampled_from([0.0, 0.5, 1.0]))


def is_decidable(steps: list[Step], original: int, place: int, received: float) -> bool:
    """Whether a copy is known for certain: it comes more than two seconds after the first, or after
    something of its dimension that was signed later.

    A first that wasn't taken, since its stream had ended, may be news once the stream is open again.
    """
    first = steps[original]
    so_far = told(log_of(steps[:original])) if original else None
    if so_far is not None and so_far.end is not None:
        return False
    if isinstance(first.payload, LinkChanged) and received - first.at > SETTLED_SECONDS:
        # Two facts of one second, once both are settled, are one sum: which was first isn't known.
        return not any(
            step.signed == first.signed and is_same_dimension(first, step) and step != first for step in steps
        )
    if isinstance(first.payload, ReplyFinished) or received - first.at > 2.0:
        return True
    if isinstance(first.payload, ParagraphStarted):
        return False  # what was signed later may not have been applied, the stream being over
    between = [step for step in steps[original + 1 : place] if is_same_dimension(first, step)]
    return any((step.signed or 0) > (first.signed or 0) for step in between)


def assert_nothing_changed(steps: list[Step], place: int, copy: Step) -> None:
    """Compare the story with the one that has the copy in a place, under an event id of its own."""
    repeated = [*steps[:place], copy, *steps[place:]]
    now = START + repeated[-1].at + 50.0
    expected = health_in_time(told(log_of(steps)), now)
    got = health_in_time(told(log_of(repeated)), now)
    assert expected == got, f"\n{written(repeated)}\nthe copy is line {place + 1}"


@examples(500)
@given(signed_stories(), st.data())
def test_a_copy_of_any_signed_delivery_changes_nothing(steps: list[Step], data: st.DataObject) -> None:
    callbacks = [number for number, step in enumerate(steps) if step.signed is not None]
    if not callbacks:
        return
    original = data.draw(st.sampled_from(callbacks), label="original")
    place, received = insert(data, steps, original)
    if not is_decidable(steps, original, place, received):
        return
    copy = steps[original]._replace(at=received)
    assert_nothing_changed(steps, place, copy)


@examples(250)
@given(signed_stories(), st.data())
def test_an_rtc_message_that_a_relay_repeats_changes_nothing(steps: list[Step], data: st.DataObject) -> None:
    messages = [number for number, step in enumerate(steps) if step.channel is Channel.RTC]
    if not messages:
        return
    original = data.draw(st.sampled_from(messages), label="original")
    place, received = insert(data, steps, original)
    copy = steps[original]._replace(at=received)
    assert_nothing_changed(steps, place, copy)


def stands(state: StreamState, step: Step, before: list[Step]) -> bool:
    """Whether what the step tells is so already, and can't begin anew by being told once more."""
    payload = step.payload
    if isinstance(payload, LinkChanged):
        output = state.link.current.outputs.get(payload.output)
        if output is None or output.state is not payload.state:
            return False
        # An output that was replaced without an END may start anew, and be replaced anew.
        if output.state is LinkState.CONNECTED and len(state.link.current.outputs) > 1:
            return False
        return output.phase is not Phase.ENDED or output.state is LinkState.END
    if isinstance(payload, ReplyFinished):
        # All were counted: none came after the end.
        names = {one.payload.reply_id for one in before if isinstance(one.payload, ReplyFinished)}
        return state.replies.finished == len(names)
    if not isinstance(payload, ParagraphStarted):
        return False
    script = state.script
    key = payload.paragraph.key
    if script.round is None or script.round.last != key or script.tentative is not None:
        return False
    if key in script.witnesses:
        return False  # it would be taken for the callback of what RTC has just proved
    # A script of one paragraph follows itself, and so can the last one where any order goes.
    in_order = state.job.random_play_mode is RandomPlayMode.NONE
    return len(script.plan) > 1 and (in_order or not plan.complete(script.current))


def may_begin_a_round(state: StreamState, again: Step) -> bool:
    """Whether what plays is told again so late, in any order, that no vendor is still trying to tell it."""
    playing = state.script.round
    if playing is None or state.job.random_play_mode is RandomPlayMode.NONE:
        return False
    if playing.last_signed is None or again.signed is None:
        return START + again.at - playing.last_since > RETRY_SECONDS
    return int(START) + again.signed - playing.last_signed > RETRY_SECONDS


@examples(250)
@given(signed_stories(), st.data())
def test_a_retry_under_a_new_signed_time_changes_nothing_while_the_state_stands(
    steps: list[Step], data: st.DataObject
) -> None:
    place = data.draw(st.integers(1, len(steps)), label="place")
    log = log_of(steps)
    so_far = told(log[:place])
    before = steps[:place]
    candidates = [step for step in before if step.signed is not None and stands(so_far, step, before)]
    if not candidates:
        return
    first = data.draw(st.sampled_from(candidates), label="first")
    _, received = insert(data, before, place - 1)
    following = steps[place:]
    if following:
        received = min(received, following[0].at)
    # Signed when it was sent again: no earlier than what was sent before, no later than what follows.
    retry = first._replace(at=received, signed=max(step.signed or 0 for step in before))
    if isinstance(first.payload, LinkChanged) and any(step.signed == retry.signed for step in following):
        # Of one second, nobody can tell whether the output was replaced before or after it was told again.
        return
    if isinstance(first.payload, ParagraphStarted) and may_begin_a_round(so_far, retry):
        return
    repeated = [*before, retry, *following]
    assert health(told(log_of(steps))) == health(told(log_of(repeated))), f"\n{written(repeated)}"


@examples(250)
@given(
    signed_stories(),
    st.lists(st.sampled_from(["r", "s", "t"]), min_size=1, max_size=5),
    st.booleans(),
    st.integers(0, 20),
    st.integers(1, 20),
)
def test_an_event_that_is_read_again_from_the_log_changes_nothing_at_all(
    steps: list[Step], receivers: list[str], retired: bool, first: int, count: int
) -> None:
    turns = zip(steps, cycle(receivers), strict=False)
    log = [logged(step, number, receiver=receiver) for number, (step, receiver) in enumerate(turns, start=1)]
    state = told(log)
    if retired and state.end is not None:
        state = retire(state)
    before = deepcopy(state)
    again: list[Logged] = log[first : first + count]
    told(again, state)
    assert before == state


@examples(50)
@given(signed_stories(), st.integers(1, 3 * REMEMBERED_RECEIVERS))
def test_an_event_that_is_read_again_changes_nothing_however_many_dead_letters_were_retried_meanwhile(
    steps: list[Step], letters: int
) -> None:
    log = [logged(step, number) for number, step in enumerate(steps, start=1)]
    # On Kafka each letter is the only event of a receiver of its own.
    names = [f"{RETRY_RECEIVER}-r-1-{number}" for number in range(letters)]
    retried = [logged(steps[-1], len(log) + 1 + number, receiver=name) for number, name in enumerate(names)]
    state = told([*log, *retried])
    before = deepcopy(state)
    told(log, state)
    assert before == state
