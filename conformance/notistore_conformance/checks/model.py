"""Random histories against a plain model."""

from __future__ import annotations

from ..context import Context, NotRun
from ..registry import check


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
async def history(c: Context) -> None:
    try:
        from ..machine import play
    except ImportError as error:
        raise NotRun(f"{error}; install notistore[conformance] to have random histories played") from None
    await play(c)
