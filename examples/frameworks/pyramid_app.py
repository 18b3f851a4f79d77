"""Pyramid, with the WSGI app behind a view, and Pyramid's session.

pip install notistore pyramid gunicorn, then in this folder, and http://127.0.0.1:8000 in a browser:

    gunicorn --worker-class gthread --threads 50 --keep-alive 1 pyramid_app:app
"""

from pathlib import Path
from typing import Any

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPNoContent, HTTPUnauthorized
from pyramid.response import FileResponse, Response
from pyramid.session import SignedCookieSessionFactory

from notistore import Inbox, MemoryStore, Recipient, SseHub
from notistore.sync import SyncInbox
from notistore.web.wsgi import inbox_wsgi

hub = SseHub(streams=40)  # fewer than there are threads, for each stream holds one
inbox = SyncInbox(Inbox(MemoryStore(), hub))  # over your own store
notifications = inbox_wsgi(inbox, lambda environ: current_recipient(environ["app.request"]), live=True)


def current_recipient(request: Any) -> Recipient | None:
    user = request.session.get("user")  # with a security policy: request.authenticated_userid
    return Recipient(user) if user else None


def serve_inbox(request: Any) -> Response:
    request.environ["app.request"] = request
    return request.get_response(notifications)


def page(request: Any) -> Response:
    return FileResponse(Path(__file__).with_name("page.html"), request)


def login(request: Any) -> Response:
    request.session["user"] = request.json_body["user"]  # once you have checked the password
    return HTTPNoContent()


def logout(request: Any) -> Response:
    if (recipient := current_recipient(request)) is not None:
        request.session.invalidate()
        hub.end(recipient)  # the streams that were opened with this session
    return HTTPNoContent()


def send(request: Any) -> Response:
    recipient = current_recipient(request)
    if recipient is None:
        return HTTPUnauthorized()
    asked = request.json_body
    inbox.send(recipient, asked["type"], asked["data"], key=asked["key"])
    return HTTPNoContent()


def status(request: Any) -> dict[str, Any]:
    return {"streams": hub.stats().streams}


with Configurator(session_factory=SignedCookieSessionFactory("from your settings")) as config:
    config.add_route("inbox", "/notifications*rest")
    config.add_view(serve_inbox, route_name="inbox")
    for name, path, view in [
        ("page", "/", page),
        ("login", "/login", login),
        ("logout", "/logout", logout),
        ("send", "/send", send),
        ("status", "/status", status),
    ]:
        config.add_route(name, path)
        config.add_view(view, route_name=name, renderer="json")
    app = config.make_wsgi_app()
