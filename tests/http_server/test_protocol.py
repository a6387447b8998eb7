"""The HTTP server's own limits: before and around a body nobody but the server can set them."""

import asyncio
import contextlib
import gc
import signal
import socket
import struct
from collections.abc import AsyncIterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from monitor.errors import ConfigurationError
from monitor.http_server import serve
from monitor.http_server.exchange import Exchange
from monitor.http_server.protocol import MAX_HEAD_BYTES, PIECE_BYTES, HttpProtocol
from tests.http_server.applications import GET, Held, hello, large
from tests.receiver.running import connection, eventually

DATA_SEGMENTS_IN = 152
"""Where Linux's `struct tcp_info` has the number of segments with data that a socket was sent."""


@contextlib.asynccontextmanager
async def _connected(
    header_timeout: float = 10.0,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    async with (
        serve(hello, "127.0.0.1:0", header_timeout=header_timeout) as address,
        connection(address) as streams,
    ):
        yield streams


async def _until_closed(reader: asyncio.StreamReader) -> bytes:
    received = b""
    async with asyncio.timeout(10):
        with contextlib.suppress(ConnectionResetError):
            while data := await reader.read(65536):
                received += data
    return received


async def test_headers_that_do_not_arrive_in_time_are_answered_408_and_the_connection_closed() -> None:
    async with _connected(header_timeout=0.2) as (reader, writer):
        writer.write(b"POST /callbacks/x HTTP/1.1\r\nhost: x\r\nx-slow: ")
        answer = await _until_closed(reader)

    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    assert b"content-length: %d" % len(body) in head
    assert body.startswith(b'{"error":"too_slow"')


async def test_trickling_headers_get_no_more_time() -> None:
    async with _connected(header_timeout=0.3) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\n")
        answer = asyncio.create_task(_until_closed(reader))
        sent = 0
        while not answer.done() and sent < 1000:
            writer.write(b"x-%d: y\r\n" % sent)
            sent += 1
            await asyncio.wait([answer], timeout=0.02)

        assert (await answer).startswith(b"HTTP/1.1 408 ")


async def test_a_connection_that_never_says_anything_is_closed_without_a_word() -> None:
    async with _connected(header_timeout=0.2) as (reader, _):
        assert await _until_closed(reader) == b""


async def test_a_connection_that_sends_only_line_ends_is_closed() -> None:
    async with _connected(header_timeout=0.2) as (reader, writer):
        writer.write(GET)
        assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200 ")
        writer.write(b"\r\n")
        assert await _until_closed(reader) == b""


async def test_slow_headers_of_a_second_request_are_noticed_too() -> None:
    async with _connected(header_timeout=0.2) as (reader, writer):
        writer.write(GET)
        assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200 ")
        writer.write(b"GET / HT")
        assert (await _until_closed(reader)).startswith(b"HTTP/1.1 408 ")


async def test_an_idle_connection_outlives_the_limit_for_headers() -> None:
    async with _connected(header_timeout=0.1) as (reader, writer):
        writer.write(GET)
        await reader.readuntil(b"hello")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.4):
                assert await reader.read(1) == b"(the server must not close)"
        writer.write(GET)
        assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200 ")


async def test_a_body_that_nobody_reads_any_more_must_end_in_time() -> None:
    async with _connected(header_timeout=0.2) as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\nx")
        await reader.readuntil(b"hello")
        # The first byte after the answer ends the wait for a next request, and begins this one.
        writer.write(b"x")
        assert await _until_closed(reader) == b""


async def test_the_limit_for_headers_does_not_touch_a_body() -> None:
    async with _connected(header_timeout=0.1) as (reader, writer):
        writer.write(b"POST /patient HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nx")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.4):
                assert await reader.read(1) == b"(the server must not answer)"
        writer.write(b"x")
        assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200 ")


async def test_endless_headers_are_answered_431() -> None:
    async with _connected() as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * (MAX_HEAD_BYTES // 6 + 1))
        assert (await _until_closed(reader)).startswith(b"HTTP/1.1 431 ")


async def test_an_endless_head_behind_a_request_closes_the_connection_after_its_answer() -> None:
    held = Held()
    async with serve(held, "127.0.0.1:0") as address, connection(address) as (reader, writer):
        writer.write(GET)
        await held.begun.wait()
        writer.write(b"GET / HTTP/1.1\r\nx: " + b"y" * (2 * MAX_HEAD_BYTES))
        await writer.drain()
        asyncio.get_running_loop().call_later(0.2, held.finish.set)
        answer = await _until_closed(reader)

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"hello")


async def test_one_endless_header_is_answered_431() -> None:
    async with _connected() as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nx: " + b"y" * MAX_HEAD_BYTES)
        assert (await _until_closed(reader)).startswith(b"HTTP/1.1 431 ")


async def test_endless_trailers_close_the_connection() -> None:
    async with _connected() as (reader, writer):
        writer.write(b"POST /patient HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n")
        writer.write(b"x: y\r\n" * (MAX_HEAD_BYTES // 6 + 1))
        assert await _until_closed(reader) == b""


async def test_bytes_of_bodies_do_not_count_as_headers() -> None:
    async with _connected() as (reader, writer):
        for _ in range(3):
            writer.write(
                b"POST /patient HTTP/1.1\r\nhost: x\r\ncontent-length: 200000\r\n\r\n" + b"x" * 200_000
            )
            assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200 ")


async def test_a_body_in_chunks_of_one_byte_is_read_whole() -> None:
    size = 40_000
    async with _connected() as (reader, writer):
        writer.write(b"POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
        writer.write(b"1\r\nx\r\n" * size + b"0\r\n\r\n")
        async with asyncio.timeout(30):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
            assert await reader.readexactly(size) == b"x" * size


async def test_endless_framing_around_a_small_body_closes_the_connection() -> None:
    async with _connected() as (reader, writer):
        writer.write(b"POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
        writer.write((b"1;" + b"y" * 1000 + b"\r\nx\r\n") * (MAX_HEAD_BYTES // 1000 + 1))
        assert await _until_closed(reader) == b""


async def test_a_head_that_waits_for_its_turn_is_not_too_slow() -> None:
    held = Held()
    async with (
        serve(held, "127.0.0.1:0", header_timeout=0.2) as address,
        connection(address) as (reader, writer),
    ):
        writer.write(GET + GET + b"GET / HTTP/1.1\r\nhost: x\r\nx: " + b"y" * 2 * PIECE_BYTES + b"\r\n\r\n")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.6):
                assert await reader.read(1) == b"(the server must not answer)"
        held.finish.set()
        async with asyncio.timeout(10):
            for _ in range(3):
                assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200 ")


async def test_a_head_whose_turn_has_come_must_go_on() -> None:
    held = Held()
    async with (
        serve(held, "127.0.0.1:0", header_timeout=0.2) as address,
        connection(address) as (reader, writer),
    ):
        writer.write(GET + GET + b"GET / HTTP/1.1\r\nhost: x\r\nx: " + b"y" * 2 * PIECE_BYTES)
        await held.begun.wait()
        held.finish.set()
        answers = await _until_closed(reader)

    assert answers.count(b"hello") == 2
    assert b"HTTP/1.1 408 " in answers


async def test_of_many_requests_at_once_few_are_taken_apart_before_their_turn() -> None:
    held, many = Held(), 5000
    async with serve(held, "127.0.0.1:0") as address, connection(address) as (reader, writer):
        writer.write(GET * many)
        await held.begun.wait()
        taken = sum(isinstance(one, Exchange) for one in gc.get_objects())
        held.finish.set()
        async with asyncio.timeout(30):
            for _ in range(many):
                await reader.readuntil(b"hello")

    assert taken < 200


async def test_what_is_not_http_is_answered_400() -> None:
    async with _connected() as (reader, writer):
        writer.write(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")
        answer = await _until_closed(reader)

    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert body == b'{"error":"not_http","detail":"What came isn\'t an HTTP request."}'


@pytest.mark.parametrize(
    "junk",
    [
        b"\x16\x03\x01\x02\x00\r\n\r\n",
        b"\r\n" * MAX_HEAD_BYTES,
        b"GET / HTTP/1.1\r\nno header\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n" + b"x: y\r\n" * 20_000,
    ],
    ids=["no request", "line ends", "head", "body", "trailers"],
)
@pytest.mark.parametrize("before", [1, 3])
async def test_what_can_not_be_a_request_is_not_answered_in_the_place_of_those_before_it(
    before: int, junk: bytes
) -> None:
    held = Held()
    async with serve(held, "127.0.0.1:0") as address, connection(address) as (reader, writer):
        writer.write(GET * before + junk)
        async with asyncio.timeout(10):
            await held.begun.wait()
            writer.write(b"and more")
        asyncio.get_running_loop().call_later(0.1, held.finish.set)
        answers = await _until_closed(reader)

    assert answers.count(b"HTTP/1.1 200 ") == answers.count(b"HTTP/1.1 ") == before
    assert answers.endswith(b"hello")


async def test_a_body_that_turns_out_broken_behind_its_answer_is_not_answered_again() -> None:
    async with _connected() as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n")
        async with asyncio.timeout(10):
            await reader.readuntil(b"hello")
        writer.write(b"zz\r\n")
        assert await _until_closed(reader) == b""


async def test_a_client_that_offers_another_protocol_is_answered_in_this_one() -> None:
    async with _connected() as (reader, writer):
        writer.write(
            b"POST /patient HTTP/1.1\r\nhost: x\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\n"
            b"http2-settings: AAMAAABkAAQAoAAAAAIAAAAA\r\ncontent-length: 2\r\n\r\nxx"
        )
        assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200 ")


_OFFER = b"host: x\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMA\r\n"


@pytest.mark.parametrize("piece", [1, 7, 10_000])
@pytest.mark.parametrize(
    ("framing", "sent"),
    [
        (b"content-length: 9\r\n", b"the event"),
        (b"transfer-encoding: chunked\r\n", b"4\r\nthe \r\n5\r\nevent\r\n0\r\n\r\n"),
    ],
    ids=["length", "chunks"],
)
async def test_what_a_client_sends_that_offers_another_protocol_is_read_whole(
    framing: bytes, sent: bytes, piece: int
) -> None:
    # Java's HttpClient makes this offer with the first request of each connection that isn't encrypted.
    request = b"POST /echo HTTP/1.1\r\n" + _OFFER + framing + b"\r\n" + sent
    plain = b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nnext"
    wanted = request + request + b"GET /echo HTTP/1.1\r\n" + _OFFER + b"\r\n" + plain
    async with _connected() as (reader, writer), asyncio.timeout(10):
        for start in range(0, len(wanted), piece):
            writer.write(wanted[start : start + piece])
            await writer.drain()
            await asyncio.sleep(0)
        for body in (b"the event", b"the event", b"", b"next"):
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 ")
            assert b"content-length: %d\r\n" % len(body) in head
            assert await reader.readexactly(len(body)) == body


async def test_a_broken_body_of_a_client_that_offers_another_protocol_is_answered_400() -> None:
    async with _connected() as (reader, writer):
        writer.write(b"POST /echo HTTP/1.1\r\n" + _OFFER + b"transfer-encoding: chunked\r\n\r\nzz\r\n")
        assert (await _until_closed(reader)).startswith(b"HTTP/1.1 400 ")


async def _answered(streams: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> bytes:
    reader, writer = streams
    writer.write(GET)
    async with asyncio.timeout(10):
        return await reader.readuntil(b"hello")


async def test_of_too_many_connections_the_one_that_is_idle_for_longest_is_closed() -> None:
    async with (
        serve(hello, "127.0.0.1:0", header_timeout=10, max_connections=3) as address,
        connection(address) as never_asked,
        connection(address) as first,
        connection(address) as second,
    ):
        for one in (first, second, first):
            await _answered(one)
        async with connection(address) as third, connection(address) as fourth:
            answers = [await _answered(one) for one in (first, third, fourth)]
            closed = [await _until_closed(reader) for reader, _ in (never_asked, second)]

    assert all(answer.startswith(b"HTTP/1.1 200 ") for answer in answers)
    assert closed == [b"", b""]


async def test_one_connection_too_many_is_answered_503_while_requests_run_on_all() -> None:
    held = Held()
    async with (
        serve(held, "127.0.0.1:0", header_timeout=10, max_connections=1) as address,
        connection(address) as (reader, writer),
    ):
        writer.write(GET)
        async with asyncio.timeout(10):
            await held.begun.wait()
        async with connection(address) as (second, _):
            refused = await _until_closed(second)
        held.finish.set()
        still_served = await reader.readuntil(b"hello")

    assert refused.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: 1\r\n" in refused
    assert still_served.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("sent", "answered", "reason"),
    [
        (b"\x16\x03\x01\x02\x00", 400, "not_http"),
        (b"GET / HTTP/1.1\r\nhost:", 408, "head_too_slow"),
        (b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * (MAX_HEAD_BYTES // 6 + 1), 431, "head_too_large"),
    ],
)
async def test_each_request_that_the_server_itself_refuses_is_told_once_with_its_reason(
    sent: bytes, answered: int, reason: str
) -> None:
    refused: list[str] = []
    async with (
        serve(hello, "127.0.0.1:0", header_timeout=0.2, note_refused=refused.append) as address,
        connection(address) as served,
        connection(address) as (reader, writer),
    ):
        await _answered(served)
        writer.write(sent)
        answer = await _until_closed(reader)

    assert answer.startswith(b"HTTP/1.1 %d " % answered)
    assert refused == [reason]


async def test_each_connection_that_is_refused_or_has_to_give_way_inside_a_body_is_told() -> None:
    held, refused = Held(), list[str]()
    async with (
        serve(held, "127.0.0.1:0", max_connections=1, note_refused=refused.append) as address,
        connection(address) as (slow, body),
    ):
        body.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nx")
        async with asyncio.timeout(10):
            await held.begun.wait()
        async with connection(address) as (_, writer):
            gave_way = await _until_closed(slow)
            held.begun.clear()
            writer.write(GET)
            async with asyncio.timeout(10):
                await held.begun.wait()
            async with connection(address) as (third, _):
                one_too_many = await _until_closed(third)
            held.finish.set()

    assert gave_way.startswith(b"HTTP/1.1 408 ")
    assert one_too_many.startswith(b"HTTP/1.1 503 ")
    assert refused == ["body_too_slow", "too_many_connections"]


async def test_that_connections_are_refused_is_logged_once_in_a_while() -> None:
    held = Held()
    with capture_logs() as lines:
        async with (
            serve(held, "127.0.0.1:0", max_connections=1) as address,
            connection(address) as (_, writer),
        ):
            writer.write(GET)
            async with asyncio.timeout(10):
                await held.begun.wait()
            for _ in range(3):
                async with connection(address) as (refused, _):
                    assert (await _until_closed(refused)).startswith(b"HTTP/1.1 503 ")
            held.finish.set()

    assert [(line["event"], line["address"], line["most"]) for line in lines] == [
        ("connections refused", address, 1)
    ]


async def test_a_connection_whose_pipelined_requests_run_is_not_idle() -> None:
    held, asked = Held(), 0

    async def hold_the_second(scope: Any, receive: Any, send: Any) -> None:
        nonlocal asked
        asked += 1
        await (hello if asked == 1 else held)(scope, receive, send)

    async with (
        serve(hold_the_second, "127.0.0.1:0", header_timeout=10, max_connections=1) as address,
        connection(address) as (reader, writer),
        asyncio.timeout(10),
    ):
        writer.write(GET + GET)
        await reader.readuntil(b"hello")
        await held.begun.wait()
        async with connection(address) as (second, _):
            refused = await _until_closed(second)
        held.finish.set()
        still_served = await reader.readuntil(b"hello")

    assert refused.startswith(b"HTTP/1.1 503 ")
    assert still_served.startswith(b"HTTP/1.1 200 ")


async def test_clients_that_send_request_upon_request_keep_nobody_out() -> None:
    held = Held()
    async with (
        serve(held, "127.0.0.1:0", header_timeout=10, max_connections=2) as address,
        connection(address) as first,
        connection(address) as second,
    ):
        for _, writer in (first, second):
            writer.write(GET * 1000)
            await held.begun.wait()
            held.begun.clear()
        async with connection(address) as (third, _):
            refused = await _until_closed(third)
        held.finish.set()
        answers = [await _until_closed(reader) for reader, _ in (first, second)]
        # Now that there is room, they are answered again.
        async with connection(address) as (reader, writer), asyncio.timeout(10):
            writer.write(GET * 3)
            for _ in range(3):
                assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200 ")

    assert refused.startswith(b"HTTP/1.1 503 ")
    assert [one.endswith(b"hello") for one in answers] == [True, True]


@pytest.mark.parametrize("before", [b"", GET], ids=["first", "second"])
async def test_clients_that_hold_back_their_bodies_keep_nobody_out(before: bytes) -> None:
    async with (
        serve(hello, "127.0.0.1:0", header_timeout=10, max_connections=2) as address,
        connection(address) as first,
        connection(address) as second,
    ):
        for reader, writer in (first, second):
            writer.write(before + b"POST /patient HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\n")
            writer.write(b"content-length: 4\r\n\r\n")
            async with asyncio.timeout(10):
                await reader.readuntil(b"100 Continue\r\n\r\n")
        async with connection(address) as third:
            answer = await _answered(third)
            refused = await _until_closed(first[0])
        second[1].write(b"body")
        async with asyncio.timeout(10):
            still_served = await second[0].readuntil(b"hello")

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert refused.startswith(b"HTTP/1.1 408 ")
    assert still_served.startswith(b"HTTP/1.1 200 ")


async def test_a_body_that_came_in_parts_makes_way_no_more_while_its_answer_is_awaited() -> None:
    held = Held()

    async def read_first(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["more_body"]:
            pass
        await held(scope, receive, send)

    async with (
        serve(read_first, "127.0.0.1:0", header_timeout=10, max_connections=1) as address,
        connection(address) as (reader, writer),
        asyncio.timeout(10),
    ):
        writer.write(b"POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n")
        await reader.readuntil(b"100 Continue\r\n\r\n")
        writer.write(b"body")
        await held.begun.wait()
        async with connection(address) as (second, _):
            refused = await _until_closed(second)
        held.finish.set()
        still_served = await reader.readuntil(b"hello")

    assert refused.startswith(b"HTTP/1.1 503 ")
    assert still_served.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("last", [b"", b"connection: close\r\n"], ids=["kept", "closing"])
async def test_clients_that_read_no_answers_keep_nobody_out(last: bytes) -> None:
    async with (
        serve(large, "127.0.0.1:0", header_timeout=10, max_connections=3) as address,
        connection(address) as resting,
        connection(address) as first,
        connection(address) as second,
    ):
        await _answered(resting)
        for reader, writer in (first, second):
            writer.write(b"GET /large HTTP/1.1\r\nhost: x\r\n" + last + b"\r\n")
            async with asyncio.timeout(10):
                await reader.readuntil(b"\r\n\r\n")
        async with connection(address) as third, connection(address) as fourth:
            answers = [await _answered(one) for one in (third, fourth, resting)]

    assert all(answer.startswith(b"HTTP/1.1 200 ") for answer in answers)


async def test_head_and_body_of_an_answer_come_in_one_segment() -> None:
    async with _connected() as (reader, writer):
        for answers in (1, 2, 3):
            writer.write(GET)
            await reader.readuntil(b"hello")
            told = writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
            assert struct.unpack_from("I", told, DATA_SEGMENTS_IN) == (answers,)


async def test_an_answer_in_many_small_parts_waits_for_its_reader() -> None:
    part, parts = b"x" * 4096, 10_000
    begun, written = asyncio.Event(), 0

    async def lengthy(_scope: Any, _receive: Any, send: Any) -> None:
        nonlocal written
        length = str(parts * len(part)).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
        begun.set()
        for number in range(parts):
            await send({"type": "http.response.body", "body": part, "more_body": number < parts - 1})
            written += 1

    async with serve(lengthy, "127.0.0.1:0") as address, connection(address) as (reader, writer):
        writer.write(GET)
        await begun.wait()
        # A send that doesn't wait goes on to the next at once: by now all were made, or one waits.
        assert written < parts
        await reader.readuntil(b"\r\n\r\n")
        async with asyncio.timeout(30):
            assert await reader.readexactly(parts * len(part)) == part * parts


async def test_a_connection_that_is_over_needs_no_garbage_collector() -> None:
    def living() -> int:
        return sum(isinstance(one, HttpProtocol) for one in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        before = living()
        async with serve(hello, "127.0.0.1:0") as address:
            async with connection(address) as (reader, writer):
                writer.write(GET)
                await reader.readuntil(b"hello")
                assert living() == before + 1
            await eventually(lambda: living() == before)
    finally:
        gc.enable()


async def test_the_process_s_signal_handlers_are_left_alone() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    async with _connected() as (reader, writer):
        writer.write(GET)
        await reader.readuntil(b"hello")
        assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


async def test_an_address_that_is_taken_is_refused_in_one_sentence() -> None:
    async with serve(hello, "127.0.0.1:0") as address:
        with pytest.raises(ConfigurationError, match="can't be listened on: Address already in use"):
            async with serve(hello, address):
                pass


async def test_an_ipv6_address_is_bound_and_told_in_brackets() -> None:
    async with serve(hello, "[::1]:0") as address:
        assert address.startswith("[::1]:")


async def test_two_servers_share_one_loop() -> None:
    async with serve(hello, "127.0.0.1:0") as one, serve(hello, "127.0.0.1:0") as other:
        for address in (one, other):
            host, port = address.split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(GET)
            assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200 ")
            writer.close()
            await writer.wait_closed()


async def test_a_request_in_flight_is_answered_before_the_server_goes() -> None:
    held = Held()
    async with serve(held, "127.0.0.1:0") as address:
        host, port = address.split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(GET)
        await held.begun.wait()
        asyncio.get_running_loop().call_later(0.3, held.finish.set)

    assert (await _until_closed(reader)).endswith(b"hello")
    writer.close()
    await writer.wait_closed()
