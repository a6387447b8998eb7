"""The last hour of a stream as a strip: which state it was in, from when to when.

A stream's state keeps its last transitions, so the strip needs no memory of its own and is the same
after a restart and in each process. What is older than the oldest kept transition is shown as unknown.
"""

from enum import StrEnum
from typing import NamedTuple

from monitor.health.api_told import BY_API
from monitor.health.status import Verdict
from monitor.health.stream import Phase, StreamState
from monitor.health.timeline import TRANSITIONS

STRIP_SECONDS = 3600.0
"""How far a strip goes back."""


class Shade(StrEnum):
    """How a part of a strip is drawn. outage: an outage that was not yet, or is no longer, the status."""

    UNKNOWN = "unknown"
    STARTING = "starting"
    HEALTHY = "healthy"
    OUTAGE = "outage"
    DEGRADED = "degraded"
    DOWN = "down"
    SILENT = "silent"
    ENDED = "ended"


class Part(NamedTuple):
    """A part of a strip. begin, end: seconds since the strip's left edge, 0 to `STRIP_SECONDS`."""

    begin: float
    end: float
    shade: Shade


_OF_PHASE = {
    Phase.STARTING: Shade.STARTING,
    Phase.CONNECTED: Shade.HEALTHY,
    Phase.OUTAGE: Shade.OUTAGE,
    Phase.ENDED: Shade.ENDED,
}

_OF_WORD = {
    "connected": Shade.HEALTHY,
    "session running": Shade.HEALTHY,
    "disconnected": Shade.OUTAGE,
    "reconnecting": Shade.OUTAGE,
}
"""What a line of the timeline says of the time after it; other lines leave it as it was."""

_ON_CONNECTING = {
    Shade.STARTING: Shade.STARTING,
    Shade.HEALTHY: Shade.OUTAGE,
    Shade.ENDED: Shade.STARTING,
}
"""What a stream is once it connects, by what it was: one that had ended starts anew."""

_WORDS = {Shade.HEALTHY: "connected", Shade.UNKNOWN: "not known"}


def last_hour(state: StreamState, verdict: Verdict, now: float) -> list[Part]:
    """Return the parts of a stream's strip from left to right; none before it was first heard of.

    Args:
        state: of the stream.
        verdict: its status at `now`: that part is drawn as the status.
        now: Unix seconds, the right edge.
    """
    marks: list[tuple[float, Shade]] = [(state.first_received, Shade.STARTING)]
    if state.retired or len(state.transitions) >= TRANSITIONS:
        marks = [(state.first_received, Shade.UNKNOWN)]
    for line in state.transitions:
        shade = _after(line.what.removesuffix(BY_API), marks)
        if shade is not None:
            marks.append((line.at, shade))
    # Several outputs can tell different things; where the stream's time went is what its phase says.
    marks = _cut(marks, state.phase_since, _OF_PHASE[state.phase])
    # Not from before it: what flapped is drawn as it flapped.
    marks = _cut(marks, max(verdict.since, state.phase_since), Shade(verdict.status.value))
    return _parts(marks, now)


def _after(word: str, marks: list[tuple[float, Shade]]) -> Shade | None:
    """Return what a stream is after a line of its timeline; None if it is what it was before."""
    was = marks[-1][1]
    if word.startswith("ended: "):
        return Shade.ENDED
    if word == "connecting":
        return _ON_CONNECTING.get(was)
    if was is Shade.STARTING and len(marks) > 1 and word in ("disconnected", "reconnecting"):
        # A start that fails and tries again is still a start.
        return None
    if word == "reopened" and was is Shade.ENDED:
        # Nothing of the push opened it: it only seemed to be over, and goes on as it was.
        return next((shade for _, shade in reversed(marks) if shade is not Shade.ENDED), None)
    return _OF_WORD.get(word)


def in_words(parts: list[Part]) -> str:
    """Say what a strip shows, for who can't see it: each state with its minutes, the longest first."""
    spent: dict[Shade, float] = {}
    for part in parts:
        spent[part.shade] = spent.get(part.shade, 0.0) + part.end - part.begin
    told = [
        f"{_WORDS.get(shade, shade.value)} {_minutes(seconds)}"
        for shade, seconds in sorted(spent.items(), key=lambda one: -one[1])
        if seconds >= 1
    ]
    return "Last hour: " + (", ".join(told) if told else "nothing") + "."


def _cut(marks: list[tuple[float, Shade]], since: float, shade: Shade) -> list[tuple[float, Shade]]:
    return [*(mark for mark in marks if mark[0] < since), (since, shade)]


def _parts(marks: list[tuple[float, Shade]], now: float) -> list[Part]:
    left = now - STRIP_SECONDS
    parts: list[Part] = []
    ends = [at for at, _ in marks[1:]] + [now]
    for (begin, shade), end in zip(marks, ends, strict=True):
        part = Part(max(begin - left, 0.0), min(end - left, STRIP_SECONDS), shade)
        if part.end <= part.begin:
            continue
        if parts and parts[-1].shade is shade and parts[-1].end == part.begin:
            part = Part(parts.pop().begin, part.end, shade)
        parts.append(part)
    return parts


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 60 else f"{seconds:.0f} s"
