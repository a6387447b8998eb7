"""What callbacks and relayed messages share of the way: reading a whole body, and storing what it said."""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field

import structlog

from monitor.clock import Clock, Seldom
from monitor.errors import LogUnavailableError
from monitor.event import Event, EventId
from monitor.log.protocol import DeadLetter, EventLog
from monitor.receiver.asgi import Headers, Receive, Scope
from monitor.receiver.body import parse_body
from monitor.receiver.limits import Limits
from monitor.receiver.refusals import LOG_UNAVAILABLE, REPEAT_SECONDS, STORING_OVERLOADED, RefusedError
from monitor.receiver.sources import PreparedSource

_logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Intake:
    """Reads and stores for a source, within what a source may take.

    Args:
        log: where events go.
        clock: tells when a request was complete.
        limits: what a request and a source may take.
    """

    log: EventLog
    clock: Clock
    limits: Limits
    _telling: Seldom = field(default_factory=lambda: Seldom(REPEAT_SECONDS), init=False)

    def read(
        self, source: PreparedSource, scope: Scope, headers: Headers, receive: Receive
    ) -> Awaitable[bytes]:
        """Return a request's body, as `parse_body`."""
        return parse_body(scope, headers, receive, self.limits, source.slow_bodies)

    def next_id(self) -> EventId:
        """Return the identity of the next event or dead letter.

        Raises:
            RefusedError: the log can't give one.
        """
        try:
            return self.log.next_id()
        except LogUnavailableError as error:
            raise self._refusal(error) from None

    async def store(
        self, source: PreparedSource, events: Sequence[Event], dead_letters: Sequence[DeadLetter] = ()
    ) -> None:
        """Make events and dead letters durable, all or none.

        Raises:
            RefusedError: the log can't, or too many of the source wait for it.
        """
        if source.storing >= self.limits.storing:
            raise RefusedError(STORING_OVERLOADED)
        source.storing += 1
        try:
            await self.log.append(events, dead_letters)
        except LogUnavailableError as error:
            raise self._refusal(error) from None
        finally:
            source.storing -= 1
        for letter in dead_letters:
            source.count_dead_letter(letter.channel, letter.reason)

    def _refusal(self, error: LogUnavailableError) -> RefusedError:
        """Say in our own log why the event log can't: the answer tells that to nobody who could help."""
        if self._telling.is_due():
            _logger.error("log unavailable", error=str(error))
        return RefusedError(LOG_UNAVAILABLE)
