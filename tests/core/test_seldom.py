from notistore._seldom import Seldom


def test_it_is_said_once_in_ten_seconds_and_then_how_often_it_was_not():
    now = 100.0
    seldom = Seldom(10, clock=lambda: now)
    assert [seldom.unsaid() for _ in range(4)] == [0, None, None, None]
    now = 109.9
    assert seldom.unsaid() is None
    now = 110
    assert seldom.unsaid() == 4
    now = 120
    assert seldom.unsaid() == 0
