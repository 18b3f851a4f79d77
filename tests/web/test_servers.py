"""SIGTERM with a thousand open streams does not hang any of the servers people run."""

from __future__ import annotations

import pytest

from benchmarks.shutdown import SERVERS, STREAMS, shutdown


@pytest.mark.parametrize("name", SERVERS)
async def test_open_streams_do_not_hold_up_a_servers_end(name: str) -> None:
    took, whole = await shutdown(name)
    assert took < 15  # without the hub's end it is for ever; what it takes is a benchmark's to say
    assert whole == STREAMS
