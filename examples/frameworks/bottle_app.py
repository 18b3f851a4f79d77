"""Bottle, with the WSGI app in front of it, which reads Bottle's signed cookie.

pip install notistore bottle gunicorn, then in this folder, and http://127.0.0.1:8000 in a browser:

    gunicorn --worker-class gthread --threads 50 --keep-alive 1 bottle_app:app
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import bottle

from notistore import Inbox, MemoryStore, Recipient, SseHub
from notistore.sync import SyncInbox
from notistore.web.wsgi import inbox_wsgi

SECRET = "from your settings"
hub = SseHub(streams=40)  # fewer than there are threads, for each stream holds one
inbox = SyncInbox(Inbox(MemoryStore(), hub))  # over your own store
host: Any = bottle.Bottle()
request: Any = bottle.request


def current_recipient(environ: dict[str, Any]) -> Recipient | None:
    user = bottle.Request(environ).get_cookie("user", secret=SECRET)
    return Recipient(user) if user else None


@host.get("/")
def page() -> bottle.HTTPResponse:
    return bottle.static_file("page.html", Path(__file__).parent)


@host.post("/login")
def login() -> bottle.HTTPResponse:
    user = request.json["user"]  # once you have checked the password
    answer = bottle.HTTPResponse(status=204)
    answer.set_cookie("user", user, secret=SECRET, path="/", httponly=True, samesite="lax")
    return answer


@host.post("/logout")
def logout() -> bottle.HTTPResponse:
    answer = bottle.HTTPResponse(status=204)
    if (recipient := current_recipient(request.environ)) is not None:
        answer.delete_cookie("user", path="/")
        hub.end(recipient)  # the streams that were opened with this session
    return answer


@host.post("/send")
def send() -> bottle.HTTPResponse:
    recipient = current_recipient(request.environ)
    if recipient is None:
        return bottle.HTTPResponse(status=401)
    asked = request.json
    inbox.send(recipient, asked["type"], asked["data"], key=asked["key"])
    return bottle.HTTPResponse(status=204)


@host.get("/status")
def status() -> dict[str, int]:
    return {"streams": hub.stats().streams}


notifications = inbox_wsgi(inbox, current_recipient, live=True)


def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    ours = environ["PATH_INFO"].startswith("/notifications")
    return (notifications if ours else host)(environ, start_response)
