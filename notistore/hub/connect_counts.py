"""ConnectCounts: the unread counts for new streams, with one query for all calls in a tick of the event loop.

After a restart thousands of browsers reconnect within seconds, and one query for each would be most of the cost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from ..errors import StoreError
from ..model import Recipient
from .catch_up import CountsUnread

_BATCH: Final = 500  # recipients in one query


class ConnectCounts:
    """Batches calls into queries of many recipients. Cancelling one caller does not cancel the query of the others."""

    def __init__(self) -> None:
        self._open: dict[CountsUnread, _Query] = {}

    async def count(self, counter: CountsUnread, recipient: Recipient) -> int:
        """The recipient's unread count. Raises the error of the query, if it fails."""
        query = self._open.get(counter)
        if query is None or len(query.recipients) >= _BATCH:
            query = self._open[counter] = _Query(counter, self._open)
        query.recipients[recipient] = None
        await asyncio.wait([query.task])
        if isinstance(error := query.task.exception(), StoreError):
            # A separate exception for each caller, since each raise would add to the traceback of a shared one.
            raise StoreError(str(error)) from error
        return query.task.result()[recipient]


class _Query:
    def __init__(self, counter: CountsUnread, open: dict[CountsUnread, _Query]) -> None:
        self.recipients: dict[Recipient, None] = {}
        self.task = asyncio.create_task(self._run(counter, open))

    async def _run(self, counter: CountsUnread, open: dict[CountsUnread, _Query]) -> Mapping[Recipient, int]:
        # This task starts in the tick after it was created, so all calls of that tick are collected by now.
        if open.get(counter) is self:
            del open[counter]
        return await counter.unread_counts(list(self.recipients))
