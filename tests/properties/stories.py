"""Strategies for streams' stories, and the fold that is told them."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from hypothesis import strategies as st

from monitor.config import HealthSettings
from monitor.event import (
    CallbackAim,
    CallbackKind,
    Channel,
    Decoded,
    Event,
    EventId,
    JobObserved,
    JobRegistered,
    JobState,
    LinkChanged,
    LinkState,
    Paragraph,
    ParagraphStarted,
    Payload,
    RandomPlayMode,
    Relay,
    ReplyFinished,
    ScriptProgress,
    SessionChanged,
    SessionState,
    Stored,
    Unrecognised,
    Vendor,
)
from monitor.health.fold import begin, fold
from monitor.health.stream import StreamState

START = 1_700_000_000.0
"""When every story begins, Unix seconds."""

SETTINGS = HealthSettings()


class Step(NamedTuple):
    """One delivery. at, signed: seconds since START."""

    at: float
    payload: Payload
    signed: int | None = None
    channel: Channel = Channel.CALLBACK
    relay: Relay | None = None


def written(steps: Iterable[Step]) -> str:
    """Write a story down, a line a delivery, for the message of a test that fails."""
    return "\n".join(f"{step.at:7.1f}  signed {step.signed}  {step.payload}" for step in steps)


class Logged(NamedTuple):
    """A delivery as the log keeps it, and what it decodes to."""

    stored: Stored
    decoded: Decoded


def logged(
    step: Step, sequence: int, vendor: Vendor = Vendor.METASTUDIO, receiver: str = "r", boot: int = 1
) -> Logged:
    """Give a delivery its identity and its place in the log."""
    signed = None if step.signed is None else int(START) + step.signed
    body = repr(step.payload).encode()
    if vendor is Vendor.SOFTSUGAR:
        # SoftSugar writes the signed second into its body.
        body += str(signed).encode()
    event = Event(
        EventId(receiver, boot, sequence),
        vendor,
        "prod",
        "job",
        step.channel,
        "any",
        START + step.at,
        signed,
        body,
    )
    return Logged(Stored(0, sequence, event), Decoded("job", "any", step.payload, step.relay))


def log_of(steps: Iterable[Step]) -> list[Logged]:
    """Write deliveries into a log, in order."""
    return [logged(step, number) for number, step in enumerate(steps, start=1)]


def told(log: Sequence[Logged], state: StreamState | None = None) -> StreamState:
    """Fold a log, from its beginning or into a state; it isn't empty where there is no state."""
    if state is None:
        state = begin(log[0].stored.event)
    for stored, decoded in log:
        fold(state, stored, decoded, SETTINGS)
    return state


PARAGRAPHS = [Paragraph("One", 1), Paragraph("One", 2), Paragraph("One", 3), Paragraph("Two", 1)]
"""The script of most stories."""

outputs = st.sampled_from(["a", "a", "a", "b", "c"])
link_states = st.sampled_from(list(LinkState))
paragraphs = st.sampled_from(PARAGRAPHS)
reply_ids = st.sampled_from(["u", "v", "w", "x", "y", "z"])
modes = st.sampled_from([None, RandomPlayMode.NONE, RandomPlayMode.NONE, RandomPlayMode.SCRIPT_ITEM])

links = st.builds(LinkChanged, outputs, link_states, st.just("room"))
switches = st.builds(ParagraphStarted, paragraphs, st.just("room"))
progress = st.builds(ScriptProgress, paragraphs, st.one_of(st.none(), st.integers(0, 60)))
replies = st.builds(ReplyFinished, reply_ids, st.just("room"))
sessions = st.builds(
    SessionChanged, st.one_of(st.none(), st.sampled_from(list(SessionState))), st.sampled_from([None, 1, 2])
)
registrations = st.builds(
    JobRegistered,
    room_id=st.sampled_from([None, "room"]),
    random_play_mode=modes,
    repeat_count=st.sampled_from([None, -1, 0, 2]),
    max_duration=st.sampled_from([None, 3600.0]),
    subscribed=st.sets(st.sampled_from(list(CallbackKind))).map(lambda kinds: tuple(sorted(kinds))),
    plan=st.one_of(
        st.just(()),
        st.just(tuple(PARAGRAPHS)),
        st.lists(st.builds(Paragraph, st.sampled_from(["One", "Two"]), st.integers(0, 9)), max_size=4).map(
            tuple
        ),
    ),
    warnings=st.sampled_from([None, (), ("RANDOM_PLAY_CLOSED",)]),
)
observations = st.builds(
    JobObserved,
    st.one_of(st.none(), st.sampled_from(list(JobState))),
    room_id=st.sampled_from([None, "room"]),
    duration=st.sampled_from([None, 0.0, 10.0, 60.0, 300.0]),
    push_duration=st.sampled_from([None, 0.0, 10.0, 60.0, 300.0]),
    error=st.sampled_from([None, "MSS.00000004"]),
    warnings=st.sampled_from([None, (), ("RANDOM_PLAY_CLOSED",)]),
    aim=st.one_of(st.none(), st.sampled_from(list(CallbackAim))),
)
payloads = st.one_of(
    links,
    switches,
    progress,
    replies,
    sessions,
    registrations,
    observations,
    st.builds(Unrecognised, st.just("new")),
)

GAPS = [0.0, 0.3, 0.3, 0.9, 1.0, 1.5, 2.5, 5.0, 10.0, 10.0, 20.0, 40.0, 130.0]
"""Seconds between two events of a story."""


def registration(mode: RandomPlayMode | None, plan: Sequence[Paragraph] = PARAGRAPHS) -> Step:
    """Return a registration at the very start that names plan and mode."""
    said = JobRegistered(room_id="room", random_play_mode=mode, repeat_count=-1, plan=tuple(plan))
    return Step(0.0, said, channel=Channel.API)


@st.composite
def signed_stories(draw: st.DrawFn) -> list[Step]:
    """Draw what a signing vendor might send, in order, each event a moment after it happened.

    Nothing here is tamed: a link may say anything after anything, the script may jump. But each
    paragraph takes a second at least: two rounds within one signed second can't be told apart.
    """
    steps = []
    if draw(st.booleans()):
        steps.append(registration(draw(modes), PARAGRAPHS[: draw(st.integers(1, 4))]))
    happened, switched = 0.0, -1
    moves = st.tuples(st.sampled_from(GAPS), st.one_of(links, switches, switches, replies, progress))
    for number, (gap, payload) in enumerate(draw(st.lists(moves, min_size=1, max_size=14))):
        happened += gap
        if isinstance(payload, ParagraphStarted):
            happened = max(happened, switched + 1.0)
            switched = int(happened)
        if isinstance(payload, ScriptProgress):
            relay = Relay("page", number, None)
            steps.append(Step(happened + 0.2, payload, channel=Channel.RTC, relay=relay))
        else:
            steps.append(Step(happened + 0.2, payload, int(happened)))
    return steps


@st.composite
def any_stories(draw: st.DrawFn) -> list[tuple[Logged, float | None]]:
    """Draw any sequence of decodable events; with each, when somebody settles after it, if at all.

    Received times go back and forth, receivers restart, relays repeat themselves, vendors are mixed up.
    Who settles has folded all that was received before, but for clocks that step back.
    """
    vendor = draw(st.sampled_from(list(Vendor)))
    told_so_far: list[tuple[Logged, float | None]] = []
    at = 1000.0
    moves = st.tuples(
        payloads,
        st.sampled_from([-300.0, -1.0, 0.0, 0.3, 1.0, 2.0, 5.0, 20.0, 20.0, 60.0, 130.0, 1000.0, 90000.0]),
        st.sampled_from([None, None, -200, -30, -5, -1, 0, 0, 0, 1, 120]),
        st.sampled_from(list(Channel)),
        st.one_of(
            st.none(),
            st.builds(Relay, st.sampled_from("pq"), st.integers(0, 9), st.sampled_from([None, 5.0])),
        ),
        st.tuples(st.sampled_from("rs"), st.integers(1, 2), st.integers(1, 30)),
        st.sampled_from([None, None, None, 0.0, 11.0, 46.0, 100000.0]),
    )
    for number, move in enumerate(draw(st.lists(moves, min_size=1, max_size=16))):
        payload, gap, skew, channel, relay, (receiver, boot, sequence), settled = move
        at += gap
        signed = None if skew is None else int(at) + skew
        step = Step(at, payload, signed, channel, relay)
        sequence += number  # mostly rising, so that most events count
        told_so_far.append((logged(step, sequence, vendor, receiver, boot), settled))
        at += settled or 0.0
    return told_so_far
