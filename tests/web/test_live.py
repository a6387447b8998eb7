import asyncio
import json
from collections.abc import MutableMapping
from typing import Any

import pytest
from fastapi import Request

from monitor.http_server.scope import STOPPING
from monitor.web import live
from monitor.web.live import Message, Pages, Sent


def difference(sent: Sent, **parts: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(sent.difference(Message({"now": 1.5}, {"rows": parts})))
    assert read["now"] == 1.5
    lists: dict[str, Any] = read["lists"]
    return lists


def test_a_new_page_is_sent_everything() -> None:
    assert difference(Sent(), a="<1>", b="<2>") == {
        "rows": {"changed": {"a": "<1>", "b": "<2>"}, "order": ["a", "b"]}
    }


def test_a_page_is_sent_only_what_has_changed() -> None:
    sent = Sent()
    difference(sent, a="<1>", b="<2>")

    assert difference(sent, a="<1>", b="<2>") == {}
    assert difference(sent, a="<1>", b="<3>") == {"rows": {"changed": {"b": "<3>"}}}
    assert difference(sent, b="<3>", a="<1>") == {"rows": {"order": ["b", "a"]}}
    assert difference(sent, b="<3>") == {"rows": {"order": ["b"]}}
    assert difference(sent, b="<3>", a="<1>") == {"rows": {"changed": {"a": "<1>"}, "order": ["b", "a"]}}


def test_an_empty_list_is_told_once() -> None:
    sent = Sent()

    assert difference(sent) == {"rows": {"order": []}}
    assert difference(sent) == {}


def test_a_message_is_one_line_whatever_it_holds() -> None:
    text = Sent().difference(Message({}, {"rows": {"a": "one\ntwo\r\n\u2028three"}}))

    assert "\n" not in text
    assert "\r" not in text


async def first_message(pages: Pages, given: str | None) -> dict[str, Any]:
    """Follow a page that shows a and b now; return what it is told at first of its rows."""
    stopping = asyncio.Event()
    sent = bytearray()

    async def read() -> Message:
        stopping.set()
        return Message({}, {"rows": {"a": "<1>", "b": "<2>"}})

    async def receive() -> dict[str, Any]:
        await stopping.wait()
        return {"type": "http.disconnect"}

    async def send(part: MutableMapping[str, Any]) -> None:
        sent.extend(part.get("body", b""))

    scope = {"type": "http", "method": "GET", "path": "/live", "headers": [], STOPPING: stopping}
    await pages.follow(Request(scope), read, every=60, given=given)(scope, receive, send)
    [line] = [line for line in sent.splitlines() if line.startswith(b"data: ")]
    told: dict[str, Any] = json.loads(line.removeprefix(b"data: "))["lists"]
    return told


EVERYTHING = {"rows": {"changed": {"a": "<1>", "b": "<2>"}, "order": ["a", "b"]}}


async def test_a_page_that_was_served_is_sent_what_has_changed_since() -> None:
    pages = Pages()

    assert await first_message(pages, pages.given({"rows": {"a": "<1>", "b": "<0>"}})) == {
        "rows": {"changed": {"b": "<2>"}}
    }
    assert await first_message(pages, pages.given({"rows": {"b": "<2>", "a": "<1>"}})) == {
        "rows": {"order": ["a", "b"]}
    }
    assert await first_message(pages, pages.given({"rows": {"a": "<1>", "b": "<2>"}})) == {}


async def test_a_page_that_lost_its_connection_is_sent_everything() -> None:
    pages = Pages()
    given = pages.given({"rows": {"a": "<1>", "b": "<2>"}})
    await first_message(pages, given)

    assert await first_message(pages, given) == EVERYTHING


async def test_a_page_that_another_process_served_is_sent_everything() -> None:
    given = Pages().given({"rows": {"a": "<1>", "b": "<2>"}})
    pages = Pages()
    pages.given({"rows": {"a": "<1>", "b": "<2>"}})

    assert await first_message(pages, given) == EVERYTHING
    assert await first_message(pages, None) == EVERYTHING


async def test_of_pages_that_never_ask_the_oldest_are_forgotten() -> None:
    pages = Pages()
    given = [pages.given({"rows": {"a": "<1>", "b": "<2>"}}) for _ in range(live.MOST_GIVEN + 1)]

    assert await first_message(pages, given[0]) == EVERYTHING
    assert [await first_message(pages, one) for one in given[1:]] == [{}] * live.MOST_GIVEN


async def follow(pages: Pages, stopping: asyncio.Event, begun: asyncio.Semaphore) -> int:
    """Follow until the server stops; return the status of the answer."""
    statuses: list[int] = []

    async def read() -> Message:
        return Message({}, {})

    async def receive() -> dict[str, Any]:
        await stopping.wait()
        return {"type": "http.disconnect"}

    async def send(part: MutableMapping[str, Any]) -> None:
        if part["type"] == "http.response.start":
            statuses.append(part["status"])
            begun.release()

    scope = {"type": "http", "method": "GET", "path": "/live", "headers": [], STOPPING: stopping}
    await pages.follow(Request(scope), read, every=60)(scope, receive, send)
    [status] = statuses
    return status


async def test_so_many_pages_are_followed_and_no_more_however_close_they_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live, "MOST_PAGES", 3)
    pages = Pages()
    for _ in range(2):
        stopping, begun = asyncio.Event(), asyncio.Semaphore(0)
        following = [asyncio.create_task(follow(pages, stopping, begun)) for _ in range(5)]
        for _ in following:
            await begun.acquire()
        stopping.set()

        assert sorted(await asyncio.gather(*following)) == [200, 200, 200, 503, 503]
