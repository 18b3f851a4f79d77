"""Which unsafe requests a browser says come from elsewhere: the guard against cross-site request forgery."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Final

from ..errors import InvalidArgument

_ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.-]*://[^/\sA-Z]+")
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


def is_forged(method: str, headers: Mapping[str, str], trusted_origins: Collection[str]) -> bool:
    """Whether this request is unsafe, and a browser sent it for a page of another site that is not trusted.

    `Sec-Fetch-Site` decides where the browser sends it, else `Origin` against `Host`. A request with neither does
    not come from a page, and carries no one's cookies but its own.
    """
    origin = headers.get("origin")
    if method in _SAFE_METHODS or (origin is not None and origin in trusted_origins):
        return False
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "cross-site"
    return origin is not None and origin.partition("://")[2] != headers.get("host")


def check_origins(origins: Collection[str]) -> frozenset[str]:
    """Return them as they are compared with `Origin` headers, or raise InvalidArgument for what no header can equal."""
    for origin in origins:  # of a lone string each character, and none of them is an origin
        if not _ORIGIN.fullmatch(origin):
            raise InvalidArgument("trusted_origins", f'expected ["https://app.example.com", ...], got {origins!r}')
    return frozenset(origins)
