from notistore._log_throttle import LogThrottle


def test_it_lets_one_message_through_in_ten_seconds_and_counts_the_others():
    now = 100.0
    throttle = LogThrottle(10, clock=lambda: now)
    assert [throttle.suppressed() for _ in range(4)] == [0, None, None, None]
    now = 109.9
    assert throttle.suppressed() is None
    now = 110
    assert throttle.suppressed() == 4
    now = 120
    assert throttle.suppressed() == 0
