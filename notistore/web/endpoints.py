"""The endpoints of docs/wire.md, knowing no framework: an inbox, a recipient and a request make an answer."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Collection
from typing import Final, NamedTuple, Protocol

from .._seldom import Seldom
from .._validation import MAX_OFFSET
from ..errors import InvalidArgument, StoreError
from ..inbox import Inbox
from ..model import Recipient
from ..wire import to_item
from ._origin import is_forged
from ._request import MAX_BODY_BYTES, Answer, BodyTooLarge, Request, read_body

__all__ = ["MAX_PER_PAGE", "ROUTES", "UNAUTHORIZED", "Endpoint", "Route", "answer"]

_log = logging.getLogger("notistore.web")
_failing = Seldom()

MAX_PER_PAGE: Final = 100


class Endpoint(Protocol):
    """One of the functions below."""

    __name__: str

    def __call__(self, inbox: Inbox, recipient: Recipient, request: Request, /) -> Awaitable[Answer]: ...


_NO_CONTENT: Final = Answer(204)
UNAUTHORIZED: Final = Answer.problem(401, "this request names no recipient; sign in first")
_NOT_FOUND: Final = Answer.problem(404, "this inbox holds no such notification")


async def list_notifications(inbox: Inbox, recipient: Recipient, request: Request) -> Answer:
    """Numbered pages; with `before` or `limit` keyset pages, which never skip while rows are read or added."""
    query = request.query
    if "before" in query or "limit" in query:
        return await _list_before(inbox, recipient, request)
    types = query.types()
    per_page = query.integer("perPage", default=20, at_least=1, at_most=_most(inbox), cap=True)
    page = query.integer("page", default=1, at_least=1, at_most=MAX_OFFSET // MAX_PER_PAGE)
    rows = await inbox.page(recipient, types=types, offset=(page - 1) * per_page, limit=per_page)
    total = await inbox.count(recipient, types=types)
    last_page = max(1, -(-total // per_page))
    meta = {"page": page, "perPage": per_page, "total": total, "lastPage": last_page}
    return Answer.json({"items": [to_item(row) for row in rows], "meta": meta})


async def _list_before(inbox: Inbox, recipient: Recipient, request: Request) -> Answer:
    query = request.query
    limit = query.integer("limit", default=20, at_least=1, at_most=_most(inbox), cap=True)
    # One row more than is shown tells whether a page follows; at the cap a full page may be followed by an empty one.
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
    """The badge. An ETag that still holds saves the bytes of an answer, not the query."""
    query = request.query
    at_most = query.integer("max", default=0, at_least=1, at_most=MAX_OFFSET) or None
    unread = await inbox.unread_count(recipient, types=query.types(), at_most=at_most)
    etag = f'W/"{unread}"'
    known = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
    if "*" in known or etag.removeprefix("W/") in known:
        return Answer.not_modified(etag)
    return Answer.json({"count": unread}, headers={"etag": etag})


async def mark_read(inbox: Inbox, recipient: Recipient, request: Request) -> Answer:
    """Repeats succeed; what is unknown and what is another's are the same 404, so ids cannot be probed."""
    marked = await inbox.mark_read(recipient, request.id)
    return _NO_CONTENT if marked or await inbox.get(recipient, request.id) else _NOT_FOUND


async def mark_unread(inbox: Inbox, recipient: Recipient, request: Request) -> Answer:
    marked = await inbox.mark_unread(recipient, request.id)
    return _NO_CONTENT if marked or await inbox.get(recipient, request.id) else _NOT_FOUND


async def mark_many_read(inbox: Inbox, recipient: Recipient, request: Request) -> Answer:
    """The body is `{"ids": [...]}`; ids that are unknown or another's are not counted."""
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
    return Answer.json({"updated": await inbox.mark_read(recipient, *ids)})


async def mark_all_read(inbox: Inbox, recipient: Recipient, request: Request) -> Answer:
    query = request.query
    await inbox.mark_all_read(recipient, types=query.types(), seen=query.time("seen"))
    return _NO_CONTENT


async def delete(inbox: Inbox, recipient: Recipient, request: Request) -> Answer:
    return _NO_CONTENT if await inbox.delete(recipient, request.id) else _NOT_FOUND


def _most(inbox: Inbox) -> int:
    return min(MAX_PER_PAGE, inbox.max_limit)


class Route(NamedTuple):
    """Where an endpoint is served: `path` comes after the mount's own."""

    method: str
    path: str
    endpoint: Endpoint


ROUTES: Final = (
    Route("GET", "", list_notifications),
    Route("GET", "/unread", list_unread),
    Route("GET", "/unread/count", count_unread),
    Route("PATCH", "/read", mark_many_read),
    Route("POST", "/read-all", mark_all_read),
    Route("POST", "/{id}/read", mark_read),
    Route("POST", "/{id}/unread", mark_unread),
    Route("DELETE", "/{id}", delete),
)


async def answer(
    endpoint: Endpoint,
    inbox: Inbox,
    recipient: Recipient | None,
    request: Request,
    *,
    trusted_origins: Collection[str] = (),
) -> Answer:
    """Call an endpoint unless its request must be refused, and turn what goes wrong into an answer that tells no more
    than the client may know."""
    try:
        if is_forged(request.method, request.headers, trusted_origins):
            return Answer.problem(403, "this request comes from a page of another site, which is not trusted")
        if recipient is None:
            return UNAUTHORIZED
        return await endpoint(inbox, recipient, request)
    except BodyTooLarge:
        return Answer.problem(413, f"body: expected at most {MAX_BODY_BYTES} bytes", field="body")
    except InvalidArgument as error:
        return Answer.problem(422, str(error), field=error.field)
    except StoreError:
        if (unsaid := _failing.unsaid()) is not None:
            _log.exception("the store failed during %s (%d more before)", endpoint.__name__, unsaid)
        return Answer.problem(503, "the notifications cannot be reached now; try again")
