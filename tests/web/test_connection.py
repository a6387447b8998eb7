from pathlib import Path

import pytest
from playwright.async_api import expect

from monitor.clock import stopwatch
from monitor.config import Settings
from monitor.http_server import serve
from monitor.log.sqlite import SqliteLog
from monitor.web.app import Pages, build
from monitor.web.writing import MORE_ROWS
from tests.browsers import running_browser
from tests.health.story import Story
from tests.metrics.building import Desk

SCREENSHOTS = Path(__file__).resolve().parent.parent.parent / "var" / "screenshots"
"""Pictures of the pages as the test saw them, kept for whoever wants to look."""


@pytest.mark.parametrize(("path", "name"), [("/", "streams"), ("/streams/prod/job", "stream")])
async def test_an_open_page_says_that_it_is_old_while_the_log_cannot_be_read(
    desk: Desk, log: SqliteLog, path: str, name: str
) -> None:
    app = build(Settings(), log, desk.exposition, [desk.fleet], Pages(desk.fleet, log))
    async with serve(app, "127.0.0.1:0") as address, running_browser() as browser:
        page = await browser.new_page()
        await page.goto(f"http://{address}{path}")
        connection = page.locator("#connection")
        await expect(connection).to_have_text("live · 22:15:40 UTC")

        desk.fleet.fresh_until = stopwatch() - 0.001

        await expect(connection).to_have_text(
            "what you see is old: the log can't be read, or no worker folds it"
        )
        await expect(connection).to_have_class("connection lost")
        # Who hears the page rather than sees it is told as well.
        await expect(page.get_by_role("status").last).to_have_text(
            "what you see is old: the log can't be read, or no worker folds it"
        )
        await expect(page.locator(".badge").first).to_have_text("down")
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        await page.screenshot(path=SCREENSHOTS / f"old-{name}.png", full_page=True)
        desk.fleet.fresh_until = stopwatch() + 3600
        await expect(connection).to_have_text("live · 22:15:40 UTC")
        await expect(connection).to_have_class("connection")


async def test_the_keyboard_goes_on_to_the_rows_that_show_more_brought(desk: Desk, log: SqliteLog) -> None:
    desk.shard.streams.clear()
    for number in range(MORE_ROWS + 2):
        story = Story()
        story.links("C")
        story.known.job_id = f"job-{number:03}"
        desk.show(story.known)
    app = build(Settings(), log, desk.exposition, [desk.fleet], Pages(desk.fleet, log))
    async with serve(app, "127.0.0.1:0") as address, running_browser() as browser:
        page = await browser.new_page()
        await page.goto(f"http://{address}/")
        rows = page.locator("#streams tr")
        await expect(page.locator("#connection")).to_contain_text("live")

        await page.locator("#more").press("Enter")
        await expect(rows).to_have_count(MORE_ROWS + 2)
        await expect(page.locator("#more")).to_be_hidden()
        await page.keyboard.press("Tab")

        await expect(rows.nth(MORE_ROWS).get_by_role("link")).to_be_focused()
