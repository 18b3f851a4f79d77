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
    """Batches calls into queries of many recipients. A query is cancelled once all of its callers are."""

    def __init__(self) -> None:
        self._open: dict[CountsUnread, _Query] = {}

    async def count(self, counter: CountsUnread, recipient: Recipient) -> int:
        """The recipient's unread count. Raises the error of the query, if it fails."""
        query = self._open.get(counter)
        if query is None or len(query.recipients) >= _BATCH:
            query = self._open[counter] = _Query(counter, self._open)
        query.recipients[recipient] = None
        query.callers += 1
        try:
            await asyncio.wait([query.task])
        finally:
            query.callers -= 1
            if not query.callers:
                query.cancel()
        if isinstance(error := query.task.exception(), StoreError):
            # A separate exception for each caller, since each raise would add to the traceback of a shared one.
            raise StoreError(str(error)) from error
        return query.task.result()[recipient]


class _Query:
    def __init__(self, counter: CountsUnread, open: dict[CountsUnread, _Query]) -> None:
        self.recipients: dict[Recipient, None] = {}
        self.callers = 0
        self._counter = counter
        self._open = open
        self.task = asyncio.create_task(self._run())

    def cancel(self) -> None:
        """Cancel the query, unless it is done."""
        self._close()
        self.task.cancel()

    async def _run(self) -> Mapping[Recipient, int]:
        await asyncio.sleep(0)  # collect the calls of this tick, also on a loop whose tasks start eagerly
        self._close()
        return await self._counter.unread_counts(list(self.recipients))

    def _close(self) -> None:
        """Take no further recipients."""
        if self._open.get(self._counter) is self:
            del self._open[self._counter]
