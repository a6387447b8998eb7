"""What the rest of the service asks of a vendor's API, whichever vendor it is."""

from collections.abc import AsyncIterator
from typing import Any, NamedTuple, Protocol

from monitor.event import JobObserved


class ObservedJob(NamedTuple):
    """A job and what the API said of it. job_id: canonical. spelled: the id as the API spells it.

    ended: Unix seconds at which it ended, if it has, as far as the vendor says.
    """

    job_id: str
    spelled: str
    observed: JobObserved
    ended: float | None = None


class LiveWarning(NamedTuple):
    """A live warning: the vendor's word, and a sentence for people."""

    type: str
    sentence: str


class StartedJob(NamedTuple):
    """A job that was started. job_id: as the vendor spells it.

    registration: what `POST /api/jobs/<source>` takes, without secrets. described: for people and
    programs, without secrets. warnings: what the vendor finds risky about it.
    """

    job_id: str
    registration: dict[str, Any]
    described: dict[str, Any]
    warnings: tuple[LiveWarning, ...]


class VendorApi(Protocol):
    """One account at a vendor. Every method that asks raises ApiError.

    `start`, `stop`, `show` and `command` raise InvalidRequestError where what they are given breaks the
    vendor's rules.
    """

    @property
    def shows_jobs(self) -> bool:
        """Whether single jobs can be asked for; else `show` reads the whole list."""
        ...

    async def start(self, room_id: str | None, body: dict[str, Any]) -> StartedJob:
        """Start a job.

        Args:
            room_id: the room whose script plays; None where the vendor has no rooms.
            body: the vendor's own request; what is wrong with it is said before anything is sent.
        """
        ...

    async def stop(self, room_id: str | None, job_id: str) -> None:
        """Stop a job."""
        ...

    async def command(
        self, room_id: str | None, job_id: str, name: str, params: dict[str, Any] | None
    ) -> dict[str, Any]:
        """Send a running job one of the vendor's commands.

        Args:
            room_id: as for `start`.
            job_id: of the job.
            name: the command, in the vendor's word.
            params: as the command wants them; None for none.

        Returns:
            The vendor's answer, with what is secret in it masked.
        """
        ...

    async def show(self, room_id: str | None, job_id: str) -> ObservedJob:
        """Return what the API says of one job; `missing` if it doesn't know it."""
        ...

    def running(self) -> AsyncIterator[ObservedJob]:
        """Yield all jobs of the account that wait or run."""
        ...

    def failed(self, since: float) -> AsyncIterator[ObservedJob]:
        """Yield the jobs created since then (Unix seconds) that failed or were blocked."""
        ...

    async def warnings(self, room_id: str) -> tuple[str, ...] | None:
        """Return the types of a room's live warnings; None where the vendor has none to give."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...
