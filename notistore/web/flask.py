"""`inbox_blueprint`: the routes of docs/wire.md as a Flask blueprint."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, TypeAlias

try:
    from flask import Blueprint, Response, request
except ModuleNotFoundError as error:
    raise ImportError('notistore.web.flask needs Flask: pip install "notistore[flask]"') from error

from ..errors import InvalidArgument
from ..model import Recipient
from ..sync import SyncInbox
from ._werkzeug import add_routes, remove_default_content_type
from .core import Answer, Query, Request, Route
from .sync import SyncWebInbox

__all__ = ["GetRecipient", "inbox_blueprint"]

GetRecipient: TypeAlias = Callable[[], Recipient | None]
"""How to get the recipient within a request, from Flask's `session` or `g`, or Flask-Login's `current_user`; None is a
401."""


def inbox_blueprint(
    inbox: SyncInbox,
    recipient: GetRecipient,
    *,
    path: str = "/notifications",
    trusted_origins: Collection[str] = (),
    close_on_signals: bool = True,
    live: bool = False,
    name: str = "notistore",
) -> Blueprint:
    """The inbox as a blueprint.

    Args:
        inbox: what it serves.
        recipient: gets the recipient, within the request's context.
        path: where the routes begin; no slash at its end.
        trusted_origins: origins ("https://app.example.com") whose pages may send unsafe requests cross-site. Such
            pages need CORS headers too, which are the host's to add.
        close_on_signals: with `live`, close the hub on SIGINT and SIGTERM.
        live: let streams last, each in a thread of its own; otherwise browsers poll (docs/web.md).
        name: the blueprint's, of which an application can have one only.
    """
    web = SyncWebInbox(inbox, path=path, trusted_origins=trusted_origins, close_on_signals=close_on_signals, live=live)
    blueprint = Blueprint(name, __name__)
    add_routes(blueprint, web.routes, lambda route: _view(web, route, recipient))
    return blueprint


def _view(web: SyncWebInbox, route: Route, recipient: GetRecipient) -> Callable[..., Response]:
    def view(id: str = "", **_: Any) -> Response:
        asked = Request(
            method=request.method,
            query=Query(request.query_string),
            headers={name.lower(): value for name, value in request.headers.items()},
            body=lambda size: request.stream.read(size),
            id=id,
        )
        answer = web.answer(route, None if route.public else _find_recipient(recipient), asked)
        body = answer.body if isinstance(answer, Answer) else answer.frames()
        response = Response(body, answer.status, dict(answer.headers))
        remove_default_content_type(response, answer.headers)
        return response

    return view


def _find_recipient(get_recipient: GetRecipient) -> Recipient | None:
    try:
        return get_recipient()
    except InvalidArgument:
        return None  # what it was given cannot name a recipient, so nobody is signed in
