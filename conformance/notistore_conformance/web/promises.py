"""The promises of docs/wire.md, a sentence for each of the ids that stand there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["UNSEEN", "WIRE"]

WIRE: Final[Mapping[str, str]] = {
    # Routes
    "routes.no-redirect": "No path ends in a slash, and none of them redirects.",
    "routes.others": "A method or path that is none of these gets a 404 or 405.",
    "page.shape": "A page is 200 {items, meta: {page, perPage, total, lastPage}}.",
    "page.default": "Without a query it is page 1 of 20.",
    "page.order": "Items are newest first.",
    "page.cap": "perPage above 100 is 100.",
    "page.type": "?type=A,B shows and counts these types only; names are compared exactly.",
    "keyset.shape": "With limit or before a page is 200 {items, next}; ?limit= alone is the first.",
    "keyset.walk": "Following next neither skips nor repeats while rows are read or added, and ends with null.",
    "keyset.type": "?type= filters keyset pages too.",
    "keyset.wins": "before or limit makes page and perPage count for nothing.",
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
    "mark.not-yours": "404 for an id that is unknown or another's, in the same words, and nothing is marked.",
    "many.updated": 'PATCH /read with {"ids": [...]} is 200 {"updated": n}, n those that became read, each once.',
    "read-all.marks": "POST /read-all is 204, and nothing is unread then.",
    "read-all.type": "With ?type= only these types are marked.",
    "read-all.seen": "With ?seen=, an updatedAt, what changed after it stays unread.",
    "delete.removes": "DELETE /{id} is 204, and the item is gone.",
    "delete.again": "404 for one that is deleted already.",
    "delete.not-yours": "404 for an id that is unknown or another's, in the same words, and nothing is deleted.",
    "stream.headers": (
        "GET /stream is 200 text/event-stream with Cache-Control: no-cache, no-transform and X-Accel-Buffering: no."
    ),
    "element.served": "GET /notistore-inbox.js is JavaScript, where the element is offered.",
    "answers.private": "Answers are Cache-Control: private, no-cache.",
    # Items
    "item.fields": (
        "An item is id, type, notifiableType, notifiableId, tenantId, key, data, actor, traceId, version, readAt, "
        "createdAt and updatedAt."
    ),
    "item.data": "data is what was sent, an object, never null.",
    "item.null": "tenantId, key, actor, traceId and readAt are null where there is none.",
    "item.times": "Times are ISO 8601 with milliseconds and offset.",
    "item.version": "The higher version of two is the later.",
    "item.live": "An item of version 0 was pushed live and is not stored.",
    # Refusals
    "errors.problem": "Errors are application/problem+json with title, status, detail and the field that was refused.",
    "errors.recipient": "401 for no recipient, on every route.",
    "errors.garbage": "422 for what cannot be understood, naming the field.",
    "errors.large": "413 for a body over 64 KiB.",
    "errors.store": "503 while the store fails.",
    "cross-site.refused": "403 for an unsafe request that Sec-Fetch-Site marks as cross-site, and nothing changes.",
    "cross-site.origin": "Without Sec-Fetch-Site an Origin that is not the Host counts as cross-site.",
    "cross-site.same": "same-origin, same-site and requests of no page are let in, and so is every safe one.",
    "cross-site.trusted": "An Origin among trusted_origins is let in.",
    # Frames
    "frames.lines": "Line ends are LF only, and the JSON is ASCII.",
    "frames.count": 'A stream begins with `event: notification`, an id:, a retry: and data: {"count": n}.',
    "frames.resumed": "After a reconnect (Last-Event-ID) the count is followed by the empty frame.",
    "frames.item": "`event: notification` with the item: a notification landed or evolved.",
    "frames.yours": "A stream tells of its recipient's inbox alone.",
    "frames.read": '`event: read` with {"notificationId": id, "readAt": time}: one was marked read.',
    "frames.all-read": "`event: read` with a null id: all were.",
    "frames.unread": '`event: unread` with {"notificationId": id}: one was marked unread.',
    "frames.delete": '`event: delete` with {"notificationId": id}: one was deleted.',
    "frames.empty": "`event: notification` with an empty data: line follows every mark and delete.",
    "frames.many": "A change of more than 20 notifications at once is told by the empty frame alone.",
    "frames.filtered": "So is a mark-all that was filtered.",
    "frames.heartbeat": "`:` is a heartbeat.",
    "degraded.cap": "Past the cap of open streams a stream is 200, the count, retry: 30000 and the end.",
    "degraded.no-hub": "So is one while there is no hub.",
    "degraded.store": "While the store fails a stream is 200, a retry: and the end.",
}
"""Promise id to its sentence."""

UNSEEN: Final[Mapping[str, str]] = {
    "item.live": "a push that stores nothing cannot be asked for over the wire",
    "errors.store": "the store behind a server cannot be made to fail from outside",
    "degraded.store": "the same",
    "degraded.no-hub": "a server has its hub or not; past its cap it answers the same",
    "cross-site.trusted": "which origins a server trusts is its own to know",
    "frames.heartbeat": "how long a stream may be quiet is the server's to choose",
}
"""Promises no check can see from outside, with the reason. A server's own tests have to."""
