"""The status page in a real browser, against the running service."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from playwright.sync_api import Browser, expect

from monitor.web.writing import MOST_ROWS
from tests.end_to_end.browsing import (
    SOURCE,
    Visit,
    browser,
    link_body,
    script_body,
    tell,
    tell_at_once,
    visit,
)
from tests.end_to_end.running import Service, wait_for

pytestmark = pytest.mark.xdist_group("operators")

DOWN_AT_ONCE = "[health]\ndown_after_seconds = 0.001\n"

LINKS = """
[links]
grafana_url = "https://grafana.example.com"
alertmanager_url = "https://alertmanager.example.com"
runbook_url = "https://runbooks.example.com/alerts/runbooks"
"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as one:
        yield one


@pytest.fixture
def window(chromium: Browser) -> Iterator[Visit]:
    with chromium.new_context(viewport={"width": 1280, "height": 800}) as context:
        yield visit(context)


@pytest.fixture
def service(service: Service) -> Service:
    service.more = DOWN_AT_ONCE + LINKS
    service.start()
    return service


@contextmanager
def answering(port: int, events: bytes | None) -> Iterator[None]:
    """Answer at a port: each request with these events, or as a proxy does whose service is gone."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if events is None:
                self.send_error(502)
                return
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.end_headers()
            self.wfile.write(events)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


def row_of(job: str) -> str:
    return f'#streams tr[data-key="{SOURCE}/{job}"]'


def test_a_row_says_that_its_stream_is_down_without_a_reload(service: Service, window: Visit) -> None:
    tell(service.callbacks, [link_body(job, "CONNECTED") for job in ("calm", "bad")])
    window.open(service.operators)
    window.mark()
    row = window.page.locator(row_of("bad"))
    expect(row).to_contain_text("healthy")

    began = time.monotonic()
    tell(service.callbacks, [link_body("bad", "DISCONNECTED")])
    expect(row).to_contain_text("down")
    print(f"a row said down {time.monotonic() - began:.2f} s after the vendor's callback was sent")

    expect(row).to_contain_text("The RTMP push is disconnected")
    expect(window.page.locator("#streams tr").first).to_contain_text("room-of-bad")
    expect(window.page.locator('[data-count="down"]')).to_have_text("1")
    expect(window.page.locator("#announcement")).to_contain_text("1 down")
    expect(window.page).to_have_title("1 down · Livestreams")
    assert window.is_marked()

    tell(service.callbacks, [link_body("bad", "CONNECTED")])
    expect(row).to_contain_text("healthy")
    tell(service.callbacks, [link_body("new", "CONNECTED")])
    expect(window.page.locator(row_of("new"))).to_contain_text("healthy")
    assert window.is_marked()
    assert window.complaints == []


def test_filter_search_detail_and_back(service: Service, window: Visit) -> None:
    tell(service.callbacks, [link_body(f"job-{number}", "CONNECTED") for number in range(6)])
    tell(service.callbacks, [link_body(f"job-{number}", "DISCONNECTED") for number in range(2)])
    window.open(service.operators)
    rows, page = window.page.locator("#streams tr"), window.page
    expect(rows).to_have_count(6)

    page.get_by_role("radio", name="down").check()
    expect(rows).to_have_count(2)
    expect(page.locator("#matching")).to_contain_text("2 of 6 streams match")
    page.keyboard.press("/")
    page.keyboard.type("ROOM-of job-1")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("room-of-job-1")
    expect(page).to_have_url(re.compile(r"status=down.*q=ROOM-of\+job-1"))
    window.picture("list-filtered")

    page.get_by_role("link", name="room-of-job-1").click()
    expect(page.get_by_role("heading", name="down")).to_be_visible()
    page.go_back()
    expect(rows).to_have_count(1)
    expect(page.get_by_role("radio", name="down")).to_be_checked()
    expect(page.get_by_label("Search")).to_have_value("ROOM-of job-1")
    window.wait_until_live()

    page.get_by_label("Search").fill("")
    page.locator("label.chip", has_text="all").click()
    expect(rows).to_have_count(6)
    page.get_by_label("Vendor").select_option("softsugar")
    expect(rows).to_have_count(0)
    page.go_back()
    expect(rows).to_have_count(6)
    assert window.complaints == []


def test_the_keyboard_alone_reaches_a_stream_and_what_it_told(service: Service, window: Visit) -> None:
    tell(service.callbacks, [link_body("bad", "CONNECTED"), link_body("bad", "DISCONNECTED")])
    window.open(service.operators)
    link = window.page.get_by_role("row", name="down").get_by_role("link")
    for _ in range(20):
        window.page.keyboard.press("Tab")
        if link.evaluate("element => element === document.activeElement"):
            break
    # The row is written anew under the keyboard, which stays where it is.
    tell(service.callbacks, [link_body("bad", "CONNECTED")])
    expect(window.page.locator(row_of("bad"))).to_contain_text("healthy")
    expect(window.page.locator(f"{row_of('bad')} a")).to_be_focused()
    window.page.keyboard.press("Enter")

    expect(window.page.get_by_role("heading", name="Timeline (UTC)")).to_be_visible()
    summary = window.page.locator("#events summary").first
    summary.focus()
    window.page.keyboard.press("Enter")
    expect(window.page.locator("#events details").first).to_have_attribute("open", "")
    window.wait_until_live()
    tell(service.callbacks, [script_body("bad", 1, scene="Scene", title="Hello")])
    expect(window.page.locator("#events tr")).to_have_count(4)
    expect(window.page.locator("#events details").nth(1)).to_have_attribute("open", "")
    assert window.complaints == []


def test_markup_in_what_a_vendor_tells_is_text_and_secrets_are_masked(
    service: Service, window: Visit
) -> None:
    hostile = "<script>alert(1)</script><img src=x onerror=alert(2)>"
    tell(
        service.callbacks,
        [
            link_body("bad", "CONNECTED", room=f'"><b>{hostile}'),
            script_body("bad", 1, scene=hostile, title=hostile),
            script_body("bad", 2, scene=hostile, title=hostile),
        ],
    )
    window.open(service.operators)
    expect(window.page.locator("#streams")).to_contain_text(hostile)
    window.page.get_by_role("link", name=hostile).click()
    window.wait_until_live()

    expect(window.page.get_by_role("heading", level=1)).to_have_text(f'"><b>{hostile}')
    expect(window.page.locator("#sections")).to_contain_text(f"Now playing: {hostile}, paragraph 2.")
    for summary in window.page.locator("#events summary").all():
        summary.click()
    expect(window.page.locator("#events")).to_contain_text(hostile)
    window.picture("markup-is-text")
    text = window.page.content()
    assert "nobody-may-see" not in text
    assert "***" in text
    assert window.page.locator("img, script:not([src])").count() == 0
    assert window.complaints == []


def test_a_streams_page_keeps_itself_true_and_leads_on(service: Service, window: Visit) -> None:
    tell(service.callbacks, [link_body("bad", "CONNECTED")])
    wait_for(lambda: service.total("monitor_streams") == 1, what="the stream")
    window.open(f"{service.operators}/streams/{SOURCE}/bad")
    window.mark()
    expect(window.page.get_by_role("heading", name="healthy")).to_be_visible()
    expect(window.page.get_by_role("link", name="Runbook")).to_have_count(0)

    tell(service.callbacks, [link_body("bad", "RECONNECTING")])
    expect(window.page.get_by_role("heading", name="down")).to_be_visible()
    expect(window.page.locator(".timeline li").first).to_contain_text("reconnecting")
    expect(window.page.locator("#events tr")).to_have_count(2)
    expect(window.page.get_by_role("link", name="Runbook LivestreamDown")).to_have_attribute(
        "href", "https://runbooks.example.com/alerts/runbooks/LivestreamDown.md"
    )
    expect(window.page.get_by_role("link", name="Dashboard")).to_have_attribute(
        "href", re.compile(r"/d/livestream-stream\?.*var-stream=bad")
    )
    expect(window.page.get_by_role("link", name="Silence")).to_have_attribute(
        "href", re.compile(r"/#/silences/new\?filter=%7B.*job_id%3D%22bad%22%7D$")
    )
    assert window.is_marked()
    window.picture("stream")
    assert window.complaints == []


def test_an_open_page_finds_a_service_again_that_was_killed(service: Service, window: Visit) -> None:
    tell(service.callbacks, [link_body("bad", "CONNECTED")])
    window.open(service.operators)
    window.mark()
    service.kill()
    expect(window.page.locator("#connection")).to_contain_text("connection lost")
    window.picture("connection-lost")
    service.start()
    tell(service.callbacks, [link_body("bad", "DISCONNECTED")])
    expect(window.page.locator(row_of("bad"))).to_contain_text("down")
    window.wait_until_live()
    assert window.is_marked()


def test_a_page_whose_proxy_answers_for_a_dead_service_says_that_it_may_be_old(
    service: Service, window: Visit
) -> None:
    tell(service.callbacks, [link_body("bad", "CONNECTED")])
    window.open(service.operators)
    service.kill()
    with answering(service.admin, None):
        expect(window.page.locator("#connection")).to_contain_text("connection lost")
        expect(window.page).to_have_title("? down · Livestreams")
    service.start()
    window.wait_until_live()
    expect(window.page).to_have_title("Livestreams")


def test_a_page_that_cant_show_what_a_newer_version_tells_says_that_it_may_be_old(
    service: Service, window: Visit
) -> None:
    tell(service.callbacks, [link_body("bad", "CONNECTED")])
    window.open(service.operators)
    service.kill()
    newer = b'data: {"now":1,"lists":{"not-known-yet":{"changed":{"a":"<p></p>"}}}}\n\n'
    with answering(service.admin, newer):
        expect(window.page.locator("#connection")).to_contain_text("connection lost")


def test_a_page_that_nobody_sees_doesnt_say_that_it_is_live_nor_how_many_are_down(
    service: Service, window: Visit
) -> None:
    tell(service.callbacks, [link_body("bad", "CONNECTED"), link_body("bad", "DISCONNECTED")])
    window.open(service.operators)
    expect(window.page).to_have_title("1 down · Livestreams")
    # A browser without a window hides no page by itself.
    hide = "Object.defineProperty(document, 'hidden', {value: %s, configurable: true});"
    hide += "document.dispatchEvent(new Event('visibilitychange'))"
    window.page.evaluate(hide % "true")
    expect(window.page).to_have_title("? down · Livestreams")
    expect(window.page.locator("#connection")).to_have_text("not live: what you see may be old")
    service.kill()
    window.page.evaluate(hide % "false")
    expect(window.page.locator("#connection")).to_have_class("connection lost")
    service.start()
    window.wait_until_live()
    expect(window.page).to_have_title("1 down · Livestreams")


def test_a_service_with_a_page_open_stops_when_told(service: Service, window: Visit) -> None:
    window.open(service.operators)
    began = time.monotonic()
    assert service.stop() == 0
    print(f"stopped {time.monotonic() - began:.1f} s after it was told, with a page open")


def test_a_paused_page_stands_still_until_it_goes_on(service: Service, window: Visit) -> None:
    tell(service.callbacks, [link_body("bad", "CONNECTED")])
    window.open(service.operators)
    expect(window.page.locator(row_of("bad"))).to_contain_text("healthy")
    window.page.get_by_role("button", name="Pause").click()
    expect(window.page.locator("#connection")).to_have_text("paused")
    expect(window.page).to_have_title("? down · Livestreams")
    tell(service.callbacks, [link_body("bad", "DISCONNECTED")])
    other = visit(window.page.context)
    other.open(service.operators)
    expect(other.page.locator(row_of("bad"))).to_contain_text("down")
    expect(window.page.locator(row_of("bad"))).to_contain_text("healthy")
    window.page.get_by_role("button", name="Pause").click()
    expect(window.page.locator(row_of("bad"))).to_contain_text("down")
    expect(window.page).to_have_title("1 down · Livestreams")


def test_a_paused_page_goes_on_when_it_is_asked_for_something_else(service: Service, window: Visit) -> None:
    tell(service.callbacks, [link_body(job, "CONNECTED") for job in ("good", "bad")])
    tell(service.callbacks, [link_body("bad", "DISCONNECTED")])
    window.open(service.operators)
    expect(window.page.locator(row_of("good"))).to_contain_text("healthy")
    expect(window.page.locator(row_of("bad"))).to_contain_text("down")
    button = window.page.get_by_role("button", name="Pause")
    button.click()
    window.page.get_by_role("radio", name="down").check()
    expect(window.page.locator(row_of("good"))).to_have_count(0)
    expect(window.page.locator(row_of("bad"))).to_contain_text("down")
    expect(button).to_have_attribute("aria-pressed", "false")
    window.wait_until_live()


@pytest.mark.parametrize(
    ("name", "scheme", "width"), [("light", "light", 1280), ("dark", "dark", 1280), ("phone", "dark", 390)]
)
def test_pages_fit_the_window_in_light_and_dark(
    service: Service, chromium: Browser, name: str, scheme: str, width: int
) -> None:
    jobs = [f"{number:02}-{'0123456789abcdef' * 2}"[:32] for number in range(12)]
    tell(service.callbacks, [link_body(job, "CONNECTED", room=job[::-1]) for job in jobs])
    # A word that fits no window.
    scene = "Scene" * 60
    tell(service.callbacks, [script_body(jobs[0], number, scene=scene, title="T") for number in (1, 2, 3)])
    tell(service.callbacks, [link_body(job, "DISCONNECTED", room=job[::-1]) for job in jobs[:3]])
    with chromium.new_context(
        color_scheme="dark" if scheme == "dark" else "light", viewport={"width": width, "height": 844}
    ) as context:
        window = visit(context)
        for what, address in (("list", ""), ("stream", f"/streams/{SOURCE}/{jobs[0]}")):
            window.open(service.operators + address)
            window.picture(f"{what}-{name}")
            assert window.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        background = window.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (background == "rgb(255, 255, 255)") == (scheme == "light")
        assert window.complaints == []


def test_without_scripts_the_page_filters_and_pages_by_itself(service: Service, chromium: Browser) -> None:
    tell(service.callbacks, [link_body(f"job-{number}", "CONNECTED") for number in range(3)])
    tell(service.callbacks, [link_body("job-1", "DISCONNECTED")])
    # Nothing brings such a page what is folded later.
    wait_for(lambda: service.total("monitor_streams") == 3, what="the streams")
    wait_for(lambda: service.total("livestream_outages_total") == 1, what="the outage")
    with chromium.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(f"{service.operators}/?rows=2")
        expect(page.locator("#streams tr")).to_have_count(2)
        page.get_by_role("link", name="Show more").click()
        expect(page.locator("#streams tr")).to_have_count(3)
        page.get_by_role("radio", name="down").check()
        page.get_by_role("button", name="Show").click()
        expect(page.locator("#streams tr")).to_have_count(1)
        page.get_by_role("link", name="room-of-job-1").click()
        expect(page.get_by_role("heading", name="down")).to_be_visible()
        expect(page.locator("#events tr")).to_have_count(2)


def test_five_thousand_streams_are_shown_at_once_and_kept_true(service: Service, window: Visit) -> None:
    streams = 5000
    tell_at_once(service.callbacks, [link_body(f"job-{number}", "CONNECTED") for number in range(streams)])
    wait_for(lambda: service.total("monitor_streams") == streams, what="all streams")
    window.open(service.operators)
    paint = wait_for(
        lambda: window.page.evaluate("performance.getEntriesByName('first-contentful-paint')[0]?.startTime"),
        what="the first paint",
    )
    print(f"{streams} streams: first paint {paint:.0f} ms after the request")
    expect(window.page.locator("#matching")).to_contain_text(f"{streams} of {streams} streams match")
    expect(window.page.locator("#streams tr")).to_have_count(100)

    times = []
    for number in (7, 2500, 4999):
        began = time.monotonic()
        tell(service.callbacks, [link_body(f"job-{number}", "DISCONNECTED")])
        # It was not among the rows shown: now it is.
        expect(window.page.locator(row_of(f"job-{number}"))).to_contain_text("down")
        times.append(time.monotonic() - began)
    print(f"{streams} streams: updates shown after {', '.join(f'{one:.2f} s' for one in times)}")

    began = time.monotonic()
    window.page.get_by_label("Search").fill("job-4321")
    expect(window.page.locator("#streams tr")).to_have_count(1)
    print(f"{streams} streams: found one {time.monotonic() - began:.2f} s after it was typed")
    window.page.get_by_label("Search").fill("")
    expect(window.page.locator("#streams tr")).to_have_count(100)
    window.page.get_by_role("link", name="Show more").click()
    expect(window.page.locator("#streams tr")).to_have_count(200)
    window.picture("list-of-5000")

    # A page has no more rows than that; the others are found by a search.
    tell(service.callbacks, [link_body(f"job-{streams}", "CONNECTED")])
    window.open(f"{service.operators}/?rows={MOST_ROWS - 50}")
    expect(window.page.locator("#matching")).to_contain_text(f"{streams + 1} streams match")
    window.page.get_by_role("link", name="Show more").click()
    expect(window.page.locator("#streams tr")).to_have_count(MOST_ROWS)
    expect(window.page.get_by_role("link", name="Show more")).to_be_hidden()
    others = window.page.get_by_text("The worst 2000 are shown; search or filter for the others.")
    expect(others).to_be_visible()
    window.page.get_by_label("Search").fill("job-4321")
    expect(window.page.locator("#streams tr")).to_have_count(1)
    expect(others).to_be_hidden()
    assert window.complaints == []
