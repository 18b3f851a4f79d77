"""The object under test: routes on a server, two recipients, and a way to send to either."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from ..running.factories import entered

__all__ = ["SENDING", "Identity", "Mount", "mount_of", "mounted"]

Identity: TypeAlias = Mapping[str, str]
"""The request headers that identify a recipient."""

SENDING: Final = "--send, --notistore-web-send or Mount.send"
"""What tells the kit how to send: on the command line, in pytest, and in Python."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A server's inbox, and what the kit needs to use it.

    Attributes:
        url: what the mount's path begins at, such as "https://staging.example/api".
        identities: the request headers of two different recipients, whom no one else uses meanwhile.
        send: how to send one of them a notification. A URL, or a path below `url` (of "https://staging.example/api"
            "/test/send" is "https://staging.example/api/test/send"), to which the kit POSTs
            {"type": ..., "data": {...}, "key": ... or null} as JSON with the recipient's headers, and which answers
            with a 2xx once it is sent; or a function of the same (headers, type, data, key), asynchronous or not.
            Without it the kit uses what is in the first one's inbox, and leaves out what needs more.
        path: where the inbox is mounted below `url`.
        backend: what serves it and which version of it, for the report.
    """

    url: str
    identities: Sequence[Identity]
    send: str | Callable[[Identity, str, Mapping[str, Any], str | None], Any] | None = None
    path: str = "/notifications"
    backend: str | None = None

    def __post_init__(self) -> None:
        if len(self.identities) != 2:
            raise ValueError(f"expected the headers of two recipients, got {len(self.identities)}")
        if not self.url.startswith(("http://", "https://")):
            raise ValueError(f'expected a URL such as "https://staging.example/api", got {self.url!r}')


@asynccontextmanager
async def mounted(make_mount: Callable[[], Any]) -> AsyncIterator[Mount]:
    """Enter the factory's result: a context manager or a generator, synchronous or asynchronous, or a Mount."""
    async with entered(make_mount()) as mount:
        if not isinstance(mount, Mount):
            raise TypeError(f"expected make_mount to give a Mount, got {mount!r}")
        yield mount


def mount_of(url: str, identities: Sequence[str], send: str | None, path: str) -> Mount:
    """The mount from the arguments of a command line; each identity is a header, "name: value"."""
    headers = [header.partition(":") for header in identities]
    if len(headers) != 2 or not all(name and colon for name, colon, _ in headers):
        raise ValueError(f'expected two identities, each a request header "name: value", got {list(identities)}')
    return Mount(url, [{name.strip(): value.strip()} for name, _, value in headers], send, path)
