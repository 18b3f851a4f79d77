"""WSGI hosts for servers that run in processes of their own: `tests.web.wsgi_host:live` and the others below.

The user is the `x-user` header. `POST /test/send` sends that user what its JSON body says; `GET /test/state`
gives the number of streams that the hub has.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from notistore import Inbox, MemoryStore, Recipient, SseHub
from notistore.sync import SyncInbox
from notistore.web.wsgi import inbox_wsgi
from notistore_sqlite import SyncSQLiteStore

HEARTBEAT = 1.0  # seconds until a write shows that a client has left; with more, streams reach the limit in the kit


def user_of(environ: dict[str, Any]) -> Recipient | None:
    return Recipient(environ["HTTP_X_USER"]) if "HTTP_X_USER" in environ else None


def host(inbox: SyncInbox, hub: SseHub, **options: Any) -> Any:
    mounted = inbox_wsgi(inbox, user_of, **options)

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/test/send":
            found = user_of(environ)
            assert found is not None
            body = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
            inbox.send(found, body["type"], body["data"], key=body["key"])
            start_response("204 No Content", [])
            return []
        if environ["PATH_INFO"] == "/test/state":
            start_response("200 OK", [("content-type", "application/json")])
            return [json.dumps({"streams": hub.stats().streams}).encode()]
        return mounted(environ, start_response)

    return app


def over_a_sync_store(**options: Any) -> Any:
    store = SyncSQLiteStore(Path(tempfile.mkdtemp(prefix="notistore-wsgi-")) / "inbox.db")
    store.create_schema()
    hub = SseHub(heartbeat=HEARTBEAT)
    return host(SyncInbox(store, hub), hub, **options)


def over_an_async_inbox(**options: Any) -> Any:
    hub = SseHub(heartbeat=HEARTBEAT)
    return host(SyncInbox(Inbox(MemoryStore(), hub)), hub, **options)


def polling() -> Any:
    return over_a_sync_store()


def polling_over_async() -> Any:
    return over_an_async_inbox()


def live() -> Any:
    return over_a_sync_store(live=True)


def live_over_async() -> Any:
    return over_an_async_inbox(live=True)
