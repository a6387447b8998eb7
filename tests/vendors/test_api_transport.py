"""What both vendors' clients stand on: waiting as told, and not reading for ever."""

import asyncio
import contextlib
import random
import socket
import ssl
import struct
import threading
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import uvloop

from monitor.errors import ConfigurationError
from monitor.vendors.api_calls import MOST_ANSWER_BYTES, Call
from monitor.vendors.api_errors import (
    ApiError,
    ThrottledError,
    UnreachableError,
    UnreadableError,
    VendorSaid,
)
from monitor.vendors.api_transport import UNUSABLE_CERTIFICATES, Prepared, RateLimit, Transport
from tests.set_clock import SetClock
from tests.vendors.vendor_server import SHORT_PATIENCE, Fault, TestedVendor, error, running_vendor

NOW = 1_700_000_000.0
SELF_SIGNED = Path(__file__).with_name("self_signed.pem")
READ = Call("GET", "/v1/things", repeatable=True, name="(things)")


@pytest.fixture
async def vendor() -> AsyncIterator[TestedVendor]:
    async with running_vendor() as one:
        yield one


@pytest.fixture
async def transport(vendor: TestedVendor) -> AsyncIterator[Transport]:
    one = Transport(vendor.endpoint, SHORT_PATIENCE, RateLimit(10_000.0), random.Random(1), SetClock(NOW))
    yield one
    await one.close()


async def plain(call: Call) -> Prepared:
    return Prepared(call.path, {})


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ("120", 120.0),
        ("Tue, 14 Nov 2023 22:15:20 GMT", 120.0),
        ("Tue, 14 Nov 2023 22:15:20 -0000", 120.0),
    ],
)
async def test_a_retry_after_is_read_as_seconds_or_as_a_date(
    told: str, seconds: float, vendor: TestedVendor, transport: Transport
) -> None:
    vendor.faults.append(error(429, "APIG.0308", "Throttled", retry_after=told))

    with pytest.raises(ThrottledError) as caught:
        await transport.send(READ, plain)

    assert caught.value.retry_after == seconds
    assert caught.value.said.code == "APIG.0308"


def test_connections_that_are_reset_at_once_are_a_vendor_out_of_reach_on_the_services_loop_too() -> None:
    ends = uvloop.run(_calls_to_one_that_resets(100))

    assert ends == {UnreachableError: 100}


@pytest.mark.parametrize("status", [403, 429])
@pytest.mark.parametrize(
    ("header", "value", "repeated"),
    [
        ("X-Auth-Token", "token-of-a-day", "token-of-a-day"),
        ("Authorization", "SDK-HMAC-SHA256 Access=AK, Signature=0123abcd", "0123abcd"),
        ("Authorization", "SDK-HMAC-SHA256 Access=AK, Signature=0123abcd", "Access=AK, Signature=0123abcd"),
    ],
)
async def test_a_credential_that_a_refusal_repeats_is_masked(
    status: int, header: str, value: str, repeated: str, vendor: TestedVendor, transport: Transport
) -> None:
    async def signed(call: Call) -> Prepared:
        return Prepared(call.path, {header: value})

    fault = error(status, "APIGW.0301", f"Incorrect: {repeated}.")
    vendor.faults.extend([fault] * SHORT_PATIENCE.attempts)

    try:
        told = str((await transport.send(READ, signed)).document)
    except ThrottledError as refused:
        told = str(refused)

    assert "Incorrect: " in told
    assert "***." in told
    assert value.rpartition("=")[2] not in told


@contextlib.asynccontextmanager
async def one_that_answers(answer: bytes, *, certificate: Path | None = None) -> AsyncIterator[int]:
    """Run a server that answers everything the same, and give its port."""

    async def answer_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()
        writer.close()

    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
    server = await asyncio.start_server(answer_once, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


@contextlib.asynccontextmanager
async def transport_to(endpoint: str) -> AsyncIterator[Transport]:
    one = Transport(endpoint, SHORT_PATIENCE, RateLimit(10_000.0), random.Random(1), SetClock(NOW))
    try:
        yield one
    finally:
        await one.close()


async def test_a_certificate_that_is_not_trusted_is_named_as_that(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    async with one_that_answers(answer, certificate=SELF_SIGNED) as port:
        async with transport_to(f"https://localhost:{port}") as transport:
            with pytest.raises(
                UnreachableError, match=r"certificate isn't trusted \(self.signed certificate\)"
            ):
                await transport.send(READ, plain)
        monkeypatch.setenv("SSL_CERT_FILE", str(SELF_SIGNED))
        async with transport_to(f"https://localhost:{port}") as transport:
            assert (await transport.send(READ, plain)).status == 200


@pytest.mark.parametrize("name", ["missing.pem", "empty.pem"])
def test_certificates_of_the_environment_that_cannot_be_read_are_named(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty.pem").touch()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / name))

    with pytest.raises(ConfigurationError, match=UNUSABLE_CERTIFICATES):
        Transport("https://vendor.example", SHORT_PATIENCE, RateLimit(1.0), random.Random(1), SetClock(NOW))


async def test_a_proxy_that_refuses_has_sent_the_vendor_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
    async with one_that_answers(answer) as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://somebody:password@127.0.0.1:{port}")
        async with transport_to("https://vendor.example") as transport:
            with pytest.raises(UnreachableError) as caught:
                await transport.send(Call("POST", "/v1/things", name="(start)"), plain)

    assert str(caught.value) == "POST (start): the proxy of the environment made no connection to the vendor"


@pytest.mark.parametrize("told", ["", "soon", "-5", "²", "Tue, 14 Nov 99999999999 22:15:20 GMT"])
async def test_a_retry_after_that_is_neither_is_passed_over(
    told: str, vendor: TestedVendor, transport: Transport
) -> None:
    fault = Fault(429, b"{}", headers=((b"retry-after", told.encode("latin-1")),))
    vendor.faults.extend([fault] * SHORT_PATIENCE.attempts)

    with pytest.raises(ThrottledError) as caught:
        await transport.send(READ, plain)

    assert caught.value.retry_after is None
    assert len(vendor.asked) == SHORT_PATIENCE.attempts


async def test_an_answer_without_end_is_not_read_whole(vendor: TestedVendor, transport: Transport) -> None:
    # Whoever read on would come to where the connection is cut.
    vendor.faults.append(Fault(200, b" " * (MOST_ANSWER_BYTES + 1), cut=True))

    with pytest.raises(UnreadableError, match="too long"):
        await transport.send(READ, plain)


async def test_a_redirect_is_not_followed_so_that_no_credential_goes_elsewhere(
    vendor: TestedVendor, transport: Transport
) -> None:
    async def with_token(call: Call) -> Prepared:
        return Prepared(call.path, {"x-auth-token": "token"})

    async with running_vendor() as elsewhere:
        vendor.faults.append(Fault(307, headers=((b"location", f"{elsewhere.endpoint}/v1".encode()),)))
        answer = await transport.send(READ, with_token)

        assert elsewhere.asked == []
    assert answer.status == 307


async def test_a_path_in_front_of_all_others_is_kept(vendor: TestedVendor) -> None:
    endpoint = f"{vendor.endpoint}/gateway/"
    one = Transport(endpoint, SHORT_PATIENCE, RateLimit(10_000.0), random.Random(1), SetClock(NOW))
    vendor.faults.append(Fault(200, b"{}"))
    await one.send(READ, plain)
    await one.close()

    assert vendor.asked[0].path == "/gateway/v1/things"


async def test_each_call_takes_a_turn_of_the_rate_limit(vendor: TestedVendor) -> None:
    turns: list[int] = []
    rate = RateLimit(10_000.0, on_turn=lambda: turns.append(1))
    one = Transport(vendor.endpoint, SHORT_PATIENCE, rate, random.Random(1), SetClock(NOW))
    vendor.faults.extend([Fault(503), Fault(200, b"{}")])
    await one.send(READ, plain)
    await one.close()

    assert len(turns) == len(vendor.asked) == 2


@pytest.mark.parametrize(("calls", "seconds"), [(1, 0.0), (5, 0.0), (6, 1.0), (65, 60.0)])
async def test_calls_beyond_a_few_are_spaced_out_to_the_rate(calls: int, seconds: float) -> None:
    told = [1000.0]

    async def rest(wait: float) -> None:
        told[0] += wait

    rate = RateLimit(60 / 60, burst=5, steady=lambda: told[0], rest=rest)
    for _ in range(calls):
        await rate.turn()

    assert told[0] - 1000.0 == pytest.approx(seconds)


def test_an_error_tells_what_the_vendor_said_and_cuts_it_short() -> None:
    said: Any = VendorSaid(400, "MSS.1", "m" * 1000, "r-1")

    text = str(ApiError("GET (things)", "was refused", said))

    assert text.startswith("GET (things): was refused; the vendor says: MSS.1 mmm")
    assert text.endswith("; request id r-1")
    assert len(text) < 400


async def _calls_to_one_that_resets(calls: int) -> Counter[type[Exception]]:
    """Call one that takes each connection and resets it; return how the calls ended."""
    patience = SHORT_PATIENCE._replace(attempts=1)
    ends: Counter[type[Exception]] = Counter()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=_reset_all, args=[listening], daemon=True).start()
        endpoint = f"http://127.0.0.1:{listening.getsockname()[1]}"
        one = Transport(endpoint, patience, RateLimit(10_000.0), random.Random(1), SetClock(NOW))
        for _ in range(calls):
            try:
                await one.send(READ, plain)
            except Exception as error:
                ends[type(error)] += 1
        await one.close()
        listening.shutdown(socket.SHUT_RDWR)
    return ends


def _reset_all(listening: socket.socket) -> None:
    while True:
        try:
            connection, _ = listening.accept()
        except OSError:
            return
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
