"""Protection against cross-site request forgery: detects requests and WebSocket handshakes of other sites' pages."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Final

from ..errors import InvalidArgument

_ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.-]*://[^/\sA-Z]+")
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class Origins:
    """The protection of one mount.

    Args:
        trusted: origins ("https://app.example.com") whose pages may send unsafe requests and open WebSockets.

    Raises:
        InvalidArgument: `trusted` is a string, or has an item that no `Origin` header can equal.
    """

    def __init__(self, trusted: Collection[str] = ()) -> None:
        for origin in (trusted,) if isinstance(trusted, str) else trusted:
            if isinstance(trusted, str) or not _ORIGIN.fullmatch(origin):
                expected = 'a list of origins such as ["https://app.example.com"]'
                raise InvalidArgument("trusted_origins", f"expected {expected}, got {origin!r}")
        self._trusted = frozenset(trusted)

    def refuse_request(self, method: str, headers: Mapping[str, str]) -> bool:
        """Whether the request is unsafe and comes from a page of another site that is not trusted.

        `Sec-Fetch-Site` decides if the browser sends it, else `Origin` compared with `Host`. A request with neither was
        not sent by a page, so no browser has added a user's cookies to it. `headers` are by lower-case name.
        """
        if method in _SAFE_METHODS or self._trusts(headers):
            return False
        site = headers.get("sec-fetch-site")  # a server may join two of them with a comma
        return _is_other_host(headers) if site is None else "cross-site" in site

    def refuse_handshake(self, headers: Mapping[str, str]) -> bool:
        """Whether a WebSocket's handshake comes from a page of another origin that is not trusted.

        Stricter than for requests: CORS does not prevent a page of a sibling origin (`Sec-Fetch-Site: same-site`) from
        reading the messages of a WebSocket.
        """
        if self._trusts(headers):
            return False
        site = headers.get("sec-fetch-site")
        return _is_other_host(headers) if site is None else site not in ("same-origin", "none")

    def _trusts(self, headers: Mapping[str, str]) -> bool:
        return headers.get("origin") in self._trusted


def _is_other_host(headers: Mapping[str, str]) -> bool:
    origin = headers.get("origin")
    return origin is not None and origin.partition("://")[2] != headers.get("host")
