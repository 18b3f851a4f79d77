"""Random histories against a plain model."""

from __future__ import annotations

from ...registry import check
from ...running.exceptions import NotRun
from ..context import StoreContext


@check(
    "model/history",
    "Any history of calls is answered as a plain dict would answer it",
    "recipient.isolation",
    "ids.not-yours",
    "filters.types",
    "calls.durable",
    once=True,
    seconds=86_400,  # it ends by itself, when the profile says so
)
async def history(c: StoreContext) -> None:
    try:
        from ..stateful.stateful import play
    except ImportError as error:
        raise NotRun(f"{error}; install notistore[conformance] to have random histories played") from None
    await play(c)
