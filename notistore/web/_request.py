"""What an endpoint is told and what it answers: the same for every framework."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Final

from .._validation import check_time, check_types
from ..errors import InvalidArgument
from ..model import Cursor
from ..wire import encode_json

MAX_BODY_BYTES: Final = 64 * 1024

_PRIVATE: Final = {"cache-control": "private, no-cache"}


class Query:
    """The query string's parameters, read strictly: what is not understood raises InvalidArgument naming it."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            self._values.setdefault(name, []).append(value)

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def text(self, name: str) -> str | None:
        """The parameter's one value; None when it is absent or empty."""
        values = self._values.get(name, [""])
        if len(values) > 1:
            raise InvalidArgument(name, f"expected it once, got it {len(values)} times")
        return values[0] or None

    def integer(self, name: str, *, default: int, at_least: int, at_most: int, cap: bool = False) -> int:
        """A whole number in the closed range; with `cap` a greater one counts as `at_most`."""
        text = self.text(name)
        if text is None:
            return min(default, at_most)
        # No sign, no space, no digits but ASCII's; ten of them are past every bound here.
        if text.isascii() and text.isdecimal() and (len(text) <= 10 or cap):
            number = int(text[:11])
            if cap:
                number = min(number, at_most)
            if at_least <= number <= at_most:
                return number
        raise InvalidArgument(name, f"expected a whole number from {at_least} to {at_most}, got {_short(text)}")

    def types(self) -> tuple[str, ...] | None:
        """The `type` filter: names separated by commas, in one parameter or several; None when there are none."""
        names = [name.strip() for value in self._values.get("type", ()) for name in value.split(",")]
        try:
            return check_types(name for name in names if name)
        except InvalidArgument as error:
            problem = str(error).removeprefix(f"{error.field}: ")
            raise InvalidArgument("type", problem) from None  # as the client knows it

    def cursor(self, name: str) -> Cursor | None:
        text = self.text(name)
        return None if text is None else Cursor.parse(text)

    def time(self, name: str) -> datetime | None:
        """An ISO 8601 time with an offset."""
        text = self.text(name)
        if text is None:
            return None
        try:
            # A "+" that the client left unescaped has become a space.
            value = datetime.fromisoformat(text.replace(" ", "+"))
        except ValueError:
            raise InvalidArgument(name, f"expected an ISO 8601 time with an offset, got {_short(text)}") from None
        return check_time(value, name)


@dataclass(frozen=True, slots=True)
class Request:
    """One request, after its recipient is known.

    Attributes:
        method: in capitals.
        query: its parameters.
        headers: by lower-case name.
        body: its chunks, not yet read.
        id: the notification its path names, or "".
    """

    method: str
    query: Query
    headers: Mapping[str, str]
    body: AsyncIterable[bytes]
    id: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, headers and a whole body."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=lambda: _PRIVATE)

    @classmethod
    def json(cls, value: object, *, headers: Mapping[str, str] | None = None) -> Answer:
        return cls(200, encode_json(value), {"content-type": "application/json", **_PRIVATE, **(headers or {})})

    @classmethod
    def not_modified(cls, etag: str) -> Answer:
        return cls(304, headers={"etag": etag, **_PRIVATE})

    @classmethod
    def problem(cls, status: int, detail: str, *, field: str | None = None) -> Answer:
        """An error as RFC 9457 has it, with the `field` that was refused."""
        value: dict[str, object] = {"title": HTTPStatus(status).phrase, "status": status, "detail": detail}
        if field is not None:
            value["field"] = field
        return cls(status, encode_json(value), {"content-type": "application/problem+json", **_PRIVATE})


class BodyTooLarge(Exception):
    """More than MAX_BODY_BYTES were sent."""


async def read_body(request: Request) -> bytes:
    """The whole body, or BodyTooLarge before more than its limit is in memory."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > MAX_BODY_BYTES:
        raise BodyTooLarge
    body = b""
    async for chunk in request.body:
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise BodyTooLarge
    return body


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
