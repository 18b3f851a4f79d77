"""Tornado, with a handler for the inbox and signed cookies.

pip install notistore tornado, then in this folder, and http://127.0.0.1:8000 in a browser:

    python tornado_app.py
"""

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

from tornado.web import Application, HTTPError, RequestHandler

from notistore import Inbox, MemoryStore, Recipient, SseHub
from notistore.web import core

hub = SseHub()
inbox = Inbox(MemoryStore(), hub)  # over your own store
mount = core.WebInbox(inbox)
streams: set[asyncio.Task[Any]] = set()


class Handler(RequestHandler):
    def recipient(self) -> Recipient | None:
        user = self.get_signed_cookie("user")
        return Recipient(user.decode()) if user else None


class Notifications(Handler):
    """All that is below /notifications."""

    stream: asyncio.Task[Any] | None = None

    async def answer(self) -> None:
        method = self.request.method or ""
        answer: Any = mount.match(method, self.request.path)
        if not isinstance(answer, core.Answer):
            route, id = answer
            headers = {name.lower(): value for name, value in self.request.headers.items()}
            asked = core.Request(method, core.Query(self.request.query), headers, self.request.body, id)
            found = None if route.public else await core.find_recipient(Handler.recipient, self)
            answer = await mount.answer(route, found, asked)
        self.set_status(answer.status)
        self.clear_header("Content-Type")
        for name, value in answer.headers.items():
            self.set_header(name, value)
        if isinstance(answer, core.Answer):
            self.finish(answer.body or None)
        elif method != "HEAD":
            self.stream = asyncio.current_task()
            assert self.stream is not None
            streams.add(self.stream)
            self.stream.add_done_callback(streams.discard)
            async with answer.frames() as frames:
                async for data in frames:
                    self.write(data)
                    await self.flush()

    get = head = post = put = patch = delete = answer

    def on_connection_close(self) -> None:
        if self.stream is not None:
            self.stream.cancel()  # the client has left


class Page(Handler):
    def get(self) -> None:
        self.finish(Path(__file__).with_name("page.html").read_bytes())


class Login(Handler):
    def post(self) -> None:
        self.set_signed_cookie("user", json.loads(self.request.body)["user"])  # once you have checked the password
        self.set_status(204)


class Logout(Handler):
    def post(self) -> None:
        if (recipient := self.recipient()) is not None:
            self.clear_cookie("user")
            hub.end(recipient)  # the streams that were opened with this session
        self.set_status(204)


class Send(Handler):
    async def post(self) -> None:
        recipient = self.recipient()
        if recipient is None:
            raise HTTPError(401)
        asked = json.loads(self.request.body)
        await inbox.send(recipient, asked["type"], asked["data"], key=asked["key"])
        self.set_status(204)


class Status(Handler):
    def get(self) -> None:
        self.finish({"streams": hub.stats().streams})


async def main(port: int) -> None:
    routes: list[Any] = [
        (r"/notifications(?:/.*)?", Notifications),
        (r"/", Page),
        (r"/login", Login),
        (r"/logout", Logout),
        (r"/send", Send),
        (r"/status", Status),
    ]
    server = Application(routes, cookie_secret="from your settings").listen(port, "127.0.0.1")
    stopping = asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, stopping.set)
    await stopping.wait()
    server.stop()
    hub.close()
    await asyncio.gather(*streams, return_exceptions=True)
    await server.close_all_connections()


if __name__ == "__main__":
    asyncio.run(main(int((sys.argv[1:] or ["8000"])[0])))
