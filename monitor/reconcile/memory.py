"""What a source's rounds remember between two answers: whom they asked, and what they told the log."""

from typing import NamedTuple

from monitor.event import JobObserved
from monitor.health.stream import StreamKey, StreamState
from monitor.reconcile.comparison import REFRESH_SECONDS

KEPT_SECONDS = 3600.0
"""What wasn't used for so long is forgotten: a bound on memory."""

SETTLE_SECONDS = 5.0
"""How long an event may take to be folded; until then the same answer isn't told again."""


class _Told(NamedTuple):
    said: JobObserved
    at: float


class Memory:
    """Of one source. All times are Unix seconds."""

    def __init__(self) -> None:
        self._asked: dict[StreamKey, float] = {}
        self._told: dict[StreamKey, _Told] = {}
        self._suspects: dict[StreamKey, float] = {}
        self._warned: dict[str, float] = {}

    def forget(self, now: float) -> None:
        """Let go of what is old, and of what lies ahead: the clock was set back since."""

        def is_kept(at: float) -> bool:
            return now - KEPT_SECONDS < at <= now

        self._asked = {key: at for key, at in self._asked.items() if is_kept(at)}
        self._suspects = {key: at for key, at in self._suspects.items() if is_kept(at)}
        self._warned = {room: at for room, at in self._warned.items() if is_kept(at)}
        self._told = {key: told for key, told in self._told.items() if is_kept(told.at)}

    def ask(self, key: StreamKey, now: float) -> None:
        """Note that a stream is asked about."""
        self._asked[key] = now

    def asked_at(self, key: StreamKey) -> float:
        """Return when a stream was last asked about, 0 if it never was."""
        return self._asked.get(key, 0.0)

    def is_due(self, state: StreamState, now: float) -> bool:
        """Whether nothing was heard of a stream from the API for long, and it wasn't asked since."""
        told = state.observed
        # Of the room alone, its live warnings, an answer says nothing of the job.
        heard = told.at if told is not None and told.state is not None else 0.0
        return now - max(heard, self.asked_at(state.key)) >= REFRESH_SECONDS

    def suspect(self, key: StreamKey, now: float, apart: float) -> bool:
        """Note that a stream seems to be missing; True if it did so before, at least `apart` ago."""
        first = self._suspects.setdefault(key, now)
        # The two looks are a wait of `apart` apart, by another clock.
        return now > first and now - first >= 0.9 * apart

    def clear(self, key: StreamKey) -> None:
        """Nothing says that a stream is missing, or not for certain."""
        self._suspects.pop(key, None)

    def tell(self, key: StreamKey, said: JobObserved, now: float) -> None:
        """Note what the log was told."""
        self._told[key] = _Told(said, now)

    def was_told(self, key: StreamKey, said: JobObserved, now: float, *, known: bool) -> bool:
        """Whether the log was told the same lately.

        Args:
            key: of the stream.
            said: what is to be told.
            now: Unix seconds.
            known: whether the stream's state is here. One that is folded elsewhere is told rarely.
        """
        told = self._told.get(key)
        if told is None:
            return False
        if known:
            return said == told.said and now - told.at < SETTLE_SECONDS
        return self.repeats(key, said) and now - told.at < REFRESH_SECONDS

    def repeats(self, key: StreamKey, said: JobObserved) -> bool:
        """Whether an answer is, of a stream that is folded elsewhere, what was told of it last."""
        told = self._told.get(key)
        return told is not None and (said.state, said.aim) == (told.said.state, told.said.aim)

    def warn(self, room: str, now: float) -> None:
        """Note that a room's live warnings are asked for."""
        self._warned[room] = now

    def warned_at(self, room: str) -> float:
        """Return when a room's live warnings were last asked for, 0 if they never were."""
        return self._warned.get(room, 0.0)
