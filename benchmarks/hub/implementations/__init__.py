"""The servers that are measured. Each serves `GET /stream?key=K`, and `POST /publish?first=&keys=&events=`.

`/publish` gives `events` events to each of `keys` keys, the first of which is number `first`, in one request.
"""

import json

PAYLOAD = {
    "id": "0199a3f0-3c9e-7d4b-8f52-6a1e9b7c4d21",
    "type": "invoice.paid",
    "notifiableType": "user",
    "notifiableId": "42",
    "data": {"title": "~ Invoice 2026-117 was paid", "invoice_id": 7117, "url": "/invoices/7117"},
    "version": 1,
    "readAt": None,
    "createdAt": "2026-11-20T12:00:00.000+00:00",
    "updatedAt": "2026-11-20T12:00:00.000+00:00",
}
"""One event's data. Its one tilde is what readers count: a single byte is never split between two reads."""


def encode(value: object) -> str:
    """Compact JSON, as notistore, Litestar and NestJS make it: all send frames of the same size, but for an `id:`."""
    return json.dumps(value, separators=(",", ":"))
