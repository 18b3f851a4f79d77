"""A Firefox driven by Marionette, its built-in protocol: no driver is needed, and Debian's Firefox works."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

FIREFOX: Final = next(filter(None, map(shutil.which, ("firefox-esr", "firefox"))), None)
INSTALL: Final = "no Firefox: install it so that `firefox-esr` is on the PATH (Debian: apt-get install firefox-esr)"

_PREFERENCES: Final = """
user_pref("marionette.port", 0);
user_pref("app.update.enabled", false);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
"""


class Firefox:
    """A Firefox with one page."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._number = 0

    async def goto(self, url: str) -> None:
        await self.command("WebDriver:Navigate", url=url)

    async def evaluate(self, promise: str) -> Any:
        """The value that the promise of a JavaScript expression resolves to."""
        script = f"({promise}).then(arguments[arguments.length - 1])"
        return (await self.command("WebDriver:ExecuteAsyncScript", script=script, args=[]))["value"]

    async def command(self, name: str, **parameters: Any) -> Any:
        self._number += 1
        message = json.dumps([0, self._number, name, parameters]).encode()
        self._writer.write(b"%d:%b" % (len(message), message))
        _, number, error, result = await self.receive()
        assert number == self._number
        assert error is None, error
        return result

    async def receive(self) -> Any:
        async with asyncio.timeout(60):
            length = int((await self._reader.readuntil(b":"))[:-1])
            return json.loads(await self._reader.readexactly(length))


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Firefox]:
    """Start a headless Firefox with a profile in this folder."""
    assert FIREFOX is not None
    (folder / "user.js").write_text(_PREFERENCES)
    process = await asyncio.create_subprocess_exec(
        *(FIREFOX, "--headless", "--marionette", "--no-remote", "--profile", str(folder)),
        env={**os.environ, "HOME": str(folder)},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        port = folder / "MarionetteActivePort"
        async with asyncio.timeout(60):
            while not (port.exists() and port.read_text().strip()):
                assert process.returncode is None, "Firefox ended at once"
                await asyncio.sleep(0.05)  # Firefox announces its port only in that file
        reader, writer = await asyncio.open_connection("127.0.0.1", int(port.read_text()))
        firefox = Firefox(reader, writer)
        await firefox.receive()  # its greeting
        await firefox.command("WebDriver:NewSession")
        yield firefox
        writer.close()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
