"""MetaStudio's API: the calls of its livestreaming jobs, typed, signed by token or access key."""

from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, NoReturn, TypeVar
from urllib.parse import quote

from pydantic import SecretStr

from monitor.clock import Clock
from monitor.config import ApiSettings
from monitor.config.secret_files import read_again
from monitor.vendors.api_calls import Answer, Call, readable, refusal, text_in, validated
from monitor.vendors.api_errors import (
    ApiError,
    ForbiddenError,
    NoSuchJobError,
    RefusedError,
    UnauthenticatedError,
    UnreadableError,
    VendorSaid,
    VendorTroubleError,
)
from monitor.vendors.api_transport import MOST_PAGES, Prepared, Transport
from monitor.vendors.json_body import Body
from monitor.vendors.metastudio.api_answers import Job, JobList, JobPage, Room, StartAnswer, WarningList
from monitor.vendors.metastudio.api_requests import CommandRequest, LiveEvent, StartRequest
from monitor.vendors.metastudio.api_signing import (
    AUTHORIZATION_HEADER,
    DATE_HEADER,
    canonical_query,
    sdk_date,
    signature_header,
)

PAGE_SIZE = 100
"""Jobs asked for at once."""

LIVE_STATES = ("WAITING", "PROCESSING")
BAD_STATES = ("FAILED", "BLOCKED")

_JSON = "application/json"

A = TypeVar("A", bound=Body)


class MetaStudioApi:
    """One project at MetaStudio, with each call that the vendor has for live jobs. Every one raises ApiError.

    The service makes no use of `report_events` and the list of one room's jobs: those are for
    programs that drive a job themselves.

    Args:
        settings: project_id, and a token or access_key with secret_key.
        transport: to the endpoint.
        clock: dates the signatures.
    """

    def __init__(self, settings: ApiSettings, transport: Transport, clock: Clock) -> None:
        self._settings = settings
        self._transport = transport
        self._clock = clock
        self._newest_token = settings.token
        self._prefix = f"/v1/{_segment(settings.project_id or '')}"

    async def start_job(self, room_id: str, request: StartRequest) -> StartAnswer:
        """Start a job in a room; never repeated by itself once it may have been heard."""
        call = self._call("POST", _room(room_id, "/smart-live-jobs"), "start", body=request.body())
        return await self._ask(call, StartAnswer)

    async def show_job(self, room_id: str, job_id: str) -> Job:
        """Return one job."""
        return await self._ask(self._call("GET", _job(room_id, job_id), "show"), Job)

    async def list_jobs(
        self,
        room_id: str | None = None,
        *,
        offset: int = 0,
        limit: int = PAGE_SIZE,
        states: Sequence[str] = (),
        created_since: float | None = None,
    ) -> JobPage:
        """Return one page of a room's jobs, or of all jobs.

        Args:
            room_id: whose jobs; None: of all rooms.
            offset: how many to leave out.
            limit: how many to return at most.
            states: only these; empty: all.
            created_since: Unix seconds; only jobs created since then.
        """
        query = [("offset", str(offset)), ("limit", str(limit))]
        if states:
            query.append(("state", ",".join(states)))
        if created_since is not None:
            since = datetime.fromtimestamp(created_since, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            query.append(("create_since", since))
        path = "/smart-live-jobs" if room_id is None else _room(room_id, "/smart-live-jobs")
        call = self._call("GET", path, "list", query=tuple(query))
        answer = await self._send(call)
        page = validated(JobList, answer.document, call, answer)
        documents = page.smart_live_jobs or []
        jobs, odd = readable(Job, documents, call, answer, "smart_live_jobs")
        return JobPage(page.count or 0, len(documents), jobs, odd)

    async def all_jobs(
        self, *, states: Sequence[str] = (), created_since: float | None = None
    ) -> AsyncIterator[Job]:
        """Yield the jobs of all rooms and pages, each once, though jobs come and go between two pages.

        Raises:
            ApiError: as every call; of an entry that can't be read, after all others.
        """
        seen: set[str] = set()
        odd: UnreadableError | None = None
        offset = 0
        for _ in range(MOST_PAGES):
            page = await self.list_jobs(offset=offset, states=states, created_since=created_since)
            odd = odd or page.odd
            fresh = {job.job_id: job for job in page.jobs if job.job_id not in seen}
            seen.update(fresh)
            for job in fresh.values():
                yield job
            offset += page.length
            # Whatever the total is said to be, a full page may have another one behind it.
            more = fresh and page.length >= PAGE_SIZE
            if not page.length or (offset >= page.total and not more):
                if odd is not None:
                    raise odd
                return
        raise UnreadableError("GET (list)", f"the list doesn't end within {MOST_PAGES} pages")

    async def stop_job(self, room_id: str, job_id: str) -> None:
        """Stop a job."""
        await self._send(self._call("POST", _job(room_id, job_id, "/stop"), "stop"))

    async def command(self, room_id: str, job_id: str, request: CommandRequest) -> dict[str, Any]:
        """Send a running job a command, and return the vendor's answer as it is."""
        body = request.model_dump_json(exclude_unset=True).encode()
        call = self._call("POST", _job(room_id, job_id, "/command"), "command", body=body)
        document = (await self._send(call)).document
        return document if isinstance(document, dict) else {}

    async def report_events(self, room_id: str, job_id: str, events: Sequence[LiveEvent]) -> None:
        """Report what viewers did, so that the vendor answers them."""
        told = ",".join(event.model_dump_json() for event in events)
        body = f'{{"total":{len(events)},"events":[{told}]}}'.encode()
        await self._send(self._call("POST", _job(room_id, job_id, "/live-event-report"), "report", body=body))

    async def live_warnings(self, room_id: str) -> WarningList:
        """Return the live warnings of a room."""
        return await self._ask(
            self._call("GET", _room(room_id, "/live-warning-info"), "live warnings"), WarningList
        )

    async def show_room(self, room_id: str) -> Room:
        """Return a room with its scripts."""
        return await self._ask(self._call("GET", _room(room_id), "room"), Room)

    async def close(self) -> None:
        """Let go of connections."""
        await self._transport.close()

    def _call(
        self,
        method: str,
        path: str,
        name: str,
        *,
        query: tuple[tuple[str, str], ...] = (),
        body: bytes = b"",
    ) -> Call:
        return Call(method, self._prefix + path, query, body, repeatable=method == "GET", name=f"({name})")

    async def _ask(self, call: Call, model: type[A]) -> A:
        answer = await self._send(call)
        return validated(model, answer.document, call, answer)

    async def _send(self, call: Call) -> Answer:
        answer = await self._transport.send(call, self._authorize)
        if not 200 <= answer.status < 300:
            _refuse(call, answer)
        return answer

    def _token(self) -> SecretStr | None:
        """Return the token that its file holds now: it lives for a day, and is renewed there."""
        settings = self._settings
        if settings.token_file is None:
            return settings.token
        # While the file is being written the last one stands; the vendor tells if it is of no use any more.
        with suppress(OSError, ValueError):
            self._newest_token = read_again(settings.token_file)
        return self._newest_token

    async def _authorize(self, call: Call) -> Prepared:
        settings = self._settings
        headers = {"Host": self._transport.host, "Content-Type": _JSON}
        query = canonical_query(call.query)
        target = f"{call.path}?{query}" if query else call.path
        if (token := self._token()) is not None:
            headers["X-Auth-Token"] = token.get_secret_value()
            return Prepared(target, headers)
        assert settings.access_key is not None
        assert settings.secret_key is not None
        headers["X-Project-Id"] = settings.project_id or ""
        headers[DATE_HEADER] = sdk_date(self._clock.now())
        # A path in front of all others, a gateway's, is not a part of what the vendor sees and signs.
        headers[AUTHORIZATION_HEADER] = signature_header(
            call.method, call.path, call.query, headers, call.body, settings.access_key, settings.secret_key
        )
        return Prepared(target, headers)


def _segment(text: str) -> str:
    return quote(text, safe="~")


def _room(room_id: str, more: str = "") -> str:
    return f"/smart-live-rooms/{_segment(room_id)}{more}"


def _job(room_id: str, job_id: str, more: str = "") -> str:
    return _room(room_id, f"/smart-live-jobs/{_segment(job_id)}{more}")


_ERRORS: dict[int, tuple[type[ApiError], str]] = {
    401: (UnauthenticatedError, "the credentials were not accepted"),
    # The page has no 403: credentials that are of no use at all are 401. The gateway says it of what one
    # call asks for.
    403: (ForbiddenError, "the credentials may not do this"),
    404: (NoSuchJobError, "the vendor doesn't know it"),
}


def _refuse(call: Call, answer: Answer) -> NoReturn:
    document = answer.document if isinstance(answer.document, dict) else {}
    code, message = text_in(document, "error_code"), text_in(document, "error_msg")
    said = VendorSaid(answer.status, code, call.hide(message), answer.request_id)
    if answer.status >= 500:
        raise VendorTroubleError(str(call), f"the vendor failed (status {answer.status}){call.doubt}", said)
    if answer.status == 404 and not (said.code or "").startswith("MSS."):
        # A gateway's 404: it is the endpoint that is wrong, and no job is gone.
        raise RefusedError(str(call), "isn't known at this endpoint (status 404)", said)
    error, what = _ERRORS.get(answer.status, (RefusedError, refusal(answer.status)))
    raise error(str(call), what, said)
