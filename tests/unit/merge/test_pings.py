"""Which PING a PONG answers."""

from collab.merge.pings import Pings


def test_pongs_answer_pings_in_the_order_in_which_they_were_written() -> None:
    pings = Pings()
    answered: list[str] = []
    pings.written(lambda: answered.append("first"))
    pings.written(None)  # a heartbeat
    pings.written(lambda: answered.append("third"))
    for expected in (["first"], ["first"], ["first", "third"]):
        pings.answered()
        assert answered == expected


def test_a_pong_to_no_ping_means_nothing() -> None:
    pings = Pings()
    answered: list[str] = []
    pings.answered()
    pings.written(lambda: answered.append("first"))
    pings.answered()
    assert answered == ["first"]


def test_pings_that_are_forgotten_are_not_answered() -> None:
    pings = Pings()
    answered: list[str] = []
    pings.written(lambda: answered.append("gone"))
    pings.clear()
    pings.answered()
    assert not answered
