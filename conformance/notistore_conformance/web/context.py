"""The context of a check of the wire: requests of two recipients, streams, its own rows, and assertions."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from inspect import isawaitable
from typing import Any, Final, TypeAlias

try:
    import httpx
except ImportError as error:
    raise ImportError(f'checks of the web need httpx: pip install "notistore[conformance]" ({error})') from error

from ..registry import Check
from ..running.exceptions import ContractViolation, NotOffered, NotRun
from ..running.explain import explain, latest
from .mount import SENDING, Identity, Mount
from .promises import WIRE
from .stream import Frame, Stream

__all__ = ["Item", "WebContext"]

Item: TypeAlias = dict[str, Any]

_POLL: Final = "30000"  # milliseconds, of a stream that is none


class WebContext:
    """One check's requests, sent as the first of two recipients, each with an inbox.

    Attributes:
        type: the type of what this check sends, which nothing else has.
        http: the client behind it all.
    """

    def __init__(self, check: Check, mount: Mount, http: httpx.AsyncClient) -> None:
        self.check = check
        self.http = http
        self.me, self.other = mount.identities
        self.path = mount.path
        self.type = f"conformance.{secrets.token_hex(4)}"
        self._mount = mount
        self._done: list[str] = []
        self._sent: dict[str, Identity] = {}

    # Requests

    async def ask(self, method: str, path: str = "", *, who: Identity | None = None, **request: Any) -> httpx.Response:
        """One request below the mount's path; `who` is the first recipient unless it is given."""
        headers = {**(self.me if who is None else who), **request.pop("headers", {})}
        self.http.cookies.clear()  # else the next request would have the previous recipient's cookies
        answer = await self.http.request(method, f"{self.path}{path}", headers=headers, **request)
        self._note(answer)
        return answer

    async def json(self, path: str = "", *, clause: str = "routes.no-redirect", **request: Any) -> Any:
        """The JSON of a GET, whose response has to be 200."""
        answer = await self.ask("GET", path, **request)
        self.answered(clause, answer, 200)
        try:
            return answer.json()
        except ValueError:
            raise self.broken(clause, "JSON", repr(answer.text[:200])) from None

    async def own(self, **query: Any) -> list[Item]:
        """The items this check has sent to the first recipient, as the inbox shows them, newest first."""
        return await self.own_of(self.me, **query)

    async def own_of(self, who: Identity, **query: Any) -> list[Item]:
        """The same for either recipient."""
        items: list[Item] = (await self.json(params={"limit": 100, "type": self.type, **query}, who=who))["items"]
        return items

    async def unread(self, **query: Any) -> int:
        """The unread count of the items that this check has sent."""
        count: int = (await self.json("/unread/count", params={"type": self.type, **query}))["count"]
        return count

    async def patch(self, body: bytes, headers: dict[str, str] | None = None) -> httpx.Response:
        """PATCH /read with this body in chunks, sent one after another without Content-Length."""

        async def chunks() -> AsyncIterator[bytes]:
            for start in range(0, len(body), size):
                yield body[start : start + size]
                await asyncio.sleep(0.01)

        size = -(-len(body) // 3)
        headers = {"content-type": "application/json", **(headers or {})}
        return await self.ask("PATCH", "/read", content=chunks(), headers=headers)

    async def badge(self) -> Any:
        """The count of the whole inbox."""
        return (await self.json("/unread/count"))["count"]

    # Rows

    async def sent(self, number: int = 1, *, who: Identity | None = None, **given: Any) -> list[str]:
        """Send notifications of this check's type; their ids, newest first. NotRun where the kit cannot send.

        Args:
            number: how many.
            who: to whom; the first recipient by default.
            given: `type`, `data` and `key`, as they are sent.
        """
        who = self.me if who is None else who
        type = given.get("type", self.type)
        for n in range(number):
            await self._send(who, type, given.get("data", {"n": n}), given.get("key"))
        ids = [item["id"] for item in await self._newest(number, type, who)]
        self._sent.update((id, who) for id in ids)
        if len(ids) != number:
            raise NotRun(f"{number} notifications of type {type} were sent, the inbox shows {len(ids)} of them")
        return ids

    async def sent_at_once(self, number: int) -> list[str]:
        """The same, sent concurrently, so that some may have the same millisecond. For types that nothing else uses."""
        before = len(await self.own())
        await asyncio.gather(*(self._send(self.me, self.type, {"n": n}, None) for n in range(number)))
        ids = [item["id"] for item in await self._newest(before + number, self.type, self.me)]
        self._sent.update((id, self.me) for id in ids)
        return ids[:number]

    async def some(self, number: int = 1) -> list[str]:
        """Ids of the first recipient's notifications: sent now, or existing ones if the kit cannot send."""
        if self._mount.send is not None:
            return await self.sent(number)
        items = (await self.json(params={"limit": number}))["items"]
        if len(items) < number:
            raise NotRun(
                f"the first identity's inbox has to hold {number} notifications, it holds {len(items)}; or give the "
                "kit a way to send"
            )
        return [item["id"] for item in items]

    async def clear(self) -> None:
        """Delete what was sent."""
        for id, who in self._sent.items():
            await self.http.delete(f"{self.path}/{id}", headers=dict(who))

    async def _newest(self, number: int, type: str, who: Identity) -> list[Item]:
        items: list[Item] = []
        query: dict[str, Any] = {"type": type}
        while len(items) < number:
            part = await self.json(params={**query, "limit": min(100, number - len(items))}, who=who)
            items += part["items"]
            if part["next"] is None:
                break
            query["before"] = part["next"]
        if len(items) < number:  # where ?type= does not find them: for a check of ?type= to find out
            newest = (await self.json(params={"limit": 100}, who=who))["items"]
            return [item for item in newest if item["type"] == type][:number]
        return items

    async def _send(self, who: Identity, type: str, data: dict[str, Any], key: str | None) -> None:
        send = self._mount.send
        if send is None:
            raise NotRun(f"the kit has no way to send a notification ({SENDING})")
        if isinstance(send, str):
            answer = await self.http.post(send, headers=dict(who), json={"type": type, "data": data, "key": key})
            self._note(answer)
            if not answer.is_success:
                raise NotRun(f"sending was answered with {answer.status_code}: {answer.text[:200]}")
        else:
            self._done.append(f"sent {type} with {data!r}")
            if isawaitable(sending := send(who, type, data, key)):
                await sending

    # Streams

    @asynccontextmanager
    async def stream(
        self, *, who: Identity | None = None, path: str = "/stream", **headers: str
    ) -> AsyncIterator[Stream]:
        """An open stream of the first recipient's, unless `who` is given; in a header's name _ is -."""
        sent = {**(self.me if who is None else who), **{k.replace("_", "-"): v for k, v in headers.items()}}
        self.http.cookies.clear()
        async with self.http.stream("GET", self.path + path, headers=sent) as answer:
            self._note(answer)
            yield Stream(answer, self._done)

    # Expectations

    def equal(self, clause: str, got: object, expected: object, what: str = "") -> None:
        """`got` is `expected`, and of the same JSON type: 1 is not true."""
        if got != expected or isinstance(got, bool) is not isinstance(expected, bool):
            raise self.broken(clause, _cut(repr(expected)), _cut(repr(got)), what)

    def answered(self, clause: str, answer: httpx.Response, status: int, what: str = "") -> None:
        """The answer has this status."""
        if answer.status_code != status:
            came = f"{answer.status_code} {answer.reason_phrase}: {_cut(answer.text)}"
            raise self.broken(
                clause, str(status), came, what or f"of {answer.request.method} {answer.request.url.path}"
            )

    def refused(self, clause: str, answer: httpx.Response, status: int, field: str | None = None) -> None:
        """The answer is a problem document with this status; `field` names what was refused."""
        self.answered(clause, answer, status)
        if "errors.problem" in self.check.clauses:
            kind = answer.headers.get("content-type", "").partition(";")[0]
            self.equal("errors.problem", kind, "application/problem+json", "the content type")
            problem = answer.json()
            self.equal("errors.problem", {"title", "status", "detail"} - problem.keys(), set(), "fields that lack")
            self.equal("errors.problem", problem["status"], status, "its status")
        if field is not None:
            self.equal(clause, answer.json().get("field"), field, "the field")

    def broken(self, clause: str, expected: str, got: str, what: str = "") -> ContractViolation:
        if clause not in self.check.clauses and clause != "routes.no-redirect":
            raise LookupError(f"the check {self.check.id!r} expects {clause!r}, which it does not cite")
        return ContractViolation(self.explain([clause], expected, got, what))

    def explain(self, clauses: Sequence[str], expected: str, got: str, what: str = "") -> str:
        """The message of a failure: what was done, what is promised, what was returned."""
        return explain(self.check, latest(self._done), WIRE, clauses, expected, got, what)

    def _note(self, answer: httpx.Response) -> None:
        self._done.append(f"{answer.request.method} {answer.request.url.raw_path.decode()} -> {answer.status_code}")

    # Frames

    async def first(self, stream: Stream) -> Frame:
        """The first frame of a stream: the count."""
        return await self.frame("frames.count", stream, "the count")

    async def frame(self, clause: str, stream: Stream, what: str) -> Frame:
        """The next frame that is not a heartbeat."""
        try:
            frame = await stream.frame()
        except TimeoutError:
            raise self.broken(clause, what, "no frame within 5 s", "on the stream") from None
        if frame is None:
            raise self.broken(clause, what, "the end of the stream")
        return frame

    async def live(self, clause: str, stream: Stream) -> Frame:
        """The frame with the count; NotOffered if the stream ends after it, so that clients poll."""
        first = await self.frame(clause, stream, "the count")
        if first.retry == _POLL and await stream.frame() is None:
            raise NotOffered("streams that stay open (this server's end after the count, so that clients poll)")
        return first

    async def expect_frame(self, clause: str, stream: Stream, event: str, data: object) -> None:
        """The next frame is this event with this data; None is an empty data: line."""
        frame = await self.frame(clause, stream, f"event: {event}")
        if data is None:
            self.equal(clause, (frame.event, frame.data), (event, ""), "the next frame")
        else:
            self.equal(clause, (frame.event, frame.json()), (event, data), "the next frame")


def _cut(text: str, width: int = 400) -> str:
    return text if len(text) <= width else f"{text[: width - 20]}...{text[-15:]}"
