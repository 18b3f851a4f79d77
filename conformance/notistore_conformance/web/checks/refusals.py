"""Checks of refused requests and their problem documents."""

from __future__ import annotations

import json

from notistore.ids import new_id

from ...registry import web_check
from ..context import WebContext


@web_check("web/no-recipient", "Without an identity every route is 401", "errors.recipient", "errors.problem")
async def no_recipient(c: WebContext) -> None:
    id = new_id()
    for method, path, body in (
        ("GET", "", None),
        ("GET", "/unread", None),
        ("GET", "/unread/count", None),
        ("GET", "/stream", None),
        ("POST", f"/{id}/read", None),
        ("POST", f"/{id}/unread", None),
        ("PATCH", "/read", {"ids": [id]}),
        ("POST", "/read-all", None),
        ("DELETE", f"/{id}", None),
    ):
        c.refused("errors.recipient", await c.ask(method, path, who={}, json=body), 401)


@web_check(
    "web/garbage", "What cannot be understood is 422, and the field is named", "errors.garbage", "errors.problem"
)
async def garbage(c: WebContext) -> None:
    for method, path, field in (
        ("GET", "?page=x", "page"),
        ("GET", "?page=1.5", "page"),
        ("GET", "?page=%D9%A1", "page"),  # a digit, in Arabic
        ("GET", "?perPage=many", "perPage"),
        ("GET", "?limit=0", "limit"),
        ("GET", "?before=yesterday", "before"),
        ("GET", "/unread/count?max=0", "max"),
        ("GET", "?type=%00", "type"),
        ("POST", "/read-all?seen=yesterday", "seen"),
        ("POST", "/read-all?seen=", "seen"),
        ("POST", "/read-all?seen=2026-01-01T00:00:00.000", "seen"),  # of which zone?
    ):
        c.refused("errors.garbage", await c.ask(method, path), 422, field)
    huge = await c.ask("GET", f"?page={10**20}")
    c.equal("errors.garbage", huge.status_code in (200, 422), True, f"a page that cannot be: {huge.status_code}")
    [id] = await c.some()
    await c.ask("POST", f"/{id}/unread")
    unread = await c.badge()
    for body, field in (
        (b"{", "body"),
        (b'{"ids": ["\xff"]}', "body"),
        (b"[]", "ids"),
        (b'{"ids": "x"}', "ids"),
        (b'{"ids": [1]}', "ids[0]"),
        (json.dumps({"ids": [id, None]}).encode(), "ids[1]"),
    ):
        answer = await c.ask("PATCH", "/read", content=body, headers={"content-type": "application/json"})
        c.refused("errors.garbage", answer, 422, field)
    c.equal("errors.garbage", await c.badge(), unread, "the count, which nothing refused may change")


@web_check(
    "web/large",
    "A body over 64 KiB is 413, one of 64 KiB is read, in chunks too",
    "errors.large",
    "errors.problem",
)
async def large(c: WebContext) -> None:
    kind = {"content-type": "application/json"}
    body = json.dumps({"ids": []}).encode()
    fits, exceeds = body.ljust(64 * 1024), body.ljust(64 * 1024 + 1)
    c.answered("errors.large", await c.ask("PATCH", "/read", content=fits, headers=kind), 200, "of 64 KiB")
    c.answered("errors.large", await c.patch(fits), 200, "of 64 KiB in chunks")
    # A server may close the connection without notice (RFC 9110, section 15.5.14); no other request is to be on it.
    alone = {"connection": "close"}
    c.refused("errors.large", await c.ask("PATCH", "/read", content=exceeds, headers=kind | alone), 413)
    c.refused("errors.large", await c.patch(exceeds, headers=alone), 413)


@web_check(
    "web/cross-site", "An unsafe request from a page of another site is 403 and does nothing", "cross-site.refused"
)
async def cross_site(c: WebContext) -> None:
    await _are_refused(
        c,
        "cross-site.refused",
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "cross-site", "Origin": _own_origin(c)},
    )


@web_check(
    "web/origin",
    "So is one whose Origin is not the Host, where Sec-Fetch-Site is not sent",
    "cross-site.origin",
)
async def origin(c: WebContext) -> None:
    own = _own_origin(c)
    scheme, host = own.split("://")
    name, port = c.http.base_url.host, c.http.base_url.port or 8080
    origins = {
        "https://elsewhere.invalid",
        "null",
        f"{own}.elsewhere.invalid",
        f"{scheme}://elsewhere{host}",
        f"{scheme}://a.{host}.elsewhere.invalid",
        f"{scheme}://elsewhere.invalid:{port}",
        f"{scheme}://{name}:{port + 1}",
        f"{scheme}://x{host[1:]}",
        f"{scheme}://{host.replace('.', 'x', 1)}",  # where the host is used as a pattern
    } - {own}
    await _are_refused(c, "cross-site.origin", *({"Origin": elsewhere} for elsewhere in sorted(origins)))


@web_check("web/same-site", "Requests of the same site, of no page, and safe ones are let in", "cross-site.same")
async def same_site(c: WebContext) -> None:
    [id] = await c.some()
    sites = [{"Sec-Fetch-Site": site} for site in ("same-origin", "same-site", "none")]
    for headers in ({}, {"Origin": _own_origin(c)}, *sites):
        for method, path, body, status in (
            ("POST", f"/{id}/read", None, 204),
            ("POST", f"/{id}/unread", None, 204),
            ("PATCH", "/read", {"ids": [id]}, 200),
            ("POST", f"/read-all?type={c.type}", None, 204),
            ("DELETE", f"/{new_id()}", None, 404),
        ):
            answer = await c.ask(method, path, headers=headers, json=body)
            c.answered("cross-site.same", answer, status, f"of {method} {path} with {headers}")
    elsewhere = {"Sec-Fetch-Site": "cross-site", "Origin": "https://elsewhere.invalid"}
    for path in ("", "?limit=1", "/unread", "/unread/count"):
        c.answered("cross-site.same", await c.ask("GET", path, headers=elsewhere), 200, f"of GET {path}, which is safe")


def _own_origin(c: WebContext) -> str:
    return f"{c.http.base_url.scheme}://{c.http.base_url.netloc.decode()}"


async def _are_refused(c: WebContext, clause: str, *forged: dict[str, str]) -> None:
    """Every unsafe request with these headers is 403, and changes nothing."""
    unread, read = await c.some(2)
    await c.ask("POST", f"/{unread}/unread")
    await c.ask("POST", f"/{read}/read")
    before = (await c.badge(), (await c.json(params={"limit": 2}))["items"])
    for headers in forged:
        for method, path, body in (
            ("POST", f"/{unread}/read", None),
            ("POST", f"/{read}/unread", None),
            ("PATCH", "/read", {"ids": [unread]}),
            ("POST", "/read-all", None),
            ("DELETE", f"/{unread}", None),
        ):
            answer = await c.ask(method, path, headers=headers, json=body)
            c.answered(clause, answer, 403, f"of {method} {path} with {headers}")
        after = (await c.badge(), (await c.json(params={"limit": 2}))["items"])
        c.equal(clause, after, before, f"the count and the newest items after requests with {headers}")
