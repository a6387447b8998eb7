"""What an application and its client get of each other."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.http_server import Application, serve
from monitor.http_server.protocol import PIECE_BYTES
from tests.http_server.applications import GET, echo
from tests.properties.examples import examples
from tests.receiver.running import connection, eventually

HeadersOfAnAnswer = list[tuple[bytes, bytes]]


@contextlib.asynccontextmanager
async def _served(app: Application) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    async with (
        serve(app, "127.0.0.1:0") as address,
        connection(address) as streams,
        asyncio.timeout(20),
    ):
        yield streams


def _answering(*parts: bytes, status: int = 200, headers: HeadersOfAnAnswer | None = None) -> Application:
    """Return an application that answers each request in these parts."""

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status, "headers": headers or []})
        for part in parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body"})

    return app


async def _asked(app: Application, request: bytes) -> tuple[bytes, bytes]:
    """Return head and body of all that comes until the server closes."""
    async with _served(app) as (reader, writer):
        writer.write(request)
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    return head, body


CLOSING = GET.replace(b"host: x", b"host: x\r\nconnection: close")
HEAD = CLOSING.replace(b"GET", b"HEAD")
OLD = GET.replace(b"1.1", b"1.0")
FIVE = [(b"content-length", b"5")]


async def test_an_answer_whose_length_is_not_told_goes_out_in_chunks() -> None:
    head, body = await _asked(_answering(b"hello", b" you"), CLOSING)

    assert b"\r\ntransfer-encoding: chunked" in head
    assert body == b"5\r\nhello\r\n4\r\n you\r\n0\r\n\r\n"


async def test_the_head_of_such_an_answer_does_not_wait_for_its_first_part() -> None:
    go_on = asyncio.Event()

    async def slow(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        await go_on.wait()
        await send({"type": "http.response.body", "body": b"now"})

    async with _served(slow) as (reader, writer):
        writer.write(GET)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK\r\n")
        go_on.set()
        assert await reader.readuntil(b"0\r\n\r\n") == b"3\r\nnow\r\n0\r\n\r\n"


async def test_an_old_client_gets_the_same_answer_without_chunks_until_the_connection_closes() -> None:
    head, body = await _asked(_answering(b"hello", b" you"), OLD)

    assert b"transfer-encoding" not in head
    assert b"\r\nconnection: close" in head
    assert body == b"hello you"


async def test_an_old_client_that_would_wait_with_its_body_gets_the_answer_alone() -> None:
    begun = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        begun.set()
        await echo(scope, receive, send)

    async with _served(app) as (reader, writer):
        writer.write(OLD.replace(b"host: x", b"expect: 100-continue\r\ncontent-length: 5"))
        await begun.wait()
        writer.write(b"hello")
        came = await reader.read()

    assert came.startswith(b"HTTP/1.1 200 ")
    assert came.endswith(b"hello")


async def test_a_head_alone_is_answered_without_the_body() -> None:
    head, body = await _asked(_answering(b"hello", headers=FIVE), HEAD)

    assert b"\r\ncontent-length: 5" in head
    assert body == b""


@pytest.mark.parametrize("status", [204, 304])
async def test_an_answer_that_has_no_body_is_not_framed(status: int) -> None:
    head, body = await _asked(_answering(status=status), CLOSING)

    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"transfer-encoding" not in head
    assert body == b""


async def test_not_modified_may_tell_the_length_of_what_is_not_sent() -> None:
    head, body = await _asked(_answering(status=304, headers=FIVE), CLOSING)

    assert b"\r\ncontent-length: 5" in head
    assert body == b""


async def test_a_large_answer_arrives_whole() -> None:
    page = bytes(range(256)) * 8192
    app = _answering(page[:1_000_000], page[1_000_000:], headers=[(b"content-length", b"%d" % len(page))])

    assert (await _asked(app, CLOSING))[1] == page


async def test_an_answer_tells_the_time() -> None:
    head, _ = await _asked(_answering(), CLOSING)

    [told] = re.findall(rb"\r\ndate: (.+)", head)
    assert parsedate_to_datetime(told.decode().strip()).utcoffset() is not None


async def test_the_time_that_answers_tell_goes_on() -> None:
    async with _served(_answering(b"hello", headers=FIVE)) as (reader, writer):
        told: set[bytes] = set()
        while len(told) < 2:
            writer.write(GET)
            told |= set(re.findall(rb"\r\ndate: (.+)", await reader.readuntil(b"hello")))
            await asyncio.sleep(0.01)


async def test_a_client_that_wants_no_further_request_is_told_that_the_connection_closes() -> None:
    head, body = await _asked(_answering(b"hello", headers=FIVE), CLOSING)

    assert b"\r\nconnection: close" in head
    assert body == b"hello"


async def test_an_application_that_wants_no_further_request_ends_the_connection() -> None:
    head, _ = await _asked(_answering(b"hello", headers=[*FIVE, (b"connection", b"close")]), GET)

    assert head.count(b"connection: close") == 1


def _failing_after(*messages: dict[str, Any]) -> Application:
    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)
        raise LookupError("a secret")

    return app


START = {"type": "http.response.start", "status": 200, "headers": FIVE}


@pytest.mark.parametrize(
    "app",
    [
        _failing_after(),
        _failing_after(START),
        _failing_after({"type": "http.response.body"}),
        _failing_after(START, START),
        _answering(b"six...", headers=FIVE),
        _answering(b"six", headers=[(b"x-split", b"a\r\nset-cookie: b")]),
        _answering(b"six", headers=[(b"x split", b"a")]),
        _answering(b"six", headers=[(b"transfer-encoding", b"chunked")]),
    ],
    ids=["at_once", "started", "bodiless", "twice", "longer", "line_break", "name", "framing"],
)
async def test_what_fails_before_anything_has_left_is_answered_500(
    app: Application, capsys: pytest.CaptureFixture[str]
) -> None:
    head, body = await _asked(app, GET)

    assert head.startswith(b"HTTP/1.1 500 ")
    assert body.startswith(b'{"error":"internal"')
    written = capsys.readouterr()
    assert "request failed" in written.out + written.err
    assert "a secret" not in written.out + written.err


async def test_an_application_that_does_not_answer_is_answered_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def silent(_scope: Any, _receive: Any, _send: Any) -> None:
        return

    head, _ = await _asked(silent, GET)

    assert head.startswith(b"HTTP/1.1 500 ")
    written = capsys.readouterr()
    assert "request not answered" in written.out + written.err


@pytest.mark.parametrize(
    ("app", "sent"),
    [
        (_failing_after(START, {"type": "http.response.body", "body": b"he", "more_body": True}), b"he"),
        (_answering(b"he", headers=FIVE), b"he"),
    ],
    ids=["fails", "shorter"],
)
async def test_an_answer_that_breaks_off_ends_with_the_connection_and_nothing_else(
    app: Application, sent: bytes
) -> None:
    head, body = await _asked(app, GET)

    assert head.startswith(b"HTTP/1.1 200 ")
    assert body == sent


async def test_an_application_hears_that_its_client_is_gone() -> None:
    heard: list[str] = []

    async def waiting(_scope: Any, receive: Any, send: Any) -> None:
        heard.append((await receive())["type"])
        heard.append((await receive())["type"])
        # Too late for anybody, and no error.
        await send({"type": "http.response.start", "status": 200})

    async with serve(waiting, "127.0.0.1:0") as address:
        async with connection(address) as (_, writer):
            writer.write(GET)
            await eventually(lambda: heard == ["http.request"])
        await eventually(lambda: heard == ["http.request", "http.disconnect"])


async def test_an_application_hears_it_too_while_its_client_s_next_request_waits() -> None:
    heard: list[str] = []

    async def waiting(scope: Any, receive: Any, _send: Any) -> None:
        while (message := await receive())["type"] != "http.disconnect":
            pass
        heard.append(f"{scope['path']} {message['type']}")

    async with serve(waiting, "127.0.0.1:0") as address:
        async with connection(address) as (_, writer):
            writer.write(GET + GET.replace(b"/", b"/next", 1))
            await writer.drain()
        await eventually(lambda: bool(heard))

    assert heard == ["/ http.disconnect"]


@pytest.mark.parametrize("bodies", [[b"hello"], [b"hello", b" you!"]])
async def test_a_client_that_ends_its_side_behind_its_requests_gets_their_answers(
    bodies: list[bytes],
) -> None:
    begun, finish = asyncio.Event(), asyncio.Event()

    async def held(scope: Any, receive: Any, send: Any) -> None:
        begun.set()
        await finish.wait()
        await echo(scope, receive, send)

    async with _served(held) as (reader, writer):
        for body in bodies:
            writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n" + body)
        writer.write_eof()
        await begun.wait()
        # So that the end has arrived before there is an answer.
        asyncio.get_running_loop().call_later(0.2, finish.set)
        answers = (await reader.read()).split(b"HTTP/1.1 200 ")[1:]

    assert [answer.partition(b"\r\n\r\n")[2] for answer in answers] == bodies


@pytest.mark.parametrize("asks", [False, True])
async def test_a_client_that_ends_its_side_behind_many_requests_gets_all_answers(asks: bool) -> None:
    many, may_end = 1000, asyncio.Event()

    async def patient(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        if asks and not may_end.is_set():
            # The news may be that the client is gone, or that this answer is over.
            waiting = asyncio.create_task(receive())
            await may_end.wait()
            waiting.cancel()
        await echo(scope, _nothing, send)

    async with _served(patient) as (reader, writer):
        writer.write(GET * many)
        writer.write_eof()
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_later(0.2, may_end.set)
        async with asyncio.timeout(30):
            answers = await reader.read(-1)

    assert answers.count(b"HTTP/1.1 200 ") == many


async def _nothing() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def test_a_client_that_ends_its_side_inside_a_request_gets_no_answer() -> None:
    heard: list[str] = []

    async def reading(_scope: Any, receive: Any, _send: Any) -> None:
        while (message := await receive())["type"] != "http.disconnect":
            assert message["more_body"]
        heard.append("http.disconnect")

    async with _served(reading) as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhell")
        writer.write_eof()

        assert await reader.read() == b""
        await eventually(lambda: bool(heard))


async def test_an_answer_without_end_is_over_when_the_client_ends_its_side(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def following(_scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass

    async with _served(following) as (reader, writer):
        writer.write(GET)
        await reader.readuntil(b"first")
        writer.write_eof()

        assert await reader.read() == b"\r\n"

    written = capsys.readouterr()
    assert "request not answered" not in written.out + written.err


async def test_what_comes_behind_a_body_is_no_header() -> None:
    seen: list[Any] = []

    async def looking(scope: Any, receive: Any, send: Any) -> None:
        await echo(scope, receive, send)
        seen.extend(scope["headers"])

    head = (
        b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\nconnection: close\r\nx-who: me\r\n\r\n"
    )
    await _asked(looking, head + b"1\r\na\r\n0\r\nx-who: you\r\n\r\n")

    assert [value for name, value in seen if name == b"x-who"] == [b"me"]


async def test_white_space_around_a_header_is_no_part_of_it() -> None:
    seen: list[Any] = []

    async def looking(scope: Any, receive: Any, send: Any) -> None:
        await echo(scope, receive, send)
        seen.extend(scope["headers"])

    _, body = await _asked(
        looking,
        b"POST / HTTP/1.1\r\nhost:x\r\nexpect: 100-continue \r\ncontent-length: 1\r\nconnection: close\r\n"
        b"x-one: \t a b \t\r\nx-two:\t\r\nx-three:\r\n\r\na",
    )

    assert body == b"a"
    assert dict(seen)[b"expect"] == b"100-continue"
    assert [dict(seen)[name] for name in (b"x-one", b"x-two", b"x-three")] == [b"a b", b"", b""]


@pytest.mark.parametrize(
    ("target", "path", "raw_path", "query"),
    [
        (b"/a%2Fb?x=%20", "/a/b", b"/a%2Fb", b"x=%20"),
        (b"/a?b?c", "/a", b"/a", b"b?c"),
        (b"/a#b?c", "/a", b"/a", b""),
        (b"http://x/a?b#c", "/a", b"/a", b"b"),
    ],
)
async def test_a_target_is_taken_apart(target: bytes, path: str, raw_path: bytes, query: bytes) -> None:
    seen: list[Any] = []

    async def looking(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope["path"], scope["raw_path"], scope["query_string"]))
        await echo(scope, receive, send)

    await _asked(looking, CLOSING.replace(b"/", target, 1))

    assert seen == [(path, raw_path, query)]


async def test_a_body_that_comes_behind_its_answer_is_passed_over() -> None:
    async with _served(_answering(b"hello", headers=FIVE)) as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 500000\r\n\r\n")
        await reader.readuntil(b"hello")
        writer.write(b"x" * 500_000 + GET)
        assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200 ")


async def test_a_body_that_nobody_reads_is_not_taken_from_its_client() -> None:
    go_on, parts = asyncio.Event(), 1000
    part = b"x" * 65536

    async def late(_scope: Any, receive: Any, send: Any) -> None:
        await go_on.wait()
        size, more = 0, True
        while more:
            message = await receive()
            size, more = size + len(message["body"]), message["more_body"]
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"%d bytes" % size})

    async with _served(late) as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % (parts * len(part)))
        sent = 0

        async def send_all() -> None:
            nonlocal sent
            for _ in range(parts):
                writer.write(part)
                await writer.drain()
                sent += 1

        sending = asyncio.create_task(send_all())
        before = -1
        while sent != before:
            before = sent
            await asyncio.wait([sending], timeout=0.2)
        assert sent < parts
        go_on.set()
        await sending
        assert b"%d bytes" % (parts * len(part)) in await reader.readuntil(b"0\r\n\r\n")


def _with_length(body: bytes) -> bytes:
    return b"content-length: %d\r\n\r\n%b" % (len(body), body)


def _in_chunks(parts: list[bytes]) -> bytes:
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts if part)
    return b"transfer-encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"


bodies = st.binary(max_size=200) | st.integers(0, 3 * PIECE_BYTES).map(lambda size: b"x" * size)
framed = bodies.map(lambda body: (body, _with_length(body))) | st.lists(bodies, max_size=4).map(
    lambda parts: (b"".join(parts), _in_chunks(parts))
)


@given(requests=st.lists(framed, min_size=1, max_size=6), cuts=st.lists(st.integers(0, 20_000), max_size=8))
@examples(60)
def test_requests_are_answered_in_their_order_however_they_are_cut(
    requests: list[tuple[bytes, bytes]], cuts: list[int]
) -> None:
    wire = b"".join(b"POST / HTTP/1.1\r\nhost: x\r\n" + text for _, text in requests)
    places = [0, *sorted(min(cut, len(wire)) for cut in cuts), len(wire)]

    async def bodies_of_answers() -> list[bytes]:
        answers = []
        async with _served(echo) as (reader, writer):
            for begin, end in pairwise(places):
                writer.write(wire[begin:end])
                await writer.drain()
                await asyncio.sleep(0)
            for _ in requests:
                head = await reader.readuntil(b"\r\n\r\n")
                [length] = re.findall(rb"content-length: (\d+)", head)
                answers.append(await reader.readexactly(int(length)))
        return answers

    assert asyncio.run(bodies_of_answers()) == [body for body, _ in requests]
