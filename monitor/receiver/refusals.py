"""Why a request is refused: the answer it gets, how it is counted, and the line it leaves in the log."""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import NamedTuple

import structlog

from monitor.errors import AuthenticationError, MonitorError
from monitor.receiver.answers import CLOSE, RETRY_AFTER, Answer, Header, error_answer

REPEAT_SECONDS = 60.0
"""The same kind of refusal of the same source is logged once in this time, with a count."""

_logger = structlog.get_logger(__name__)


class Outcome(StrEnum):
    """What became of a request (a metric label)."""

    ACCEPTED = "accepted"
    DEAD_LETTERED = "dead_lettered"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    TOO_LARGE = "too_large"
    TOO_SLOW = "too_slow"
    OVERLOADED = "overloaded"
    NOT_ALLOWED = "not_allowed"
    UNKNOWN_SOURCE = "unknown_source"
    BAD_REQUEST = "bad_request"


class Refusal(NamedTuple):
    """One way to refuse a request.

    reason: which proof it lacks (a metric label), if that is why. lingers: the client may be still
    sending when it is answered.
    """

    outcome: Outcome
    answer: Answer
    reason: str | None = None
    lingers: bool = False

    def with_headers(self, extra: Sequence[Header]) -> "Refusal":
        """Return this refusal with more headers in its answer."""
        return self._replace(answer=self.answer.with_headers(extra)) if extra else self


class RefusedError(MonitorError):
    """A request is refused.

    Args:
        refusal: how it is answered and counted.
    """

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.outcome.value)
        self.refusal = refusal


UNKNOWN_SOURCE = Refusal(
    Outcome.UNKNOWN_SOURCE, error_answer(404, "unknown_source", "No source of this name is configured.")
)
FORBIDDEN = Refusal(
    Outcome.FORBIDDEN,
    error_answer(403, "forbidden", "This source takes nothing from your address."),
    reason="network",
)
FORBIDDEN_ORIGIN = Refusal(
    Outcome.FORBIDDEN, error_answer(403, "forbidden_origin", "This source takes nothing from this origin.")
)
TOO_LARGE = Refusal(
    Outcome.TOO_LARGE,
    error_answer(413, "too_large", "The body is larger than this receiver takes.", (CLOSE,)),
    lingers=True,
)
TOO_SLOW = Refusal(
    Outcome.TOO_SLOW, error_answer(408, "too_slow", "The body did not arrive in time.", (CLOSE,))
)
STORING_OVERLOADED = Refusal(
    Outcome.OVERLOADED,
    error_answer(503, "overloaded", "Too many requests of this source wait for the log.", (RETRY_AFTER,)),
)
LOG_UNAVAILABLE = Refusal(
    Outcome.OVERLOADED,
    error_answer(503, "overloaded", "The event can't be made durable now.", (RETRY_AFTER,)),
)
BAD_JOB_ID = Refusal(
    Outcome.BAD_REQUEST,
    error_answer(400, "bad_job_id", "The job id must be 1 to 256 characters, none a control character."),
)


def unauthenticated(error: AuthenticationError) -> Refusal:
    """Return the refusal of a request that proved nothing."""
    challenge = ((b"www-authenticate", b"Bearer"),) if error.reason == "token" else ()
    answer = error_answer(401, "unauthenticated", error.detail, challenge)
    return Refusal(Outcome.UNAUTHENTICATED, answer, reason=error.reason)


def not_allowed(methods: str) -> Refusal:
    """Return the refusal of any method but the ones named."""
    detail = f"This path answers {methods} only."
    answer = error_answer(405, "method_not_allowed", detail, ((b"allow", methods.encode()),))
    return Refusal(Outcome.NOT_ALLOWED, answer)


class RefusalLog:
    """Writes one line for a kind of refusal, then only counts it for a while.

    Strangers decide how many requests are refused, so they must not decide how much is logged.

    Args:
        elapsed: a steady counter of seconds.
    """

    def __init__(self, elapsed: Callable[[], float]) -> None:
        self._elapsed = elapsed
        self._since: dict[tuple[str, str], tuple[float, int]] = {}

    def note(self, source: str, reason: str) -> None:
        """Note a refusal. source, reason: of fixed sets, never from the request."""
        now = self._elapsed()
        written, unwritten = self._since.get((source, reason), (-REPEAT_SECONDS, 0))
        if now - written < REPEAT_SECONDS:
            self._since[source, reason] = (written, unwritten + 1)
            return
        self._since[source, reason] = (now, 0)
        _logger.warning("request_refused", source=source, reason=reason, unlogged_before=unwritten)
