"""A livestream as the definitions have it, in plain counters: it knows what really happened.

Written from the words of docs/health.md alone. It hears everything once, in the order in which it
happened, so it needs none of the fold's care about what comes late, twice or never.
"""

from dataclasses import dataclass, field


@dataclass
class Push:
    """One RTMP output at a time: outages, reconnects, and how it ended."""

    word: str | None = None
    connected: bool = False
    in_outage: bool = False
    counted: bool = False
    outages: int = 0
    reconnects: int = 0
    outcome: str | None = None

    def say(self, word: str) -> None:
        """Take the next state of the push."""
        first, self.word = self.word is None, word
        if word == "END":
            # Never connected and in no outage: only what ended while connected is complete.
            self.outcome = "completed" if self.connected or first else "cut_off"
            self.connected = self.in_outage = False
            return
        self.outcome = None
        if word == "CONNECTED":
            if self.in_outage and not self.counted:
                self.reconnects += 1
            self.connected, self.in_outage = True, False
            return
        if self.connected or (first and word != "CONNECTING"):
            self.outages += 1
            self.connected, self.in_outage, self.counted = False, True, False
        if self.in_outage and word == "RECONNECTING" and not self.counted:
            self.reconnects += 1
            self.counted = True

    @property
    def phase(self) -> str:
        """The phase that this push puts its stream in."""
        if self.outcome is not None:
            return "ended"
        if self.connected:
            return "connected"
        return "outage" if self.in_outage else "starting"


@dataclass
class Player:
    """A script in sequential order: a round is over when the position goes back."""

    planned: int
    round: set[int] = field(default_factory=set)
    position: int = 0
    rounds: int = 0
    skipped: list[int] = field(default_factory=list)
    last_round: set[int] | None = None

    def play(self, position: int) -> None:
        """Play the paragraph of a position, from 1."""
        if position <= self.position:
            self.rounds += 1
            self.last_round = self.round
            self.skipped.append(self.planned - len(self.round))
            self.round = set()
        self.round.add(position)
        self.position = position

    @property
    def coverage(self) -> float:
        """Played / planned of this round."""
        return len(self.round) / self.planned

    @property
    def finished_coverage(self) -> float | None:
        """Played / planned of the last finished round."""
        return None if self.last_round is None else len(self.last_round) / self.planned
