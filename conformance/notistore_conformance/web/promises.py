"""The promises of the wire, a sentence for each id. The list at the end of docs/wire.md is made from this module."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["UNCHECKABLE", "WIRE"]

WIRE: Final[Mapping[str, str]] = {
    # Routes
    "routes.no-redirect": "No path redirects.",
    "routes.others": "A method or path that is none of these gets a 404 or 405.",
    "routes.slash": "One slash at the end of a path is accepted.",
    "page.shape": "A page is 200 {items, meta: {page, perPage, total, lastPage}}, lastPage at least 1.",
    "page.default": "Without a query it is page 1 of 20.",
    "page.order": "Items are newest first by createdAt; one that is replaced keeps its position.",
    "page.cap": "perPage above 100 is 100.",
    "page.floor": "page and perPage below 1 are taken as 1.",
    "page.type": "?type=A,B shows and counts these types only; names are compared exactly.",
    "keyset.shape": "With limit or before a page is 200 {items, next}; ?limit= alone is the first.",
    "keyset.walk": "Following next neither skips nor repeats while rows are read or added, and ends with null.",
    "keyset.type": "?type= filters keyset pages too.",
    "keyset.wins": "With before or limit, page and perPage are ignored.",
    "unread.list": "GET /unread is 200 and an array of the unread items, newest first.",
    "unread.type": "?type= filters it.",
    "unread.cap": "It holds at most 100.",
    "count.value": 'GET /unread/count is 200 {"count": n}, n the number of unread items.',
    "count.max": "?max= is the most it counts to.",
    "count.type": "?type= counts these types only.",
    "count.etag": "With If-None-Match a count that still holds is 304, one that does not is 200.",
    "mark.read": "POST /{id}/read is 204, and the item then has a readAt.",
    "mark.unread": "POST /{id}/unread is 204, and the item's readAt is null then.",
    "mark.repeats": "Marking again is 204 too, and the first readAt stays.",
    "mark.not-yours": (
        "404 for an id that is unknown or another recipient's, with the same body, and nothing is marked."
    ),
    "many.updated": 'PATCH /read with {"ids": [...]} is 200 {"updated": n}, n those that became read, each once.',
    "read-all.marks": "POST /read-all is 204, and nothing is unread then.",
    "read-all.type": "With ?type= only these types are marked.",
    "read-all.seen": "With ?seen=, an updatedAt, what changed after it stays unread.",
    "delete.removes": "DELETE /{id} is 204, and the item is gone.",
    "delete.again": "404 for one that is deleted already.",
    "delete.not-yours": (
        "404 for an id that is unknown or another recipient's, with the same body, and nothing is deleted."
    ),
    "stream.headers": (
        "GET /stream is 200 text/event-stream with Cache-Control: no-cache, no-transform and X-Accel-Buffering: no."
    ),
    "element.served": "GET /notistore-inbox.js is JavaScript, without authentication, if the server has the element.",
    "answers.private": "Answers are Cache-Control: private, no-cache.",
    "answers.nosniff": "All answers are X-Content-Type-Options: nosniff.",
    "answers.current": "After a change has been answered, the answer to every later request shows it.",
    "inbox.own": "Every route shows and changes only its recipient's inbox.",
    # Items
    "item.fields": (
        "An item is id, type, notifiableType, notifiableId, tenantId, key, data, actor, traceId, version, readAt, "
        "createdAt and updatedAt."
    ),
    "item.data": "data is what was sent, an object, never null.",
    "item.null": "tenantId, key, actor, traceId and readAt are null where there is none.",
    "item.times": "Times are ISO 8601 with milliseconds and offset.",
    "item.version": "Of two items with one id, the one with the higher version is the later.",
    "item.live": "An item of version 0 was sent live and is not stored.",
    # Refusals
    "errors.problem": (
        "Errors are application/problem+json with title, status, detail and, if an argument was invalid, the field."
    ),
    "errors.recipient": "401 for no recipient, on every route.",
    "errors.garbage": "422 for invalid input, with the field.",
    "errors.large": "413 for a body over 64 KiB.",
    "errors.store": "503 while the store fails.",
    "cross-site.refused": "403 for an unsafe request that Sec-Fetch-Site marks as cross-site, and nothing changes.",
    "cross-site.origin": "Without Sec-Fetch-Site an Origin that is not the Host counts as cross-site.",
    "cross-site.same": "same-origin and same-site requests, those of no page, and every safe request are accepted.",
    "cross-site.trusted": "A request whose Origin is in trusted_origins is accepted.",
    # Frames
    "frames.lines": "Line ends are LF only, and the JSON is ASCII.",
    "frames.count": 'A stream begins with `event: notification`, an id:, a retry: and data: {"count": n}.',
    "frames.resumed": "After a reconnect (Last-Event-ID) the count is followed by the empty frame.",
    "frames.item": "`event: notification` with the item: a notification was sent or replaced.",
    "frames.yours": "A stream carries only events of its recipient's inbox.",
    "frames.read": '`event: read` with {"notificationId": id, "readAt": time}: one was marked read.',
    "frames.all-read": "`event: read` with a null id: all were.",
    "frames.unread": '`event: unread` with {"notificationId": id}: one was marked unread.',
    "frames.delete": '`event: delete` with {"notificationId": id}: one was deleted.',
    "frames.empty": "`event: notification` with an empty data: line follows every mark and delete.",
    "frames.many": "A change of more than 20 notifications at once is sent only as the empty frame.",
    "frames.filtered": "A mark-all with a filter is sent only as the empty frame.",
    "frames.heartbeat": "`:` is a heartbeat.",
    "degraded.cap": "Past the cap of open streams a stream is 200, the count, retry: 30000 and the end.",
    "degraded.no-hub": "While there is no hub a stream is 200, the count, retry: 30000 and the end.",
    "degraded.store": "While the store fails a stream is 200, a retry: and the end.",
}
"""The sentence of each promise, by its id."""

UNCHECKABLE: Final[Mapping[str, str]] = {
    "item.live": "a live send cannot be requested over HTTP",
    "errors.store": "the store behind a server cannot be made to fail from outside",
    "degraded.store": "the store behind a server cannot be made to fail from outside",
    "degraded.no-hub": "a server has its hub or not, and past its cap it answers the same",
    "cross-site.trusted": "only the server knows which origins it trusts",
    "frames.heartbeat": "the server chooses how long a stream may be silent",
}
"""Promises that no check can observe from outside, with the reason. They need tests of the server's own."""
