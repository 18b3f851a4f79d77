"""Marking and deleting."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime

from notistore.ids import new_id

from ...registry import web_check
from ..context import WebContext


@web_check("web/marks", "Marks are 204, and item and count follow", "mark.read", "mark.unread")
async def marks(c: WebContext) -> None:
    [id] = await c.some()
    await c.ask("POST", f"/{id}/unread")
    unread = await c.badge()
    for verb, clause, fewer in (("read", "mark.read", 1), ("unread", "mark.unread", 0)):
        answer = await c.ask("POST", f"/{id}/{verb}")
        c.answered(clause, answer, 204)
        [item] = (await c.json(params={"limit": 1}))["items"]
        c.equal(clause, item["readAt"] is None, verb == "unread", f"that a readAt of {item['readAt']!r} is null")
        c.equal(clause, await c.badge(), unread - fewer, "the count")


@web_check("web/marks-again", "Marking again is 204 and changes nothing", "mark.repeats")
async def marks_again(c: WebContext) -> None:
    [id] = await c.some()
    for verb in ("unread", "read"):
        await c.ask("POST", f"/{id}/{verb}")
        [first] = (await c.json(params={"limit": 1}))["items"]
        count = await c.badge()
        for _ in range(2):
            c.answered("mark.repeats", await c.ask("POST", f"/{id}/{verb}"), 204)
        if verb == "read":
            await c.ask("PATCH", "/read", json={"ids": [id, new_id()]})
            await c.ask("POST", f"/read-all?type={first['type']}")
            await c.ask("POST", "/read-all")
            count = 0
        [again] = (await c.json(params={"limit": 1}))["items"]
        c.equal("mark.repeats", (again, await c.badge()), (first, count), "the item and the count")


@web_check(
    "web/not-yours",
    "Another's id is 404, as an unknown one is, and their inbox as before",
    "mark.not-yours",
    "delete.not-yours",
)
async def not_yours(c: WebContext) -> None:
    [id] = await c.some()
    await c.ask("POST", f"/{id}/unread")
    before = (await c.badge(), (await c.json(params={"limit": 1}))["items"])
    for method, path in (("POST", "/{}/read"), ("POST", "/{}/unread"), ("DELETE", "/{}")):
        clause = "delete.not-yours" if method == "DELETE" else "mark.not-yours"
        answers = []
        for target, who in ((id, c.other), (new_id(), c.me), ("no-such-id", c.me)):
            answer = await c.ask(method, path.format(target), who=who)
            c.answered(clause, answer, 404, f"of {method} with an id that is unknown or another's")
            answers.append(answer.text.replace(target, "ID"))
        c.equal(clause, answers, answers[:1] * 3, "the text, by which ids could be probed")
        c.equal(clause, (await c.badge(), (await c.json(params={"limit": 1}))["items"]), before, "the owner's inbox")
    answer = await c.ask("PATCH", "/read", who=c.other, json={"ids": [id]})
    c.equal("mark.not-yours", answer.json(), {"updated": 0}, "of PATCH with another's id")
    await c.ask("PATCH", "/read", who=c.other, json={"ids": [id, new_id(), id]})
    await c.ask("POST", f"/read-all?type={before[1][0]['type']}", who=c.other)
    c.equal("mark.not-yours", await c.badge(), before[0], "the owner's count")
    for odd, statuses in (("x" * 400, {404}), ("%C3%A4", {404}), ("%00", {400, 404})):
        for method, path, clause in (
            ("POST", f"/{odd}/read", "mark.not-yours"),
            ("DELETE", f"/{odd}", "delete.not-yours"),
        ):
            answer = await c.ask(method, path)
            c.equal(clause, answer.status_code in statuses, True, f"{method} {path[:40]}: {answer.status_code}")


@web_check("web/many", "PATCH marks many and tells how many became read, each counted once", "many.updated")
async def many(c: WebContext) -> None:
    one, two, three = await c.some(3)
    for id in (one, two, three):
        await c.ask("POST", f"/{id}/unread")
    unread = await c.badge()
    for given, expected in (([one, one, two, new_id(), "no-such-id"], 2), ([one, two, three], 1), ([], 0)):
        answer = await c.ask("PATCH", "/read", json={"ids": given})
        c.answered("many.updated", answer, 200)
        c.equal("many.updated", answer.json(), {"updated": expected}, f"of {len(given)} ids")
    c.equal("many.updated", await c.badge(), unread - 3, "the count")
    for id in (one, two, three):
        await c.ask("POST", f"/{id}/unread")
    unknown = [new_id() for _ in range(1_500)]
    body = json.dumps({"ids": [one, *unknown[:500], two, *unknown[500:], three]}, separators=(",", ":")).encode()
    answer = await c.ask("PATCH", "/read", content=body, headers={"content-type": "application/json"})
    c.answered("many.updated", answer, 200)
    c.equal("many.updated", answer.json(), {"updated": 3}, "of 1,503 ids, the first, the 502nd and the last unread")
    for id in (one, two, three):
        await c.ask("POST", f"/{id}/unread")
    answer = await c.patch(json.dumps({"ids": [one, two, three]}).encode())
    c.answered("many.updated", answer, 200, "of a body in chunks")
    c.equal("many.updated", answer.json(), {"updated": 3}, "of a body in chunks")


@web_check("web/many-at-once", "Of several PATCHes at once one counts each notification", "many.updated")
async def many_at_once(c: WebContext) -> None:
    ids = await c.some(3)
    for _ in range(5):
        for id in ids:
            await c.ask("POST", f"/{id}/unread")
        answers = await asyncio.gather(*(c.ask("PATCH", "/read", json={"ids": ids}) for _ in range(6)))
        for answer in answers:
            c.answered("many.updated", answer, 200)
        c.equal("many.updated", sum(answer.json()["updated"] for answer in answers), 3, "in six answers to 3 ids")


@web_check("web/read-all", "read-all is 204 and leaves nothing unread, nor touches another's", "read-all.marks")
async def read_all(c: WebContext) -> None:
    [id] = await c.some()
    await c.ask("POST", f"/{id}/unread")
    theirs = (await c.json("/unread/count", who=c.other))["count"]
    await c.ask("POST", f"/read-all?seen={datetime.now(UTC):%Y-%m-%dT%H:%M:%S.000Z}")
    c.equal("read-all.marks", (await c.json("/unread/count", who=c.other))["count"], theirs, "another's, with seen")
    await c.ask("POST", f"/{id}/unread")
    for _ in range(2):
        c.answered("read-all.marks", await c.ask("POST", "/read-all"), 204)
        c.equal("read-all.marks", (await c.badge(), await c.json("/unread")), (0, []), "what is unread")
    c.equal("read-all.marks", (await c.json("/unread/count", who=c.other))["count"], theirs, "another's count")


@web_check("web/read-all-type", "read-all?type= marks these types only", "read-all.type")
async def read_all_type(c: WebContext) -> None:
    await c.sent(2)
    for type in (f"{c.type}.a", f"{c.type}.b"):
        await c.sent(type=type)
    c.answered("read-all.type", await c.ask("POST", "/read-all", params={"type": f"{c.type}.a,{c.type}.b"}), 204)
    left = [await c.unread(type=type) for type in (c.type, f"{c.type}.a", f"{c.type}.b")]
    c.equal("read-all.type", left, [2, 0, 0], "unread of a type not named and of two that are")


@web_check("web/read-all-seen", "read-all?seen= leaves unread what changed afterwards", "read-all.seen")
async def read_all_seen(c: WebContext) -> None:
    await c.sent()
    [shown] = await c.own()
    later = shown
    while datetime.fromisoformat(later["updatedAt"]) <= datetime.fromisoformat(shown["updatedAt"]):
        await c.sent()
        later = (await c.own())[0]
    expected = sum(item["updatedAt"] > shown["updatedAt"] for item in await c.own())
    c.answered("read-all.seen", await c.ask("POST", "/read-all", params={"seen": shown["updatedAt"]}), 204)
    items = await c.own()
    c.equal("read-all.seen", items[-1]["readAt"] is not None, True, "that the one shown is read")
    c.equal("read-all.seen", await c.unread(), expected, "what changed after it and is unread")


@web_check("web/read-all-both", "With seen, what evolved afterwards stays unread, and so do other types",
    "read-all.seen", "read-all.type",
)  # fmt: skip
async def read_all_both(c: WebContext) -> None:
    other = f"{c.type}.other"
    await c.sent(type=other)
    await c.sent(key=c.type, data={"step": 1})
    await c.sent()
    plain, evolving = await c.own()
    if evolving["key"] != c.type:
        return  # what sends for the kit keeps no keys
    later = evolving
    while datetime.fromisoformat(later["updatedAt"]) <= datetime.fromisoformat(plain["updatedAt"]):
        await c.sent(key=c.type, data={"step": 2})
        [later] = [item for item in await c.own() if item["id"] == evolving["id"]]
    query = {"type": c.type, "seen": plain["updatedAt"]}
    c.answered("read-all.seen", await c.ask("POST", "/read-all", params=query), 204)
    read = {item["id"]: item["readAt"] is not None for item in await c.own()}
    c.equal("read-all.seen", read, {plain["id"]: True, evolving["id"]: False}, "which are read, of one that evolved")
    c.equal("read-all.type", await c.unread(type=other), 1, "unread of another type, as old as what was shown")


@web_check("web/delete", "DELETE is 204 and the item is gone; again it is 404", "delete.removes", "delete.again")
async def delete(c: WebContext) -> None:
    kept, deleted = await c.sent(2)
    c.answered("delete.removes", await c.ask("DELETE", f"/{deleted}"), 204)
    c.equal("delete.removes", [item["id"] for item in await c.own()], [kept], "what is left")
    c.equal("delete.removes", await c.unread(), 1, "the count")
    c.answered("delete.again", await c.ask("DELETE", f"/{deleted}"), 404)
