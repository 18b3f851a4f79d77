"""A real browser on the real `notistore demo`, both shared by the run; each test has a new page and an empty inbox."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

playwright = pytest.importorskip("playwright.async_api", reason="pip install playwright")

from playwright.async_api import Browser, BrowserContext, Locator, Page, async_playwright, expect  # noqa: E402

from ..npm.conftest import packages  # noqa: E402, F401
from .application import Application, serve_application  # noqa: E402

expect.set_options(timeout=30_000)

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
NOTISTORE = str(Path(sys.executable).with_name("notistore"))
IDENTITIES = itertools.cycle([(tenant, user) for user in ("ada", "grace") for tenant in ("acme", "globex")])


class Demo:
    """A `notistore demo` process that can be killed and restarted on the same port and database."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._process: asyncio.subprocess.Process | None = None
        self.url = ""

    async def start(self) -> None:
        port = httpx.URL(self.url).port if self.url else 0
        self._process = await asyncio.create_subprocess_exec(
            *(NOTISTORE, "demo", "--db", str(self._database), "--port", str(port)),
            stdout=asyncio.subprocess.PIPE,
        )
        assert self._process.stdout is not None
        async with asyncio.timeout(60):
            line = (await self._process.stdout.readline()).decode()
        assert line.startswith("notistore demo: http"), f"the demo did not start: {line!r}"
        self.url = line.split()[-1].rstrip("/")

    async def kill(self) -> None:
        """Send SIGKILL: no stream is ended properly."""
        if self._process is not None:
            self._process.kill()
            await self._process.communicate()
            self._process = None


@dataclass
class Inbox:
    """One of the demo's inboxes, used through HTTP requests outside any page."""

    http: httpx.AsyncClient
    tenant: str
    user: str

    @property
    def path(self) -> str:
        return f"/t/{self.tenant}/u/{self.user}/notifications"

    async def send(self, title: str, **fields: str) -> None:
        body = {"tenant": self.tenant, "user": self.user, "title": title, **fields}
        (await self.http.post("/demo/send", json=body)).raise_for_status()

    async def items(self) -> list[dict[str, Any]]:
        answer = await self.http.get(self.path, params={"limit": 100})
        items: list[dict[str, Any]] = answer.raise_for_status().json()["items"]
        return items

    async def clear(self) -> None:
        for item in await self.items():
            await self.http.delete(f"{self.path}/{item['id']}")


class Bell:
    """Page object of <notistore-inbox>, whose button is a bell. Playwright's selectors reach into its shadow root."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.element = page.locator("notistore-inbox")
        self.button = self.element.locator(".bell")
        self.badge = self.element.locator(".badge")
        self.panel = self.element.get_by_role("dialog")
        self.rows = self.element.get_by_role("listitem")
        self.articles = self.element.get_by_role("article")
        self.unread = self.element.locator(".row.unread")
        self.notice = self.element.locator(".notice")
        self.message = self.element.locator(".message")
        self.empty = self.element.locator(".empty")

    def row(self, title: str) -> Locator:
        return self.rows.filter(has_text=title)

    async def open(self) -> None:
        await self.button.click()
        await self.panel.wait_for()


@pytest.fixture(scope="session")
async def demo(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Demo]:
    demo = Demo(tmp_path_factory.mktemp("demo") / "demo.db")
    await demo.start()
    yield demo
    await demo.kill()


@pytest.fixture(scope="session")
def chromium(request: pytest.FixtureRequest) -> str:
    if CHROMIUM is None:
        message = "no browser: install Chromium so that `chromium` is on the PATH (Debian: apt-get install chromium)"
        (pytest.fail if request.config.getoption("--require-services") else pytest.skip)(message)
    return CHROMIUM


@pytest.fixture(scope="session")
async def browser(chromium: str) -> AsyncIterator[Browser]:
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=chromium, args=ARGUMENTS, env=dict(os.environ))
        yield browser
        await browser.close()


@pytest.fixture
async def context(browser: Browser, demo: Demo) -> AsyncIterator[BrowserContext]:
    context = await browser.new_context(base_url=demo.url)
    context.set_default_timeout(30_000)
    yield context
    await context.close()


@pytest.fixture
async def app() -> AsyncIterator[Application]:
    async with serve_application() as app:
        yield app


@pytest.fixture
async def app_context(browser: Browser) -> AsyncIterator[BrowserContext]:
    """A browser context for pages of `app`."""
    context = await browser.new_context()
    context.set_default_timeout(30_000)
    yield context
    await context.close()


@pytest.fixture(scope="session")
def axe(packages: Path) -> Path:  # noqa: F811
    """The path of axe-core, which tests inject into a page."""
    return packages / "node_modules" / "axe-core" / "axe.min.js"


@pytest.fixture
async def inbox(demo: Demo) -> AsyncIterator[Inbox]:
    tenant, user = next(IDENTITIES)
    async with httpx.AsyncClient(base_url=demo.url) as http:
        inbox = Inbox(http, tenant, user)
        await inbox.clear()
        yield inbox


@pytest.fixture
async def bell(context: BrowserContext, inbox: Inbox) -> Bell:
    """The demo's page, once its stream is open."""
    return await open_page(context, inbox)


async def open_page(context: BrowserContext, inbox: Inbox) -> Bell:
    page = await context.new_page()
    async with page.expect_response(lambda response: response.url.endswith(f"{inbox.path}/stream")):
        await page.goto(f"/#{inbox.tenant}/{inbox.user}", wait_until="commit")
    return Bell(page)
