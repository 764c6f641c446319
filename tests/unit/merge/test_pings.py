"""PONGs are matched with PINGs."""

from collab.merge.pings import Pings


def test_pongs_answer_pings_in_the_order_in_which_they_were_written() -> None:
    pings = Pings()
    answered: list[str] = []
    pings.add(lambda: answered.append("first"))
    pings.add(None)  # a heartbeat
    pings.add(lambda: answered.append("third"))
    for expected in (["first"], ["first"], ["first", "third"]):
        pings.handle_pong()
        assert answered == expected


def test_a_pong_without_a_ping_is_ignored() -> None:
    pings = Pings()
    answered: list[str] = []
    pings.handle_pong()
    pings.add(lambda: answered.append("first"))
    pings.handle_pong()
    assert answered == ["first"]


def test_forgotten_pings_are_not_answered() -> None:
    pings = Pings()
    answered: list[str] = []
    pings.add(lambda: answered.append("gone"))
    pings.clear()
    pings.handle_pong()
    assert not answered
