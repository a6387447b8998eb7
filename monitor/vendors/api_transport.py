"""Sends requests to a vendor's API: time-outs, a rate limit, and retries where a repeat is safe.

A repeat is safe where the call only reads, or where the vendor has certainly not acted: the connection
was never made, or it answered 429. Everything else is told to the caller at once: a second job costs
money.
"""

import asyncio
import random
import ssl
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import NamedTuple

import httpx

from monitor.clock import Clock, stopwatch
from monitor.errors import ConfigurationError
from monitor.masking import MASK
from monitor.vendors.api_calls import MOST_ANSWER_BYTES, Answer, Call, read_answer, said_by
from monitor.vendors.api_errors import ThrottledError, UnreachableError

MOST_PAGES = 300
"""A list that never ends is given up: a part of it would say that the rest is gone."""

UNUSABLE_PROXY = (
    "HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY of the environment: one of them can't be used; "
    "a proxy must begin with http:// or https://"
)

UNUSABLE_CERTIFICATES = "SSL_CERT_FILE of the environment: isn't a file of certificates that can be read"

# ProxyError: the proxy of the environment made no connection to the vendor.
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)


class Patience(NamedTuple):
    """How long to wait for a vendor. All in seconds, but for the number of attempts.

    connect, answer: for a connection, for each part of an answer. attempts: of a call that may be
    repeated. first_delay, longest_delay: of the waits between, which double and are jittered.
    longest_retry_after: a vendor that wants a longer rest is not waited for.
    """

    connect: float = 5.0
    answer: float = 20.0
    attempts: int = 4
    first_delay: float = 0.5
    longest_delay: float = 8.0
    longest_retry_after: float = 30.0


class Prepared(NamedTuple):
    """What goes over the wire beside method and body. target: path and query, quoted as they are sent."""

    target: str
    headers: Mapping[str, str]


Authorize = Callable[[Call], Awaitable[Prepared]]
"""Gives each attempt its target and headers: a signature has a time, and a token can be refreshed."""


class RateLimit:
    """Spaces calls out: at most `per_second` on average, and a few at once after a rest.

    Args:
        per_second: calls.
        burst: how many may go at once.
        on_turn: told of each call.
        steady: seconds of a counter that never steps back.
        rest: waits for so many seconds.
    """

    def __init__(
        self,
        per_second: float,
        burst: int = 5,
        on_turn: Callable[[], None] | None = None,
        *,
        steady: Callable[[], float] = stopwatch,
        rest: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._on_turn = on_turn
        self._steady = steady
        self._rest = rest
        self._interval = 1.0 / per_second
        self._credit = burst * self._interval
        self._next = 0.0

    async def turn(self) -> None:
        """Wait for this call's turn."""
        now = self._steady()
        # The time at which the call may go; what wasn't used counts for `burst` calls at most.
        self._next = max(self._next, now - self._credit) + self._interval
        if self._next > now:
            await self._rest(self._next - now)
        if self._on_turn is not None:
            self._on_turn()


class Transport:
    """One vendor's endpoint.

    Args:
        endpoint: scheme, host and port, perhaps a path in front of all others.
        patience: how long to wait.
        rate: how fast to ask.
        rng: jitters the waits.
        clock: for a Retry-After that names a time of day.

    Raises:
        ConfigurationError: the environment names a proxy or a file of certificates that can't be used.
    """

    def __init__(
        self, endpoint: str, patience: Patience, rate: RateLimit, rng: random.Random, clock: Clock
    ) -> None:
        self._patience = patience
        self._rate = rate
        self._rng = rng
        self._clock = clock
        try:
            self._client = httpx.AsyncClient(
                timeout=httpx.Timeout(patience.answer, connect=patience.connect),
                limits=httpx.Limits(max_connections=8, max_keepalive_connections=4),
                follow_redirects=False,
            )
        except (ImportError, ValueError, httpx.InvalidURL):
            # ImportError: a SOCKS proxy. It may hold a password, so it is not repeated.
            raise ConfigurationError([UNUSABLE_PROXY]) from None
        except OSError:
            raise ConfigurationError([UNUSABLE_CERTIFICATES]) from None
        self.url = httpx.URL(endpoint.rstrip("/"))

    @property
    def host(self) -> str:
        """The Host header, as it is sent and signed."""
        return self.url.netloc.decode("ascii")

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def send(self, call: Call, authorize: Authorize) -> Answer:
        """Return the vendor's answer, whatever its status but 429.

        Raises:
            ThrottledError: 429 to the last.
            UnreachableError: no whole answer came.
            UnreadableError: the answer isn't JSON, or is too long.
        """
        attempts = self._patience.attempts
        for attempt in range(1, attempts + 1):
            last = attempt == attempts
            await self._rate.turn()
            prepared = await authorize(call)
            try:
                response, content = await self._receive(call, prepared)
            except httpx.HTTPError as error:
                not_sent = isinstance(error, _NOT_SENT)
                if last or not (call.repeatable or not_sent):
                    raise UnreachableError(
                        str(call), _why(error), perhaps_done=not (not_sent or call.repeatable)
                    ) from None
                await self._rest(attempt, None)
                continue
            if response.status_code >= 300:
                content = _without_credentials(content, prepared)
            if response.status_code == 429:
                wait = self._retry_after(response)
                if last or (wait is not None and wait > self._patience.longest_retry_after):
                    raise ThrottledError(str(call), "asked too often", said_by(call, response, content), wait)
                await self._rest(attempt, wait)
                continue
            if response.status_code >= 500 and call.repeatable and not last:
                await self._rest(attempt, self._retry_after(response))
                continue
            return read_answer(call, response, content)
        raise AssertionError("the last attempt returns or raises")

    async def _receive(self, call: Call, prepared: Prepared) -> tuple[httpx.Response, bytes]:
        raw_path = self.url.raw_path.rstrip(b"/") + prepared.target.encode("ascii")
        request = self._client.build_request(
            call.method,
            self.url.copy_with(raw_path=raw_path),
            headers=prepared.headers,
            content=call.body or None,
        )
        # A limit on the whole of it: each part of an answer that trickles in would renew the other.
        try:
            async with asyncio.timeout(self._patience.connect + 3 * self._patience.answer):
                return await self._stream(request)
        except TimeoutError:
            raise httpx.ReadTimeout("the whole answer took too long") from None

    async def _stream(self, request: httpx.Request) -> tuple[httpx.Response, bytes]:
        try:
            response = await self._client.send(request, stream=True)
        except AttributeError:
            # On uvloop a connection that is reset as soon as it is made has no socket any more by the time
            # that httpx asks it for its address.
            raise httpx.ConnectError("the connection was reset") from None
        content = bytearray()
        try:
            async for part in response.aiter_bytes():
                content += part
                if len(content) > MOST_ANSWER_BYTES:
                    break
        finally:
            await response.aclose()
        return response, bytes(content)

    async def _rest(self, attempt: int, retry_after: float | None) -> None:
        patience = self._patience
        delay = min(patience.longest_delay, patience.first_delay * 2 ** (attempt - 1))
        delay *= self._rng.uniform(0.5, 1.0)
        if retry_after is not None:
            delay = max(delay, min(retry_after, patience.longest_retry_after))
        await asyncio.sleep(delay)

    def _retry_after(self, response: httpx.Response) -> float | None:
        """Read Retry-After, in seconds: the header has a number of them, or a date."""
        text = response.headers.get("retry-after", "").strip()
        if text.isascii() and text.isdigit():
            return float(text[:9])
        try:
            at = parsedate_to_datetime(text)
        except (ValueError, OverflowError):
            # OverflowError: a year beyond all numbers of the machine.
            return None
        if at.tzinfo is None:
            at = at.replace(tzinfo=UTC)
        return max(0.0, at.timestamp() - self._clock.now())


def _without_credentials(content: bytes, prepared: Prepared) -> bytes:
    """Mask in a refusal the credentials that it repeats: its message goes into errors and logs."""
    for name in ("Authorization", "X-Auth-Token"):
        if value := prepared.headers.get(name):
            for secret in (value, value.rpartition("Signature=")[2]):
                content = content.replace(secret.encode(), MASK.encode())
    return content


def _why(error: httpx.HTTPError) -> str:
    """Say what happened, without the library's text: it may hold the URL."""
    if isinstance(error, httpx.ProxyError):
        return "the proxy of the environment made no connection to the vendor"
    if (certificate := _certificate_error(error)) is not None:
        return f"the vendor's certificate isn't trusted ({certificate.verify_message.rstrip('.')})"
    if isinstance(error, httpx.ConnectTimeout | httpx.ConnectError):
        return "the vendor can't be connected to"
    if isinstance(error, httpx.TimeoutException):
        return "no answer came in time"
    return "the connection was cut before the whole answer came"


def _certificate_error(error: BaseException | None) -> ssl.SSLCertVerificationError | None:
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return error
