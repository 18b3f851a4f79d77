"""Limits what daphne buffers for a client that does not read.

daphne's `send` never waits: Twisted's transport buffers everything until the client reads it, so a stream's backlog
never fills. A stream is therefore ended there once as many bytes have been sent as a backlog may have; the browser
reconnects and gets the current count.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Final

from ..hub import Subscription

__all__ = ["count_bytes_of"]

_MAX_BYTES: Final = 256 * 1024  # bytes


def count_bytes_of(stream: Subscription) -> Callable[[bytes], None] | None:
    """On daphne, a function to call with all bytes written, which ends the stream at the limit; on other servers
    None."""
    if not _is_daphne():
        return None
    left = _MAX_BYTES

    def count(data: bytes) -> None:
        nonlocal left
        left -= len(data)
        if left < 0:
            stream.end("backlog")

    return count


def _is_daphne() -> bool:
    # A Django site with daphne in INSTALLED_APPS imports it under any server, but only daphne runs Twisted's reactor.
    reactor = sys.modules.get("twisted.internet.reactor")
    return "daphne.server" in sys.modules and bool(getattr(reactor, "running", False))
