"""Named failures. Each message says what is wrong and where; none carries a secret or the input."""

import traceback
from pathlib import PurePath


class MonitorError(Exception):
    """The root of every failure that this service names."""


class ConfigurationError(MonitorError):
    """The configuration can't work.

    Args:
        problems: one sentence a mistake, each starting with the key's path.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class AuthenticationError(MonitorError):
    """A request did not prove where it comes from.

    Args:
        reason: signature, timestamp, missing or token (a metric label).
        detail: a sentence for the answer; holds nothing of the request.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class UndecodableError(MonitorError):
    """An authentic body that can't be decoded; it goes whole to the dead letters.

    Args:
        reason: not_json, no_job_id, wrong_type, too_many, decoder_failed or fold_failed (a metric label).
        detail: a sentence on what was expected, without the input.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class LogUnavailableError(MonitorError):
    """The event log can't make an event durable now; nothing was acknowledged."""


class LogOverloadedError(LogUnavailableError):
    """More appends are waiting than the log accepts."""


class FencedError(LogUnavailableError):
    """Another process has taken over this partition; what this one would still write is refused."""


def fault_place(error: Exception) -> str:
    """Return where a failure that nobody foresaw was raised, as `file:line`.

    That and its type are all that may be told of it: message and traceback may hold a part of a request.
    """
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{PurePath(frame.filename).name}:{frame.lineno}"


def fault(error: Exception) -> str:
    """Return what and where a failure that nobody foresaw was, for people: `KeyError at file:line`."""
    return f"{type(error).__name__} at {fault_place(error)}"
