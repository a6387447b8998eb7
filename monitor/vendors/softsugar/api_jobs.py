"""SoftSugar's API in the words that every vendor's is asked in. A session is a job; there are no rooms.

The API shows no single session: what it says of one is whether the list of running ones holds it.
"""

from collections.abc import AsyncIterator
from typing import Any

from monitor.clock import Clock
from monitor.config import Source
from monitor.event import JobObserved, JobState, canonical_job_id
from monitor.vendors.api_errors import InvalidRequestError
from monitor.vendors.api_protocol import ObservedJob, StartedJob
from monitor.vendors.api_transport import Transport
from monitor.vendors.softsugar.api import RunningSession, SoftSugarApi

_STATES = {
    5: JobState.SUCCEEDED,
    9: JobState.FAILED,
    32: JobState.WAITING,
    35: JobState.RUNNING,
}


class SoftSugarJobs:
    """A `VendorApi`.

    Args:
        api: the vendor's calls.
    """

    def __init__(self, api: SoftSugarApi) -> None:
        self._api = api

    @property
    def shows_jobs(self) -> bool:
        """Whether single jobs can be asked for."""
        return False

    async def start(self, room_id: str | None, body: dict[str, Any]) -> StartedJob:
        """Create a session. room_id: only a name for the registration; the vendor has no rooms."""
        created = await self._api.create(body)
        described = {
            "job_id": created.session_id,
            "room_id": room_id,
            "status": created.status,
            "rtc_app_id": created.rtc_app_id,
            "rtc_channel_id": created.rtc_channel_id,
        }
        registration: dict[str, Any] = {"response": {"data": {"sessionId": created.session_id}}}
        if room_id:
            registration["room_id"] = room_id
        return StartedJob(created.session_id, registration, described, ())

    async def stop(self, room_id: str | None, job_id: str) -> None:
        """Close a session."""
        del room_id
        await self._api.close_session(job_id)

    async def command(
        self, room_id: str | None, job_id: str, name: str, params: dict[str, Any] | None
    ) -> dict[str, Any]:
        """Refuse it: the vendor published no commands."""
        del room_id, job_id, name, params
        raise InvalidRequestError(["SoftSugar's sessions take no commands; MetaStudio's jobs do"])

    async def show(self, room_id: str | None, job_id: str) -> ObservedJob:
        """Return what the list of running sessions says of one."""
        del room_id
        wanted = canonical_job_id(job_id)
        async for session in self.running():
            if session.job_id == wanted:
                return session
        return ObservedJob(wanted, job_id, JobObserved(JobState.MISSING))

    async def running(self) -> AsyncIterator[ObservedJob]:
        """Yield all sessions that the vendor lists as running."""
        async for session in self._api.running():
            yield _observed(session)

    async def failed(self, since: float) -> AsyncIterator[ObservedJob]:
        """Yield nothing: the vendor lists running sessions alone."""
        del since
        nothing: tuple[ObservedJob, ...] = ()
        for job in nothing:
            yield job

    async def warnings(self, room_id: str) -> tuple[str, ...] | None:
        """Return None: the vendor gives no live warnings."""
        del room_id
        return None

    async def close(self) -> None:
        """Let go of connections."""
        await self._api.close()


def open_api(source: Source, transport: Transport, clock: Clock, other_urls: frozenset[str]) -> SoftSugarJobs:
    """Return the source's app at SoftSugar; its `[sources.api]` is set. Sessions name no callback URL."""
    del other_urls
    assert source.api is not None
    return SoftSugarJobs(SoftSugarApi(source.api, transport, clock))


def callbacks_to(source: Source) -> dict[str, Any]:
    """Return nothing: SoftSugar's platform configures the callback URL for the account."""
    del source
    return {}


def _observed(session: RunningSession) -> ObservedJob:
    # What is listed runs, unless its status says more; a number that nobody published says nothing.
    state = JobState.RUNNING if session.status is None else _STATES.get(session.status, JobState.RUNNING)
    return ObservedJob(canonical_job_id(session.session_id), session.session_id, JobObserved(state))
