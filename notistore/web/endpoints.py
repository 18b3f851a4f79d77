"""The endpoints of docs/wire.md, as functions of an inbox, a recipient and a request, without a framework."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable
from typing import Final, NamedTuple, Protocol

from .._log_throttle import LogThrottle
from .._validation import MAX_OFFSET
from ..errors import InvalidArgument, StoreError
from ..inbox import Inbox
from ..model import Recipient
from ..wire import to_item
from ._element import ELEMENT, read_element
from ._request import Answer, BodyRefused, Request, read_body
from .stream import HEADERS, StreamResponse

__all__ = ["MAX_PER_PAGE", "ROUTES", "UNAUTHORIZED", "Endpoint", "Route", "call"]

_log = logging.getLogger("notistore.web")
_failing = LogThrottle()

MAX_PER_PAGE: Final = 100
_RETRY_AFTER: Final = "5"  # seconds


class Endpoint(Protocol):
    """One of the functions below."""

    __name__: str

    def __call__(
        self, inbox: Inbox, recipient: Recipient, request: Request, /
    ) -> Awaitable[Answer | StreamResponse]: ...


_NO_CONTENT: Final = Answer(204)
UNAUTHORIZED: Final = Answer.problem(401, "this request names no recipient; sign in first")
_NOT_FOUND: Final = Answer.problem(404, "this inbox holds no such notification")


async def list_notifications(inbox: Inbox, recipient: Recipient, request: Request) -> Answer:
    """Numbered pages; with `before` or `limit` keyset pages, which skip no row while others are read or added."""
    query = request.query
    if "before" in query or "limit" in query:
        return await _list_before(inbox, recipient, request)
    types = query.types()
    per_page = query.integer("perPage", default=20, at_most=_most(inbox), floor=True, cap=True)
    page = query.integer("page", default=1, at_most=MAX_OFFSET // MAX_PER_PAGE, floor=True)
    rows = await inbox.page(recipient, types=types, offset=(page - 1) * per_page, limit=per_page)
    total = await inbox.count(recipient, types=types)
    last_page = max(1, -(-total // per_page))
    meta = {"page": page, "perPage": per_page, "total": total, "lastPage": last_page}
    return Answer.json({"items": [to_item(row) for row in rows], "meta": meta})


async def _list_before(inbox: Inbox, recipient: Recipient, request: Request) -> Answer:
    query = request.query
    limit = query.integer("limit", default=20, at_most=_most(inbox), cap=True)
    # One more row than shown tells whether there is a next page; at the cap a full page may be followed by an empty
    # one.
    asked = min(limit + 1, _most(inbox))
    rows = await inbox.page(recipient, types=query.types(), before=query.cursor("before"), limit=asked)
    shown = rows[:limit]
    following = str(shown[-1].cursor) if len(rows) == asked else None
    return Answer.json({"items": [to_item(row) for row in shown], "next": following})


async def list_unread(inbox: Inbox, recipient: Recipient, request: Request) -> Answer:
    """The newest unread notifications, at most 100."""
    rows = await inbox.page(recipient, unread_only=True, types=request.query.types(), limit=_most(inbox))
    return Answer.json([to_item(row) for row in rows])


async def count_unread(inbox: Inbox, recipient: Recipient, request: Request) -> Answer:
    """The unread count. A matching ETag saves the bytes of the response, not the query."""
    query = request.query
    at_most = query.integer("max", default=0, at_most=MAX_OFFSET) or None
    unread = await inbox.unread_count(recipient, types=query.types(), at_most=at_most)
    etag = f'W/"{unread}"'
    known = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
    if "*" in known or etag.removeprefix("W/") in known:
        return Answer.not_modified(etag)
    return Answer.json({"count": unread}, headers={"etag": etag})


async def mark_read(inbox: Inbox, recipient: Recipient, request: Request) -> Answer:
    """Marks one notification read. Repeats succeed. Unknown ids and other recipients' ids give the same 404, so ids
    cannot be probed."""
    marked = await inbox.mark_read(recipient, request.id)
    return _NO_CONTENT if marked or await inbox.get(recipient, request.id) else _NOT_FOUND


async def mark_unread(inbox: Inbox, recipient: Recipient, request: Request) -> Answer:
    """Marks one notification unread. Unknown ids and other recipients' ids give the same 404."""
    marked = await inbox.mark_unread(recipient, request.id)
    return _NO_CONTENT if marked or await inbox.get(recipient, request.id) else _NOT_FOUND


async def mark_many_read(inbox: Inbox, recipient: Recipient, request: Request) -> Answer:
    """Marks many read. The body is `{"ids": [...]}`; unknown ids and other recipients' ids are not counted."""
    try:
        body = json.loads(await read_body(request))
    except (ValueError, RecursionError):
        raise InvalidArgument("body", 'expected JSON of the form {"ids": ["..."]}') from None
    ids = body.get("ids") if isinstance(body, dict) else None
    if not isinstance(ids, list):
        raise InvalidArgument("ids", 'expected a list of ids: {"ids": ["..."]}')
    for i, id in enumerate(ids):
        if not isinstance(id, str):
            raise InvalidArgument(f"ids[{i}]", f"expected a string, got {type(id).__name__}")
    return Answer.json({"updated": await inbox.mark_read(recipient, *ids) if ids else 0})


async def mark_all_read(inbox: Inbox, recipient: Recipient, request: Request) -> Answer:
    """Marks all read, or those selected by the query."""
    query = request.query
    await inbox.mark_all_read(recipient, types=query.types(), seen=query.time("seen"))
    return _NO_CONTENT


async def delete(inbox: Inbox, recipient: Recipient, request: Request) -> Answer:
    """Deletes one notification. Unknown, other recipients' and already deleted ids give the same 404."""
    return _NO_CONTENT if await inbox.delete(recipient, request.id) else _NOT_FOUND


async def stream(inbox: Inbox, recipient: Recipient, request: Request) -> Answer | StreamResponse:
    """Server-sent events: the unread count first, then each change."""
    if request.method == "HEAD":
        return Answer(200, headers=HEADERS)
    return StreamResponse(inbox, recipient, resumed="last-event-id" in request.headers)


async def element(inbox: Inbox, recipient: object, request: Request) -> Answer:
    """The custom element `<notistore-inbox>`, an ES module."""
    return Answer(
        200,
        read_element(),
        {
            "content-type": "text/javascript; charset=utf-8",
            "cache-control": "public, max-age=300",
            "x-content-type-options": "nosniff",
        },
    )


def _most(inbox: Inbox) -> int:
    return min(MAX_PER_PAGE, inbox.max_limit)


class Route(NamedTuple):
    """The method and path of an endpoint.

    Attributes:
        method: in capitals; a route of GET answers HEAD as well.
        path: below the mount's path; `{id}` stands for one segment, the notification's id.
        endpoint: the function that answers.
        public: whether it is served to everyone, without a recipient.
        reads_body: whether the endpoint reads the request's body.
    """

    method: str
    path: str
    endpoint: Endpoint
    public: bool = False
    reads_body: bool = False


# Paths with `{id}` come last: some frameworks take the first path that matches, whatever its method.
ROUTES: Final = (
    Route("GET", "", list_notifications),
    Route("GET", "/unread", list_unread),
    Route("GET", "/unread/count", count_unread),
    Route("PATCH", "/read", mark_many_read, reads_body=True),
    Route("POST", "/read-all", mark_all_read),
    Route("GET", "/stream", stream),
    Route("GET", f"/{ELEMENT}", element, public=True),
    Route("POST", "/{id}/read", mark_read),
    Route("POST", "/{id}/unread", mark_unread),
    Route("DELETE", "/{id}", delete),
)


async def call(endpoint: Endpoint, inbox: Inbox, recipient: Recipient, request: Request) -> Answer | StreamResponse:
    """Call an endpoint, and turn exceptions into responses without internal details."""
    try:
        return await endpoint(inbox, recipient, request)
    except BodyRefused as refused:
        return refused.answer
    except InvalidArgument as error:
        return Answer.problem(422, str(error), field=error.field)
    except StoreError:
        _failing.log(_log.exception, "the store failed during %s", endpoint.__name__)
        detail = "the notifications cannot be reached now; try again"
        return Answer.problem(503, detail, headers={"retry-after": _RETRY_AFTER})
