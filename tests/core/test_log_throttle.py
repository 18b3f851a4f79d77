from __future__ import annotations

import logging

import pytest

from notistore._log_throttle import LogThrottle

_log = logging.getLogger("notistore")


def test_it_logs_one_message_in_ten_seconds_and_then_how_many_it_suppressed(caplog: pytest.LogCaptureFixture) -> None:
    now = 100.0
    throttle = LogThrottle(10, clock=lambda: now)

    def logged() -> list[str]:
        caplog.clear()
        throttle.log(_log.warning, "the store failed during %s", "page")
        return caplog.messages.copy()

    assert [logged() for _ in range(4)] == [["the store failed during page"], [], [], []]
    now = 109.9
    assert logged() == []
    now = 110
    assert logged() == ["the store failed during page (suppressed since the last such message: 4)"]
    now = 120
    assert logged() == ["the store failed during page"]


def test_the_record_names_the_caller_and_has_its_exception(caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise ValueError("lost")
    except ValueError:
        LogThrottle().log(_log.exception, "it failed")
    (record,) = caplog.records
    assert record.funcName == "test_the_record_names_the_caller_and_has_its_exception"
    assert record.exc_text is not None
    assert "ValueError: lost" in record.exc_text
