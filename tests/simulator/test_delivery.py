"""Attempts over real HTTP: as many as the vendor makes, the same bytes each time."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import httpx
import pytest

from monitor.clock import SystemClock
from monitor.config import Source
from monitor.event import (
    Channel,
    LinkChanged,
    LinkState,
    Paragraph,
    ParagraphStarted,
    Payload,
    SessionChanged,
    SessionState,
)
from monitor.simulator.bodies import Identity
from monitor.simulator.delivery import Addresses, Courier
from monitor.simulator.life import Action, Delivery, Fact
from monitor.simulator.pace import Pace, StoppedError
from monitor.vendors import registry
from monitor.vendors.protocol import Request
from tests.simulator.stepped import SteppedPace

REFUSED, ACCEPTED, BROKEN = "503 Service Unavailable", "200 OK", None
RUNNING = SessionChanged(SessionState.RUNNING)
CONNECTED = LinkChanged("0", LinkState.CONNECTED)
DROPPED = LinkChanged("0", LinkState.DISCONNECTED)


class Seen(NamedTuple):
    """A request as a receiver saw it."""

    query: str
    headers: dict[str, str]
    body: bytes


class Receiver:
    """Answers requests with the given statuses, one after another; None: breaks the connection."""

    def __init__(self, *answers: str | None) -> None:
        self._answers = list(answers)
        self.seen: list[Seen] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        body = await reader.readexactly(int(headers["content-length"]))
        self.seen.append(Seen(first.split(" ")[1].partition("?")[2], headers, body))
        status = self._answers.pop(0)
        if status is not None:
            writer.write(f"HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode())
            await writer.drain()
        writer.close()


@asynccontextmanager
async def running(receiver: Receiver) -> AsyncIterator[str]:
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False) as client:
        yield client


def courier(
    source: Source,
    client: httpx.AsyncClient,
    address: str,
    attempts: int | None = None,
    pace: Pace | None = None,
) -> Courier:
    identity = Identity(source, "26f065244f754b3aa853b649a21aaf66", "0" * 32, "secret", "relay")
    # Pauses between attempts are real seconds; nothing here waits for a simulated time.
    pace = pace or Pace(1000, SystemClock(), 1.0)
    return Courier(identity, client, Addresses(address, address), pace, attempts, Counter())


def fact(payload: Payload, number: int = 1) -> Fact:
    return Fact(number, 0.0, Channel.CALLBACK, payload, 0)


def send(told: Fact, action: Action = Action.SEND, *, turn: bool = False) -> Delivery:
    return Delivery(0.0, action, told, turn)


async def test_softsugar_tries_three_times_with_the_same_timestamp(
    sources: tuple[Source, ...], client: httpx.AsyncClient
) -> None:
    receiver, told = Receiver(REFUSED, REFUSED, ACCEPTED), fact(RUNNING)
    async with running(receiver) as address:
        sender = courier(sources[1], client, address)
        assert await sender.deliver(send(told))
    assert len(receiver.seen) == 3
    assert len({seen.body for seen in receiver.seen}) == 1
    assert told in sender.told
    for seen in receiver.seen:
        assert registry.verifier(sources[1])(Request(seen.query, seen.headers, seen.body)).form == "body"


async def test_softsugar_gives_up_after_three_refusals(
    sources: tuple[Source, ...], client: httpx.AsyncClient
) -> None:
    receiver = Receiver(REFUSED, REFUSED, REFUSED)
    async with running(receiver) as address:
        sender = courier(sources[1], client, address)
        assert await sender.deliver(send(fact(RUNNING)))
    assert sender.told == {}
    assert sender.unknown == []


async def test_metastudio_tries_once_unless_told_otherwise(
    sources: tuple[Source, ...], client: httpx.AsyncClient
) -> None:
    once, twice = Receiver(REFUSED), Receiver(REFUSED, ACCEPTED)
    async with running(once) as address:
        sender = courier(sources[0], client, address)
        await sender.deliver(send(fact(CONNECTED)))
        assert sender.told == {}
    async with running(twice) as address:
        sender = courier(sources[0], client, address, attempts=5)
        await sender.deliver(send(fact(CONNECTED)))
        assert len(sender.told) == 1
    first, second = twice.seen
    assert first.headers["x-hw-mss-time"] == second.headers["x-hw-mss-time"]
    assert first.body == second.body


async def test_a_broken_connection_leaves_the_fate_unknown_and_ends_the_stream(
    sources: tuple[Source, ...], client: httpx.AsyncClient
) -> None:
    receiver, told = Receiver(BROKEN), fact(CONNECTED)
    async with running(receiver) as address:
        sender = courier(sources[0], client, address)
        assert not await sender.deliver(send(told))
    assert sender.unknown == [told]


async def test_a_later_answer_settles_the_fate_of_a_broken_attempt(
    sources: tuple[Source, ...], client: httpx.AsyncClient
) -> None:
    receiver, told = Receiver(BROKEN, ACCEPTED), fact(CONNECTED)
    async with running(receiver) as address:
        sender = courier(sources[0], client, address, attempts=2)
        assert await sender.deliver(send(told))
    assert told in sender.told


async def test_an_unreachable_service_surely_has_nothing(
    sources: tuple[Source, ...], client: httpx.AsyncClient
) -> None:
    async with running(Receiver()) as address:
        pass
    sender = courier(sources[0], client, address)
    assert await sender.deliver(send(fact(CONNECTED)))
    assert sender.told == {}
    assert sender.unknown == []


async def test_a_fact_held_back_keeps_its_signed_time_and_comes_after_a_later_second(
    sources: tuple[Source, ...], client: httpx.AsyncClient
) -> None:
    receiver = Receiver(ACCEPTED, ACCEPTED, ACCEPTED)
    held, overtaking = fact(DROPPED, 1), fact(CONNECTED, 2)
    async with running(receiver) as address:
        sender = courier(sources[0], client, address)
        await sender.deliver(send(held, Action.SIGN))
        await sender.deliver(send(overtaking, turn=True))
        await sender.deliver(send(held))
        await sender.deliver(send(overtaking, Action.REPEAT))
    times = [int(seen.headers["x-hw-mss-time"], 16) for seen in receiver.seen]
    assert times[0] > times[1]
    assert times[2] == times[0]
    assert receiver.seen[2].body == receiver.seen[0].body
    assert sender.events["duplicates"] == 1


async def test_the_same_words_are_never_signed_in_one_second_twice(
    sources: tuple[Source, ...], client: httpx.AsyncClient
) -> None:
    receiver = Receiver(ACCEPTED, ACCEPTED, ACCEPTED)
    async with running(receiver) as address:
        sender = courier(sources[0], client, address)
        for number, payload in enumerate((CONNECTED, DROPPED, CONNECTED)):
            await sender.deliver(send(fact(payload, number)))
    times = [int(seen.headers["x-hw-mss-time"], 16) for seen in receiver.seen]
    assert times[2] > times[0]


async def told_again(source: Source, client: httpx.AsyncClient, *, after: float) -> list[int]:
    """Tell that a paragraph plays, tell it again signed anew, and return how many copies the truth doubts."""
    told = fact(ParagraphStarted(Paragraph("a", 1)))
    async with running(Receiver(ACCEPTED, ACCEPTED)) as address:
        pace = SteppedPace(1.0)
        sender = courier(source, client, address, pace=pace)
        await sender.deliver(send(told))
        await pace.sleep(after)
        await sender.deliver(send(told, Action.RESIGN))
    return [one.doubtful for one in sender.told.values()]


async def test_a_paragraph_that_is_signed_again_much_later_may_be_told_a_second_time(
    sources: tuple[Source, ...], client: httpx.AsyncClient
) -> None:
    assert await told_again(sources[0], client, after=0.0) == [0]
    assert await told_again(sources[0], client, after=9.0) == [1]


async def test_each_attempt_that_broke_may_be_a_copy_where_nothing_is_signed(
    sources: tuple[Source, ...], client: httpx.AsyncClient
) -> None:
    copies = []
    for source in (sources[0], sources[4]):
        told = fact(ParagraphStarted(Paragraph("a", 1)))
        async with running(Receiver(BROKEN, BROKEN, REFUSED, ACCEPTED)) as address:
            sender = courier(source, client, address, attempts=4, pace=SteppedPace(1.0))
            await sender.deliver(send(told))
        copies.append(sender.told[told].doubtful)
    assert copies == [0, 2]


async def test_stopping_ends_a_wait() -> None:
    pace = Pace(1, SystemClock(), 1.0)
    waiting = asyncio.create_task(pace.until(10_000))
    await asyncio.sleep(0)
    pace.stop()
    with pytest.raises(StoppedError):
        await waiting


async def test_no_second_copy_comes_of_what_never_arrived(
    sources: tuple[Source, ...], client: httpx.AsyncClient
) -> None:
    receiver, told = Receiver(REFUSED), fact(CONNECTED)
    async with running(receiver) as address:
        sender = courier(sources[0], client, address)
        assert await sender.deliver(send(told))
        assert await sender.deliver(send(told, Action.REPEAT))
    assert len(receiver.seen) == 1
    assert told not in sender.told


async def test_what_was_refused_is_lost_unless_it_is_told_again(
    sources: tuple[Source, ...], client: httpx.AsyncClient
) -> None:
    lost, again = fact(CONNECTED, 1), fact(DROPPED, 2)
    async with running(Receiver(REFUSED, REFUSED, ACCEPTED)) as address:
        sender = courier(sources[0], client, address)
        for one in (lost, again):
            assert await sender.deliver(send(one))
        assert sender.lost == {lost, again}
        assert await sender.deliver(send(again, Action.RESIGN))
    assert sender.lost == {lost}
