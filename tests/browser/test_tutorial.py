"""docs/tutorial.md: its code blocks make one file, and a browser shows what the page describes."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import BrowserContext, expect

from .conftest import Bell

PAGE = (Path(__file__).parents[2] / "docs" / "tutorial.md").read_text(encoding="utf-8")


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[str]:
    """The address of the tutorial's app."""
    (tmp_path / "shop.py").write_text("\n\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)))
    command = [sys.executable, "-W", "error", "-m", "uvicorn", "shop:app", "--port", "0"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            said = iter(server.stderr.readline, "")
            yield next(match[1] for line in said if (match := re.search(r"running on (http://\S+)", line)))
        finally:
            server.terminate()


async def test_a_browser_sees_what_the_page_says(app_context: BrowserContext, shop: str) -> None:
    page = await app_context.new_page()
    async with page.expect_response(f"{shop}/notifications/stream"):
        await page.goto(f"{shop}/sign-in/ada", wait_until="commit")
    bell = Bell(page)
    await expect(bell.button).to_be_visible()
    await expect(bell.badge).to_be_hidden()

    await page.get_by_text("Order a lamp").click()
    await expect(bell.badge).to_have_text("1")
    await bell.open()
    await expect(bell.row("You ordered a lamp")).to_contain_text("Order number 1")

    await page.get_by_text("Export my orders").click()
    await bell.open()
    await expect(bell.row("Your export is ready")).to_be_visible(timeout=30_000)
    await expect(bell.rows).to_have_count(2)
    export, _ = (await (await app_context.request.get(f"{shop}/notifications")).json())["items"]
    assert (export["key"], export["version"], export["readAt"]) == ("export", 11, None)

    await page.goto(f"{shop}/sign-in/grace", wait_until="commit")
    await expect(bell.badge).to_be_hidden()
    await bell.open()
    await expect(bell.empty).to_be_visible()
