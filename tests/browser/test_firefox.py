"""The element in a real Firefox: an event arrives, the panel opens, marking reaches the server."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ..core.eventstream import parse
from . import firefox
from .application import ADA, Application

CLICK = "Promise.resolve(document.querySelector('notistore-inbox').shadowRoot.querySelector('%s').click())"
# Resolves with what a condition gives once that is true of the element's shadow root.
UNTIL = """new Promise((resolve) => {
  const bell = document.querySelector("notistore-inbox");
  const look = () => {
    const found = ((root) => %s)(bell.shadowRoot);
    if (found) resolve(found);
    else setTimeout(look, 20);
  };
  look();
})"""


@pytest.mark.parametrize("headers", ["", "bell.headers = { Authorization: 'Bearer one' };"], ids=["cookies", "headers"])
async def test_an_event_arrives_the_panel_opens_and_a_mark_reaches_the_server(
    request: pytest.FixtureRequest, app: Application, tmp_path: Path, headers: str
) -> None:
    if firefox.FIREFOX is None:
        (pytest.fail if request.config.getoption("--require-services") else pytest.skip)(firefox.INSTALL)
    app.tokens = {"one"} if headers else None
    script = f"<script>const bell = document.querySelector('notistore-inbox'); {headers}</script>"
    app.show(f"<notistore-inbox></notistore-inbox>{script}")
    async with firefox.running(tmp_path) as page:
        await page.goto(f"{app.served.url}/")
        await app.connected()
        await app.inbox.send(ADA, "t", {"title": "Rung", "link": "/?7", "actor": {"name": "Grace"}})
        assert await page.evaluate(UNTIL % "root.querySelector('.badge').textContent") == "1"
        await page.evaluate(CLICK % ".bell")
        shown = "[...root.querySelectorAll('.title, .actor')].map((part) => part.textContent).join()"
        assert await page.evaluate(UNTIL % shown) == "Rung,Grace"
        assert app.inbox.hub is not None
        async with app.inbox.hub.subscribe(ADA) as changes, asyncio.timeout(60):
            await page.evaluate(CLICK % ".tool")
            assert [frame.name for frame in parse(await anext(changes))] == ["read", "notification"]
        assert await page.evaluate(UNTIL % "root.querySelector('.badge').hidden && !root.querySelector('.unread')")
