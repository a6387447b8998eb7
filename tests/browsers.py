"""Debian's Chromium for tests that drive it from their own event loop."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Browser, async_playwright

from tests.components import chromium


@asynccontextmanager
async def running_browser() -> AsyncIterator[Browser]:
    """Run a headless browser while the context is open."""
    async with async_playwright() as programs:
        # Chromium's own sandbox refuses to run as root, as tests do in a container.
        browser = await programs.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        try:
            yield browser
        finally:
            await browser.close()
