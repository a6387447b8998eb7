"""What fails for a while under a worker, and how often it was tried."""

from collections.abc import Sequence
from typing import NoReturn

from monitor.errors import LogUnavailableError
from monitor.event import Event
from monitor.log.protocol import DeadLetter, EventLog


class Failing:
    """Stands for a function that fails with an error. tries: how often it was called."""

    def __init__(self, error: Exception) -> None:
        self.tries = 0
        self._error = error

    def __call__(self, *_: object) -> NoReturn:
        self.tries += 1
        raise self._error


class LettersRefused:
    """Stands for a log's `append` that keeps events alone. tries: how often it was given letters."""

    def __init__(self, log: EventLog) -> None:
        self.tries = 0
        self._keep = log.append

    async def __call__(self, events: Sequence[Event], letters: Sequence[DeadLetter] = ()) -> None:
        if letters:
            self.tries += 1
            raise LogUnavailableError("the disk is full")
        await self._keep(events)
