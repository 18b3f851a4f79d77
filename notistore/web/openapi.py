"""The routes of docs/wire.md as an OpenAPI document: `python -m notistore.web.openapi` prints docs/openapi.json.

`SCHEMAS` are its components and `OPERATIONS` what each endpoint takes and answers, for the glue of frameworks that make
such a document themselves. The endpoints parse the requests, in the same way for every framework.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, Final, TypeAlias

from . import endpoints
from .endpoints import MAX_PER_PAGE, ROUTES, Endpoint

__all__ = ["OPERATIONS", "SCHEMAS", "Json", "openapi_document"]

Json: TypeAlias = dict[str, Any]
"""A JSON object."""

_STRING: Final = {"type": "string"}
_INTEGER: Final = {"type": "integer"}
_TIME: Final = {"type": "string", "format": "date-time"}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _array(items: Mapping[str, Any]) -> Json:
    return {"type": "array", "items": dict(items)}


def _nullable(schema: Mapping[str, Any]) -> Json:
    return {"anyOf": [dict(schema), {"type": "null"}]}


def _object(description: str, /, *, optional: tuple[str, ...] = (), **properties: Mapping[str, Any]) -> Json:
    return {
        "type": "object",
        "description": description,
        "properties": {name: dict(schema) for name, schema in properties.items()},
        "required": [name for name in properties if name not in optional],
    }


SCHEMAS: Final[Mapping[str, Json]] = {
    "NotificationActor": _object("Who caused a notification.", id=_STRING, type=_STRING),
    "NotificationItem": _object(
        "A notification.",
        id=_STRING,
        type=_STRING,
        notifiableType=_STRING,
        notifiableId=_STRING,
        tenantId=_nullable(_STRING),
        key=_nullable(_STRING),
        data={"type": "object", "additionalProperties": True},
        actor=_nullable(_ref("NotificationActor")),
        traceId=_nullable(_STRING),
        version=_INTEGER,
        readAt=_nullable(_TIME),
        createdAt=_TIME,
        updatedAt=_TIME,
    ),
    "NotificationPageMeta": _object(
        "Where a numbered page stands.", page=_INTEGER, perPage=_INTEGER, total=_INTEGER, lastPage=_INTEGER
    ),
    "NotificationPage": _object(
        "A page by number, newest first.", items=_array(_ref("NotificationItem")), meta=_ref("NotificationPageMeta")
    ),
    "NotificationKeysetPage": _object(
        "A page by cursor, newest first; `next` is the `before` of the page that follows, null on the last.",
        items=_array(_ref("NotificationItem")),
        next=_nullable(_STRING),
    ),
    "NotificationCount": _object("How many are unread. It is also the first frame of a stream.", count=_INTEGER),
    "NotificationsUpdated": _object("How many changed.", updated=_INTEGER),
    "NotificationIds": _object("Which notifications to change.", ids=_array(_STRING)),
    "NotificationProblem": _object(
        "An error (RFC 9457), with the field that was refused.",
        optional=("field",),
        title=_STRING,
        status=_INTEGER,
        detail=_STRING,
        field=_nullable(_STRING),
    ),
    "NotificationReadFrame": _object(
        "Of an event `read`: one notification was marked read, or all of them where the id is null.",
        notificationId=_nullable(_STRING),
        readAt=_TIME,
    ),
    "NotificationIdFrame": _object(
        "Of an event `unread` or `delete`: one notification was marked unread or deleted.", notificationId=_STRING
    ),
}
"""The components, by name: JSON Schemas that refer to each other."""


def _query(name: str, description: str, **schema: Any) -> Json:
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}


_ID: Final[Json] = {"name": "id", "in": "path", "required": True, "schema": {"type": "string", "format": "uuid"}}
_PAGE: Final = (
    _query("page", "Which numbered page; below 1 is 1.", type="integer", default=1),
    _query("perPage", f"Its size; below 1 is 1, above {MAX_PER_PAGE} is {MAX_PER_PAGE}.", type="integer", default=20),
)
_KEYSET: Final = (
    _query("before", "The `next` of the keyset page before.", type="string"),
    _query("limit", f"Size of a keyset page; above {MAX_PER_PAGE} is {MAX_PER_PAGE}.", type="integer", minimum=1),
)
_TYPE: Final = _query("type", "Only these types, separated by commas.", type="string")
_MAX: Final = _query("max", "Stop counting here.", type="integer", minimum=1)
_SEEN: Final = _query("seen", "Leave unread what changed after this time.", type="string", format="date-time")


def _operation(
    summary: str,
    *parameters: Json,
    answer: Json | None = None,
    body: Json | None = None,
    problems: tuple[int, ...] = (),
) -> Json:
    success = (
        {"204": {"description": "Done"}} if answer is None else {"200": {"description": "Success", "content": answer}}
    )
    operation: Json = {"summary": summary}
    if parameters:
        operation["parameters"] = list(parameters)
    if body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return operation | {"responses": success | _problems(*problems)}


def _json(schema: Json) -> Json:
    return {"application/json": {"schema": schema}}


def _problems(*statuses: int) -> Json:
    content = {"application/problem+json": {"schema": _ref("NotificationProblem")}}
    return {str(status): {"description": _REASONS[status], "content": content} for status in statuses}


_REASONS: Final = {
    400: "A body that cannot be read",
    401: "No recipient: sign in first",
    403: "From a page of another site",
    404: "Unknown, or another's",
    413: "Too large a body",
    422: "Not understood",
    503: "The store fails: try again",
}

_FRAMES: Final = ("NotificationCount", "NotificationItem", "NotificationReadFrame", "NotificationIdFrame")
OPERATIONS: Final[Mapping[Endpoint, Json]] = {
    endpoints.list_notifications: _operation(
        "List notifications",
        *(*_PAGE, _TYPE, *_KEYSET),
        answer=_json({"anyOf": [_ref("NotificationPage"), _ref("NotificationKeysetPage")]}),
        problems=(401, 422, 503),
    ),
    endpoints.list_unread: _operation(
        "List the unread", _TYPE, answer=_json(_array(_ref("NotificationItem"))), problems=(401, 422, 503)
    ),
    endpoints.count_unread: _operation(
        "Count the unread", _TYPE, _MAX, answer=_json(_ref("NotificationCount")), problems=(401, 422, 503)
    ),
    endpoints.mark_many_read: _operation(
        "Mark many read",
        answer=_json(_ref("NotificationsUpdated")),
        body=_ref("NotificationIds"),
        problems=(400, 401, 403, 413, 422, 503),
    ),
    endpoints.mark_all_read: _operation("Mark all read", _TYPE, _SEEN, problems=(401, 403, 422, 503)),
    endpoints.mark_read: _operation("Mark one read", _ID, problems=(401, 403, 404, 503)),
    endpoints.mark_unread: _operation("Mark one unread", _ID, problems=(401, 403, 404, 503)),
    endpoints.delete: _operation("Delete one", _ID, problems=(401, 403, 404, 503)),
    endpoints.stream: _operation(
        "Stream events",
        answer={"text/event-stream": {"schema": {"anyOf": [_ref(name) for name in _FRAMES]}}},
        problems=(401,),
    ),
}
"""Each endpoint but the element's: an OpenAPI operation without its id and tags."""
OPERATIONS[endpoints.count_unread]["responses"]["304"] = {"description": "The count still holds (If-None-Match)"}


def openapi_document(*, path: str = "/notifications") -> Json:
    """The routes below `path` as an OpenAPI 3.1 document."""
    paths: dict[str, Json] = {}
    for route in ROUTES:
        if route.endpoint in OPERATIONS:
            described = {
                "operationId": route.endpoint.__name__,
                "tags": ["notifications"],
                "description": route.endpoint.__doc__ or "",
                **OPERATIONS[route.endpoint],
            }
            paths.setdefault(path + route.path, {})[route.method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {"title": "notistore", "version": version("notistore"), "description": _ABOUT},
        "paths": paths,
        "components": {"schemas": dict(SCHEMAS)},
    }


_ABOUT: Final = "The inbox of the user who asks. Authentication is the host application's."

if __name__ == "__main__":
    print(json.dumps(openapi_document(), indent=2))
