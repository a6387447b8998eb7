"""How much a request may take: its size, its time, and its source's share of the receiver."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from monitor.receiver import answers
from monitor.receiver.limits import Limits
from tests.receiver.running import LIMIT, OPEN, PROD, eventually, head_signature, link_callback, running

HEAD = b"POST /callbacks/open HTTP/1.1\r\nhost: hooks.example.com\r\n"


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def _answer(reader: asyncio.StreamReader) -> bytes:
    """Read one answer, and no byte more."""
    async with asyncio.timeout(10):
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.split(b"\r\n") if line.startswith(b"content-length: "))
        return head + await reader.readexactly(int(length.split()[1]))


async def _rest(reader: asyncio.StreamReader) -> bytes:
    """Read until the server closes."""
    async with asyncio.timeout(10):
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""


async def test_a_chunked_body_is_answered_413_as_soon_as_it_is_over_the_limit(tmp_path: Path) -> None:
    async with running(tmp_path, OPEN) as receiver, receiver.connection() as (reader, writer):
        writer.write(HEAD + b"transfer-encoding: chunked\r\n\r\n")
        for _ in range(LIMIT // 1024):
            writer.write(_chunk(b"x" * 1024))
            await writer.drain()
        # One byte over the limit, and no end in sight: whoever held it whole would wait for ever.
        writer.write(_chunk(b"x"))
        answer = await _answer(reader)
        kept = await receiver.kept()

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close\r\n" in answer
    assert kept == 0
    assert receiver.outcome("open", "too_large") == 1


async def test_ten_megabytes_are_read_to_no_more_than_a_fraction(tmp_path: Path) -> None:
    sent = 0
    async with running(tmp_path, OPEN) as receiver, receiver.connection() as (reader, writer):
        writer.write(HEAD + b"transfer-encoding: chunked\r\n\r\n")
        answer = asyncio.create_task(_answer(reader))
        while sent < 10_000_000 and not answer.done():
            writer.write(_chunk(b"x" * 16384))
            await writer.drain()
            # Lets the answer in, which would be there at once.
            await asyncio.wait([answer], timeout=0.02)
            sent += 16384

        assert (await answer).startswith(b"HTTP/1.1 413 ")
    assert sent < 1_000_000


async def test_who_goes_on_sending_after_a_413_is_cut_off_after_a_bounded_amount(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So that it is the amount that ends it, not the time.
    monkeypatch.setattr(answers, "LINGER_SECONDS", 60.0)
    piece, sent = _chunk(b"x" * 65536), 0
    async with running(tmp_path, OPEN) as receiver, receiver.connection() as (_, writer):
        writer.write(HEAD + b"transfer-encoding: chunked\r\n\r\n")
        try:
            # Far more than what waits in the sockets of both sides.
            while sent < 64 * answers.LINGER_BYTES:
                writer.write(piece)
                await writer.drain()
                sent += len(piece)
        except ConnectionError:
            pass

    assert sent < 64 * answers.LINGER_BYTES


async def test_a_declared_length_over_the_limit_is_answered_413_before_any_of_it_is_sent(
    tmp_path: Path,
) -> None:
    async with running(tmp_path, OPEN) as receiver, receiver.connection() as (reader, writer):
        writer.write(HEAD + b"content-length: 10000000\r\n\r\n")
        answer = await _answer(reader)
        rest = await _rest(reader)

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert rest == b""


async def test_a_client_that_asks_first_is_told_413_instead_of_to_go_on(tmp_path: Path) -> None:
    async with running(tmp_path, OPEN) as receiver, receiver.connection() as (reader, writer):
        writer.write(HEAD + b"expect: 100-continue\r\ncontent-length: 10000000\r\n\r\n")
        answer = await _answer(reader)

    assert answer.startswith(b"HTTP/1.1 413 ")


async def test_a_body_in_many_pieces_is_put_together(tmp_path: Path) -> None:
    body = link_callback()
    async with running(tmp_path, OPEN) as receiver, receiver.connection() as (reader, writer):
        writer.write(HEAD + b"transfer-encoding: chunked\r\n\r\n")
        for byte in body:
            writer.write(_chunk(bytes([byte])))
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        answer = await _answer(reader)
        (event,) = await receiver.events()

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert event.body == body


@pytest.mark.parametrize(
    "framing", [b"content-length: 100\r\n\r\nhalf", b"transfer-encoding: chunked\r\n\r\n4\r\nhalf"]
)
async def test_too_slow_a_sender_is_answered_408_and_the_connection_closed(
    tmp_path: Path, framing: bytes
) -> None:
    limits = Limits(LIMIT, body_seconds=0.2)
    with capture_logs() as lines:
        async with (
            running(tmp_path, OPEN, limits=limits) as receiver,
            receiver.connection() as (reader, writer),
        ):
            writer.write(HEAD + framing)
            answer = await _answer(reader)
            rest = await _rest(reader)
            kept = await receiver.kept()

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'{"error":"too_slow"' in answer
    assert rest == b""
    assert kept == 0
    assert receiver.outcome("open", "too_slow") == 1
    assert "half" not in str(lines)


async def test_a_sender_that_trickles_gets_no_more_time_than_one_that_stalls(tmp_path: Path) -> None:
    limits = Limits(LIMIT, body_seconds=0.3)
    async with (
        running(tmp_path, OPEN, limits=limits) as receiver,
        receiver.connection() as (reader, writer),
    ):
        writer.write(HEAD + b"content-length: 4000\r\n\r\n")
        answer = asyncio.create_task(_answer(reader))
        sent = 0
        while not answer.done() and sent < 4000:
            writer.write(b"x")
            sent += 1
            await asyncio.wait([answer], timeout=0.02)

        assert (await answer).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize(
    "framing", [b"content-length: 100\r\n\r\nhalf", b"transfer-encoding: chunked\r\n\r\n4\r\nhalf"]
)
async def test_a_client_that_goes_away_midway_leaves_nothing_behind(
    tmp_path: Path, framing: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with capture_logs() as lines:
        async with running(tmp_path, OPEN, limits=Limits(LIMIT, reading=1)) as receiver:
            async with receiver.connection() as (_, writer):
                writer.write(HEAD + framing)
                await writer.drain()
            # Those that come behind take the one place from each other.
            first = await receiver.client.post("/callbacks/open", content=link_callback())
            second = await receiver.client.post("/callbacks/open", content=link_callback())
            kept = await receiver.kept()

    assert (first.status_code, second.status_code) == (200, 200)
    assert kept == 2
    assert not caplog.records
    assert not [line for line in lines if line["log_level"] == "error"]


async def test_of_too_many_slow_senders_the_one_that_came_first_gives_way(tmp_path: Path) -> None:
    body = link_callback()
    async with (
        running(tmp_path, OPEN, limits=Limits(LIMIT, reading=2)) as receiver,
        AsyncExitStack() as open_,
    ):
        senders = [await open_.enter_async_context(receiver.connection()) for _ in range(3)]
        for reader, writer in senders:
            writer.write(HEAD + b"expect: 100-continue\r\ncontent-length: %d\r\n\r\n" % len(body))
            # Once the server says so, it reads the body.
            async with asyncio.timeout(10):
                await reader.readuntil(b"100 Continue\r\n\r\n")
        answers = []
        for reader, writer in senders:
            writer.write(body)
            answers.append(await _answer(reader))

    assert [answer[:13] for answer in answers] == [b"HTTP/1.1 408 ", b"HTTP/1.1 200 ", b"HTTP/1.1 200 "]
    assert receiver.outcome("open", "too_slow") == 1


async def test_a_slow_sender_that_is_done_takes_nobodys_place(tmp_path: Path) -> None:
    body, answers = link_callback(), []
    async with running(tmp_path, OPEN, limits=Limits(LIMIT, reading=1)) as receiver:
        for _ in range(3):
            async with receiver.connection() as (reader, writer):
                writer.write(HEAD + b"expect: 100-continue\r\ncontent-length: %d\r\n\r\n" % len(body))
                async with asyncio.timeout(10):
                    await reader.readuntil(b"100 Continue\r\n\r\n")
                writer.write(body)
                answers.append((await _answer(reader))[:13])

    assert answers == [b"HTTP/1.1 200 "] * 3


async def test_strangers_that_send_slowly_keep_nobody_out(tmp_path: Path) -> None:
    limits = Limits(LIMIT, reading=2)
    async with running(tmp_path, OPEN, PROD, limits=limits) as receiver, AsyncExitStack() as strangers:
        statuses = []
        for _ in range(5):
            for _ in range(3):
                _, writer = await strangers.enter_async_context(receiver.connection())
                writer.write(HEAD.replace(b"/open", b"/prod") + b"content-length: 100\r\n\r\n")
                await writer.drain()
            answer = await receiver.client.post(
                "/callbacks/prod", content=link_callback(), headers=head_signature()
            )
            statuses.append(answer.status_code)

        assert statuses == [200] * 5
        assert await receiver.kept() == 5


async def test_what_a_refused_request_still_sends_does_not_spoil_the_next_one(tmp_path: Path) -> None:
    async with running(tmp_path, OPEN) as receiver, receiver.connection() as (reader, writer):
        writer.write(HEAD.replace(b"/open", b"/stranger") + b"content-length: 2000\r\n\r\n")
        refused = await _answer(reader)
        body = link_callback()
        writer.write(b"x" * 2000 + HEAD + b"content-length: %d\r\n\r\n%b" % (len(body), body))
        accepted = await _answer(reader)

    assert refused.startswith(b"HTTP/1.1 404 ")
    assert accepted.startswith(b"HTTP/1.1 200 ")


async def test_pipelined_requests_are_answered_in_turn(tmp_path: Path) -> None:
    body = link_callback()
    async with running(tmp_path, OPEN) as receiver, receiver.connection() as (reader, writer):
        writer.write((HEAD + b"content-length: %d\r\n\r\n%b" % (len(body), body)) * 20)
        answers = [await _answer(reader) for _ in range(20)]
        await eventually(lambda: receiver.outcome("open", "accepted") == 20)

    assert all(answer.startswith(b"HTTP/1.1 200 ") for answer in answers)
