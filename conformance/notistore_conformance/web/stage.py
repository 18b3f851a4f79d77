"""Runs the checks of a web mount."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, Final, NamedTuple

import httpx

from ..context import Broken, NotOffered, NotRun
from ..registry import Check
from ..report import Outcome
from ..stage import Stage
from .mount import Mount, mounted
from .visit import Visit

__all__ = ["WebStage"]

_REQUEST: Final = 15.0  # seconds for one answer


class Server(NamedTuple):
    """A mount and the one client of a run: each takes a while to make."""

    mount: Mount
    http: httpx.AsyncClient


class WebStage(Stage[Server]):
    """The checks of a web mount.

    Args:
        make_mount: gives a `Mount`, or a context manager or generator that yields one, entered once.
        options: `Stage`'s own.
    """

    kind = "web"

    def __init__(self, make_mount: Callable[[], Any], **options: Any) -> None:
        super().__init__(**options)
        self._make_mount = make_mount

    def _open(self) -> AbstractAsyncContextManager[Server]:
        return _opened(self._make_mount)

    def _versions(self, subject: Server) -> tuple[str | None, str | None]:
        return None, subject.mount.backend

    async def _attempt(self, check: Check, subject: Server) -> tuple[Outcome, str]:
        visit = Visit(check, subject.mount, subject.http)
        try:
            async with asyncio.timeout(check.seconds):
                await check.body(visit)
        except NotOffered as reason:
            return Outcome.UNSUPPORTED, f"not offered: {reason}"
        except NotRun as reason:
            return Outcome.NOT_RUN, str(reason)
        except Broken as broken:
            return Outcome.FAILED, str(broken)
        except TimeoutError:
            text = visit.explain(check.clauses, f"an end within {check.seconds:.0f} s", "it was still going on")
            return Outcome.FAILED, text
        except Exception as error:
            text = visit.explain(check.clauses, "an answer of this shape", f"{type(error).__name__}: {error}")
            return Outcome.FAILED, f"{text}\n{''.join(traceback.format_exception(error))}"
        finally:
            with suppress(httpx.HTTPError):
                await visit.clear()
        return Outcome.PASSED, ""


@asynccontextmanager
async def _opened(make_mount: Callable[[], Any]) -> AsyncIterator[Server]:
    async with (
        mounted(make_mount) as mount,
        httpx.AsyncClient(
            base_url=mount.url, timeout=_REQUEST, follow_redirects=False, limits=httpx.Limits(max_connections=None)
        ) as http,
    ):
        await _look(mount, http)
        yield Server(mount, http)


async def _look(mount: Mount, http: httpx.AsyncClient) -> None:
    """Raise where every check would fail for one reason: a wrong address, or an identity that is not let in."""
    for identity in mount.identities:
        try:
            answer = await http.get(mount.path, headers=dict(identity))
        except httpx.TransportError as error:
            raise ConnectionError(f"no server answers at {mount.url}: {error}") from error
        if answer.status_code == 404:
            raise ValueError(
                f"expected an inbox at {answer.request.url}, got 404; where is it mounted below {mount.url}?"
            )
        if answer.status_code == 401:
            raise ValueError(f"expected the headers of a recipient, got 401 with {', '.join(identity)}")
