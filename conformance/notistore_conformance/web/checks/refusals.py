"""What is refused, and how it is told."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

from notistore.ids import new_id

from ..registry import web_check
from ..visit import Visit


@web_check("web/no-recipient", "Without an identity every route is 401", "errors.recipient", "errors.problem")
async def no_recipient(v: Visit) -> None:
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
        v.refused("errors.recipient", await v.ask(method, path, who={}, json=body), 401)


@web_check(
    "web/garbage", "What cannot be understood is 422, and the field is named", "errors.garbage", "errors.problem"
)
async def garbage(v: Visit) -> None:
    for method, path, field in (
        ("GET", "?page=x", "page"),
        ("GET", "?page=0", "page"),
        ("GET", "?perPage=-1", "perPage"),
        ("GET", "?limit=0", "limit"),
        ("GET", "?before=yesterday", "before"),
        ("GET", "/unread/count?max=0", "max"),
        ("GET", "?type=%00", "type"),
        ("POST", "/read-all?seen=yesterday", "seen"),
    ):
        v.refused("errors.garbage", await v.ask(method, path), 422, field)
    for body, field in (("{", "body"), ("[]", "ids"), ('{"ids": "x"}', "ids"), ('{"ids": [1]}', "ids[0]")):
        answer = await v.ask("PATCH", "/read", content=body, headers={"content-type": "application/json"})
        v.refused("errors.garbage", answer, 422, field)


@web_check("web/large", "A body over 64 KiB is 413, one of 64 KiB is read", "errors.large", "errors.problem")
async def large(v: Visit) -> None:
    kind = {"content-type": "application/json"}
    body = json.dumps({"ids": []}).encode()
    answer = await v.ask("PATCH", "/read", content=body.ljust(64 * 1024), headers=kind)
    v.answered("errors.large", answer, 200, "of 64 KiB")
    answer = await v.ask("PATCH", "/read", content=body.ljust(64 * 1024 + 1), headers=kind)
    v.refused("errors.large", answer, 413)


@web_check(
    "web/cross-site", "An unsafe request from a page of another site is 403 and does nothing", "cross-site.refused"
)
async def cross_site(v: Visit) -> None:
    [id] = await v.some()
    await v.ask("POST", f"/{id}/unread")
    await _is_refused(v, id, "cross-site.refused", {"Sec-Fetch-Site": "cross-site"})
    own = f"{urlsplit(str(v.http.base_url)).scheme}://{v.http.base_url.netloc.decode()}"
    await _is_refused(v, id, "cross-site.refused", {"Sec-Fetch-Site": "cross-site", "Origin": own})


@web_check(
    "web/origin", "So is one whose Origin is not the Host, where Sec-Fetch-Site is not sent", "cross-site.origin"
)
async def origin(v: Visit) -> None:
    [id] = await v.some()
    await v.ask("POST", f"/{id}/unread")
    for elsewhere in ("https://elsewhere.invalid", "null"):
        await _is_refused(v, id, "cross-site.origin", {"Origin": elsewhere})


@web_check("web/same-site", "Requests of the same site, of no page, and safe ones are let in", "cross-site.same")
async def same_site(v: Visit) -> None:
    [id] = await v.some()
    for headers in ({}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "same-site"}, {"Sec-Fetch-Site": "none"}):
        v.answered("cross-site.same", await v.ask("POST", f"/{id}/read", headers=headers), 204, f"with {headers}")
    elsewhere = {"Sec-Fetch-Site": "cross-site", "Origin": "https://elsewhere.invalid"}
    v.answered("cross-site.same", await v.ask("GET", "/unread/count", headers=elsewhere), 200, "of a safe one")


async def _is_refused(v: Visit, id: str, clause: str, headers: dict[str, str]) -> None:
    before = (await v.badge(), (await v.json(params={"limit": 1}))["items"])
    for method, path, body in (
        ("POST", f"/{id}/read", None),
        ("PATCH", "/read", {"ids": [id]}),
        ("POST", "/read-all", None),
        ("DELETE", f"/{id}", None),
    ):
        answer = await v.ask(method, path, headers=headers, json=body)
        v.answered(clause, answer, 403, f"of {method} {path} with {headers}")
        after = (await v.badge(), (await v.json(params={"limit": 1}))["items"])
        v.equal(clause, after, before, "the count and the newest item")
