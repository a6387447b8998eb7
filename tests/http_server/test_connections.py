"""Connections at rest, and the end of a server."""

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest

from monitor import http_server
from monitor.http_server import connections, serve
from monitor.http_server.scope import STOPPING
from tests.http_server.applications import GET, LARGE, hello, large
from tests.receiver.running import connection, eventually


async def test_a_connection_that_rests_for_too_long_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "KEEP_ALIVE_SECONDS", 0.2)
    async with serve(hello, "127.0.0.1:0") as address, connection(address) as (reader, writer):
        writer.write(GET)
        async with asyncio.timeout(10):
            await reader.readuntil(b"hello")
            assert await reader.read() == b""


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("last", [b"", b"connection: close\r\n"], ids=["kept", "closing"])
async def test_a_connection_whose_client_reads_nothing_of_its_answer_is_ended(
    monkeypatch: pytest.MonkeyPatch, last: bytes
) -> None:
    monkeypatch.setattr(http_server, "UNREAD_SECONDS", 0.3)
    loop, client = asyncio.get_running_loop(), socket.socket()
    client.setblocking(False)
    with client:
        async with serve(large, "127.0.0.1:0") as address:
            host, _, port = address.rpartition(":")
            before = _open_files()
            await loop.sock_connect(client, (host, int(port)))
            await loop.sock_sendall(client, b"GET /large HTTP/1.1\r\nhost: x\r\n" + last + b"\r\n")
            assert await loop.sock_recv(client, 9) == b"HTTP/1.1 "
            assert _open_files() == before + 1
            await eventually(lambda: _open_files() == before)


async def test_a_client_that_reads_its_answer_slowly_gets_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "UNREAD_SECONDS", 2)
    read = 0
    async with serve(large, "127.0.0.1:0") as address, connection(address) as (reader, writer):
        writer.write(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n")
        async with asyncio.timeout(60):
            await reader.readuntil(b"\r\n\r\n")
            while read < len(LARGE):
                read += len(await reader.readexactly(500_000))
                await asyncio.sleep(0.075)


async def test_each_of_several_is_closed_in_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "KEEP_ALIVE_SECONDS", 0.2)
    async with (
        serve(hello, "127.0.0.1:0") as address,
        connection(address) as one,
        connection(address) as other,
        asyncio.timeout(10),
    ):
        for reader, writer in (one, other):
            writer.write(GET)
            await reader.readuntil(b"hello")

        assert await one[0].read() == b""
        assert await other[0].read() == b""


async def test_those_that_do_not_rest_outlive_those_that_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "KEEP_ALIVE_SECONDS", 0.3)
    async with (
        serve(hello, "127.0.0.1:0") as address,
        connection(address) as (inside_body, body),
        connection(address) as (inside_head, head),
        connection(address) as (resting, rest),
        asyncio.timeout(10),
    ):
        for reader, writer in ((inside_head, head), (resting, rest)):
            writer.write(GET)
            await reader.readuntil(b"hello")
        body.write(b"POST /patient HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\n")
        head.write(GET[:10])

        assert await resting.read() == b""
        body.write(b"body")
        head.write(GET[10:])

        assert (await inside_body.readuntil(b"hello")).startswith(b"HTTP/1.1 200 ")
        assert (await inside_head.readuntil(b"hello")).startswith(b"HTTP/1.1 200 ")


async def test_what_takes_too_long_at_the_server_s_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "SHUTDOWN_SECONDS", 0.2)
    begun, ended = asyncio.Event(), asyncio.Event()

    async def endless(_scope: Any, _receive: Any, _send: Any) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with asyncio.timeout(10):
        async with serve(endless, "127.0.0.1:0") as address:
            reader, writer = await asyncio.open_connection(*address.split(":"))
            writer.write(GET)
            await begun.wait()
        assert ended.is_set()
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readuntil(b"never")
    writer.close()


async def test_what_an_application_has_begun_it_ends_though_its_client_is_gone() -> None:
    heard, finish, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def storing(_scope: Any, receive: Any, _send: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        heard.set()
        await finish.wait()
        ended.set()

    async with asyncio.timeout(10), serve(storing, "127.0.0.1:0") as address:
        async with connection(address) as (_, writer):
            writer.write(GET)
            await writer.drain()
        await heard.wait()
        asyncio.get_running_loop().call_later(0.2, finish.set)

    assert ended.is_set()


async def test_a_server_ends_at_once_with_connections_that_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "SHUTDOWN_SECONDS", 3600)
    async with asyncio.timeout(10):
        async with serve(hello, "127.0.0.1:0") as address:
            reader, writer = await asyncio.open_connection(*address.split(":"))
            writer.write(GET)
            await reader.readuntil(b"hello")
        assert await reader.read() == b""
    writer.close()


@pytest.mark.parametrize(
    "request_line",
    [b"GET /large HTTP/1.1\r\n", b"POST /patient HTTP/1.1\r\ncontent-length: 4\r\n"],
    ids=["reads no answer", "holds back its body"],
)
async def test_a_server_that_ends_does_not_wait_for_a_client_that(
    request_line: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_server, "SHUTDOWN_SECONDS", 3600)
    monkeypatch.setattr(connections, "SPARED_SECONDS", 0.1)
    begun = asyncio.Event()

    async def noted(scope: Any, receive: Any, send: Any) -> None:
        begun.set()
        await large(scope, receive, send)

    async with asyncio.timeout(30):
        async with serve(noted, "127.0.0.1:0") as address:
            _, writer = await asyncio.open_connection(*address.split(":"), limit=1)
            writer.write(request_line + b"host: x\r\n\r\n")
            await begun.wait()
    writer.close()


async def test_a_closed_server_takes_no_connections() -> None:
    async with serve(hello, "127.0.0.1:0") as address:
        pass

    async def refuses() -> bool:
        try:
            async with connection(address):
                return False
        except OSError:
            return True

    assert await refuses()


async def test_an_answer_without_end_hears_that_the_server_stops() -> None:
    begun: list[bool] = []

    async def streaming(scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        begun.append(True)
        await scope[STOPPING].wait()
        await send({"type": "http.response.body", "body": b"bye"})

    async with asyncio.timeout(10):
        async with serve(streaming, "127.0.0.1:0") as address:
            reader, writer = await asyncio.open_connection(*address.split(":"))
            writer.write(GET)
            await eventually(lambda: bool(begun))
        assert (await reader.read()).endswith(b"3\r\nbye\r\n0\r\n\r\n")
    writer.close()
