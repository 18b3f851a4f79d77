"""Under gevent a publisher's greenlet runs in the event loop's own thread, and has to wake the loop nevertheless."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from notistore.hub.events import Event


def test_a_greenlet_that_publishes_wakes_the_event_loop() -> None:
    pytest.importorskip("gevent")
    command = [sys.executable, "-m", "tests.core.gevent_publisher"]
    ended = subprocess.run(
        command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.stdout == Event("notification", 1).encode().decode() + "in time\n", ended.stderr
