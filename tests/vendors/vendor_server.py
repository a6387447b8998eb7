"""Both vendors' APIs as one real HTTP server: it checks who asks, answers as the pages do, and can fail.

The signature is checked with Huawei's own library, so that ours has no say in it.
"""

import contextlib
import hashlib
import json
import random
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl, unquote

from huaweicloudsdkcore.sdk_request import SdkRequest
from huaweicloudsdkcore.signer.signer import Signer

from monitor.clock import SystemClock
from monitor.config import ApiSettings, Source
from monitor.event import Vendor
from monitor.http_server import serve
from monitor.vendors.api_transport import Patience, RateLimit, Transport
from monitor.vendors.apis import open_api as open_vendor_api
from monitor.vendors.metastudio.api import MetaStudioApi
from monitor.vendors.softsugar.api import SoftSugarApi

PROJECT = "70b76xxxxxx34253880af501cdxxxxxx"
ROOM = "24bad716-87b1-45e5-8912-6102f7693265"
JOB = "26f06524-4f75-4b3a-a853-b649a21aaf66"
ACCESS_KEY = "ACCESSKEYOFTESTS"
SECRET_KEY = "secret-key-of-tests"
TOKEN = "token-of-tests"
APP_ID = "app-of-tests"
APP_KEY = "app-key-of-tests"
ANOTHER_URL = "https://hooks.example.com/callbacks/another"
REQUEST_ID = "0a1b2c3d4e5f"

SHORT_PATIENCE = Patience(connect=2.0, answer=2.0, attempts=3, first_delay=0.01, longest_delay=0.02)
"""Nobody waits for a vendor in a test for longer than needed."""


@dataclass(frozen=True)
class Asked:
    """A request as it came."""

    method: str
    path: str
    query: list[tuple[str, str]]
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        """What its JSON holds, None for no body."""
        return json.loads(self.body) if self.body else None


@dataclass(frozen=True)
class Fault:
    """What comes instead of the next answer. cut: the connection ends within it. slow: nothing comes."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: tuple[tuple[bytes, bytes], ...] = ()
    cut: bool = False
    slow: bool = False


def error(status: int, code: str, message: str, **headers: str) -> Fault:
    """Return an error as MetaStudio's page prints it."""
    body = json.dumps({"error_code": code, "error_msg": message}).encode()
    told = tuple((name.replace("_", "-").encode(), value.encode()) for name, value in headers.items())
    return Fault(status, body, headers=told)


INVALID = error(400, "MSS.00000003", "Invalid parameter")
UNAUTHORIZED = error(401, "MSS.00000001", "Unauthorized")
INTERNAL = error(500, "MSS.00000004", "Internal Error")
NOT_FOUND = error(404, "MSS.00000002", "Not found")


@dataclass
class TestedVendor:
    """The server's state: what it was asked, what it answers, and what goes wrong next.

    ran, pushed: seconds by which a running job is older each time that it is asked for.
    """

    __test__ = False

    address: str = ""
    asked: list[Asked] = field(default_factory=list)
    faults: deque[Fault] = field(default_factory=deque)
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    start_answer: dict[str, Any] = field(default_factory=lambda: {"job_id": JOB})
    warnings: list[str] = field(default_factory=list)
    room: dict[str, Any] = field(default_factory=dict)
    sessions: dict[str, int] = field(default_factory=dict)
    page_size: int = 100
    ran: float = 0.0
    pushed: float = 0.0
    tokens: int = 0
    refresh_refused: bool = False
    token_seconds: int = 28800

    @property
    def endpoint(self) -> str:
        return f"http://{self.address}"

    def calls(self, suffix: str) -> list[Asked]:
        """Return what was asked of paths with this end."""
        return [one for one in self.asked if one.path.endswith(suffix)]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]
        }
        query = parse_qsl(scope["query_string"].decode(), keep_blank_values=True)
        asked = Asked(scope["method"], scope["raw_path"].decode(), query, headers, body)
        self.asked.append(asked)
        fault = self.faults.popleft() if self.faults else self._answer(asked)
        if fault.slow:
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        length = len(fault.body) + (1000 if fault.cut else 0)
        told = [
            (b"content-type", fault.content_type.encode()),
            (b"content-length", str(length).encode()),
            (b"x-request-id", REQUEST_ID.encode()),
            *fault.headers,
        ]
        await send({"type": "http.response.start", "status": fault.status, "headers": told})
        await send({"type": "http.response.body", "body": fault.body, "more_body": fault.cut})
        # A body that stays shorter than it said: the server cuts the connection.

    def _answer(self, asked: Asked) -> Fault:
        if asked.path.startswith("/api/"):
            return self._softsugar(asked)
        if not self._is_signed(asked):
            return UNAUTHORIZED
        return self._metastudio(asked)

    def _is_signed(self, asked: Asked) -> bool:
        if "x-auth-token" in asked.headers:
            return asked.headers["x-auth-token"] == TOKEN
        told = asked.headers.get("authorization", "")
        names = told.partition("SignedHeaders=")[2].partition(",")[0].split(";")
        request = SdkRequest(
            method=asked.method,
            schema="http",
            host=asked.headers["host"],
            resource_path=unquote(asked.path),
            query_params=list(asked.query),
            header_params={name: asked.headers.get(name, "") for name in names},
            body=asked.body,
        )
        if "x-sdk-date" not in names or "host" not in names:
            return False
        signed = Signer(SimpleNamespace(ak=ACCESS_KEY, sk=SECRET_KEY)).sign(request)
        return bool(signed.header_params["Authorization"] == told)

    def _metastudio(self, asked: Asked) -> Fault:
        match [asked.method, *unquote(asked.path).removeprefix(f"/v1/{PROJECT}/").split("/")]:
            case ["POST", "smart-live-rooms", _, "smart-live-jobs"]:
                return _json(202, self.start_answer)
            case ["GET", "smart-live-rooms", room, "smart-live-jobs"]:
                return self._jobs(asked, room)
            case ["GET", "smart-live-jobs"]:
                return self._jobs(asked, None)
            case ["GET", "smart-live-rooms", _, "smart-live-jobs", job]:
                return _json(200, self._grown(job)) if job in self.jobs else NOT_FOUND
            case ["POST", "smart-live-rooms", _, "smart-live-jobs", job, "stop"]:
                return _json(200, {}) if job in self.jobs else NOT_FOUND
            case ["POST", "smart-live-rooms", _, "smart-live-jobs", job, "command"]:
                return _json(200, {"result": "ok"}) if job in self.jobs else NOT_FOUND
            case ["POST", "smart-live-rooms", _, "smart-live-jobs", _, "live-event-report"]:
                return _json(200, {"result": "ok"})
            case ["GET", "smart-live-rooms", _, "live-warning-info"]:
                return _json(200, {"live_warning_info": [{"warning_type": word} for word in self.warnings]})
            case ["GET", "smart-live-rooms", _]:
                return _json(200, self.room) if self.room else NOT_FOUND
        return error(404, "APIG.0101", "The API does not exist")

    def _jobs(self, asked: Asked, room: str | None) -> Fault:
        query = dict(asked.query)
        states = query["state"].split(",") if "state" in query else None
        jobs = [
            job
            for job in map(self._grown, list(self.jobs))
            if (room is None or job["room_id"] == room) and (states is None or job["state"] in states)
        ]
        offset, limit = int(query.get("offset", 0)), min(int(query.get("limit", 10)), self.page_size)
        return _json(200, {"count": len(jobs), "smart_live_jobs": jobs[offset : offset + limit]})

    def _grown(self, job: str) -> dict[str, Any]:
        """Return a job, a while later than it was last asked for."""
        told = self.jobs[job]
        if told.get("state") == "PROCESSING" and "duration" in told:
            told["duration"] += self.ran
            told["stream_duration"] += self.pushed
        return told

    def _softsugar(self, asked: Asked) -> Fault:
        if asked.path.endswith("/access/api/token"):
            return self._log_in(asked.document)
        if asked.path.endswith("/token/refresh"):
            if self.refresh_refused:
                return _sugar(None, 60112161, "Refresh token too frequently, limit interval to 4 hours")
            if asked.headers.get("authorization") != f"refresh-{self.tokens}":
                return _sugar(None, 50101504, "Authorization does not exist.")
            return self._give_token()
        if asked.headers.get("authorization") != f"access-{self.tokens}":
            return _sugar(None, 60112505, "Access authorization expired, please log in again")
        if asked.path.endswith("/channel/create"):
            self.sessions["s-1"] = 32
            return _sugar({"sessionId": "s-1", "sessionToken": "st", "status": 32, "rtcToken": "rt"})
        if asked.path.endswith("/channel/close"):
            if self.sessions.pop(asked.document["sessionId"], None) is None:
                return _sugar(None, 84115929, "Task/session does not exist.")
            return _sugar(None)
        return self._running(asked)

    def _running(self, asked: Asked) -> Fault:
        listed = [{"sessionId": name, "status": status} for name, status in self.sessions.items()]
        if len(listed) <= self.page_size:
            return _sugar(listed)
        number = int(dict(asked.query).get("pageNo", 1))
        start = (number - 1) * self.page_size
        paging = {
            "pageNo": number,
            "numberPages": -(-len(listed) // self.page_size),
            "numberRecords": len(listed),
            "pageSize": self.page_size,
            "startIndex": start,
        }
        return _sugar({**paging, "records": listed[start : start + self.page_size]})

    def _log_in(self, told: dict[str, Any]) -> Fault:
        text = f"{told['appId']}{told['timestamp']}{APP_KEY}"
        if told["sign"] != hashlib.md5(text.encode(), usedforsecurity=False).hexdigest():
            return _sugar(None, 60112160, "Third-party system signature verification failed")
        return self._give_token()

    def _give_token(self) -> Fault:
        self.tokens += 1
        lives = {"expiresIn": self.token_seconds, "refreshTokenExpiresIn": 10 * self.token_seconds}
        return _sugar(
            {"accessToken": f"access-{self.tokens}", "refreshToken": f"refresh-{self.tokens}", **lives}
        )


def _json(status: int, document: Any) -> Fault:
    return Fault(status, json.dumps(document).encode())


def _sugar(data: Any, code: int = 0, message: str = "success") -> Fault:
    return _json(200, {"code": code, "message": message, "data": data})


@contextlib.asynccontextmanager
async def running_vendor() -> AsyncIterator[TestedVendor]:
    """Run the server while the context is open."""
    vendor = TestedVendor()
    async with serve(vendor, "127.0.0.1:0") as address:
        vendor.address = address
        yield vendor


def transport(vendor: TestedVendor, patience: Patience = SHORT_PATIENCE) -> Transport:
    """Return a transport to the server that waits for nothing."""
    return Transport(vendor.endpoint, patience, RateLimit(10_000.0), random.Random(1), SystemClock())


def metastudio_settings(vendor: TestedVendor, *, by_token: bool = False) -> ApiSettings:
    """Return `[sources.api]` for the server."""
    keys = {"token": TOKEN} if by_token else {"access_key": ACCESS_KEY, "secret_key": SECRET_KEY}
    return ApiSettings.model_validate({"endpoint": vendor.endpoint, "project_id": PROJECT, **keys})


def softsugar_settings(vendor: TestedVendor) -> ApiSettings:
    """Return `[sources.api]` for the server."""
    return ApiSettings.model_validate({"endpoint": vendor.endpoint, "app_id": APP_ID, "app_key": APP_KEY})


@contextlib.asynccontextmanager
async def metastudio_api(
    vendor: TestedVendor, *, by_token: bool = False, patience: Patience = SHORT_PATIENCE
) -> AsyncIterator[MetaStudioApi]:
    """A client of the server."""
    settings = metastudio_settings(vendor, by_token=by_token)
    api = MetaStudioApi(settings, transport(vendor, patience), SystemClock())
    try:
        yield api
    finally:
        await api.close()


@contextlib.asynccontextmanager
async def softsugar_api(vendor: TestedVendor, clock: Any = None) -> AsyncIterator[SoftSugarApi]:
    """A client of the server."""
    api = SoftSugarApi(softsugar_settings(vendor), transport(vendor), clock or SystemClock())
    try:
        yield api
    finally:
        await api.close()


def source_of(vendor: TestedVendor, kind: Vendor = Vendor.METASTUDIO) -> Source:
    """Return a source whose vendor is the server."""
    settings = metastudio_settings(vendor) if kind is Vendor.METASTUDIO else softsugar_settings(vendor)
    return Source(
        name="prod", vendor=kind, public_url="https://hooks.example.com/callbacks/prod", api=settings
    )


def opened(source: Source) -> Any:
    """Return the API of a source, in the words that every vendor's is asked in."""
    others = frozenset({ANOTHER_URL})
    return open_vendor_api(
        source, SystemClock(), random.Random(1), RateLimit(10_000.0), SHORT_PATIENCE, others
    )
