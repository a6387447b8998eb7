"""SoftSugar's API: create, close and list live sessions, with one token for all calls."""

import json
import re
from collections.abc import AsyncIterator
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, Field, SecretStr
from pydantic.alias_generators import to_camel

from monitor.clock import Clock
from monitor.config import ApiSettings
from monitor.masking import MASK
from monitor.vendors.api_calls import Answer, Call, readable, refusal, text_in, validated
from monitor.vendors.api_errors import (
    ApiError,
    InvalidRequestError,
    NoSuchJobError,
    QuotaError,
    RefusedError,
    ThrottledError,
    UnauthenticatedError,
    UnreadableError,
    VendorSaid,
    VendorTroubleError,
)
from monitor.vendors.api_transport import MOST_PAGES, Prepared, Transport
from monitor.vendors.json_body import Identifier, PartlyReadableBody
from monitor.vendors.softsugar.api_body import CamelBody
from monitor.vendors.softsugar.api_token import TokenKeeper
from monitor.vendors.softsugar.error_codes import Category, lookup

CREATE_PATH = "/api/2dvh/v2/material/live/channel/create"
CLOSE_PATH = "/api/2dvh/v1/material/live/channel/close"
RUNNING_PATH = "/api/2dvh/v1/material/live/channel/running/list"

_SUCCESS = "0"
_TOO_FREQUENT = "89999999"
_NO_SUCH_SESSION = frozenset({"84115929", "84115946", "84115953"})
_TOKEN_IS_OVER = frozenset({"401", "60112505", "84115943", "50101503", "50101504"})

_NUMBER = re.compile(r"[0-9]{1,12}")
_STATUS_AS_CODE = re.compile(r"[345][0-9]{2}")
"""Among the published codes are 400 and 500, so any of HTTP's may come as a code."""

M = TypeVar("M", bound=CamelBody)


def _as_text(value: object) -> object:
    """Ids may come as numbers: nobody said that they are texts."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


SessionId = Annotated[Identifier, BeforeValidator(_as_text)]


class CreatedSession(CamelBody, PartlyReadableBody):
    """A session that was created: it runs, and costs, so whoever created it needs its id.

    session_token, rtc_token: secrets.
    """

    what_matters = ("sessionId",)

    session_id: SessionId
    session_token: SecretStr | None = None
    status: int | None = None
    rtc_app_id: str | None = None
    rtc_channel_id: str | None = None
    rtc_uid: Annotated[str, BeforeValidator(_as_text)] | None = None
    rtc_token: SecretStr | None = None


class RunningSession(CamelBody, PartlyReadableBody):
    """A session that runs. status: 32 starting slowly, 35 started, 5 completed, 9 abnormal."""

    what_matters = ("sessionId",)

    session_id: SessionId
    status: int | None = None


_Number = Annotated[int, Field(ge=0)]


class Page(CamelBody):
    """Where in a list an answer stands; the page's own fields, null where the list isn't cut into pages."""

    page_no: _Number | None = None
    number_pages: _Number | None = None
    number_records: _Number | None = None
    page_size: _Number | None = None
    start_index: _Number | None = None


_PAGING = frozenset(map(to_camel, Page.model_fields))


class SoftSugarApi:
    """One app at SoftSugar. Every call raises ApiError.

    Args:
        settings: app_id and app_key.
        transport: to the endpoint.
        clock: tells when a token expires.
    """

    def __init__(self, settings: ApiSettings, transport: Transport, clock: Clock) -> None:
        self._transport = transport
        self._tokens = TokenKeeper(settings, self._post, clock)

    async def create(self, body: dict[str, Any]) -> CreatedSession:
        """Create a live session; never repeated by itself once it may have been heard.

        Args:
            body: the vendor's own request. `param` may be an object: the vendor takes it as a text.

        Raises:
            ApiError: as every call.
            InvalidRequestError: it has no `param`, or none of that kind; nothing was sent.
        """
        param = body.get("param")
        if param is None or not isinstance(param, str | dict):
            raise InvalidRequestError(["param: must be what to play, an object or its JSON in a text"])
        if isinstance(param, dict):
            body = {**body, "param": json.dumps(param, ensure_ascii=False)}
        call = Call("POST", CREATE_PATH, body=json.dumps(body, ensure_ascii=False).encode(), name="(create)")
        answer = await self._ask(call)
        data = answer.document.get("data")
        return validated(CreatedSession, data, call, answer, "data")

    async def close_session(self, session_id: str) -> None:
        """Close a session."""
        body = json.dumps({"sessionId": session_id}).encode()
        await self._ask(Call("POST", CLOSE_PATH, body=body, name="(close)"))

    async def running(self) -> AsyncIterator[RunningSession]:
        """Yield all sessions that run, each once, from as many pages as there are.

        Raises:
            ApiError: as every call; of a session that can't be read, after all others.
        """
        seen: set[str] = set()
        odd: UnreadableError | None = None
        for number in range(1, MOST_PAGES + 1):
            query = () if number == 1 else (("pageNo", str(number)),)
            call = Call("GET", RUNNING_PATH, query, repeatable=True, name="(running)")
            answer = await self._ask(call)
            page, sessions, odd_here = _page(call, answer)
            odd = odd or odd_here
            fresh = {one.session_id: one for one in sessions if one.session_id not in seen}
            pages = page.number_pages or 1
            if not fresh and odd_here is None and (number <= pages if number > 1 else page.number_records):
                # How a page is asked for nobody published: who gets the first one each time must not take
                # those on the others for ended.
                said = VendorSaid(answer.status, request_id=answer.request_id)
                raise UnreadableError(str(call), f"page {number} of {pages} brings no other session", said)
            seen.update(fresh)
            for session in fresh.values():
                yield session
            if not fresh or number >= pages:
                if odd is not None:
                    raise odd
                return
        raise UnreadableError("GET (running)", f"the list doesn't end within {MOST_PAGES} pages")

    async def close(self) -> None:
        """Let go of connections."""
        await self._transport.close()

    async def _ask(self, call: Call) -> Answer:
        """Send a call with a token; once more with a new one if the vendor no longer takes the old."""
        token = await self._tokens.get()
        try:
            return await self._send(call, token)
        except UnauthenticatedError as error:
            if error.said.status != 401 and error.said.code not in _TOKEN_IS_OVER:
                raise
            self._tokens.reject(token)
        return await self._send(call, await self._tokens.get())

    async def _post(self, call: Call, authorization: SecretStr | None, model: type[M]) -> M:
        return _model(call, await self._send(call, authorization), model)

    async def _send(self, call: Call, authorization: SecretStr | None) -> Answer:
        async def authorize(asked: Call) -> Prepared:
            headers = {"Content-Type": "application/json"}
            if authorization is not None:
                headers["Authorization"] = authorization.get_secret_value()
            query = "&".join(f"{key}={value}" for key, value in asked.query)
            return Prepared(f"{asked.path}?{query}" if query else asked.path, headers)

        answer = await self._transport.send(call, authorize)
        document = answer.document if isinstance(answer.document, dict) else {}
        code = text_in(document, "code")
        message = text_in(document, "message")
        if message is not None and authorization is not None:
            message = message.replace(authorization.get_secret_value(), MASK)
        said = VendorSaid(answer.status, code, call.hide(message), answer.request_id)
        if code not in (None, _SUCCESS):
            raise _error(call, said)
        if not 200 <= answer.status < 300:
            raise _error_of_status(call, said, answer.status)
        if code is None:
            raise UnreadableError(str(call), f"the answer has no code{call.doubt}", said)
        return answer


def _error(call: Call, said: VendorSaid) -> ApiError:
    """Return what a code of the vendor's means for the caller."""
    code = said.code or ""
    if code == _TOO_FREQUENT:
        return ThrottledError(str(call), "asked too often", said, None)
    if code in _NO_SUCH_SESSION:
        return NoSuchJobError(str(call), "the vendor doesn't know the session (any more)", said)
    published = lookup(int(code)) if _NUMBER.fullmatch(code) else None
    status = int(code) if _STATUS_AS_CODE.fullmatch(code) else said.status or 0
    if published is None and status >= 300:
        return _error_of_status(call, said, status)
    match published.category if published is not None else None:
        case Category.ACCOUNT:
            return UnauthenticatedError(str(call), "the credentials were not accepted", said)
        case Category.PERMISSION:
            return UnauthenticatedError(str(call), "the credentials may not do this", said)
        case Category.QUOTA | Category.CAPACITY:
            return QuotaError(str(call), "no more can be had", said)
        case Category.PLATFORM:
            return VendorTroubleError(str(call), f"the vendor failed{call.doubt}", said)
    return RefusedError(str(call), "was refused", said)


def _error_of_status(call: Call, said: VendorSaid, status: int) -> ApiError:
    if status >= 500:
        return VendorTroubleError(str(call), f"the vendor failed (status {status}){call.doubt}", said)
    if status in (401, 403):
        return UnauthenticatedError(str(call), "the credentials were not accepted", said)
    return RefusedError(str(call), refusal(status), said)


def _page(call: Call, answer: Answer) -> tuple[Page, list[RunningSession], UnreadableError | None]:
    """Read a list of sessions under whatever name, with the paging fields beside it or around it, if any.

    Returns what is wrong with the first session that can't be read, too.
    """
    data = answer.document.get("data")
    if data is None:
        return Page(), [], None
    page = _model(call, answer, Page, "data" if isinstance(data, dict) else "")
    if isinstance(data, dict):
        told = [value for name, value in data.items() if name not in _PAGING and value is not None]
        # Where there is no list, something else is not read as nothing: that would end all sessions.
        data = next((value for value in told if isinstance(value, list)), told)
    return page, *readable(RunningSession, data if isinstance(data, list) else [data], call, answer, "data")


def _model(call: Call, answer: Answer, model: type[M], at: str = "data") -> M:
    return validated(model, answer.document.get(at) if at else answer.document, call, answer, at)
