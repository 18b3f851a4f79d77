"""What every mount has besides the endpoints: where its paths begin, and the custom element."""

from __future__ import annotations

from importlib.resources import files
from typing import Final

from ..errors import InvalidArgument

ELEMENT_PATH: Final = "/notistore-inbox.js"
ELEMENT_HEADERS: Final = {"content-type": "text/javascript; charset=utf-8", "cache-control": "public, max-age=300"}


def element_source() -> bytes:
    """The custom element `<notistore-inbox>`, an ES module."""
    return files("notistore.web").joinpath("static/notistore-inbox.js").read_bytes()


def check_path(path: str) -> str:
    if not path.startswith("/") or path.endswith("/"):
        raise InvalidArgument("path", f"expected a slash at its beginning and none at its end, got {path!r}")
    return path
