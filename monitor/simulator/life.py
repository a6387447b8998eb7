"""What happens to one simulated stream, and how its vendor tells of it.

A life is a list of deliveries in the order in which they are sent. Each names a fact: something that
happened to the stream. Most facts are delivered once and at once; a scenario may hold one back, tell
one twice, or leave the telling to the RTC room alone.
"""

from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import NamedTuple

from monitor.event import Channel, Payload, SessionChanged, SessionState, Vendor
from monitor.simulator.options import Scenario

LATENESS = 15.0
"""Simulated seconds by which a held-back or repeated delivery comes late at most: a vendor's retry span."""


_ABNORMAL_ENDS = {Scenario.STEADY: 0.0, Scenario.OUTAGE: 0.6}
"""The share of sessions that end as abnormal; of other scenarios, some."""


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that happened to a stream.

    number: unique within the stream; orders facts of one moment. at: simulated seconds since the
    start of the run. variant: which of the vendor's spellings tells it.
    """

    number: int
    at: float
    channel: Channel
    payload: Payload
    variant: int


class Action(StrEnum):
    """What a delivery does with its fact.

    send: sign, unless that was done before, and send. sign: sign now, hold back. repeat: send the
    same bytes under the same signed time again. resign: tell it again under a new signed time.
    """

    SEND = "send"
    SIGN = "sign"
    REPEAT = "repeat"
    RESIGN = "resign"


class Gap(NamedTuple):
    """At least so many seconds of the receiver's clock since a fact was acknowledged."""

    fact: Fact
    seconds: float


@dataclass(frozen=True, slots=True)
class Delivery:
    """One step of a stream's life.

    at: simulated seconds; not before. turn: sign it in a later second than all that the stream has
    signed so far, since signed times have whole seconds.
    """

    at: float
    action: Action
    fact: Fact
    turn: bool = False
    after: Gap | None = None


@dataclass(frozen=True, slots=True)
class Character:
    """What decides a life beside chance.

    scenario: any but mixed. signed: the vendor signs a time. relayed: somebody in the RTC room tells
    us what is said there. mortal: the stream ends by the end of its life for certain; otherwise that
    is left to chance.
    """

    vendor: Vendor
    scenario: Scenario
    signed: bool
    relayed: bool
    mortal: bool = False


class Sketch:
    """A life while it is drawn up.

    Args:
        random: the stream's own.
    """

    def __init__(self, random: Random) -> None:
        self.random = random
        self._deliveries: list[Delivery] = []
        self._facts = 0

    def happen(self, at: float, payload: Payload, channel: Channel = Channel.CALLBACK) -> Fact:
        """Note a fact that nothing tells of yet."""
        self._facts += 1
        return Fact(self._facts, at, channel, payload, self.random.getrandbits(16))

    def add(
        self, at: float, action: Action, fact: Fact, *, turn: bool = False, after: Gap | None = None
    ) -> None:
        """Note a delivery; those of one moment keep the order in which they are noted."""
        self._deliveries.append(Delivery(at, action, fact, turn, after))

    def tell(
        self,
        at: float,
        payload: Payload,
        channel: Channel = Channel.CALLBACK,
        *,
        turn: bool = False,
        after: Gap | None = None,
    ) -> Fact:
        """Note a fact that is told at once."""
        fact = self.happen(at, payload, channel)
        self.add(at, Action.SEND, fact, turn=turn, after=after)
        return fact

    def tell_again(self, fact: Fact) -> None:
        """Tell a fact a second time right away, under its old signed time or a new one."""
        action = self.random.choice((Action.REPEAT, Action.REPEAT, Action.RESIGN))
        self.add(fact.at, action, fact)

    def deliveries(self) -> tuple[Delivery, ...]:
        """Return the life: all deliveries in sending order."""
        return tuple(sorted(self._deliveries, key=lambda delivery: delivery.at))


def session_life(random: Random, character: Character, begin: float, until: float) -> tuple[Delivery, ...]:
    """Draw up the life of a SoftSugar session between two simulated times."""
    sketch = Sketch(random)
    scenario = character.scenario
    running_at = begin + random.uniform(1, 10)
    running = sketch.happen(running_at, SessionChanged(SessionState.RUNNING))
    if random.random() < 0.5:
        starting = sketch.happen(begin, SessionChanged(SessionState.STARTING))
        if scenario is Scenario.REORDERED and character.signed:
            sketch.add(begin, Action.SIGN, starting)
            sketch.add(running_at, Action.SEND, running, turn=True)
            sketch.add(running_at, Action.SEND, starting)
        else:
            sketch.add(begin, Action.SEND, starting)
            sketch.add(running_at, Action.SEND, running, turn=True)
            if scenario is Scenario.DUPLICATES and character.signed:
                sketch.add(running_at, Action.REPEAT, starting)
    else:
        sketch.add(running_at, Action.SEND, running)
    if scenario is Scenario.DUPLICATES:
        sketch.tell_again(running)
    middle = running_at + (until - running_at) * random.uniform(0.3, 0.6)
    if scenario is Scenario.OUTAGE and middle > running_at:
        # 80115947: quota used up; the session goes on.
        sketch.tell(middle, SessionChanged(None, 80115947))
    if character.mortal or random.random() < 0.35:
        end_at = middle + (until - middle) * random.uniform(0.2, 1)
        abnormal = random.random() < _ABNORMAL_ENDS.get(scenario, 0.3)
        # 83115920: a live session's own error.
        end = (
            SessionChanged(SessionState.ABNORMAL, 83115920)
            if abnormal
            else SessionChanged(SessionState.COMPLETED)
        )
        ended = sketch.tell(max(end_at, running_at + 1), end, turn=True)
        if scenario is Scenario.DUPLICATES:
            sketch.tell_again(ended)
            if character.signed and ended.at - running_at <= LATENESS:
                sketch.add(ended.at, Action.REPEAT, running)
    return sketch.deliveries()
