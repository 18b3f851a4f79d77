"""Runs the checks of a web mount."""

from __future__ import annotations

import asyncio
import secrets
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, Final, NamedTuple

import httpx

from ..registry import Check
from ..reports.report import Outcome
from ..running.exceptions import ContractViolation, NotOffered, NotRun
from ..running.runner import Runner
from .context import WebContext
from .mount import SENDING, Mount, mounted

__all__ = ["WebRunner"]

_REQUEST: Final = 15.0  # seconds for one answer


class Server(NamedTuple):
    """A mount and a client, created once for each run because that is slow."""

    mount: Mount
    http: httpx.AsyncClient


class WebRunner(Runner[Server]):
    """The checks of a web mount.

    Args:
        make_mount: gives a `Mount`, or a context manager or generator that yields one, entered once.
        options: `Runner`'s own.
    """

    kind = "web"

    def __init__(self, make_mount: Callable[[], Any], **options: Any) -> None:
        super().__init__(**options)
        self._make_mount = make_mount

    def _open(self) -> AbstractAsyncContextManager[Server]:
        return _opened(self._make_mount)

    def _versions(self, implementation: Server) -> tuple[str | None, str | None]:
        return None, implementation.mount.backend

    async def _attempt(self, check: Check, implementation: Server) -> tuple[Outcome, str]:
        visit = WebContext(check, implementation.mount, implementation.http)
        try:
            async with asyncio.timeout(check.seconds):
                await check.body(visit)
        except NotOffered as reason:
            return Outcome.UNSUPPORTED, f"not offered: {reason}"
        except NotRun as reason:
            return Outcome.NOT_RUN, str(reason)
        except ContractViolation as broken:
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
    """Raise if every check would fail for the same reason: a wrong address, or an identity that is refused."""
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
    if isinstance(mount.send, str):
        await _try_sending(mount, mount.send, http)


async def _try_sending(mount: Mount, send: str, http: httpx.AsyncClient) -> None:
    """Send the first recipient a notification and delete it; raise if the response is not a 2xx."""
    type, headers = f"conformance.{secrets.token_hex(4)}", dict(mount.identities[0])
    try:
        answer = await http.post(send, headers=headers, json={"type": type, "data": {}, "key": None})
    except httpx.TransportError as error:
        raise ConnectionError(f"no server answers where the kit is to send, at {send}: {error}") from error
    if not answer.is_success:
        below = "" if "://" in send else f"; the path is taken below {mount.url}"
        raise ValueError(
            f"expected a 2xx from POST {answer.request.url}, which is to send a notification ({SENDING}), "
            f"got {answer.status_code} {answer.text[:200]}{below}"
        )
    with suppress(httpx.HTTPError, ValueError, LookupError, TypeError):  # an inbox that fails here fails its checks
        found = await http.get(mount.path, headers=headers, params={"type": type})
        for item in found.json()["items"]:
            if item["type"] == type:
                await http.delete(f"{mount.path}/{item['id']}", headers=headers)
