"""MetaStudio's API in the words that every vendor's is asked in: jobs, what is known of them, a start."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from monitor.clock import Clock
from monitor.config import AuthType, Source
from monitor.event import CallbackAim, JobObserved, JobState, canonical_job_id
from monitor.masking import text_without_secrets, without_secrets
from monitor.vendors.api_errors import ApiError, InvalidRequestError, NoSuchJobError, UnreadableError
from monitor.vendors.api_protocol import LiveWarning, ObservedJob, StartedJob
from monitor.vendors.api_transport import Transport
from monitor.vendors.metastudio.api import BAD_STATES, LIVE_STATES, MetaStudioApi
from monitor.vendors.metastudio.api_answers import WARNING_SENTENCES, CallbackConfig, Job, Room, StartAnswer
from monitor.vendors.metastudio.api_answers import LiveWarning as AnsweredWarning
from monitor.vendors.metastudio.api_requests import CALLBACK_EVENT_TYPES, command_request, start_request
from monitor.vendors.metastudio.registration import SCRIPT_BY_API, words
from monitor.vendors.observation import REASON_LENGTH

_STATES = {
    "WAITING": JobState.WAITING,
    "PROCESSING": JobState.RUNNING,
    "SUCCEED": JobState.SUCCEEDED,
    # Only a room's last_job_status is known to say it: somebody took the job back.
    "CANCELED": JobState.SUCCEEDED,
    "FAILED": JobState.FAILED,
    "BLOCKED": JobState.BLOCKED,
}

S = TypeVar("S")
T = TypeVar("T")

_BARE_UUID = re.compile(r"[0-9a-f]{32}")


class MetaStudioJobs:
    """A `VendorApi`.

    Args:
        source: whose account; its public_url tells callbacks to this service from others.
        api: the vendor's calls.
        other_urls: of other sources, whose jobs are left to them where they share the account.
    """

    def __init__(self, source: Source, api: MetaStudioApi, other_urls: frozenset[str]) -> None:
        self._source = source
        self._api = api
        self._other_urls = other_urls

    @property
    def shows_jobs(self) -> bool:
        """Whether single jobs can be asked for."""
        return True

    async def start(self, room_id: str | None, body: dict[str, Any]) -> StartedJob:
        """Start a job, and gather what a registration needs: the request, the answer, and the script."""
        if not room_id:
            raise InvalidRequestError(["room: MetaStudio starts a job in a room; name it"])
        request = start_request(body)

        async def started_in(room: str) -> tuple[str, StartAnswer]:
            return room, await self._api.start_job(room, request)

        known, answer = await _known(dict.fromkeys((room_id, *_spellings(room_id))), started_in)
        warnings, room = answer.live_warning_info, None
        try:
            if warnings is None:
                # The page's own example leaves them out of the answer.
                warnings = await _if_told(self._warning_items, known)
            room = await _if_told(self._api.show_room, known)
        except asyncio.CancelledError:
            # The job runs: whoever doesn't want to wait for the rest has to hear which one it is.
            pass
        return _started(known, request.registration(), answer, warnings, room)

    async def stop(self, room_id: str | None, job_id: str) -> None:
        """Stop a job."""
        await _known(_spelled_alike(_needed(room_id), job_id), lambda ids: self._api.stop_job(*ids))

    async def command(
        self, room_id: str | None, job_id: str, name: str, params: dict[str, Any] | None
    ) -> dict[str, Any]:
        """Send a running job a command; say what the vendor answered."""
        request = command_request(name, params)
        answer = await _known(
            _spelled_alike(_needed(room_id), job_id), lambda ids: self._api.command(*ids, request)
        )
        shown: dict[str, Any] = without_secrets(answer)
        return shown

    async def show(self, room_id: str | None, job_id: str) -> ObservedJob:
        """Return what the API says of a job."""
        wanted = canonical_job_id(job_id)
        for room, job in _spelled_alike(_needed(room_id), job_id):
            try:
                shown = self._observed(await self._api.show_job(room, job))
            except NoSuchJobError:
                continue
            if shown.job_id != wanted:
                # A cache on the way can mix answers up, and what the API says of an end is final.
                raise UnreadableError("GET (show)", "the answer tells of another job")
            return shown
        return ObservedJob(wanted, job_id, JobObserved(JobState.MISSING))

    async def running(self) -> AsyncIterator[ObservedJob]:
        """Yield all jobs that wait or run."""
        async for job in self._api.all_jobs(states=LIVE_STATES):
            if not self._is_of_another_source(job):
                yield self._observed(job)

    async def failed(self, since: float) -> AsyncIterator[ObservedJob]:
        """Yield the jobs created since then that failed or were blocked."""
        async for job in self._api.all_jobs(states=BAD_STATES, created_since=since):
            if not self._is_of_another_source(job):
                yield self._observed(job)

    async def warnings(self, room_id: str) -> tuple[str, ...] | None:
        """Return the types of a room's live warnings."""
        return _types(await _known(dict.fromkeys(_spellings(room_id)), self._warning_items))

    async def close(self) -> None:
        """Let go of connections."""
        await self._api.close()

    async def _warning_items(self, room_id: str) -> list[AnsweredWarning]:
        return (await self._api.live_warnings(room_id)).live_warning_info or []

    def _observed(self, job: Job) -> ObservedJob:
        error = job.error_info
        code = error.error_code if error is not None else None
        reason = text_without_secrets(job.block_reason or (error and error.error_msg) or "")
        observed = JobObserved(
            _STATES.get(job.state or ""),
            room_id=canonical_job_id(job.room_id) if job.room_id else None,
            duration=job.duration,
            push_duration=job.stream_duration,
            error=code[:64] if code else None,
            reason=reason[:REASON_LENGTH] or None,
            aim=self._aim(job.live_event_callback_config),
        )
        # A job that failed before it began may have no end; nothing was told of it since then.
        ended = _unix(job.end_time) or _unix(job.lastupdate_time)
        return ObservedJob(canonical_job_id(job.job_id), job.job_id, observed, ended)

    def _is_of_another_source(self, job: Job) -> bool:
        config = job.live_event_callback_config
        url = config.live_event_type_callback_url if config is not None else None
        return url is not None and url.get_secret_value() in self._other_urls

    def _aim(self, config: CallbackConfig | None) -> CallbackAim | None:
        """Say where callbacks go; None where the answer doesn't speak of them."""
        if config is None:
            return None
        url = config.live_event_type_callback_url
        if url is None or not url.get_secret_value() or not config.callback_event_type:
            return CallbackAim.NOWHERE
        here = url.get_secret_value() == self._source.public_url
        return CallbackAim.HERE if here else CallbackAim.ELSEWHERE


def callbacks_to(source: Source) -> dict[str, Any]:
    """Return the callback configuration by which a job calls back to this source, for all event types."""
    config: dict[str, Any] = {
        "live_event_type_callback_url": source.public_url,
        "auth_type": source.auth_type.value,
        "callback_event_type": list(CALLBACK_EVENT_TYPES),
    }
    if source.auth_type is not AuthType.NONE:
        config["key"] = source.keys[0].get_secret_value()
    return {"live_event_callback_config": config}


def open_api(
    source: Source, transport: Transport, clock: Clock, other_urls: frozenset[str]
) -> MetaStudioJobs:
    """Return the source's account at MetaStudio; its `[sources.api]` is set."""
    assert source.api is not None
    return MetaStudioJobs(source, MetaStudioApi(source.api, transport, clock), other_urls)


def _started(
    room_id: str,
    request: dict[str, Any],
    answer: StartAnswer,
    warnings: list[AnsweredWarning] | None,
    room: Room | None,
) -> StartedJob:
    rtc = answer.rtc_room_info
    response: dict[str, Any] = {"job_id": answer.job_id}
    if rtc is not None and rtc.room_id:
        response["rtc_room_info"] = {"room_id": rtc.room_id}
    if answer.live_event_callback_config is not None:
        told = answer.live_event_callback_config.callback_event_type
        response["live_event_callback_config"] = {"callback_event_type": told}
    if warnings is not None:
        response["live_warning_info"] = [{"warning_type": kind} for kind in _types(warnings)]
    described = {
        "job_id": answer.job_id,
        "room_id": room_id,
        "rtc_room_id": rtc.room_id if rtc is not None else None,
        "rtc_app_id": rtc.app_id if rtc is not None else None,
        "rtc_users": [user.user_type for user in (rtc.users if rtc is not None else None) or []],
    }
    registration: dict[str, Any] = {"request": {**request, "room_id": room_id}, "response": response}
    if room is not None:
        registration |= {"script": _script(room), "script_origin": SCRIPT_BY_API}
    sentences = [LiveWarning(kind, WARNING_SENTENCES.get(kind, kind)) for kind in _types(warnings or [])]
    return StartedJob(answer.job_id, registration, described, tuple(sentences))


def _script(room: Room) -> list[dict[str, Any]]:
    return [
        {"scene": scene.script_name or "", "sequence_no": paragraph.sequence_no}
        for scene in room.scene_scripts or []
        for paragraph in scene.shoot_scripts or []
    ]


def _types(warnings: list[AnsweredWarning]) -> tuple[str, ...]:
    return words(warning.warning_type for warning in warnings)


async def _if_told(ask: Callable[[str], Any], room_id: str) -> Any:
    """Return an answer that is good to have; None if it can't be had, since the job runs already."""
    try:
        return await ask(room_id)
    except ApiError:
        return None


def _spellings(text: str) -> tuple[str, str]:
    """Return how the vendor may spell an id: a UUID with hyphens as in its page's requests, or without.

    Its events spell a UUID without hyphens, and so do we; which of them a path takes nobody says.
    """
    bare = canonical_job_id(text)
    return (str(UUID(bare)), bare) if _BARE_UUID.fullmatch(bare) else (text, text)


def _spelled_alike(room_id: str, job_id: str) -> Iterable[tuple[str, str]]:
    """Return a room's and a job's id in each spelling once: both in the same, last as they were given."""
    alike = zip(_spellings(room_id), _spellings(job_id), strict=True)
    return dict.fromkeys((*alike, (room_id, job_id)))


async def _known(spelled: Iterable[S], ask: Callable[[S], Awaitable[T]]) -> T:
    """Ask in one spelling after another, until the vendor knows it."""
    unknown: NoSuchJobError | None = None
    for spelling in spelled:
        try:
            return await ask(spelling)
        except NoSuchJobError as error:
            unknown = error
    assert unknown is not None
    raise unknown


def _needed(room_id: str | None) -> str:
    if not room_id:
        raise InvalidRequestError(["room: MetaStudio asks for a job by its room; name it"])
    return room_id


def _unix(text: str | None) -> float | None:
    """Read an RFC 3339 time; None if it isn't one."""
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at.timestamp() if at.tzinfo is not None else None
