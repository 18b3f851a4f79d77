"""Marking and deleting."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime

from notistore.ids import new_id

from ...registry import web_check
from ..context import WebContext


@web_check("web/marks", "Marks are 204, and item and count follow", "mark.read", "mark.unread")
async def marks(v: WebContext) -> None:
    [id] = await v.some()
    await v.ask("POST", f"/{id}/unread")
    unread = await v.badge()
    for verb, clause, fewer in (("read", "mark.read", 1), ("unread", "mark.unread", 0)):
        answer = await v.ask("POST", f"/{id}/{verb}")
        v.answered(clause, answer, 204)
        [item] = (await v.json(params={"limit": 1}))["items"]
        v.equal(clause, item["readAt"] is None, verb == "unread", f"that a readAt of {item['readAt']!r} is null")
        v.equal(clause, await v.badge(), unread - fewer, "the count")


@web_check("web/marks-again", "Marking again is 204 and changes nothing", "mark.repeats")
async def marks_again(v: WebContext) -> None:
    [id] = await v.some()
    for verb in ("unread", "read"):
        await v.ask("POST", f"/{id}/{verb}")
        [first] = (await v.json(params={"limit": 1}))["items"]
        count = await v.badge()
        for _ in range(2):
            v.answered("mark.repeats", await v.ask("POST", f"/{id}/{verb}"), 204)
        if verb == "read":
            await v.ask("PATCH", "/read", json={"ids": [id, new_id()]})
            await v.ask("POST", f"/read-all?type={first['type']}")
            await v.ask("POST", "/read-all")
            count = 0
        [again] = (await v.json(params={"limit": 1}))["items"]
        v.equal("mark.repeats", (again, await v.badge()), (first, count), "the item and the count")


@web_check(
    "web/not-yours",
    "Another's id is 404, as an unknown one is, and their inbox as before",
    "mark.not-yours",
    "delete.not-yours",
)
async def not_yours(v: WebContext) -> None:
    [id] = await v.some()
    await v.ask("POST", f"/{id}/unread")
    before = (await v.badge(), (await v.json(params={"limit": 1}))["items"])
    for method, path in (("POST", "/{}/read"), ("POST", "/{}/unread"), ("DELETE", "/{}")):
        clause = "delete.not-yours" if method == "DELETE" else "mark.not-yours"
        answers = []
        for target, who in ((id, v.other), (new_id(), v.me), ("no-such-id", v.me)):
            answer = await v.ask(method, path.format(target), who=who)
            v.answered(clause, answer, 404, f"of {method} with an id that is unknown or another's")
            answers.append(answer.text.replace(target, "ID"))
        v.equal(clause, answers, answers[:1] * 3, "the text, by which ids could be probed")
        v.equal(clause, (await v.badge(), (await v.json(params={"limit": 1}))["items"]), before, "the owner's inbox")
    answer = await v.ask("PATCH", "/read", who=v.other, json={"ids": [id]})
    v.equal("mark.not-yours", answer.json(), {"updated": 0}, "of PATCH with another's id")
    await v.ask("PATCH", "/read", who=v.other, json={"ids": [id, new_id(), id]})
    await v.ask("POST", f"/read-all?type={before[1][0]['type']}", who=v.other)
    v.equal("mark.not-yours", await v.badge(), before[0], "the owner's count")
    for odd, statuses in (("x" * 400, {404}), ("%C3%A4", {404}), ("%00", {400, 404})):
        for method, path, clause in (
            ("POST", f"/{odd}/read", "mark.not-yours"),
            ("DELETE", f"/{odd}", "delete.not-yours"),
        ):
            answer = await v.ask(method, path)
            v.equal(clause, answer.status_code in statuses, True, f"{method} {path[:40]}: {answer.status_code}")


@web_check("web/many", "PATCH marks many and tells how many became read, each counted once", "many.updated")
async def many(v: WebContext) -> None:
    one, two, three = await v.some(3)
    for id in (one, two, three):
        await v.ask("POST", f"/{id}/unread")
    unread = await v.badge()
    for given, expected in (([one, one, two, new_id(), "no-such-id"], 2), ([one, two, three], 1), ([], 0)):
        answer = await v.ask("PATCH", "/read", json={"ids": given})
        v.answered("many.updated", answer, 200)
        v.equal("many.updated", answer.json(), {"updated": expected}, f"of {len(given)} ids")
    v.equal("many.updated", await v.badge(), unread - 3, "the count")
    for id in (one, two, three):
        await v.ask("POST", f"/{id}/unread")
    unknown = [new_id() for _ in range(1_500)]
    body = json.dumps({"ids": [one, *unknown[:500], two, *unknown[500:], three]}, separators=(",", ":")).encode()
    answer = await v.ask("PATCH", "/read", content=body, headers={"content-type": "application/json"})
    v.answered("many.updated", answer, 200)
    v.equal("many.updated", answer.json(), {"updated": 3}, "of 1,503 ids, the first, the 502nd and the last unread")
    for id in (one, two, three):
        await v.ask("POST", f"/{id}/unread")
    answer = await v.patch(json.dumps({"ids": [one, two, three]}).encode())
    v.answered("many.updated", answer, 200, "of a body in chunks")
    v.equal("many.updated", answer.json(), {"updated": 3}, "of a body in chunks")


@web_check("web/many-at-once", "Of several PATCHes at once one counts each notification", "many.updated")
async def many_at_once(v: WebContext) -> None:
    ids = await v.some(3)
    for _ in range(5):
        for id in ids:
            await v.ask("POST", f"/{id}/unread")
        answers = await asyncio.gather(*(v.ask("PATCH", "/read", json={"ids": ids}) for _ in range(6)))
        for answer in answers:
            v.answered("many.updated", answer, 200)
        v.equal("many.updated", sum(answer.json()["updated"] for answer in answers), 3, "in six answers to 3 ids")


@web_check("web/read-all", "read-all is 204 and leaves nothing unread, nor touches another's", "read-all.marks")
async def read_all(v: WebContext) -> None:
    [id] = await v.some()
    await v.ask("POST", f"/{id}/unread")
    theirs = (await v.json("/unread/count", who=v.other))["count"]
    await v.ask("POST", f"/read-all?seen={datetime.now(UTC):%Y-%m-%dT%H:%M:%S.000Z}")
    v.equal("read-all.marks", (await v.json("/unread/count", who=v.other))["count"], theirs, "another's, with seen")
    await v.ask("POST", f"/{id}/unread")
    for _ in range(2):
        v.answered("read-all.marks", await v.ask("POST", "/read-all"), 204)
        v.equal("read-all.marks", (await v.badge(), await v.json("/unread")), (0, []), "what is unread")
    v.equal("read-all.marks", (await v.json("/unread/count", who=v.other))["count"], theirs, "another's count")


@web_check("web/read-all-type", "read-all?type= marks these types only", "read-all.type")
async def read_all_type(v: WebContext) -> None:
    await v.sent(2)
    for type in (f"{v.type}.a", f"{v.type}.b"):
        await v.sent(type=type)
    v.answered("read-all.type", await v.ask("POST", "/read-all", params={"type": f"{v.type}.a,{v.type}.b"}), 204)
    left = [await v.unread(type=type) for type in (v.type, f"{v.type}.a", f"{v.type}.b")]
    v.equal("read-all.type", left, [2, 0, 0], "unread of a type not named and of two that are")


@web_check("web/read-all-seen", "read-all?seen= leaves unread what changed afterwards", "read-all.seen")
async def read_all_seen(v: WebContext) -> None:
    await v.sent()
    [shown] = await v.own()
    later = shown
    while datetime.fromisoformat(later["updatedAt"]) <= datetime.fromisoformat(shown["updatedAt"]):
        await v.sent()
        later = (await v.own())[0]
    expected = sum(item["updatedAt"] > shown["updatedAt"] for item in await v.own())
    v.answered("read-all.seen", await v.ask("POST", "/read-all", params={"seen": shown["updatedAt"]}), 204)
    items = await v.own()
    v.equal("read-all.seen", items[-1]["readAt"] is not None, True, "that the one shown is read")
    v.equal("read-all.seen", await v.unread(), expected, "what changed after it and is unread")


@web_check("web/read-all-both", "With seen, what evolved afterwards stays unread, and so do other types",
    "read-all.seen", "read-all.type",
)  # fmt: skip
async def read_all_both(v: WebContext) -> None:
    other = f"{v.type}.other"
    await v.sent(type=other)
    await v.sent(key=v.type, data={"step": 1})
    await v.sent()
    plain, evolving = await v.own()
    if evolving["key"] != v.type:
        return  # what sends for the kit keeps no keys
    later = evolving
    while datetime.fromisoformat(later["updatedAt"]) <= datetime.fromisoformat(plain["updatedAt"]):
        await v.sent(key=v.type, data={"step": 2})
        [later] = [item for item in await v.own() if item["id"] == evolving["id"]]
    query = {"type": v.type, "seen": plain["updatedAt"]}
    v.answered("read-all.seen", await v.ask("POST", "/read-all", params=query), 204)
    read = {item["id"]: item["readAt"] is not None for item in await v.own()}
    v.equal("read-all.seen", read, {plain["id"]: True, evolving["id"]: False}, "which are read, of one that evolved")
    v.equal("read-all.type", await v.unread(type=other), 1, "unread of another type, as old as what was shown")


@web_check("web/delete", "DELETE is 204 and the item is gone; again it is 404", "delete.removes", "delete.again")
async def delete(v: WebContext) -> None:
    kept, deleted = await v.sent(2)
    v.answered("delete.removes", await v.ask("DELETE", f"/{deleted}"), 204)
    v.equal("delete.removes", [item["id"] for item in await v.own()], [kept], "what is left")
    v.equal("delete.removes", await v.unread(), 1, "the count")
    v.answered("delete.again", await v.ask("DELETE", f"/{deleted}"), 404)
