"""What the service should say of a stream: counted from the facts that reached it, in their true order.

This follows the definitions of the documentation, one after another, and not the service's code: it
knows the true order and needs no guess about repeats, so it stays small enough to be checked by hand.
Where even the facts leave a number open, the number is called undecided rather than guessed.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from monitor.event import (
    CallbackKind,
    Channel,
    JobRegistered,
    LinkChanged,
    LinkState,
    Paragraph,
    ParagraphStarted,
    RandomPlayMode,
    ReplyFinished,
    ScriptProgress,
    SessionChanged,
    SessionState,
    canonical_job_id,
)
from monitor.simulator.life import Fact
from monitor.simulator.stream_life import WITNESS_SECONDS

RETRY_SPAN = 30.0
"""Seconds in which the vendors make all their attempts; and for which a relay may hold a message back."""

LOOP_SECONDS = 1.0
"""From when on a paragraph that is told again, without a signed time, may have begun again."""

SETTLED_SECONDS = 120.0
"""From when on what was told of the push stands: nothing that was signed before changes it any more."""

_LINK_NUMBERS = ("outages", "reconnects", "rtmp_state", "ended")
_SCRIPT_NUMBERS = ("rounds", "coverage", "round_coverage", "skipped")


class Told(NamedTuple):
    """A fact that the service acknowledged.

    sent, answered: when its first attempt was sent and the last one answered, Unix seconds of the
    service's clock; it was received in between. doubtful: how many more copies the service may have that it
    can't tell from another time, because it came again late, signed anew or without a signed time, or because
    without one an attempt broke before its answer. signed: Unix seconds; None: the vendor signs no time.
    """

    fact: Fact
    sent: float
    answered: float
    doubtful: int = 0
    signed: int | None = None


@dataclass(slots=True)
class Expectation:
    """The numbers of one stream, named as in the truth file.

    coverage: of the current round, None without a plan. round_coverage: of the last finished round.
    skipped: in all finished rounds. rtmp_state: None without a push. ended: the outcome. undecided:
    the names of numbers that the facts leave open.
    """

    reconnects: int = 0
    outages: int = 0
    rounds: int = 0
    coverage: float | None = None
    round_coverage: float | None = None
    skipped: int = 0
    replies: int = 0
    missed: int = 0
    rtmp_state: str | None = None
    ended: str | None = None
    warnings: list[str] = field(default_factory=list)
    undecided: list[str] = field(default_factory=list)


def expectation(told: Iterable[Told], lost: Iterable[Fact] = ()) -> Expectation:
    """Return what the acknowledged facts of one stream add up to.

    Args:
        told: the acknowledged ones.
        lost: those that were sent, and of which the service surely has no copy.
    """
    reference = _Reference()
    steps: list[tuple[Fact, Told | None]] = [(one.fact, one) for one in told]
    steps += [(fact, None) for fact in lost]
    for fact, one in sorted(steps, key=lambda step: (step[0].at, step[0].number)):
        if one is None:
            reference.lose(fact)
        else:
            reference.take(one)
    return reference.sum_up()


class _Reference:
    def __init__(self) -> None:
        self._sum = Expectation()
        self._link = _Link(self._sum)
        self._script = _Script(self._sum)
        self._replies: set[str] = set()
        self._subscribed: set[CallbackKind] = set()
        self._proofs: dict[object, Told] = {}
        self._progress_in_doubt = False
        self._each_came_in_time = True
        self._lost_of_script = False
        self._links: list[Told] = []

    def lose(self, fact: Fact) -> None:
        """Take the news that a fact never arrived.

        Where a round ended is plain only to who knows what was played between two paragraphs.
        """
        self._lost_of_script |= isinstance(fact.payload, (ParagraphStarted, ScriptProgress))

    def take(self, told: Told) -> None:
        """Take the next fact."""
        payload = told.fact.payload
        if isinstance(payload, LinkChanged):
            self._links.append(told)
            self._link.take(payload)
        elif isinstance(payload, SessionChanged):
            if payload.state is SessionState.COMPLETED or payload.state is SessionState.ABNORMAL:
                self._sum.ended = payload.state.value
        elif self._sum.ended is not None:
            # What an ended stream is still told of changes nothing.
            return
        elif isinstance(payload, JobRegistered):
            self._subscribed.update(payload.subscribed)
            self._sum.warnings = sorted(payload.warnings or ())
            self._script.register(payload.plan, payload.random_play_mode)
        elif isinstance(payload, ParagraphStarted):
            self._doubt_behind_a_loss()
            self._subscribed.add(CallbackKind.PARAGRAPH)
            proof = self._proofs.get(payload.paragraph)
            self._close_proof(payload.paragraph, told)
            late = proof is not None and told.answered - proof.sent >= RETRY_SPAN
            if late and self._script.plays(payload.paragraph):
                # It may be the callback of what RTC proved, or tell that it began again.
                self._script.doubt(1)
            self._script.start(payload.paragraph)
            self._script.doubt(told.doubtful)
            if told.answered - told.sent > RETRY_SPAN:
                # It came later than any vendor's last attempt: its round may be closed.
                self._sum.undecided += _SCRIPT_NUMBERS
                self._each_came_in_time = False
        elif isinstance(payload, ScriptProgress):
            self._doubt_behind_a_loss()
            if told.answered - told.sent > RETRY_SPAN:
                # A relay that held it back for so long doesn't tell where the script is.
                self._sum.undecided += [*_SCRIPT_NUMBERS, "missed"]
            self._progress_in_doubt |= "rounds" in self._sum.undecided
            if self._script.progress(payload.paragraph, payload.offset):
                self._open_proof(payload.paragraph, told, CallbackKind.PARAGRAPH)
        elif isinstance(payload, ReplyFinished):
            self._reply(payload, told)

    def sum_up(self) -> Expectation:
        """Return the numbers."""
        if any(self._was_settled_before(link) for link in self._links):
            self._sum.undecided += _LINK_NUMBERS
        # No callback came for what RTC alone has proved.
        self._sum.missed += len(self._proofs)
        if self._progress_in_doubt and (self._sum.missed or not self._each_came_in_time):
            # What RTC proves depends on which round plays. Where each callback came, none was missed in any.
            self._sum.undecided.append("missed")
        self._sum.replies = len(self._replies)
        self._script.sum_up()
        self._sum.undecided = list(dict.fromkeys(self._sum.undecided))
        return self._sum

    def _doubt_behind_a_loss(self) -> None:
        if self._lost_of_script:
            self._sum.undecided += _SCRIPT_NUMBERS
            self._each_came_in_time = False

    def _was_settled_before(self, late: Told) -> bool:
        """Whether something signed no earlier may have come in so long before that it stands."""
        signed = late.signed
        if signed is None or late.answered - signed < SETTLED_SECONDS:
            return False
        return any(
            one is not late
            and one.signed is not None
            and one.signed >= signed
            and late.answered - one.sent >= SETTLED_SECONDS
            for one in self._links
        )

    def _reply(self, payload: ReplyFinished, told: Told) -> None:
        reply_id = canonical_job_id(payload.reply_id)
        if told.fact.channel is Channel.CALLBACK:
            self._subscribed.add(CallbackKind.REPLY)
            self._close_proof(reply_id, told)
        elif reply_id not in self._replies:
            self._open_proof(reply_id, told, CallbackKind.REPLY)
        self._replies.add(reply_id)

    def _open_proof(self, what: object, told: Told, kind: CallbackKind) -> None:
        if kind in self._subscribed:
            if what in self._proofs:
                self._sum.missed += 1
            self._proofs[what] = told

    def _close_proof(self, what: object, told: Told) -> None:
        """Take a callback: it answers the proof before it, unless that was too long ago."""
        proof = self._proofs.pop(what, None)
        if proof is None:
            return
        if told.sent - proof.answered > WITNESS_SECONDS:
            self._sum.missed += 1
        elif told.answered - proof.sent >= WITNESS_SECONDS:
            self._sum.undecided.append("missed")


class _Link:
    """Outages and reconnects, as the definitions have them, for one output at a time."""

    def __init__(self, numbers: Expectation) -> None:
        self._sum = numbers
        self._open: set[str] = set()
        self._connected = False
        self._in_outage = False
        self._counted = False

    def take(self, payload: LinkChanged) -> None:
        state, numbers = payload.state, self._sum
        first = numbers.rtmp_state is None
        if numbers.ended is not None and state not in (LinkState.CONNECTING, LinkState.CONNECTED):
            return
        numbers.rtmp_state = state.value
        if state is LinkState.END:
            if not self._connected and not self._in_outage:
                numbers.undecided.append("ended")
            numbers.ended = "completed" if self._connected else "cut_off"
            self._open.discard(payload.output)
            self._connected = self._in_outage = False
        else:
            numbers.ended = None
            self._open.add(payload.output)
            self._change(state, first=first)
        if len(self._open) > (0 if state is LinkState.END else 1):
            # An END in between was lost, and the service can't know.
            numbers.undecided += _LINK_NUMBERS

    def _change(self, state: LinkState, *, first: bool) -> None:
        numbers = self._sum
        if state is LinkState.CONNECTED:
            if self._in_outage and not self._counted:
                numbers.reconnects += 1
            self._connected, self._in_outage = True, False
            return
        if self._connected or (first and state is not LinkState.CONNECTING):
            numbers.outages += 1
            self._connected, self._in_outage, self._counted = False, True, False
        if state is LinkState.RECONNECTING and self._in_outage and not self._counted:
            numbers.reconnects += 1
            self._counted = True


class _Script:
    """Rounds and coverage, as the definitions have them."""

    def __init__(self, numbers: Expectation) -> None:
        self._sum = numbers
        self._plan: tuple[Paragraph, ...] = ()
        self._mode: RandomPlayMode | None = None
        self._played: list[Paragraph] = []
        self._offsets: dict[Paragraph, int] = {}
        self._playing: Paragraph | None = None
        self._tentative: Paragraph | None = None

    def register(self, plan: tuple[Paragraph, ...], mode: RandomPlayMode | None) -> None:
        """Take a plan that somebody gave."""
        self._plan, self._mode = plan, mode

    def progress(self, paragraph: Paragraph, offset: int | None) -> bool:
        """Take a message of RTC; True if it proves that the paragraph has begun."""
        known = self._offsets.get(paragraph)
        begun = paragraph not in self._played or (known is not None and offset is not None and offset < known)
        if begun:
            self.start(paragraph)
        if offset is not None:
            self._offsets[paragraph] = offset
        return begun

    def start(self, paragraph: Paragraph) -> None:
        """Take the beginning of a paragraph."""
        if self._plan and paragraph not in self._plan:
            self._plan += (paragraph,)
        if paragraph in (self._playing, self._tentative):
            return
        if paragraph not in self._played and not self._goes_back(paragraph):
            self._tentative = None
            self._play(paragraph)
        elif self._ends_at_once(paragraph):
            self._finish()
            self._play(paragraph)
        elif self._tentative is not None:
            # Two in a row that were played before: the round was over before the first of them.
            tentative = self._tentative
            self._finish()
            self._play(tentative)
            self.start(paragraph)
        else:
            self._tentative = paragraph

    def plays(self, paragraph: Paragraph) -> bool:
        """Whether this is the paragraph that began last."""
        return paragraph == self._playing

    def doubt(self, copies: int) -> None:
        """Take the news that the last paragraph may have come so many times more.

        Behind a whole plan that may be the next round's first, unless the plan says what that is. While no
        plan is known, a first paragraph that comes a third time may be the only one.
        """
        whole = bool(self._plan) and all(one in self._played for one in self._plan)
        repeats_itself = self._mode is not RandomPlayMode.NONE or len(self._plan) == 1
        alone = not self._plan and len(self._played) == 1
        if (copies and whole and repeats_itself) or (copies > 1 and alone):
            self._sum.undecided += _SCRIPT_NUMBERS

    def sum_up(self) -> None:
        """Write the coverage of the round that is being played."""
        if self._tentative is not None:
            self._sum.undecided += _SCRIPT_NUMBERS
        if self._plan:
            self._sum.coverage = len(self._played) / len(self._plan)

    def _in_order(self) -> bool:
        return self._sum.rounds == 0 or self._mode is RandomPlayMode.NONE

    def _goes_back(self, paragraph: Paragraph) -> bool:
        """Whether the position in a known plan goes back."""
        if not self._in_order() or not self._plan or self._playing is None:
            return False
        return self._plan.index(paragraph) < self._plan.index(self._playing)

    def _ends_at_once(self, paragraph: Paragraph) -> bool:
        if all(planned in self._played for planned in self._plan or [None]):
            return True
        if not self._in_order():
            return False
        if not self._plan:
            return paragraph == self._played[0]
        return paragraph == self._plan[0] or self._playing == self._plan[-1]

    def _play(self, paragraph: Paragraph) -> None:
        self._played.append(paragraph)
        self._playing = paragraph

    def _finish(self) -> None:
        numbers = self._sum
        if not self._plan:
            self._plan = tuple(self._played)
        numbers.rounds += 1
        numbers.round_coverage = len(self._played) / len(self._plan)
        numbers.skipped += len(self._plan) - len(self._played)
        self._played = []
        self._offsets = {}
        self._playing = self._tentative = None
