"""Requests and responses of the endpoints, independent of the framework."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl

from .._validation import check_time, check_types
from ..errors import InvalidArgument
from ..model import Cursor
from ..wire import encode_json

_log = logging.getLogger("notistore.web")

MAX_BODY_BYTES: Final = 64 * 1024
_MAX_DISCARDED_BYTES: Final = 1024 * 1024

_INTEGER: Final = re.compile(r"-?[0-9]+")  # no other sign, no space, no digits but ASCII's
_HEADERS: Final = {"cache-control": "private, no-cache", "x-content-type-options": "nosniff"}


class Query:
    """The parameters of a query string, parsed strictly: a wrong value raises InvalidArgument, which names the
    parameter.

    Args:
        text: the query string as it was sent, percent-encoded, without the question mark.
    """

    def __init__(self, text: str | bytes = "") -> None:
        self._values: dict[str, list[str]] = {}
        if isinstance(text, bytes):
            text = text.decode("latin-1")
        for name, value in parse_qsl(text, keep_blank_values=True):
            self._values.setdefault(name, []).append(value)

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def text(self, name: str) -> str | None:
        """The parameter's one value; None when it is absent or empty."""
        values = self._values.get(name, [""])
        if len(values) > 1:
            raise InvalidArgument(name, f"expected it once, got it {len(values)} times")
        return values[0] or None

    def integer(self, name: str, *, default: int, at_most: int, floor: bool = False, cap: bool = False) -> int:
        """A whole number from 1 to `at_most`; with `floor` a smaller one is taken as 1, with `cap` a greater one as
        `at_most`."""
        text = self.text(name)
        if text is None:
            return min(default, at_most)
        if _INTEGER.fullmatch(text):
            digits = text.lstrip("-0")[:11] or "0"  # eleven digits are past every bound here
            number = -int(digits) if text[0] == "-" else int(digits)
            number = 1 if floor and number < 1 else at_most if cap and number > at_most else number
            if 1 <= number <= at_most:
                return number
        raise InvalidArgument(name, f"expected a whole number from 1 to {at_most}, got {_short(text)}")

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
        """An ISO 8601 time with an offset; None when it is absent. An empty one is refused: it is no filter."""
        if name not in self:
            return None
        text = self.text(name) or ""
        try:
            # A "+" that the client left unescaped has become a space.
            value = datetime.fromisoformat(text.replace(" ", "+"))
        except ValueError:
            raise InvalidArgument(name, f"expected an ISO 8601 time with an offset, got {_short(text)}") from None
        return check_time(value, name)


@dataclass(frozen=True, slots=True)
class Request:
    """One request, as passed to `WebInbox.answer`.

    Attributes:
        method: in capitals.
        query: its parameters.
        headers: by lower-case name.
        body: its chunks, not yet read; a function that reads at most a number of bytes and may block; or the whole of
            it, where the framework has read it. It is read only by a route that `reads_body`, once the request is
            accepted.
        id: the notification's id in its path; "" if it has none.
    """

    method: str
    query: Query = field(default_factory=Query)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: AsyncIterable[bytes] | Callable[[int], bytes] | bytes = b""
    id: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete response.

    Attributes:
        status: of HTTP.
        body: b"" for none.
        headers: by lower-case name; no `content-type` where there is no body, and never a `content-length`.
    """

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=lambda: _HEADERS)

    @classmethod
    def json(cls, value: object, *, headers: Mapping[str, str] | None = None) -> Answer:
        return cls(200, encode_json(value), {"content-type": "application/json", **_HEADERS, **(headers or {})})

    @classmethod
    def not_modified(cls, etag: str) -> Answer:
        return cls(304, headers={"etag": etag, **_HEADERS})

    @classmethod
    def problem(
        cls, status: int, detail: str, *, field: str | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """A problem (RFC 9457) as response, with the `field` that was refused."""
        value: dict[str, object] = {"title": HTTPStatus(status).phrase, "status": status, "detail": detail}
        if field is not None:
            value["field"] = field
        given = {"content-type": "application/problem+json", **_HEADERS, **(headers or {})}
        return cls(status, encode_json(value), given)


_TOO_LARGE: Final = Answer.problem(413, f"body: expected at most {MAX_BODY_BYTES} bytes", field="body")
_UNREADABLE: Final = Answer.problem(400, "body: its end is missing, or its encoding is wrong", field="body")


class BodyRefused(Exception):
    """The body has more than MAX_BODY_BYTES bytes, or cannot be read; `answer` says which."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


async def read_body(request: Request) -> bytes:
    """The complete body. Raises BodyRefused before more than the limit is in memory."""
    if not isinstance(request.body, AsyncIterable):
        return read_body_blocking(request)
    _check_declared(request)
    body = b""
    try:
        async for chunk in request.body:
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                break
    except Exception as error:
        raise _refused(error) from error
    return _check_size(body)


def read_body_blocking(request: Request) -> bytes:
    """As `read_body`, of a body that is bytes or a function."""
    body = request.body
    assert not isinstance(body, AsyncIterable), "an async body cannot be read without an event loop"
    if isinstance(body, bytes):
        return _check_size(body)
    try:
        _check_declared(request)
        return _check_size(body(MAX_BODY_BYTES + 1))
    except BodyRefused:
        with suppress(Exception):  # it cannot be read either
            _discard(body)
        raise
    except Exception as error:
        raise _refused(error) from error


def _discard(read: Callable[[int], bytes]) -> None:
    """Read the rest of a body, up to a limit: where a WSGI server closes a connection with unread bytes, the client
    gets a reset in place of the answer."""
    left = _MAX_DISCARDED_BYTES
    while left > 0 and (chunk := read(min(left, MAX_BODY_BYTES))):
        left -= len(chunk)


def _check_declared(request: Request) -> None:
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > MAX_BODY_BYTES:
        raise BodyRefused(_TOO_LARGE)


def _check_size(body: bytes) -> bytes:
    if len(body) > MAX_BODY_BYTES:
        raise BodyRefused(_TOO_LARGE)
    return body


def _refused(error: Exception) -> BodyRefused:
    """The client has disconnected, or has sent a wrong chunk or content-encoding: each server has its own exceptions.
    A framework may have a lower limit than ours, and a 413 of its own."""
    status = getattr(error, "status_code", None) or getattr(error, "code", None)
    _log.debug("the body of a request cannot be read: %r", error)
    return BodyRefused(_TOO_LARGE if status == 413 else _UNREADABLE)


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
