"""What a check of the wire works with: requests of two recipients, streams, rows of its own, and expectations."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from inspect import isawaitable
from typing import Any, Final, TypeAlias

try:
    import httpx
except ImportError as error:
    raise ImportError(f'checks of the web need httpx: pip install "notistore[conformance]" ({error})') from error

from ..context import Broken, NotOffered, NotRun
from ..registry import Check
from .mount import SENDING, Identity, Mount
from .promises import WIRE
from .stream import Frame, Stream

__all__ = ["Item", "Visit"]

Item: TypeAlias = dict[str, Any]

_LINES: Final = 14
_POLL: Final = "30000"  # milliseconds, of a stream that is none


class Visit:
    """One check's requests, as the first of two recipients who see inboxes of their own.

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
        self.http.cookies.clear()  # or whoever asked last would be who asks now
        answer = await self.http.request(method, f"{self.path}{path}", headers=headers, **request)
        self._note(answer)
        return answer

    async def json(self, path: str = "", *, clause: str = "routes.no-redirect", **request: Any) -> Any:
        """What a GET answers, which has to be 200 and JSON."""
        answer = await self.ask("GET", path, **request)
        self.answered(clause, answer, 200)
        try:
            return answer.json()
        except ValueError:
            raise self.broken(clause, "JSON", repr(answer.text[:200])) from None

    async def own(self, **query: Any) -> list[Item]:
        """The items this check has sent to the first recipient, as the inbox shows them, newest first."""
        items: list[Item] = (await self.json(params={"limit": 100, "type": self.type, **query}))["items"]
        return items

    async def unread(self, **query: Any) -> int:
        """How many of the items this check has sent are unread, as the count has it."""
        count: int = (await self.json("/unread/count", params={"type": self.type, **query}))["count"]
        return count

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

    async def some(self, number: int = 1) -> list[str]:
        """Ids of the first recipient's: sent now, or what is there where the kit cannot send."""
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
        return items

    async def _send(self, who: Identity, type: str, data: dict[str, Any], key: str | None) -> None:
        send = self._mount.send
        if send is None:
            raise NotRun(f"the kit was not told how to send a notification ({SENDING})")
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
    async def stream(self, *, who: Identity | None = None, **headers: str) -> AsyncIterator[Stream]:
        """An open stream of the first recipient's, unless `who` is given; in a header's name _ is -."""
        sent = {**(self.me if who is None else who), **{k.replace("_", "-"): v for k, v in headers.items()}}
        self.http.cookies.clear()
        async with self.http.stream("GET", f"{self.path}/stream", headers=sent) as answer:
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
        """The answer is this status, as a problem; `field` is what was refused."""
        self.answered(clause, answer, status)
        if "errors.problem" in self.check.clauses:
            kind = answer.headers.get("content-type", "").partition(";")[0]
            self.equal("errors.problem", kind, "application/problem+json", "the content type")
            problem = answer.json()
            self.equal("errors.problem", {"title", "status", "detail"} - problem.keys(), set(), "fields that lack")
            self.equal("errors.problem", problem["status"], status, "its status")
        if field is not None:
            self.equal(clause, answer.json().get("field"), field, "the field")

    def broken(self, clause: str, expected: str, got: str, what: str = "") -> Broken:
        if clause not in self.check.clauses and clause != "routes.no-redirect":
            raise LookupError(f"the check {self.check.id!r} expects {clause!r}, which it does not cite")
        return Broken(self.explain([clause], expected, got, what))

    def explain(self, clauses: Sequence[str], expected: str, got: str, what: str = "") -> str:
        """What was done, what is promised, what came back."""
        lines = [f"{self.check.id}: {self.check.title}", "done:"]
        if len(self._done) > _LINES:
            lines.append(f"    ({len(self._done) - _LINES} earlier steps)")
        lines += [f"    {line}" for line in self._done[-_LINES:]]
        lines += ["promised:", *(f"    [{clause}] {WIRE[clause]}" for clause in clauses)]
        lines += [f"expected{f' ({what})' if what else ''}:", f"    {expected}", "came back:", f"    {got}"]
        return "\n".join(lines)

    def _note(self, answer: httpx.Response) -> None:
        self._done.append(f"{answer.request.method} {answer.request.url.raw_path.decode()} -> {answer.status_code}")

    # Frames

    async def first(self, stream: Stream) -> Frame:
        """The frame a stream begins with, which is the count."""
        return await self.frame("frames.count", stream, "the count")

    async def frame(self, clause: str, stream: Stream, what: str) -> Frame:
        """The next frame; heartbeats are passed over."""
        try:
            frame = await stream.frame()
        except TimeoutError:
            raise self.broken(clause, what, "no frame within 5 s", "on the stream") from None
        if frame is None:
            raise self.broken(clause, what, "the end of the stream")
        return frame

    async def live(self, clause: str, stream: Stream) -> None:
        """Pass over the count; NotOffered where the stream then ends, so that clients poll."""
        first = await self.frame(clause, stream, "the count")
        if first.retry == _POLL and await stream.frame() is None:
            raise NotOffered("streams that stay open (this server's end after the count, so that clients poll)")

    async def told(self, clause: str, stream: Stream, event: str, data: object) -> None:
        """The next frame is this event with this data; None is an empty data: line."""
        frame = await self.frame(clause, stream, f"event: {event}")
        if data is None:
            self.equal(clause, (frame.event, frame.data), (event, ""), "the next frame")
        else:
            self.equal(clause, (frame.event, frame.json()), (event, data), "the next frame")


def _cut(text: str, width: int = 400) -> str:
    return text if len(text) <= width else f"{text[: width - 20]}...{text[-15:]}"
