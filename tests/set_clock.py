"""A clock that a test sets."""

from dataclasses import dataclass


@dataclass
class SetClock:
    """A Clock that stands until a test moves it. time: Unix seconds."""

    time: float

    def now(self) -> float:
        """Return the time that was set."""
        return self.time
