"""The RTMP push of a simulated MetaStudio stream, from CONNECTING to END."""

from random import Random
from typing import NamedTuple

from monitor.event import LinkChanged, LinkState
from monitor.simulator.life import LATENESS, Action, Character, Fact, Sketch
from monitor.simulator.options import Scenario

GIVEN_UP = 180.0
"""Seconds of an outage after which MetaStudio ends a job (its default, about three minutes)."""


_MORTAL = (Scenario.SKIPPING, Scenario.OUTAGE)
"""Scenarios that are about how a round or a stream ends, and so see more streams end."""


class Push(NamedTuple):
    """Where a push leaves the rest of the stream: from connected_at on it plays, until over_at."""

    connected_at: float
    over_at: float


class _Change(NamedTuple):
    """One state to come. seconds: after the one before it in its group, or after the group's start."""

    seconds: float
    state: LinkState


_DROP = LinkState.DISCONNECTED
_AGAIN = LinkState.RECONNECTING
_BACK = LinkState.CONNECTED


def push(sketch: Sketch, character: Character, begin: float, until: float) -> Push:
    """Draw up the RTMP states between two simulated times."""
    random, scenario = sketch.random, character.scenario
    line = _Line(sketch, character)
    at = line.play(begin, [_Change(0, LinkState.CONNECTING), _Change(random.uniform(2, 6), _BACK)])
    connected_at = at
    ends = character.mortal or random.random() < (0.5 if scenario in _MORTAL else 0.3)
    span = until - at
    over_at = at + span * random.uniform(0.6, 1) if ends else until
    cut_off = ends and scenario is Scenario.OUTAGE and random.random() < 0.5
    calm_until = over_at - (min(GIVEN_UP, (over_at - at) / 2) if cut_off else 0)
    for start, changes in _disturbances(random, scenario, at, calm_until):
        end = start + sum(change.seconds for change in changes)
        if at + 2 < start and end + 2 < calm_until:
            at = line.play(start, changes)
    if _refreshes(scenario) and random.random() < 0.15:
        refreshed = at + (calm_until - at) * random.uniform(0.3, 0.7)
        if refreshed + 8 < calm_until:
            line.refresh(refreshed, random.uniform(1, 5))
    if cut_off and calm_until > at:
        line.play(calm_until, [_Change(0, _DROP)])
    if ends:
        line.end(over_at)
    return Push(connected_at, over_at)


def _refreshes(scenario: Scenario) -> bool:
    return scenario in (Scenario.STEADY, Scenario.FLAPPING, Scenario.OUTAGE, Scenario.STALL)


def _disturbances(
    random: Random, scenario: Scenario, begin: float, until: float
) -> list[tuple[float, list[_Change]]]:
    """Return outages in order of time: when each starts, and its changes."""
    outages: list[tuple[float, list[_Change]]] = []
    if scenario in (Scenario.FLAPPING, Scenario.DUPLICATES, Scenario.REORDERED):
        at = begin + random.uniform(10, 60)
        while at < until:
            for _ in range(random.randint(2, 5)):
                changes = _short_outage(random)
                outages.append((at, changes))
                at += sum(change.seconds for change in changes) + random.uniform(8, 40)
            at += random.uniform(90, 240)
    elif scenario is Scenario.OUTAGE:
        at = begin + random.uniform(10, 120)
        while at < until:
            changes = _long_outage(random)
            outages.append((at, changes))
            at += sum(change.seconds for change in changes) + random.uniform(60, 300)
    return outages


def _short_outage(random: Random) -> list[_Change]:
    changes = [_Change(0, _DROP)]
    if random.random() < 0.6:
        changes.append(_Change(random.uniform(1, 3), _AGAIN))
        if random.random() < 0.2:
            changes += [_Change(random.uniform(1, 3), _DROP), _Change(random.uniform(1, 3), _AGAIN)]
    return [*changes, _Change(random.uniform(2, 8), _BACK)]


def _long_outage(random: Random) -> list[_Change]:
    seconds = random.uniform(30, 150)
    if random.random() < 0.5:
        return [_Change(0, _DROP), _Change(seconds, _BACK)]
    tries = random.uniform(1, 20)
    return [_Change(0, _DROP), _Change(tries, _AGAIN), _Change(seconds - tries, _BACK)]


class _Line:
    """Tells link states, with the delivery faults of the scenario."""

    def __init__(self, sketch: Sketch, character: Character) -> None:
        self._sketch = sketch
        self._scenario = character.scenario
        self._signed = character.signed
        self._output = 0
        self._last: Fact | None = None

    def play(self, start: float, changes: list[_Change]) -> float:
        """Tell changes one after another, and return when the last one happened."""
        at = start
        facts = []
        for change in changes:
            at += change.seconds
            facts.append(self._sketch.happen(at, LinkChanged(str(self._output), change.state)))
        brief = at - start <= LATENESS
        if self._scenario is Scenario.REORDERED and self._signed and brief and len(facts) > 1:
            self._tell_last_first(facts)
        else:
            self._tell_in_order(facts, brief)
        self._last = facts[-1]
        return at

    def refresh(self, at: float, seconds: float) -> None:
        """End this output and open another: the job was told to push elsewhere (REFRESH_OUTPUT_URL)."""
        self._sketch.tell(at, LinkChanged(str(self._output), LinkState.END))
        self._output += 1
        # At the same moment, so that nothing of the stream falls between the two. In a later second,
        # so that it can't be taken for what came before the END.
        self._sketch.tell(at, LinkChanged(str(self._output), LinkState.CONNECTING), turn=True)
        self._sketch.tell(at + seconds, LinkChanged(str(self._output), LinkState.CONNECTED))

    def end(self, at: float) -> None:
        """Tell that the push is over."""
        ended = self._sketch.tell(at, LinkChanged(str(self._output), LinkState.END), turn=True)
        if self._scenario is Scenario.DUPLICATES:
            self._sketch.tell_again(ended)
            if self._signed and self._last is not None and at - self._last.at <= LATENESS:
                self._sketch.add(at, Action.REPEAT, self._last)

    def _tell_in_order(self, facts: list[Fact], brief: bool) -> None:
        sketch, random = self._sketch, self._sketch.random
        for index, fact in enumerate(facts):
            late = self._scenario is Scenario.DUPLICATES and self._signed and brief and index > 0
            late = late and random.random() < 0.4
            sketch.add(fact.at, Action.SEND, fact, turn=late)
            if late:
                sketch.add(fact.at, Action.REPEAT, facts[index - 1])
            if self._scenario is Scenario.DUPLICATES and random.random() < 0.4:
                sketch.tell_again(fact)

    def _tell_last_first(self, facts: list[Fact]) -> None:
        """Hold back all but the last fact until that one is told."""
        *held, last = facts
        for fact in held:
            self._sketch.add(fact.at, Action.SIGN, fact, turn=True)
        self._sketch.add(last.at, Action.SEND, last, turn=True)
        for fact in held:
            self._sketch.add(last.at, Action.SEND, fact)
