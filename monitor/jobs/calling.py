"""What the commands do: one call of a vendor's API each, and the registration with the running service."""

import random
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import httpx

from monitor.clock import Clock
from monitor.config import Settings, Source
from monitor.errors import ConfigurationError
from monitor.event import Vendor
from monitor.receiver.tokens import make_token
from monitor.vendors.api_errors import InvalidRequestError
from monitor.vendors.api_protocol import ObservedJob, StartedJob, VendorApi
from monitor.vendors.api_transport import RateLimit
from monitor.vendors.apis import callbacks_to, open_api

CALLS_PER_SECOND = 5.0
"""A command asks little; this keeps a long list polite."""

REGISTRATION_SECONDS = 10.0

LONGEST_SECONDS = 36500 * 86400
"""Of what is given a length of time: a hundred years, which a receiver still reads."""

_LENGTH = re.compile(r"([0-9]{1,9})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Registration(NamedTuple):
    """Whether the service was told of a job. problem: why not."""

    registered: bool
    problem: str | None = None


def source_named(settings: Settings, name: str) -> Source:
    """Return a source by its name.

    Raises:
        ConfigurationError: there is none.
    """
    for source in settings.sources:
        if source.name == name:
            return source
    known = ", ".join(source.name for source in settings.sources)
    raise ConfigurationError([f"{name}: no source of this name is configured (there are: {known})"])


@asynccontextmanager
async def vendor_of(source: Source, clock: Clock) -> AsyncIterator[VendorApi]:
    """Open the API of a source's account while the context is open.

    Raises:
        ConfigurationError: the source has none, or what it is asked breaks the vendor's rules.
    """
    api = open_api(source, clock, random.Random(), RateLimit(CALLS_PER_SECOND))
    try:
        yield api
    except InvalidRequestError as error:
        raise ConfigurationError(error.problems) from None
    finally:
        await api.close()


def merged(body: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """Return a request with more fields on top, field by field in objects."""
    both = dict(body)
    for name, value in more.items():
        known = both.get(name)
        both[name] = merged(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return both


def with_callbacks(source: Source, body: dict[str, Any]) -> dict[str, Any]:
    """Return a start that makes the vendor call back to this source.

    Raises:
        ConfigurationError: the vendor takes no callbacks from a start.
    """
    config = callbacks_to(source)
    if not config:
        raise ConfigurationError(
            [f"--callbacks: {source.vendor} sets the callback address for the account, not for a start"]
        )
    return merged(body, config)


async def register(
    settings: Settings, source: Source, started: StartedJob, service: str | None
) -> Registration:
    """Tell the running service of a job that was started.

    Args:
        settings: say where the service listens.
        source: of the job.
        started: the job.
        service: the operators' URL, if it isn't the configuration's.
    """
    return await _tell(settings, f"/api/jobs/{source.name}", started.registration, service)


async def tell_stopped(settings: Settings, source: Source, job_id: str, service: str | None) -> Registration:
    """Tell the running service that the vendor confirmed a stop, where it will hear no more of the job.

    Args:
        settings: say where the service listens.
        source: of the job; its vendor doesn't tell ends.
        job_id: of the job.
        service: the operators' URL, if it isn't the configuration's.
    """
    return await _tell(settings, f"/api/jobs/{source.name}/stopped", {"job_id": job_id}, service)


async def _tell(settings: Settings, path: str, document: dict[str, Any], service: str | None) -> Registration:
    url = (service or settings.admin.address.url).rstrip("/")
    # A proxy of the environment is there for the vendor; it doesn't reach a service of this machine.
    proxied = service is not None
    try:
        async with httpx.AsyncClient(timeout=REGISTRATION_SECONDS, trust_env=proxied) as client:
            answer = await client.post(f"{url}{path}", json=document)
    except (httpx.HTTPError, httpx.InvalidURL):
        # An address that none can be is told like one where nobody listens: the job runs already.
        return Registration(False, f"the service at {url} can't be reached")
    if answer.status_code != 202:
        return Registration(False, f"the service at {url} answered {answer.status_code}")
    return Registration(True)


def described(job: ObservedJob) -> dict[str, Any]:
    """Return a job for people and programs; durations in seconds."""
    said = job.observed
    return {
        "job_id": job.spelled,
        "room_id": said.room_id,
        "state": said.state.value if said.state is not None else "unknown",
        "duration": said.duration,
        "push_duration": said.push_duration,
        "callbacks": said.aim.value if said.aim is not None else None,
        "error": said.error,
        "reason": said.reason,
    }


def rtc_token(source: Source, job_id: str, seconds: int, now: float) -> tuple[str, int]:
    """Return a token by which a page may relay messages of one job, and when it expires (Unix seconds).

    Raises:
        ConfigurationError: the source has no rtc_token to make it from.
    """
    if source.rtc_token is None:
        raise ConfigurationError([f"source {source.name}: has no rtc_token_file, from which tokens are made"])
    expires = int(now) + seconds
    return make_token(source.rtc_token, source.name, job_id, expires), expires


def length(text: str) -> int:
    """Read a length of time: 90s, 45m, 24h, 7d; return seconds.

    Raises:
        ValueError: the text is none, or is zero, or longer than any token lasts.
    """
    parts = _LENGTH.fullmatch(text)
    seconds = int(parts[1]) * _SECONDS[parts[2]] if parts is not None else 0
    if not 0 < seconds <= LONGEST_SECONDS:
        raise ValueError(
            f"must be a number with s, m, h or d, such as 24h; at most {LONGEST_SECONDS // 86400}d"
        )
    return seconds


def needs_room(source: Source) -> bool:
    """Whether the vendor asks for a job by its room."""
    return source.vendor is Vendor.METASTUDIO


def tells_ends(source: Source) -> bool:
    """Whether the vendor's API goes on to show a job that is over."""
    return source.vendor is Vendor.METASTUDIO
