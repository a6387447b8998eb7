"""What can go wrong with a vendor's API, by what a caller can do about it.

Each message names the call and, where the vendor told them, its code, its message and the id of the
request, by which its support finds it. None holds a credential, a URL with its query, or a body.
"""

from typing import NamedTuple

from monitor.errors import MonitorError
from monitor.masking import text_without_secrets
from monitor.terminal import cell

PERHAPS_DONE = " (it may have been done all the same)"
"""The end of what went wrong with a call that changes something, if the vendor may have heard it."""

MESSAGE_LENGTH = 300
"""Of a vendor's own message, so many characters are kept."""


class VendorSaid(NamedTuple):
    """What the vendor told about a failure; None where it didn't.

    status: of the HTTP answer. code, message: the vendor's own. request_id: X-Request-Id.
    """

    status: int | None = None
    code: str | None = None
    message: str | None = None
    request_id: str | None = None


NOTHING_SAID = VendorSaid()


class ApiError(MonitorError):
    """A call of a vendor's API failed.

    Args:
        call: what was asked, as `GET (list)`: no host, path or query.
        what: what went wrong, the end of a sentence.
        said: what the vendor told.
    """

    reason = "other"
    """A metric label; each subclass has its own."""

    def __init__(self, call: str, what: str, said: VendorSaid = NOTHING_SAID) -> None:
        parts = [f"{call}: {what}"]
        if said.code is not None or said.message is not None:
            told = text_without_secrets(" ".join(part for part in (said.code, said.message) if part))
            parts.append(f"the vendor says: {cell(told[:MESSAGE_LENGTH])}")
        if said.request_id is not None:
            parts.append(f"request id {said.request_id}")
        super().__init__("; ".join(parts))
        self.said = said


class InvalidRequestError(MonitorError):
    """A request breaks the vendor's published rules; it was not sent.

    Args:
        problems: one sentence for each, beginning with the field's path.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class RefusedError(ApiError):
    """The vendor doesn't do what was asked, as it was asked (400 and the like)."""

    reason = "refused"


class ForbiddenError(RefusedError):
    """The vendor accepts the credentials, but not for this (403): a job or a room of somebody else, say."""

    reason = "forbidden"


class UnauthenticatedError(ApiError):
    """The vendor doesn't accept the credentials (401)."""

    reason = "unauthenticated"


class NoSuchJobError(ApiError):
    """The vendor doesn't know the job, session or room (404)."""

    reason = "not_found"


class ThrottledError(ApiError):
    """The vendor was asked too often (429), beyond what waiting could mend.

    Args:
        call: what was asked.
        what: what went wrong.
        said: what the vendor told.
        retry_after: seconds until the vendor wants to be asked again, if it said.
    """

    reason = "throttled"

    def __init__(self, call: str, what: str, said: VendorSaid, retry_after: float | None) -> None:
        super().__init__(call, what, said)
        self.retry_after = retry_after


class QuotaError(ApiError):
    """The account or the vendor has no more of what was asked for."""

    reason = "quota"


class VendorTroubleError(ApiError):
    """The vendor failed (5xx, or an error of its platform)."""

    reason = "vendor"


class UnreachableError(ApiError):
    """No answer: no connection, a connection that was cut, or no answer in time.

    Args:
        call: what was asked.
        what: what went wrong.
        perhaps_done: whether the vendor may have done it all the same.
    """

    reason = "unreachable"

    def __init__(self, call: str, what: str, *, perhaps_done: bool) -> None:
        super().__init__(call, what + (PERHAPS_DONE if perhaps_done else ""))
        self.perhaps_done = perhaps_done


class UnreadableError(ApiError):
    """The answer isn't what the vendor's page promises: not JSON, or fields of wrong types."""

    reason = "unreadable"


REASONS = tuple(
    error.reason
    for error in (
        RefusedError,
        ForbiddenError,
        UnauthenticatedError,
        NoSuchJobError,
        ThrottledError,
        QuotaError,
        VendorTroubleError,
        UnreachableError,
        UnreadableError,
    )
)
"""Why a call can fail (a metric label)."""
