"""Drives Debian's Chromium against a running service, and tells the service what the vendor would."""

import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.components import chromium
from tests.end_to_end.running import PATIENCE_SECONDS, http

SCREENSHOTS = Path(__file__).resolve().parent.parent.parent / "var" / "screenshots"
"""Pictures of the pages as the tests saw them, kept for whoever wants to look."""

SOURCE = "metastudio-open"
"""Of the running service; it takes unsigned callbacks."""

expect.set_options(timeout=PATIENCE_SECONDS * 1000)


@contextmanager
def browser() -> Iterator[Browser]:
    """Run a headless browser."""
    with sync_playwright() as programs:
        # Chromium's own sandbox refuses to run as root, as tests do in a container.
        one = programs.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        try:
            yield one
        finally:
            one.close()


@dataclass
class Visit:
    """A window of the browser. complaints: whatever its console said: nothing, unless a server is gone."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append(dialog.message))

    def open(self, url: str) -> None:
        """Go to a page and wait until it is live."""
        self.page.goto(url)
        self.wait_until_live()

    def wait_until_live(self) -> None:
        """Wait until the server has told the page something."""
        expect(self.page.locator("#connection")).to_contain_text("live")

    def mark(self) -> None:
        """Leave a mark in the window, which a reload would wipe away."""
        self.page.evaluate("window.mark = 'still here'")

    def is_marked(self) -> bool:
        """Whether the mark is still there."""
        return bool(self.page.evaluate("window.mark === 'still here'"))

    def picture(self, name: str) -> None:
        """Keep a picture of what is seen."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png")


def visit(context: BrowserContext) -> Visit:
    """Open a window."""
    return Visit(context.new_page())


def link_body(job: str, state: str, *, room: str | None = None) -> dict[str, Any]:
    """Return a callback that tells an RTMP state; its push address and key are secrets."""
    return _body(
        "RTMP_STREAM_STATE_CHANGE",
        job_id=job,
        room_id=room or f"room-of-{job}",
        state=state,
        output_url="rtmp://push.example.com/live/an-address-nobody-may-see",
        stream_key="a-key-nobody-may-see",
    )


def script_body(job: str, number: int, *, scene: str, title: str) -> dict[str, Any]:
    """Return a callback that tells of a switch to a paragraph."""
    return _body(
        "SHOOT_SCRIPT_SWITCH",
        job_id=job,
        room_id=f"room-of-{job}",
        scene_script_name=scene,
        shoot_script_sequence_no=str(number),
        shoot_script_title=title,
    )


def tell(callbacks: str, bodies: Iterable[dict[str, Any]]) -> None:
    """Post callbacks one after the other; each is durable on return."""
    for body in bodies:
        http.post(f"{callbacks}/callbacks/{SOURCE}", json=body).raise_for_status()


def tell_at_once(callbacks: str, bodies: Iterable[dict[str, Any]], *, connections: int = 16) -> None:
    """Post many callbacks in any order; all are durable on return."""
    # Threads, since a synchronous playwright keeps an event loop running in this one.
    with httpx.Client(timeout=60) as client, ThreadPoolExecutor(connections) as threads:
        for answer in threads.map(
            lambda body: client.post(f"{callbacks}/callbacks/{SOURCE}", json=body), bodies
        ):
            answer.raise_for_status()


def _body(event_type: str, **message: str) -> dict[str, Any]:
    return {"event_type": event_type, "message": json.dumps(message)}
